"""Opponents in proportion to a meta-solver's mixture over the league: Nash-weighted, α-rank-weighted.

Formula. Margins are posterior means (w − l) / (n + 1) of the decayed view between all candidates, so unknown pairs
are ½; the weight of a pairing is the mass `SOLVERS[solver]` gives its col among the distinct cols. With a uniform
`floor`. Source: Lanctot et al. (2017), PSRO; Balduzzi et al. (2019), PSRO_N.

Failure case. The mixture of an unsure matrix is itself unsure and its support is at most half the league in a generic
game: the floor is what keeps the rest measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from league.matchmaking.pairing import Count, Pairing, Rule, RuleContext, Share, rows_and_columns, with_floor
from league.payoffs.matrix import FloatArray
from league.payoffs.solvers import solver


@dataclass(frozen=True)
class SolverWeighted(Rule):
    """solver: a name of `league.payoffs.solvers.SOLVERS`."""

    random: ClassVar[bool] = False

    solver: str = "nash"
    floor: Share = 0.1
    half_life: Count = 10.0

    def __post_init__(self) -> None:
        solver(self.solver)

    def __call__(self, context: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        if not pairings:
            return np.zeros(0)
        _, cols, _, col_P = rows_and_columns(pairings)
        met = context.view.meetings(context.task, cols, cols, half_life=self.half_life)
        margin_NN = (met.wins - met.losses) / (met.wins + met.draws + met.losses + 1.0)
        mass_N = solver(self.solver)((margin_NN - margin_NN.T) / 2.0)
        return with_floor(mass_N[col_P], self.floor)
