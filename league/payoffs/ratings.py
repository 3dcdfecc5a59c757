"""Ratings: TrueSkill, per task and overall, behind one small interface; a value, recomputable from stored outcomes in their order.

Formula. One-on-one TrueSkill: performance difference of two agents ~ Normal(μ₁ − μ₂, c²), c² = 2β² + σ₁² + σ₂², a draw within ±ε;
with t = (μ₁ − μ₂)/c, e = ε/c: μ moves by ±(σ²/c) v, σ² shrinks by the factor 1 − (σ²/c²) w, v and w the first two corrections of a
truncated Normal. σ² first grows by τ². Source: Herbrich, Minka, Graepel (2006), "TrueSkill"; constants are theirs.

Numerics: v and w use the scaled tail of the Normal (Mills' ratio by continued fraction beyond 5σ), so a gap of 10⁶ is as safe as
none; the `trueskill` package raises FloatingPointError at a mean gap of 300.

Only contests are rated: a teaching Δ or a joint return is no game someone wins. Each task has its own ladder, "overall" pools the
contests of all tasks by the same games. A rating belongs to an agent as it moves through its versions: `add` carries it on from
the agent's newest older version, a frozen past keeps its own. Failure case: on a cyclic league a rating is the average over
whoever was met, and says nothing about who beats whom; games within one outcome are independent only given the pair.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from league.types import Outcome, Rating, Version

MU, SIGMA = 25.0, 25.0 / 3.0
BETA, TAU = SIGMA / 2.0, SIGMA / 100.0
DRAW_MARGIN = 0.740_466_375_426_613_2
"""ε of a 10% chance of a draw between equals: √2 β Φ⁻¹(0.55)."""
OVERALL = "overall"


class Rater(Protocol):
    """One game: beliefs (mu, sigma) of two players and the result for the first (1, 0.5 or 0) → new beliefs."""

    def __call__(self, first: "Belief", second: "Belief", result: float) -> tuple["Belief", "Belief"]: ...


@dataclass(frozen=True)
class Belief:
    mu: float = MU
    sigma: float = SIGMA
    games: int = 0

    @property
    def low(self) -> float:
        """A cautious rating: μ − 3σ."""
        return self.mu - 3.0 * self.sigma


def trueskill(first: Belief, second: Belief, result: float) -> tuple[Belief, Belief]:
    """The TrueSkill update of one game."""
    if result == 0.0:
        new_second, new_first = trueskill(second, first, 1.0)
        return new_first, new_second
    variance1, variance2 = first.sigma**2 + TAU**2, second.sigma**2 + TAU**2
    scale2 = 2.0 * BETA**2 + variance1 + variance2
    scale = math.sqrt(scale2)
    gap, margin = (first.mu - second.mu) / scale, DRAW_MARGIN / scale
    v, w = _won(gap - margin) if result == 1.0 else _drawn(gap, margin)
    return (
        Belief(first.mu + variance1 / scale * v, math.sqrt(variance1 * max(1.0 - variance1 / scale2 * w, 1e-9)), first.games + 1),
        Belief(second.mu - variance2 / scale * v, math.sqrt(variance2 * max(1.0 - variance2 / scale2 * w, 1e-9)), second.games + 1),
    )


def _won(t: float) -> tuple[float, float]:
    """v = φ(t)/Φ(t) and w = v (v + t)."""
    v = 1.0 / _mills(-t)
    if t < -1e4:
        return -t, 1.0 - 1.0 / (t * t)
    return v, min(max(v * (v + t), 0.0), 1.0)


def _drawn(t: float, margin: float) -> tuple[float, float]:
    """The same for a result within ±margin; exact, with both edges scaled by the density at the nearer one."""
    sign, t = (1.0, -t) if t > 0 else (-1.0, t)
    near, far = -margin - t, margin - t  # the interval (near, far) of a standard Normal, its far edge beyond 0
    ratio = math.exp(min((near * near - far * far) / 2.0, 0.0))
    mass = _mills(near) - ratio * _mills(far)
    if mass <= 1e-300:
        return sign * t, 1.0
    v = (1.0 - ratio) / mass
    w = v * v - (near - ratio * far) / mass
    return -sign * v, min(max(w, 0.0), 1.0)


def _mills(x: float) -> float:
    """(1 − Φ(x)) / φ(x), to full precision for x > 5 by Laplace's continued fraction."""
    if x < 5.0:
        return math.sqrt(math.pi / 2.0) * math.erfc(x / math.sqrt(2.0)) * math.exp(min(x * x / 2.0, 700.0))
    tail = x
    for k in range(60, 0, -1):
        tail = x + k / tail
    return 1.0 / tail


@dataclass(frozen=True)
class Ratings:
    """Beliefs per ladder and version. `Ratings()` knows nobody; a version nobody has met is rated (25, 25/3)."""

    beliefs: Mapping[str, Mapping[Version, Belief]] = field(default_factory=dict)
    rater: Rater = trueskill

    def update(self, outcomes: Iterable[Outcome]) -> "Ratings":
        """The ratings after these outcomes, game by game in their order (wins, losses and draws of one outcome interleaved)."""
        beliefs = {ladder: dict(table) for ladder, table in self.beliefs.items()}
        for outcome in outcomes:
            if outcome.relation != "contest" or outcome.row == outcome.col:
                continue
            for ladder in (outcome.task, OVERALL):
                table = beliefs.setdefault(ladder, {})
                first, second = _carried(table, outcome.row), _carried(table, outcome.col)
                for result in interleaved(outcome.wins, outcome.draws, outcome.losses):
                    first, second = self.rater(first, second, result)
                table[outcome.row], table[outcome.col] = first, second
        return Ratings(beliefs, self.rater)

    def of(self, ladder: str, version: Version) -> Belief:
        """The belief about a version, carried on from its newest older version when it has not played."""
        return _carried(self.beliefs.get(ladder, {}), version)

    def rows(self) -> tuple[Rating, ...]:
        """All beliefs as stored, sorted by ladder and version."""
        return tuple(
            Rating(ladder, version, belief.mu, belief.sigma, belief.games)
            for ladder, table in sorted(self.beliefs.items())
            for version, belief in sorted(table.items())
        )

    @classmethod
    def from_rows(cls, rows: Iterable[Rating]) -> "Ratings":
        """The ratings of which `rows` were stored."""
        beliefs: dict[str, dict[Version, Belief]] = {}
        for row in rows:
            beliefs.setdefault(row.ladder, {})[row.version] = Belief(row.mu, row.sigma, row.games)
        return cls(beliefs)


def _carried(table: Mapping[Version, Belief], version: Version) -> Belief:
    if version in table:
        return table[version]
    older = [other for other in table if other.agent == version.agent and other.step < version.step]
    return table[max(older)] if older else Belief()


def interleaved(wins: int, draws: int, losses: int) -> list[float]:
    """Results of the first player, spread evenly: the order inside one outcome is not known and must not look like a streak."""
    total = wins + draws + losses
    spread = [((i + 0.5) / count, result) for count, result in ((wins, 1.0), (draws, 0.5), (losses, 0.0)) for i in range(count)]
    return [result for _, result in sorted(spread)] if total else []
