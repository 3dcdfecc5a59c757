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


def effective_diversity(margin_NN: FloatArray, nash_N: FloatArray | None = None) -> float:
    """d in [0, ½) of the margins (N, N), `nash` (N,) if already known; 0 for an empty league.

    Raises DataError on unknown margins.
    """
    mixture_N = max_entropy_nash(margin_NN) if nash_N is None else nash_N
    return float(mixture_N @ np.maximum(margin_NN, 0.0) @ mixture_N) if len(mixture_N) else 0.0


def dissimilarity(payoff_NC: FloatArray) -> FloatArray:
    """Distances (N, N) between the rows of `payoff` (N, C), NaN cells left out.

    NaN where two rows share no known column.
    """
    known_NC = ~np.isnan(payoff_NC)
    filled_NC = np.where(known_NC, payoff_NC, 0.0)
    mask_NC = known_NC.astype(float)
    squares_NN = (filled_NC**2) @ mask_NC.T
    shared_NN = mask_NC @ mask_NC.T
    total_NN = np.maximum(squares_NN + squares_NN.T - 2.0 * filled_NC @ filled_NC.T, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        distance_NN = np.where(shared_NN > 0, np.sqrt(total_NN / shared_NN), np.nan)
    np.fill_diagonal(distance_NN, 0.0)
    return distance_NN
