"""Which teacher should teach whom: a Thompson bandit on the paired improvement Δ and on its trend.

Formula. For each (teacher, student, domain): Δ ~ Normal(mean, σ²/n_eff) shrunk to a Normal(0, prior²), from the
decayed view, and the slope of Δ per round from a weighted least-squares line over the last `window` rounds, shrunk to
Normal(0, (prior / window / horizon)²). Score = drawn Δ + horizon · drawn slope + staleness · √(rounds since they
met). The highest wins the match: weight 1 for it, 0 for the others, with a uniform `floor`. The slope keeps
combinations that teach more and more, not only those that teach much now. Source: Thompson (1933); learning progress
as a curriculum signal: Graves et al. (2017), "Automated curriculum learning".

Failure case. Δ can fall because the student has learned everything: that combination is then rightly left, but the
same numbers appear when a teacher has collapsed. A never-met combination gets the prior and the staleness of the
oldest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from league.matchmaking.pairing import Count, Pairing, Rule, RuleContext, Share, rows_and_columns, with_floor
from league.payoffs.matrix import FloatArray
from league.payoffs.view import History


@dataclass(frozen=True)
class Teacher(Rule):
    """A bandit over who teaches whom.

    prior: standard deviation of Δ believed before any data. noise: of one paired item. staleness: Δ per √round.
    """

    prior: Annotated[float, Field(ge=1e-06, le=10)] = 0.3
    noise: Annotated[float, Field(ge=1e-06, le=10)] = 0.6
    horizon: Annotated[float, Field(ge=0, le=1000)] = 5.0
    window: Annotated[int, Field(ge=3, le=1000000)] = 10
    staleness: Annotated[float, Field(ge=0, le=10)] = 0.01
    floor: Share = 0.1
    half_life: Count = 5.0

    def __call__(self, context: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        if not pairings:
            return np.zeros(0)
        rows, cols, row_P, col_P = rows_and_columns(pairings)
        mean_P, games_P, last_P = (np.zeros(len(pairings)) for _ in range(3))
        for domain in {pairing.domain for pairing in pairings}:
            sums = context.view.sums("teaching", context.task, rows, cols, domain=domain, half_life=self.half_life)
            here_P = np.array([pairing.domain == domain for pairing in pairings])
            safe_RC = np.maximum(sums.n, 1e-12)
            mean_P = np.where(here_P, (sums.total / safe_RC)[row_P, col_P], mean_P)
            games_P = np.where(here_P, sums.n_eff[row_P, col_P], games_P)
            met = context.view.last_met(context.task, rows, cols, domain=domain, half_life=self.half_life)
            last_P = np.where(here_P, met[row_P, col_P], last_P)
        shrink_P = self.prior**2 / (self.prior**2 + self.noise**2 / np.maximum(games_P, 1e-9))
        belief_P = rng.normal(shrink_P * mean_P, self.prior * np.sqrt(1.0 - shrink_P))
        slopes_P2 = np.array([self._slope(self._history(context, pairing), context.round) for pairing in pairings])
        trend_P = rng.normal(slopes_P2[:, 0], slopes_P2[:, 1])
        waited_P = np.minimum(context.round - last_P, context.round + 1.0)
        score_P = belief_P + self.horizon * trend_P + self.staleness * np.sqrt(np.maximum(waited_P, 0.0))
        return with_floor((score_P >= score_P.max()).astype(float), self.floor)

    def _history(self, context: RuleContext, pairing: Pairing) -> History:
        return context.view.history(context.task, pairing.row.agent, pairing.col.agent, pairing.domain)

    def _slope(self, history: History, number: int) -> tuple[float, float]:
        """Posterior mean and deviation of dΔ/dround. A slope of prior/window per round is the prior's scale."""
        prior = self.prior / max(self.window, 1) / max(self.horizon, 1.0)
        recent_K = (history.round > number - 1 - self.window) & (history.n > 0)
        if recent_K.sum() < 3:
            return 0.0, 0.0
        n_K, when_K = history.n[recent_K], history.round[recent_K].astype(float)
        delta_K = history.total[recent_K] / n_K
        centre = float((n_K * when_K).sum() / n_K.sum())
        spread = float((n_K * (when_K - centre) ** 2).sum())
        if spread <= 0:
            return 0.0, 0.0
        slope = float((n_K * (when_K - centre) * delta_K).sum() / spread)
        shrink = prior**2 / (prior**2 + self.noise**2 / spread)
        return shrink * slope, float(prior * np.sqrt(1.0 - shrink))
