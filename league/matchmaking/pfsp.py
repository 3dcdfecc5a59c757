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

from league.matchmaking.pairing import Count, Pairing, Rule, RuleContext, Share, index, with_floor
from league.payoffs.matrix import BoolArray, FloatArray

Curve = Literal["variance", "hard", "linear"]


@dataclass(frozen=True)
class Pfsp(Rule):
    """curve: see the module. half_life: steps after which a game of an agent's earlier version
    counts half."""

    curve: Curve = "variance"
    floor: Share = 0.1
    min_games: Count = 4.0
    half_life: Count = 10.0

    def __call__(self, now: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        if not pairings:
            return np.zeros(0)
        a, b, settled, drawn = now.once((self, id(pairings)), lambda: self._known(now, pairings))
        weights = settled.copy()
        weights[drawn] = shaped(rng.beta(a, b), self.curve)
        return with_floor(weights, self.floor)

    def _known(
        self, now: RuleContext, pairings: Sequence[Pairing]
    ) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
        """The posterior's two parameters of the D pairings whose weight must be drawn; per pairing
        the weight that needs no draw, and whether one does: not for those that have hardly met, nor for a version
        with itself, which wins half its games."""
        rows, cols, left, right = index(pairings)
        met = now.view.meetings(now.task, rows, cols, half_life=self.half_life)
        wins, draws, losses = (table[left, right] for table in (met.wins, met.draws, met.losses))
        mirror = np.array([pairing.row == pairing.col for pairing in pairings])
        drawn = (met.n_eff[left, right] >= self.min_games) & ~mirror
        settled = np.where(mirror, shaped(np.array(0.5), self.curve), 1.0)
        return (wins + draws / 2 + 0.5)[drawn], (losses + draws / 2 + 0.5)[drawn], settled, drawn


def shaped(chance: FloatArray, curve: Curve) -> FloatArray:
    """The weight of an opponent beaten with probability `chance`, at most 1."""
    if curve == "variance":
        return np.asarray(4.0 * chance * (1.0 - chance))
    return np.asarray((1.0 - chance) ** 2 if curve == "hard" else 1.0 - chance)
