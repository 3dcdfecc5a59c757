"""Against oneself as one is now: cheap, and always of the right strength.

It is the reason leagues exist: it goes round in cycles.

Weight 1 for pairings of an agent with its own newest version among the candidates, 0 otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from league.matchmaking.pairing import Pairing, Rule, RuleContext
from league.payoffs.matrix import FloatArray


@dataclass(frozen=True)
class SelfPlay(Rule):
    """No parameters."""

    random: ClassVar[bool] = False

    def __call__(self, context: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        newest: dict[str, int] = {}
        for pairing in pairings:
            newest[pairing.col.agent] = max(newest.get(pairing.col.agent, -1), pairing.col.step)
        return np.array([float(p.row.agent == p.col.agent and p.col.step == newest[p.col.agent]) for p in pairings])
