"""Ratings: TrueSkill, per task and overall, behind one small interface.

A value, recomputable from stored outcomes in their order.

The update is the `trueskill` package's (Herbrich, Minka, Graepel 2006) to the last bit, with its own constants and a
10% chance of a draw between equals; `trueskill_game` computes it without the package's graph. Plain floats fail
(FloatingPointError) at a mean gap of some hundred points; there the package's arbitrary-precision backend answers
instead, up to a gap of `WIDEST`.

Only contests are rated: a teaching Δ or a joint return is no game someone wins. Each task has its own ladder,
"overall" pools the contests of all tasks by the same games. A rating belongs to an agent as it moves through its
versions: `update` carries it on from the agent's newest older version, a frozen past keeps its own. Failure case: on
a cyclic league a rating is the average over whoever was met, and says nothing about the win rate of a pair; games
within one outcome are independent only given the pair.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from league.payoffs.trueskill_game import rate_game
from league.types import Outcome, Rating, Version

MU, SIGMA = 25.0, 25.0 / 3.0
BETA, TAU = SIGMA / 2.0, SIGMA / 100.0
DRAWS = 0.10
"""Chance of a draw between equals."""
WIDEST = 1000.0
"""Mean gap beyond which two players count as that far apart.

It is 120 times the spread of a beginner's belief.
"""
OVERALL = "overall"


class Rater(Protocol):
    """One game: beliefs of two players and the result for the first → new beliefs.

    result: 1, 0.5 or 0.
    """

    def __call__(self, first: "Belief", second: "Belief", result: float) -> tuple["Belief", "Belief"]: ...


@dataclass(frozen=True)
class Belief:
    mu: float = MU
    sigma: float = SIGMA
    games: int = 0


def trueskill(first: Belief, second: Belief, result: float) -> tuple[Belief, Belief]:
    """The TrueSkill update of one game."""
    if result == 0.0:
        new_second, new_first = trueskill(second, first, 1.0)
        return new_first, new_second
    (mu, sigma), (mu2, sigma2) = _rated(first, second, result == 0.5)
    return Belief(mu, sigma, first.games + 1), Belief(mu2, sigma2, second.games + 1)


def _rated(winner: Belief, loser: Belief, drawn: bool) -> tuple[tuple[float, float], tuple[float, float]]:
    """New (mu, sigma) of both.

    A gap beyond WIDEST is rated as WIDEST, and the change is added to the true means.
    """
    gap = winner.mu - loser.mu
    shift = gap - min(max(gap, -WIDEST), WIDEST)
    before = (winner.mu - shift, winner.sigma), (loser.mu, loser.sigma)
    try:
        after = rate_game(*before, drawn=drawn, beta=BETA, tau=TAU, draw_probability=DRAWS)
    except FloatingPointError:
        after = _rated_precisely(*before, drawn=drawn)
    (mu, sigma), second = after
    return (mu + shift, sigma), second


def _rated_precisely(
    winner: tuple[float, float], loser: tuple[float, float], *, drawn: bool
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The same with arbitrary precision, two hundred times slower."""
    environment = _precise_environment()
    players = (environment.create_rating(*each) for each in (winner, loser))
    first, second = environment.rate_1vs1(*players, drawn=drawn)
    return (float(first.mu), float(first.sigma)), (float(second.mu), float(second.sigma))


@cache
def _precise_environment() -> Any:
    import trueskill as package

    return package.TrueSkill(MU, SIGMA, BETA, TAU, draw_probability=DRAWS, backend="mpmath")


@dataclass(frozen=True)
class Ratings:
    """Beliefs per ladder and version.

    `Ratings()` knows nobody; a version nobody has met is rated (25, 25/3).
    """

    beliefs: Mapping[str, Mapping[Version, Belief]] = field(default_factory=dict)
    rater: Rater = trueskill

    def update(self, outcomes: Iterable[Outcome]) -> "Ratings":
        """The ratings after these outcomes, game by game in their order.

        Wins, losses and draws of one outcome are interleaved.
        """
        beliefs = {ladder: dict(table) for ladder, table in self.beliefs.items()}
        steps: dict[str, dict[str, list[int]]] = {}
        for outcome in outcomes:
            if outcome.relation != "contest" or outcome.row == outcome.col:
                continue
            for ladder in (outcome.task, OVERALL):
                table = beliefs.setdefault(ladder, {})
                known = steps.setdefault(ladder, _steps(table))
                first, second = (_carried(table, version, known) for version in (outcome.row, outcome.col))
                for result in interleaved(outcome.wins, outcome.draws, outcome.losses):
                    first, second = self.rater(first, second, result)
                table[outcome.row], table[outcome.col] = first, second
                for version in (outcome.row, outcome.col):
                    _note(known, version)
        return Ratings(beliefs, self.rater)

    def of(self, ladder: str, version: Version) -> Belief:
        """The belief about a version, carried on from its newest older version when it has not played."""
        table = self.beliefs.get(ladder, {})
        return _carried(table, version, _steps(table))

    def rows(self, of: Collection[Version] | None = None) -> tuple[Rating, ...]:
        """The beliefs as stored, sorted by ladder and version; all, or `of` some versions."""
        found = []
        for ladder, table in sorted(self.beliefs.items()):
            for version in sorted(table if of is None else (version for version in of if version in table)):
                belief = table[version]
                found.append(Rating(ladder, version, belief.mu, belief.sigma, belief.games))
        return tuple(found)

    def kept(self, present: Iterable[Version]) -> "Ratings":
        """Only what a later update of, or question about, the `present` versions can need.

        These are their own beliefs, or those they carry on.

        The others stay in the database; a run that lasts does not carry them along.
        """
        wanted, kept = set(present), {}
        for ladder, table in self.beliefs.items():
            steps = _steps(table)
            sources = (_source(table, version, steps) for version in wanted)
            kept[ladder] = {source: table[source] for source in sources if source is not None}
        return Ratings(kept, self.rater)

    @classmethod
    def from_rows(cls, rows: Iterable[Rating]) -> "Ratings":
        """The ratings of which `rows` were stored."""
        beliefs: dict[str, dict[Version, Belief]] = {}
        for row in rows:
            beliefs.setdefault(row.ladder, {})[row.version] = Belief(row.mu, row.sigma, row.games)
        return cls(beliefs)


def _steps(table: Mapping[Version, Belief]) -> dict[str, list[int]]:
    """agent → the steps at which it is rated, ascending."""
    found: dict[str, list[int]] = {}
    for version in table:
        found.setdefault(version.agent, []).append(version.step)
    for steps in found.values():
        steps.sort()
    return found


def _note(steps: dict[str, list[int]], version: Version) -> None:
    mine = steps.setdefault(version.agent, [])
    place = bisect_left(mine, version.step)
    if place == len(mine) or mine[place] != version.step:
        mine.insert(place, version.step)


def _carried(table: Mapping[Version, Belief], version: Version, steps: Mapping[str, list[int]]) -> Belief:
    """The belief about a version, or about its newest older one, or a beginner's."""
    source = _source(table, version, steps)
    return table[source] if source is not None else Belief()


def _source(table: Mapping[Version, Belief], version: Version, steps: Mapping[str, list[int]]) -> Version | None:
    """The version whose belief counts for this one: itself, or the newest older one of its agent."""
    if version in table:
        return version
    mine = steps.get(version.agent, [])
    place = bisect_left(mine, version.step)
    return Version(version.agent, mine[place - 1]) if place else None


def interleaved(wins: int, draws: int, losses: int) -> list[float]:
    """Results of the first player, spread evenly.

    The order inside one outcome is not known and must not look like a streak.
    """
    total = wins + draws + losses
    spread = [
        ((i + 0.5) / count, result)
        for count, result in ((wins, 1.0), (draws, 0.5), (losses, 0.0))
        for i in range(count)
    ]
    return [result for _, result in sorted(spread)] if total else []
