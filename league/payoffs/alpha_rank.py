"""α-rank: the long-run mass of a population in which mutants take over monomorphic states.

Formula. A mutant j enters a population of m copies of i with u = α (M_ji − M_ij) and takes it over with probability
ρ(u) = (1 − e^−u) / (1 − e^−mu), ρ(0) = 1/m. Moves i → j happen at ρ / (N − 1); the answer is the stationary
distribution. At α → ∞: 1 for a better mutant, 1/m for a tie, 0 for a worse one. Source: Omidshafiei et al. (2019),
arXiv 1903.01373, single population.

Numerics: ρ through `expm1` for either sign, so nothing overflows or cancels; the stationary distribution by the
elimination of Grassmann, Taksar and Heyman (1985), which subtracts nothing and keeps relative precision for tiny
masses.

Failure case. NaN (a pair that never met) allows no move either way, so several closed classes may exist; the result
is then the long-run occupation of a start drawn uniformly, and depends on that choice. On a complete matrix at least
one direction of every pair is open, hence one closed class only.
"""

import numpy as np

from league.errors import DataError
from league.payoffs.graph import components
from league.payoffs.matrix import TIE, FloatArray

POPULATION = 50


def alpha_rank(payoff_NN: FloatArray, alpha: float | None = None, population: int = POPULATION) -> FloatArray:
    """Mass per agent (N,), summing to 1; empty for no agents.

    payoff (N, N): M of row against column, for instance margins or win probabilities. alpha: selection strength, None
    for the large-α limit. population: m ≥ 2. Raises DataError on bad parameters.
    """
    if population < 2 or (alpha is not None and not (np.isfinite(alpha) and alpha >= 0)):
        raise DataError(
            "alpha-rank needs a population of at least 2 and a finite alpha of 0 or more; "
            f"found {population} and {alpha}"
        )
    gain_NN = np.asarray(payoff_NN - payoff_NN.T, dtype=float).T
    with np.errstate(invalid="ignore"):
        rate_NN = _limit(gain_NN, population) if alpha is None else _fixation(alpha * gain_NN, population)
    rate_NN = np.where(np.isnan(gain_NN), 0.0, rate_NN)
    np.fill_diagonal(rate_NN, 0.0)
    return occupation(rate_NN)


def _limit(gain_NN: FloatArray, population: int) -> FloatArray:
    return np.where(gain_NN > TIE, 1.0, np.where(gain_NN < -TIE, 0.0, 1.0 / population))


def _fixation(strength_NN: FloatArray, population: int) -> FloatArray:
    """ρ(u), elementwise. For u < 0: e^(m−1)u · (1 − e^u) / (1 − e^mu)."""
    size_NN = np.abs(strength_NN)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio_NN = np.expm1(-size_NN) / np.expm1(-population * size_NN)
    ratio_NN = np.where(size_NN < 1e-14, 1.0 / population, ratio_NN)
    return np.asarray(np.where(strength_NN < 0, np.exp(-(population - 1) * size_NN) * ratio_NN, ratio_NN))


def occupation(rate_NN: FloatArray) -> FloatArray:
    """Long-run mass (N,) of the chain with off-diagonal rates (N, N), from a uniform start.

    Closed classes share by absorption.
    """
    size = len(rate_NN)
    if size == 0:
        return np.zeros(0)
    groups = components(rate_NN > 0)
    closed = [group for group in groups if not (np.delete(rate_NN[group], group, axis=1) > 0).any()]
    share_G = _absorption(rate_NN, closed) if len(closed) > 1 else np.ones(1)
    mass_N = np.zeros(size)
    for group, share in zip(closed, share_G, strict=True):
        mass_N[group] = share * stationary(rate_NN[np.ix_(group, group)])
    return mass_N


def _absorption(rate_NN: FloatArray, closed: list[list[int]]) -> FloatArray:
    """Probability (classes,) of ending in each closed class from a uniform start."""
    size = len(rate_NN)
    inside_N = np.zeros(size, dtype=bool)
    for group in closed:
        inside_N[group] = True
    moving_K = np.flatnonzero(~inside_N)
    share_G = np.array([len(group) for group in closed], dtype=float)
    if len(moving_K):
        leave_K = rate_NN[moving_K].sum(axis=1)
        system_KK = np.diag(leave_K) - rate_NN[np.ix_(moving_K, moving_K)]
        into_KG = np.stack([rate_NN[np.ix_(moving_K, np.array(group))].sum(axis=1) for group in closed], axis=1)
        share_G += np.linalg.solve(system_KK / leave_K[:, None], into_KG / leave_K[:, None]).sum(axis=0)
    return np.asarray(share_G / share_G.sum())


def stationary(rate_KK: FloatArray) -> FloatArray:
    """Stationary distribution (K,) of an irreducible chain with off-diagonal rates (K, K).

    By GTH elimination.
    """
    work_KK = np.array(rate_KK, dtype=float)
    np.fill_diagonal(work_KK, 0.0)
    size = len(work_KK)
    for k in range(size - 1, 0, -1):
        total = work_KK[k, :k].sum()
        work_KK[:k, k] /= total
        work_KK[:k, :k] += np.outer(work_KK[:k, k], work_KK[k, :k])
    mass_K = np.zeros(size)
    mass_K[0] = 1.0
    for k in range(1, size):
        mass_K[k] = mass_K[:k] @ work_KK[:k, k]
    return mass_K / mass_K.sum()
