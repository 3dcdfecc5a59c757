"""Frozen pasts as partners and opponents, all alike.

Who only knows its present partners understands nobody else.

Weight 1 for pairings whose column is not the newest version of its agent among the candidates, 0 otherwise. In
cooperation, pasts are candidates only where this rule has a weight. Until somebody has a past it has nothing to say:
mix with `self_play` or `live`. Source: fictitious co-play, Strouse et al. (2021), arXiv 2110.08176.

Failure case. Early pasts play like beginners; a learner that meets many of them learns to expect beginners.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from league.matchmaking.pairing import Pairing, Rule, RuleContext, newest_steps
from league.payoffs.matrix import FloatArray


@dataclass(frozen=True)
class Pasts(Rule):
    """No parameters."""

    random: ClassVar[bool] = False

    def __call__(self, context: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        newest = newest_steps(pairings)
        return np.array([float(p.col.step < newest[p.col.agent]) for p in pairings])
