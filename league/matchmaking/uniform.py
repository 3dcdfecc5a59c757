"""Everyone equally: the baseline every other rule must beat at what it is for, and the floor under all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from league.matchmaking.pairing import Pairing, Situation
from league.payoffs.matrix import FloatArray


@dataclass(frozen=True)
class Uniform:
    """No parameters."""

    def __call__(self, now: Situation, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        return np.ones(len(pairings))
