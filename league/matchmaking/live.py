"""Agents as they are now, with one another.

Every reply generated is then a learner's, none a frozen past's.

Weight 1 for pairings of two agents in the newest version of each among the candidates, 0 otherwise. A league of one
agent has none: mix with another rule. Alone it forgets what pasts could do (Balduzzi et al., arXiv 1901.08106), so
mix with `pfsp` or `forgotten`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from league.matchmaking.pairing import Pairing, Rule, RuleContext, newest_steps
from league.payoffs.matrix import FloatArray


@dataclass(frozen=True)
class Live(Rule):
    """No parameters."""

    random: ClassVar[bool] = False

    def __call__(self, context: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        newest = newest_steps(pairings)
        return np.array([float(p.row.agent != p.col.agent and p.col.step == newest[p.col.agent]) for p in pairings])
