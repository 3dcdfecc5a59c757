"""A teacher answers fresh problems; its right replies are worth learning for a student.

    work    the teacher answers M fresh problems alone, K times each
    probe   the student answers the first few of them too, alone and once: how good is it before it learns?

    student learns  each distinct right reply on its own prompt, but for problems that it solved itself
    payoff          the contest of the two on the problems that both answered: item by item, who is right

    reward          1 for a right reply, to whoever gave it: two replies or more are a group like any other

The replies are learned as texts (league.learning.channels.worked_replies). The probes come before anything is learned
from the problem, so they measure the student on unseen problems, and they open the gate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Annotated, ClassVar

from pydantic import Field

from league.types import (
    Channel,
    Episode,
    Match,
    Problem,
    Relation,
    Sampling,
    Score,
    Split,
    TreePath,
    Turn,
    UnaidedAnswers,
    UsefulExample,
)
from tasks.outcomes import item_outcomes
from tasks.task import Task
from tasks.teaching import STUDENT, TEACHER


@dataclass(frozen=True)
class WorkedReplies(Task):
    """Settings of a match in which a teacher works for a student."""

    uses_domains: ClassVar[bool] = True
    channel: ClassVar[Channel] = "worked_replies"
    items: Annotated[int, Field(ge=1)] = 4
    """M, fresh problems of a match."""
    answers: Annotated[int, Field(ge=1)] = 2
    """K, replies of the teacher to each."""
    temperature: Annotated[float, Field(gt=0)] = 0.6
    """The teacher's and the student's."""
    student_items: Annotated[int, Field(ge=0)] = 2
    """Problems of a match that the student answers too.

    With 0 the gate learns how good it is from other tasks only.
    """
    relation: Relation = field(default="teaching", init=False)

    def check(self) -> list[str]:
        found = [] if self.domains else ["domains: a task of worked replies needs at least one domain"]
        if self.student_items > self.items:
            found.append(f"student_items: {self.student_items} of {self.items} items; ask for at most `items`")
        return found

    def seats(self) -> tuple[str, ...]:
        return (TEACHER, STUDENT)

    @property
    def width(self) -> int:
        return self.items

    def problems(self, split: Split, index: int, domain: str) -> tuple[Problem, ...]:
        """The M problems of match number `index`."""
        chosen = self.domains[domain]
        size = chosen.size_hint(split, (index + 1) * self.items)
        return tuple(
            chosen.problem(split, place % size) for place in range(index * self.items, (index + 1) * self.items)
        )

    # ------------------------------------------------------------------------------------------------ playing
    def open(self, match: Match) -> Sequence[Turn]:
        turns = []
        for tag, seat, samples, items in (
            ("work", TEACHER, self.answers, self.items),
            ("probe", STUDENT, 1, self.student_items),
        ):
            for about, problem in enumerate(match.problems[:items]):
                domain = self.domains[problem.domain]
                sampling = Sampling(temperature=self.temperature, max_tokens=domain.max_tokens)
                turns.append(Turn(tag, {seat: domain.prompt(problem)}, samples, {seat: sampling}, about))
        return turns

    def follow(self, match: Match, path: TreePath) -> Sequence[Turn]:
        return ()

    # ------------------------------------------------------------------------------------------------ scoring
    def score(self, episode: Episode) -> Score:
        match = episode.match
        right: dict[tuple[str, int], list[bool]] = {}
        rewards: dict[int, dict[str, float]] = {}
        for decision in episode.roots:
            (seat,) = decision.turn.prompts
            about = decision.turn.about or 0
            problem = match.problems[about]
            judge = self.domains[problem.domain].correct
            right[seat, about] = [judge(problem, decision.texts(node)[seat]) for node in decision.nodes]
            rewards |= {
                node.id: {seat: float(good)} for node, good in zip(decision.nodes, right[seat, about], strict=True)
            }
        share = {key: fmean(found) for key, found in right.items()}
        examples = tuple(self._examples(episode, right, share))
        worked = [share[TEACHER, about] for about in range(len(match.problems))]
        metrics = {"teacher_accuracy": fmean(worked), "examples": float(len(examples))}
        if self.student_items:
            metrics["student_accuracy"] = fmean(share[STUDENT, about] for about in range(self.student_items))
        unaided = (
            UnaidedAnswers(seat, match.problems[about].domain, float(sum(found)), len(found))
            for (seat, about), found in right.items()
        )
        outcomes = item_outcomes(match, self.name, right, self.seats()) if self.student_items else ()
        return Score(rewards, metrics, outcomes, examples=examples, unaided=tuple(unaided))

    def _examples(
        self, episode: Episode, right: Mapping[tuple[str, int], Sequence[bool]], share: Mapping[tuple[str, int], float]
    ) -> list[UsefulExample]:
        """The teacher's right replies, but for problems that the student solved; none outside training."""
        found: list[UsefulExample] = []
        if episode.match.purpose != "train":
            return found
        for decision in episode.roots:
            about = decision.turn.about or 0
            weight = 1.0 - share.get((STUDENT, about), 0.0)
            if decision.turn.tag != "work" or weight <= 0:
                continue
            problem = episode.match.problems[about]
            for node, good in zip(decision.nodes, right[TEACHER, about], strict=True):
                if good:
                    found.append(
                        UsefulExample(
                            channel="worked_replies",
                            node=node.id,
                            speaker=TEACHER,
                            learner=STUDENT,
                            teacher=TEACHER,
                            domain=problem.domain,
                            prompt=self.domains[problem.domain].prompt(problem),
                            weight=weight,
                        )
                    )
        return found
