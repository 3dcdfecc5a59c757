"""A task whose agents write together, once or for several turns: what writing and coding share.

    parallel     both write at once and see only the problem: MAGRPO; untrained, it is the paper's "naive concatenation"
    sequential   the second writer sees the first one's reply
    discussion   each also sees what the other wrote before
    single       one writer writes both parts, within twice the tokens

With `turns` above 1 the agents write again, each with its own history and the feedback of `transition`
(`tasks/multiturn/feedback.py`). Every turn is judged and earns its own reward. With `expert_edits` the seat "editor"
speaks between turns: any agent of the league, or a remote player; it is never rewarded here. With `credit="own"` each
writer is rewarded for its own reply alone (independent agents).

A turn of the task is one or two stages of the match (`_plan`); its last stage has the tag "write". Left to each kind:
its prompts, how a turn is judged, its metrics.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Annotated, ClassVar, Generic, Literal, TypeVar

from pydantic import Field

from league.types import (
    Episode,
    JointMode,
    Match,
    Message,
    Outcome,
    Problem,
    Relation,
    Sampling,
    Score,
    Split,
    TreePath,
    Turn,
)
from tasks.multiturn.feedback import Check, Transition, feedback_text, next_prompt
from tasks.multiturn.paths import (
    WRITE,
    Stage,
    completed,
    ends_by_turn,
    independent_ends,
    newest,
    to_turn_end,
    turn_ends,
)
from tasks.outcomes import cooperation_outcome
from tasks.rewards import mix_rewards
from tasks.task import Task, user_prompt

EDITOR, EDIT = "editor", "edit"
S = TypeVar("S")
"""The kind's own scores of one turn."""


@dataclass(frozen=True)
class Judgement(Generic[S]):
    """What was written by the end of one turn, and what it is worth."""

    scores: S
    joint: float
    """The joint reward; what counts for the payoffs."""
    earned: Mapping[str, float]
    """What each writer earns, before the match's situation mixes rewards."""
    checks: tuple[Check, ...]
    perfect: bool
    """Nothing is left to earn: with `early_stop` the play ends here."""
    counts: bool = True
    """False where it could not be judged: it is left out of the payoffs."""
    unlearned: Literal["nothing", "play"] = "nothing"
    """What carries no gradient: nothing, or the replies of the whole play up to here.

    Never what a reply itself could bring about: it would escape its reward.
    """


@dataclass(frozen=True)
class MultiTurnTask(Task, Generic[S]):
    """The settings and the course of a match of several turns; one decision tree per problem."""

    pair: ClassVar[tuple[str, str]]
    """Seats of the two writers; in a sequence the first one writes first."""
    solo: ClassVar[str]
    """Seat of the single writer."""
    first_stage: ClassVar[str] = "draft"
    """Tag of the first writer's stage in a sequence."""

    arrangement: Literal["parallel", "sequential", "discussion", "single"] = "parallel"
    credit: Literal["joint", "own"] = "joint"
    transition: Transition = "plain"
    turns: Annotated[int, Field(ge=1)] = 1
    """T, how often each writer writes."""
    early_stop: bool = False
    """End a play whose last turn earned everything."""
    items: Annotated[int, Field(ge=1)] = 1
    """Problems per match."""
    samples: Annotated[int, Field(ge=1)] = 4
    """G, the group of every writer's first reply; evaluation speaks once, greedily."""
    branch: Annotated[int, Field(ge=1)] = 1
    """Samples of each later reply per earlier joint reply.

    More than 1 gives later turns a group of their own.
    """
    joint: JointMode = "aligned"
    temperature: Annotated[float, Field(gt=0)] = 0.7
    """Above 0, so that samples differ."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.9
    max_tokens: Annotated[int, Field(ge=8)] = 96
    """Per part; the paper's is 256."""
    relation: Relation = field(default="cooperation", init=False)

    # ----------------------------------------------------------------------------------------- each kind's own
    @abstractmethod
    def source_problems(self) -> Mapping[Split, Sequence[Problem]]:
        """All problems that matches may be about."""

    @abstractmethod
    def first_prompt(self, problem: Problem, path: TreePath, seat: str) -> str:
        """What a writer reads the first time; in a sequence the first writer has spoken on `path`."""

    @abstractmethod
    def editor_prompt(self, problem: Problem, path: TreePath) -> str:
        """What the editor reads: the problem and the newest replies."""

    @abstractmethod
    def request(self, seat: str) -> str:
        """The words that ask a writer to write again."""

    @abstractmethod
    def judge(self, ends: Sequence[tuple[Problem, TreePath]], for_feedback: bool) -> list[Judgement[S]]:
        """Judge each path, which ends a turn; for feedback, rewards and their costs may be left out."""

    @abstractmethod
    def metrics(self, episode: Episode, judged: Mapping[int, Judgement[S]]) -> dict[str, float]:
        """The metrics of an episode from the judgement of each node that ends a turn."""

    # -------------------------------------------------------------------------------------- settings and seats
    def check(self) -> list[str]:
        problems = []
        if self.turns == 1 and self.transition != "plain":
            problems.append(f"transition: '{self.transition}' needs turns of at least 2, found 1")
        if self.arrangement == "single" and self.credit == "own":
            problems.append("credit: 'own' needs two writers (use 'joint' with arrangement 'single')")
        return problems

    def writers(self) -> tuple[str, ...]:
        """The seats that write: one or two."""
        return (self.solo,) if self.arrangement == "single" else self.pair

    def seats(self) -> tuple[str, ...]:
        return (*self.writers(), EDITOR) if self.transition == "expert_edits" else self.writers()

    def problems(self, split: Split, index: int, domain: str = "") -> tuple[Problem, ...]:
        """The problems of match number `index`; numbers beyond the last start again at the first."""
        found = self.source_problems()[split]
        return tuple(found[(index * self.items + offset) % len(found)] for offset in range(self.items))

    # ------------------------------------------------------------------------------------------------ playing
    def stages_of_turn(self) -> tuple[Stage, ...]:
        """The stages of one turn, the last of them tagged "write"."""
        if self.arrangement == "sequential":
            return (self.first_stage, self.pair[:1]), (WRITE, self.pair[1:])
        return ((WRITE, self.writers()),)

    @cached_property
    def _plan(self) -> tuple[Stage, ...]:
        """All stages of a play, in order: those of every turn, with the editor's between."""
        turn = self.stages_of_turn()
        between: tuple[Stage, ...] = ((EDIT, (EDITOR,)),) if self.transition == "expert_edits" else ()
        return (*turn, *(stage for _ in range(self.turns - 1) for stage in (*between, *turn)))

    def open(self, match: Match) -> Sequence[Turn]:
        return [self._turn(match, about, (), None) for about in range(len(match.problems))]

    def follow(self, match: Match, path: TreePath) -> Sequence[Turn]:
        if len(path) >= len(self._plan):
            return []
        about = path[-1][0].turn.about or 0
        judgement = None
        if path[-1][0].turn.tag == WRITE:
            judgement = self._feedback(match.problems[about], path)
            if self.early_stop and judgement.perfect:
                return []
        return [self._turn(match, about, path, judgement)]

    def _turn(self, match: Match, about: int, path: TreePath, judgement: Judgement[S] | None) -> Turn:
        tag, seats = self._plan[len(path)]
        problem = match.problems[about]
        if judgement is None and completed(path):  # an editor or the first writer has spoken since
            judgement = self._feedback(problem, to_turn_end(path))
        prompts = {seat: self.prompt(problem, path, seat, judgement) for seat in seats}
        evaluate = match.purpose == "evaluate"
        tokens = 2 * self.max_tokens if self.arrangement == "single" and tag == WRITE else self.max_tokens
        sampling = Sampling(temperature=0.0 if evaluate else self.temperature, top_p=self.top_p, max_tokens=tokens)
        samples = 1 if evaluate or tag == EDIT else self.samples if self.opens_group(path) else self.branch
        return Turn(tag, prompts, samples, dict.fromkeys(prompts, sampling), about=about, joint=self.joint)

    def _feedback(self, problem: Problem, path: TreePath) -> Judgement[S]:
        return self.judge([(problem, path)], for_feedback=True)[0]

    def opens_group(self, path: TreePath) -> bool:
        """Whether the stage after `path` draws `samples` replies; the others draw `branch`."""
        return not completed(path)

    def prompt(
        self, problem: Problem, path: TreePath, seat: str, judgement: Judgement[S] | None
    ) -> tuple[Message, ...]:
        """What one seat sees: the problem first, then its own history and feedback on the last turn."""
        if seat == EDITOR:
            return user_prompt(self.editor_prompt(problem, path))
        before = newest(path, seat)
        if before is None:
            return user_prompt(self.first_prompt(problem, path, seat))
        edits = newest(path, EDITOR)
        checks = judgement.checks if judgement is not None else ()
        feedback = feedback_text(self.transition, checks, edits.reply if edits else "")
        partner = self._partner_shown(path, seat)
        if partner is not None:
            feedback = f"{feedback}\n\nYour partner wrote:\n{partner.strip()}".strip()
        return next_prompt(before, feedback, self.request(seat))

    def _partner_shown(self, path: TreePath, seat: str) -> str | None:
        """The partner's newest reply, where the arrangement shows it to this seat."""
        first, second = self.pair
        if self.arrangement == "discussion" or (self.arrangement == "sequential" and seat == second):
            spoken = newest(path, second if seat == first else first)
            return spoken.reply if spoken else None
        return None

    # ------------------------------------------------------------------------------------------------ scoring
    def score(self, episode: Episode) -> Score:
        match = episode.match
        ends = [(match.problems[path[-1][0].turn.about or 0], path) for path in turn_ends(episode)]
        judged = dict(zip((path[-1][1].id for _, path in ends), self.judge(ends, for_feedback=False), strict=True))
        rewards: dict[int, dict[str, float]] = {}
        void: set[tuple[int, str]] = set()
        for path, decision in episode.decisions():
            for node in decision.nodes:
                judgement = judged.get(node.id)
                if judgement is None:
                    rewards[node.id] = dict.fromkeys(self.writers(), 0.0)
                    continue
                rewards[node.id] = mix_rewards(judgement.earned, match.rewards)
                dropped = [*(earlier for _, earlier in path), node] if judgement.unlearned == "play" else []
                void |= {(each.id, seat) for each in dropped for seat in self.writers()}
        outcomes = tuple(self._outcomes(episode, judged))
        return Score(rewards, self.metrics(episode, judged), outcomes, frozenset(void))

    def returns_by_turn(self, episode: Episode, returns: Mapping[int, float], most: float) -> dict[str, float]:
        """`return/turn-t`: mean share of the most that turn t earned; empty for tasks of one turn."""
        turns = ends_by_turn(episode) if self.turns > 1 else {}
        return {f"return/turn-{turn}": fmean(returns[n] for n in nodes) / most for turn, nodes in sorted(turns.items())}

    def _outcomes(self, episode: Episode, judged: Mapping[int, Judgement[S]]) -> Iterator[Outcome]:
        """One cooperation per domain from independent plays, self-play included; none for a single writer."""
        if self.arrangement == "single":
            return
        match = episode.match
        by_domain: dict[str, list[float]] = {}
        for root in episode.roots:
            for node in independent_ends(root):
                if judged[node.id].counts:
                    domain = match.problems[root.turn.about or 0].domain
                    by_domain.setdefault(domain, []).append(judged[node.id].joint)
        for domain, joint in by_domain.items():
            yield cooperation_outcome(match, self.name, domain, self.pair, joint)
