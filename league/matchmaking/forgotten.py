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

from league.matchmaking.pairing import Count, Pairing, Rule, RuleContext, Share, rows_and_columns, with_floor
from league.payoffs.matrix import BoolArray, FloatArray
from league.types import Version


@dataclass(frozen=True)
class Forgotten(Rule):
    """half_life: steps after which a game of an agent's earlier version counts half."""

    floor: Share = 0.1
    min_games: Count = 4.0
    half_life: Count = 10.0

    def __call__(self, context: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        if not pairings:
            return np.zeros(0)
        newest: dict[str, int] = {}
        for version in [v for p in pairings for v in (p.row, p.col)]:
            newest[version.agent] = max(newest.get(version.agent, -1), version.step)
        past_P = np.array([p.col.step < newest[p.col.agent] for p in pairings])
        beaten_P = past_P & self._once_beaten(context, pairings)
        if not beaten_P.any():
            return np.zeros(len(pairings))
        rows, cols, row_P, col_P = rows_and_columns(pairings)
        met = context.view.meetings(context.task, rows, cols, half_life=self.half_life)
        wins_P, draws_P, losses_P = (table[row_P, col_P] for table in (met.wins, met.draws, met.losses))
        chance_P = rng.beta(wins_P + draws_P / 2 + 0.5, losses_P + draws_P / 2 + 0.5)
        weights_P = np.where(beaten_P, np.maximum(0.5 - chance_P, 0.0) ** 2, 0.0)
        chosen = (
            with_floor(weights_P[beaten_P], self.floor)
            if weights_P.any()
            else np.full(beaten_P.sum(), 1.0 / beaten_P.sum())
        )
        weights_P[beaten_P] = chosen
        return weights_P

    def _once_beaten(self, context: RuleContext, pairings: Sequence[Pairing]) -> BoolArray:
        """(P,): did any version of row's agent up to row itself beat that exact col?"""
        known = context.view.versions("contest", context.task)
        found: dict[tuple[Version, Version], bool] = {}
        for row in {pairing.row for pairing in pairings}:
            earlier = [version for version in known if version.agent == row.agent and version.step <= row.step]
            cols = list(dict.fromkeys(pairing.col for pairing in pairings if pairing.row == row))
            met = context.view.meetings(context.task, earlier, cols)
            games_VC = met.wins + met.draws + met.losses
            mean_VC = (met.wins + met.draws / 2 + 0.5) / (games_VC + 1.0)
            beaten_C = np.atleast_1d(((games_VC >= self.min_games) & (mean_VC > 0.5)).any(axis=0))
            found |= {(row, col): flag for col, flag in zip(cols, beaten_C.tolist(), strict=True)}
        return np.array([found[pairing.row, pairing.col] for pairing in pairings])
