"""Against past versions one used to beat: has anything been forgotten?

Formula. Candidates: pairings whose col is older than the newest version of its agent. Once beaten: some earlier
version of row's agent had a posterior mean above ½ with at least `min_games` games against that exact col. Among
these the weight is max(0, ½ − p)², p drawn from the posterior of the decayed view. As games age their weight fades
and the posterior widens, so a past not met for long comes back to be checked without a separate timer. Source:
"forgotten players" of Vinyals et al. (2019), with posterior sampling.

Failure case. A past that was never beaten is not forgotten but unbeaten: it belongs to `pfsp`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from league.matchmaking.pairing import Count, Pairing, Rule, RuleContext, Share, index, with_floor
from league.payoffs.matrix import BoolArray, FloatArray
from league.types import Version


@dataclass(frozen=True)
class Forgotten(Rule):
    """half_life: steps after which a game of an agent's earlier version counts half."""

    floor: Share = 0.1
    min_games: Count = 4.0
    half_life: Count = 10.0

    def __call__(self, now: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        if not pairings:
            return np.zeros(0)
        newest: dict[str, int] = {}
        for version in [v for p in pairings for v in (p.row, p.col)]:
            newest[version.agent] = max(newest.get(version.agent, -1), version.step)
        past = np.array([p.col.step < newest[p.col.agent] for p in pairings])
        once = past & self._once_beaten(now, pairings)
        if not once.any():
            return np.zeros(len(pairings))
        rows, cols, left, right = index(pairings)
        met = now.view.meetings(now.task, rows, cols, half_life=self.half_life)
        wins, draws, losses = (table[left, right] for table in (met.wins, met.draws, met.losses))
        chance = rng.beta(wins + draws / 2 + 0.5, losses + draws / 2 + 0.5)
        weights = np.where(once, np.maximum(0.5 - chance, 0.0) ** 2, 0.0)
        chosen = with_floor(weights[once], self.floor) if weights.any() else np.full(once.sum(), 1.0 / once.sum())
        weights[once] = chosen
        return weights

    def _once_beaten(self, now: RuleContext, pairings: Sequence[Pairing]) -> BoolArray:
        """(P,): did any version of row's agent up to row itself beat that exact col?"""
        known = now.view.versions("contest", now.task)
        found: dict[tuple[Version, Version], bool] = {}
        for row in {pairing.row for pairing in pairings}:
            earlier = [version for version in known if version.agent == row.agent and version.step <= row.step]
            cols = list(dict.fromkeys(pairing.col for pairing in pairings if pairing.row == row))
            met = now.view.meetings(now.task, earlier, cols)
            games = met.wins + met.draws + met.losses
            mean = (met.wins + met.draws / 2 + 0.5) / (games + 1.0)
            beaten = np.atleast_1d(((games >= self.min_games) & (mean > 0.5)).any(axis=0))
            found |= {(row, col): flag for col, flag in zip(cols, beaten.tolist(), strict=True)}
        return np.array([found[pairing.row, pairing.col] for pairing in pairings])
