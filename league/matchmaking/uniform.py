"""Everyone equally: the baseline every other rule must beat at what it is for.

It is also the floor under all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from league.matchmaking.pairing import Pairing, Rule, RuleContext
from league.payoffs.matrix import FloatArray


@dataclass(frozen=True)
class Uniform(Rule):
    """No parameters."""

    random: ClassVar[bool] = False

    def __call__(self, context: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        return np.ones(len(pairings))
