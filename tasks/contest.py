"""Contests: agents answer the same problems, unaided; each pair is compared item by item.

Seats are `player-1` … `player-N`, as many as the match assigns; a contest of one seat is plain reinforcement learning
on correctness (the honest baseline). An item is (problem, sample index): win, draw or loss by who is right, never by
the difference of mean scores, which would make every contest transitive by construction.

    own reward   c_i                              weight `individual`
    team         mean over all players            weight `team`
    competitive  c_i − mean over the other players weight `competitive`

each of the others' c being its mean over samples on the same problem.

With `probes` a group is drawn in full only where it is likely to have variance (`tasks/probing.py`); items are then the
probes, because whether further answers follow depends on them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Annotated, ClassVar

from pydantic import Field

from league.types import (
    BetaBelief,
    Episode,
    Match,
    Problem,
    Relation,
    Reply,
    Sampling,
    Score,
    Split,
    TreePath,
    Turn,
    UnaidedAnswers,
)
from tasks.outcomes import item_outcomes
from tasks.probing import THRESHOLD, check_probes, counted_nodes, probes_for, probing_metrics, worth_drawing
from tasks.rewards import mixed_reward
from tasks.task import Task


@dataclass(frozen=True)
class Contest(Task):
    """Settings of a contest. Match.problems are the items, of one or several domains."""

    uses_domains: ClassVar[bool] = True
    items: Annotated[int, Field(ge=1)] = 4
    """Problems per match."""
    answers: Annotated[int, Field(ge=2)] = 4
    """Samples per player and problem in training; evaluation asks once, greedily."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Above 0, so that samples differ."""
    players: Annotated[int, Field(ge=1)] = 2
    """How many seats the scheduler fills; 1 is plain reinforcement learning on correctness."""
    probes: Annotated[int, Field(ge=0)] = 0
    """Answers per player and problem that are drawn first in training; 0 draws all at once."""
    probe_threshold: Annotated[float, Field(ge=0, le=1)] = THRESHOLD
    """After equal probes, the least chance of a group with variance for which the others are drawn."""
    relation: Relation = field(default="contest", init=False)

    def check(self) -> list[str]:
        problems = [] if self.domains else ["domains: a contest needs at least one domain"]
        return problems + check_probes(self.probes, self.answers)

    def seats(self) -> tuple[str, ...]:
        return ("player-*",)

    def problems(self, split: Split, index: int, domain: str) -> tuple[Problem, ...]:
        """The problem set of match number `index` in one domain."""
        rules, start = self.domains[domain], index * self.items
        size = rules.size_hint(split, start + self.items)
        return tuple(rules.problem(split, place % size) for place in range(start, start + self.items))

    def open(self, match: Match) -> Sequence[Turn]:
        """Each player's answer to each problem is a decision point of its own."""
        evaluate = match.purpose == "evaluate"
        turns = []
        for about, problem in enumerate(match.problems):
            domain = self.domains[problem.domain]
            sampling = Sampling(temperature=0.0 if evaluate else self.temperature, max_tokens=domain.max_tokens)
            prompt = domain.prompt(problem)
            samples = 1 if evaluate else self.answers
            turns += [
                Turn("answer", {seat: prompt}, samples, {seat: sampling}, about, probes=self._probes(match, seat))
                for seat in match.seats
            ]
        return turns

    def _probes(self, match: Match, seat: str) -> int:
        if match.purpose == "evaluate" or not self.probes:
            return 0
        return probes_for(match.beliefs.get(seat, BetaBelief()), self.probes, self.answers, self.probe_threshold)

    def goes_on(self, match: Match, turn: Turn, probes: Mapping[str, Sequence[Reply]]) -> bool:
        ((seat, replies),) = probes.items()
        problem = match.problems[turn.about or 0]
        right = [self.domains[problem.domain].correct(problem, reply.text) for reply in replies]
        return worth_drawing(match.beliefs.get(seat, BetaBelief()), right, self.answers, self.probe_threshold)

    def follow(self, match: Match, path: TreePath) -> Sequence[Turn]:
        return ()

    def score(self, episode: Episode) -> Score:
        match = episode.match
        right: dict[tuple[str, int], list[float]] = {}
        items: dict[tuple[str, int], list[float]] = {}
        for decision in episode.roots:
            (seat,) = decision.turn.prompts
            about = decision.turn.about or 0
            problem = match.problems[about]
            domain = self.domains[problem.domain]
            right[seat, about] = [float(domain.correct(problem, decision.texts(node)[seat])) for node in decision.nodes]
            items[seat, about] = right[seat, about][: len(counted_nodes(decision))]
        rewards: dict[int, dict[str, float]] = {}
        for decision in episode.roots:
            (seat,) = decision.turn.prompts
            about = decision.turn.about or 0
            others = [fmean(items[other, about]) for other in match.seats if other != seat]
            for node, own in zip(decision.nodes, right[seat, about], strict=True):
                rewards[node.id] = {seat: mixed_reward(own, others, match.rewards)}
        metrics = {
            f"accuracy/{seat}": fmean(fmean(items[seat, about]) for about in range(len(match.problems)))
            for seat in match.seats
        }
        metrics["accuracy"] = fmean(metrics.values())
        metrics |= probing_metrics(episode.roots)
        unaided = (
            UnaidedAnswers(seat, match.problems[about].domain, sum(found), len(found))
            for (seat, about), found in items.items()
        )
        order = sorted(match.seats, key=lambda seat: (match.seats[seat], seat))  # the smaller version is the row
        return Score(rewards, metrics, item_outcomes(match, self.name, items, order), unaided=tuple(unaided))
