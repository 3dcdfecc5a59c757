"""The closed dict of meta-solvers: complete margins (N, N) → a mixture (N,) over the league that
sums to 1.

A new solver goes into its own file and one line here. Unknown names are errors that name the nearest valid one.
"""

from collections.abc import Callable

import numpy as np

from league.errors import DataError, nearest
from league.payoffs.alpha_rank import alpha_rank
from league.payoffs.matrix import FloatArray
from league.payoffs.nash import max_entropy_nash

Solver = Callable[[FloatArray], FloatArray]


def uniform(margin: FloatArray) -> FloatArray:
    """Everyone equally."""
    return np.full(len(margin), 1.0 / max(1, len(margin)))


SOLVERS: dict[str, Solver] = {
    "alpha_rank": alpha_rank,
    "nash": max_entropy_nash,
    "uniform": uniform,
}


def solver(name: str) -> Solver:
    """The solver called `name`. Raises DataError on unknown names."""
    if name not in SOLVERS:
        raise DataError(f"unknown solver '{name}'{nearest(name, list(SOLVERS))}")
    return SOLVERS[name]
