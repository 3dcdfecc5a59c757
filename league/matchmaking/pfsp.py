"""Prioritised fictitious self-play: opponents by how much there is to learn from them.

Formula. p = P(row beats col) drawn from the posterior Beta(w + d/2 + ½, l + d/2 + ½) of the decayed view (posterior
sampling: a pair met rarely is sometimes believed hard, and so gets met). Weights: variance 4 p (1 − p), hard (1 −
p)², linear 1 − p. Pairs below `min_games` effective games weigh 1, the most any pair can. A share `floor` stays
uniform. Source: Vinyals et al. (2019), "Grandmaster level in StarCraft II using multi-agent reinforcement learning";
the sampling is Thompson's.

Failure case. "hard" chases opponents nobody can beat; "variance" starves those worth beating once they are at 90%. In
a game where payoffs do not predict learning, uniform is as good. Only contests have win rates: without any, all pairs
weigh the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from league.matchmaking.pairing import Count, Pairing, Rule, RuleContext, Share, rows_and_columns, with_floor
from league.payoffs.matrix import BoolArray, FloatArray

Curve = Literal["variance", "hard", "linear"]


@dataclass(frozen=True)
class Pfsp(Rule):
    """Weights by the win rate that is believed.

    curve: see the module. half_life: steps after which a game of an agent's earlier version counts half.
    """

    curve: Curve = "variance"
    floor: Share = 0.1
    min_games: Count = 4.0
    half_life: Count = 10.0

    def __call__(self, context: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        if not pairings:
            return np.zeros(0)
        a_D, b_D, fixed_P, drawn_P = context.cached((self, id(pairings)), lambda: self._posterior(context, pairings))
        weights_P = fixed_P.copy()
        weights_P[drawn_P] = curve_weight(rng.beta(a_D, b_D), self.curve)
        return with_floor(weights_P, self.floor)

    def _posterior(
        self, context: RuleContext, pairings: Sequence[Pairing]
    ) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
        """What the draw needs, the same for every match of a round.

        The posterior's two parameters (D,) of the D pairings whose weight must be drawn; per pairing the weight that
        needs no draw (P,), and whether one does (P,): not for those that have hardly met, nor for a version with
        itself, which wins half its games.
        """
        rows, cols, row_P, col_P = rows_and_columns(pairings)
        met = context.view.meetings(context.task, rows, cols, half_life=self.half_life)
        wins_P, draws_P, losses_P = (table[row_P, col_P] for table in (met.wins, met.draws, met.losses))
        mirror_P = np.array([pairing.row == pairing.col for pairing in pairings])
        drawn_P = (met.n_eff[row_P, col_P] >= self.min_games) & ~mirror_P
        fixed_P = np.where(mirror_P, curve_weight(np.array(0.5), self.curve), 1.0)
        return (wins_P + draws_P / 2 + 0.5)[drawn_P], (losses_P + draws_P / 2 + 0.5)[drawn_P], fixed_P, drawn_P


def curve_weight(chance: FloatArray, curve: Curve) -> FloatArray:
    """The weight of an opponent beaten with probability `chance`, at most 1."""
    if curve == "variance":
        return np.asarray(4.0 * chance * (1.0 - chance))
    return np.asarray((1.0 - chance) ** 2 if curve == "hard" else 1.0 - chance)
