"""How good a mixture or a population is: exploitability and relative population performance.

Formulas. Exploitability of a mixture p against margins A (row against column): max_i (A p)_i, what the best single
response wins against it; 0 exactly for a Nash mixture of a symmetric game, never negative. Relative population
performance of population P over Q: the value to P of the matrix game between their members, v(P, Q) = p* A_PQ q*
(Balduzzi et al. 2019, arXiv 1901.08106).

Failure case. Both know only the strategies in the matrix: an exploiter outside the league is invisible.
"""

import numpy as np

from league.errors import DataError
from league.payoffs.matrix import FloatArray
from league.payoffs.nash import solve_matrix_game


def exploitability(margin: FloatArray, mixture: FloatArray) -> float:
    """Margin in [0, 1] the best pure response wins against `mixture` (N,). Raises DataError on
    unknown margins or sizes that differ."""
    margin, mixture = np.asarray(margin, dtype=float), np.asarray(mixture, dtype=float)
    if margin.shape != (len(mixture), len(mixture)) or not np.isfinite(margin).all():
        raise DataError(
            f"exploitability needs a complete (N, N) matrix and N weights; found {margin.shape} and {mixture.shape}"
        )
    if len(mixture) == 0:
        raise DataError("exploitability of an empty league is not defined")
    return max(0.0, float((margin @ mixture).max()))


def relative_population_performance(payoff: FloatArray) -> float:
    """Value (margin) to the row population of `payoff` (P, Q), under optimal mixing on both sides."""
    return solve_matrix_game(payoff).value
