"""Everyone equally: the baseline every other rule must beat at what it is for, and the floor under
all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from league.matchmaking.pairing import Pairing, RuleContext
from league.payoffs.matrix import FloatArray


@dataclass(frozen=True)
class Uniform:
    """No parameters."""

    def __call__(self, now: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        return np.ones(len(pairings))
