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


def alpha_rank(payoff: FloatArray, alpha: float | None = None, population: int = POPULATION) -> FloatArray:
    """Mass per agent (N,), summing to 1; empty for no agents.

    payoff (N, N): M of row against column, for instance margins or win probabilities. alpha: selection strength, None
    for the large-α limit. population: m ≥ 2. Raises DataError on bad parameters.
    """
    if population < 2 or (alpha is not None and not (np.isfinite(alpha) and alpha >= 0)):
        raise DataError(
            f"alpha-rank needs a population of at least 2 and a finite alpha of 0 or more; found {population} and {alpha}"
        )
    gain = np.asarray(payoff - payoff.T, dtype=float).T
    with np.errstate(invalid="ignore"):
        rate = _limit(gain, population) if alpha is None else _fixation(alpha * gain, population)
    rate = np.where(np.isnan(gain), 0.0, rate)
    np.fill_diagonal(rate, 0.0)
    return occupation(rate)


def _limit(gain: FloatArray, population: int) -> FloatArray:
    return np.where(gain > TIE, 1.0, np.where(gain < -TIE, 0.0, 1.0 / population))


def _fixation(strength: FloatArray, population: int) -> FloatArray:
    """ρ(u), elementwise. For u < 0: e^(m−1)u · (1 − e^u) / (1 − e^mu)."""
    size = np.abs(strength)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.expm1(-size) / np.expm1(-population * size)
    ratio = np.where(size < 1e-14, 1.0 / population, ratio)
    return np.asarray(np.where(strength < 0, np.exp(-(population - 1) * size) * ratio, ratio))


def occupation(rate: FloatArray) -> FloatArray:
    """Long-run mass (N,) of the chain with off-diagonal rates (N, N), from a uniform start; closed
    classes share by absorption."""
    size = len(rate)
    if size == 0:
        return np.zeros(0)
    groups = components(rate > 0)
    closed = [group for group in groups if not (np.delete(rate[group], group, axis=1) > 0).any()]
    reach = _absorption(rate, closed) if len(closed) > 1 else np.ones(1)
    mass = np.zeros(size)
    for group, share in zip(closed, reach, strict=True):
        mass[group] = share * stationary(rate[np.ix_(group, group)])
    return mass


def _absorption(rate: FloatArray, closed: list[list[int]]) -> FloatArray:
    """Probability (classes,) of ending in each closed class from a uniform start."""
    size = len(rate)
    inside = np.zeros(size, dtype=bool)
    for group in closed:
        inside[group] = True
    moving = np.flatnonzero(~inside)
    share = np.array([len(group) for group in closed], dtype=float)
    if len(moving):
        leave = rate[moving].sum(axis=1)
        system = np.diag(leave) - rate[np.ix_(moving, moving)]
        into = np.stack([rate[np.ix_(moving, np.array(group))].sum(axis=1) for group in closed], axis=1)
        share += np.linalg.solve(system / leave[:, None], into / leave[:, None]).sum(axis=0)
    return np.asarray(share / share.sum())


def stationary(rate: FloatArray) -> FloatArray:
    """Stationary distribution (K,) of an irreducible chain with off-diagonal rates (K, K), by GTH
    elimination."""
    work = np.array(rate, dtype=float)
    np.fill_diagonal(work, 0.0)
    size = len(work)
    for k in range(size - 1, 0, -1):
        total = work[k, :k].sum()
        work[:k, k] /= total
        work[:k, :k] += np.outer(work[:k, k], work[k, :k])
    mass = np.zeros(size)
    mass[0] = 1.0
    for k in range(1, size):
        mass[k] = mass[:k] @ work[:k, k]
    return mass / mass.sum()
