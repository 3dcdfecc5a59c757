"""The values of matchmaking: a candidate pairing, what a rule may look at, and what a rule is.

A rule is a frozen dataclass whose fields are its parameters and which, called, turns candidates into weights. Calling
it changes nothing; the same random stream gives the same weights.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np
from pydantic import Field

from league.payoffs.channel_gains import ChannelGains, Source
from league.payoffs.competence import Competence
from league.payoffs.matrix import FloatArray
from league.payoffs.view import PayoffView
from league.types import Version

T = TypeVar("T")


@dataclass(frozen=True)
class Pairing:
    """Who could meet whom: learner and opponent, teacher and student, or two partners.

    domain: the one they meet in, "" where the task has none.
    """

    row: Version
    col: Version
    domain: str = ""


@dataclass(frozen=True)
class RuleContext:
    """What a rule may look at.

    view: the measurements. task: the one they must come from. round: the number of the round being scheduled. gains:
    what channels did to students so far. competence: how good everyone is alone. channel: the task's; taught: whether a
    pairing's row teaches its column.
    """

    view: PayoffView
    task: str
    round: int = 0
    gains: ChannelGains = ChannelGains()
    competence: Competence = Competence()
    channel: str = ""
    taught: bool = False
    _cache: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    def student_of(self, pairing: Pairing) -> Version:
        """Whom a match of this pairing would help."""
        return pairing.col if self.taught else pairing.row

    def source_of(self, pairing: Pairing) -> tuple[str, str, Source]:
        """(student, domain, (teacher, channel)) of a pairing: whom it would help, where, and by what."""
        if self.taught:
            return pairing.col.agent, pairing.domain, (pairing.row.agent, self.channel)
        return pairing.row.agent, pairing.domain, ("", self.channel)

    def cached(self, key: Hashable, compute: Callable[[], T]) -> T:
        """What `compute` gives, computed the first time.

        A random rule is asked for every match of a round, of which nothing changes but its draw.
        """
        if key not in self._cache:
            self._cache[key] = compute()
        found: T = self._cache[key]
        return found


class Rule(ABC):
    """A rule of matchmaking: it weighs candidates.

    It is a frozen dataclass whose fields are its parameters.
    """

    random: ClassVar[bool] = True
    """Whether its weights are drawn anew for every match. If not, they are computed once a round."""

    @abstractmethod
    def __call__(self, context: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        """Weights (P,) ≥ 0 over pairings, not normalised; all 0 when the rule has nothing to say about them."""


@dataclass(frozen=True)
class Mixture:
    """Rules that share the matches of a task: each rule's weight, above 0, and the rule itself."""

    weights: Mapping[str, float]
    rules: Mapping[str, Rule]


Share = Annotated[float, Field(ge=0, le=1)]
ErrorRate = Annotated[float, Field(ge=1e-9, le=0.5)]
Count = Annotated[float, Field(ge=0, le=1e6)]
"""Games, items or steps; may be a fraction, because old games count less."""


def rows_and_columns(pairings: Sequence[Pairing]) -> tuple[list[Version], list[Version], list[int], list[int]]:
    """Distinct rows and columns, and for each pairing its place among them."""
    rows = {pairing.row: 0 for pairing in pairings}
    cols = {pairing.col: 0 for pairing in pairings}
    for table in (rows, cols):
        for place, version in enumerate(table):
            table[version] = place
    return (
        list(rows),
        list(cols),
        [rows[pairing.row] for pairing in pairings],
        [cols[pairing.col] for pairing in pairings],
    )


def newest_steps(pairings: Sequence[Pairing]) -> dict[str, int]:
    """Agent → the step of its newest version among the candidates."""
    newest: dict[str, int] = {}
    for pairing in pairings:
        for version in (pairing.row, pairing.col):
            newest[version.agent] = max(newest.get(version.agent, -1), version.step)
    return newest


def with_floor(weights_P: FloatArray, floor: float) -> FloatArray:
    """Weights (P,) of sum 1, mixed with `floor` of uniform; all 0 stays so: the rule does not apply."""
    total = weights_P.sum()
    if len(weights_P) == 0 or total <= 0:
        return np.zeros(len(weights_P))
    return (1.0 - floor) * weights_P / total + floor / len(weights_P)
