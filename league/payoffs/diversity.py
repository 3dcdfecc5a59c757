"""Effective diversity of a population, and dissimilarity of its members.

Formulas. Effective diversity d = pᵀ ⌊A⌋₊ p with p the maximum-entropy Nash mixture and ⌊x⌋₊ = max(x, 0): 0 when one
agent dominates or all equilibria members tie, larger when the mixture's members beat each other in turn (Balduzzi et
al. 2019, arXiv 1901.08106). Dissimilarity of i and j: root mean square difference of their payoff rows, over
opponents both have met.

Failure case. d ignores everyone outside the Nash support. Dissimilarity of rows estimated from few games is mostly
noise: 1/√n.
"""

import numpy as np

from league.payoffs.matrix import FloatArray
from league.payoffs.nash import max_entropy_nash


def effective_diversity(margin: FloatArray, nash: FloatArray | None = None) -> float:
    """d in [0, ½) of the margins (N, N), `nash` (N,) if already known; 0 for an empty league.
    Raises DataError on unknown margins."""
    mixture = max_entropy_nash(margin) if nash is None else nash
    return float(mixture @ np.maximum(margin, 0.0) @ mixture) if len(mixture) else 0.0


def dissimilarity(payoff: FloatArray) -> FloatArray:
    """Distances (N, N) between the rows of `payoff` (N, C), NaN cells left out; NaN where two rows
    share no known column."""
    known = ~np.isnan(payoff)
    filled = np.where(known, payoff, 0.0)
    mask = known.astype(float)
    squares = (filled**2) @ mask.T
    shared = mask @ mask.T
    total = np.maximum(squares + squares.T - 2.0 * filled @ filled.T, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.where(shared > 0, np.sqrt(total / shared), np.nan)
    np.fill_diagonal(distance, 0.0)
    return distance
