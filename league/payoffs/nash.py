"""The Nash equilibrium of a symmetric zero-sum game that has the most entropy.

For margins A = −Aᵀ the equilibria are {p ≥ 0, 1ᵀp = 1, A p ≤ 0}. Two steps:

1. The self-dual embedding of Roos, Terlaky and Vial (1997) followed by an interior-point method. Its limit is strictly
   complementary, so it tells the largest support S any equilibrium has.
2. On that face the equilibria are {A_SS p = 0, A_outside p ≤ 0}; the most even of them maximises −Σ p ln p (unique, by
   strict concavity; the choice of Balduzzi et al. (2018), "Re-evaluating evaluation"), by Newton steps in the null
   space.

Numpy only: scipy's `linprog` costs 0.4 s of start-up and returns an arbitrary vertex.

Failure case. Equilibria are discontinuous in A: two agents that differ by about 1e-9 are clones here. Values
estimated from few games move the support wildly; the mixture is a summary of the matrix given, not of the truth
behind it.
"""

import numpy as np

from league.errors import DataError
from league.payoffs.matrix import FloatArray, IndexArray

FLAT = 1e-9
"""Singular values below this (relative) are zero when the equilibria's face is described."""


def max_entropy_nash(margin_NN: FloatArray) -> FloatArray:
    """The maximum-entropy Nash mixture (N,) of a symmetric zero-sum game.

    margin_NN: antisymmetric and finite.

    Raises DataError on unknown (NaN) or asymmetric margins.
    """
    margin_NN = np.asarray(margin_NN, dtype=float)
    if not np.isfinite(margin_NN).all() or not np.allclose(margin_NN, -margin_NN.T, atol=1e-9):
        raise DataError(
            "a Nash mixture needs a complete antisymmetric matrix; estimate or play the missing pairs first"
        )
    size = len(margin_NN)
    if size == 0:
        return np.zeros(0)
    scale = np.abs(margin_NN).max()
    if scale == 0.0:
        return np.full(size, 1.0 / size)
    game_NN = margin_NN / scale
    inner_N, slack_N = _strictly_complementary(-game_NN)
    support_K = np.flatnonzero(inner_N > slack_N)
    start_K = inner_N[support_K] / inner_N[support_K].sum()
    mixture_N = np.zeros(size)
    mixture_N[support_K] = _most_even(game_NN, support_K, start_K)
    return mixture_N


def _strictly_complementary(skew_NN: FloatArray) -> tuple[FloatArray, FloatArray]:
    """x, s ≥ 0 (N,) with s = K x and x_i + s_i > 0 = x_i s_i up to rounding, for skew K (N, N).

    Follows the central path of: minimise (N+1) x_θ over x, s ≥ 0, s = M x + q, M = [[K, r], [−rᵀ, 0]], r = 1 − K 1,
    q = (0, N+1), from x = s = 1, with steps of 0.995 to the boundary and a centring predictor.
    """
    size = len(skew_NN)
    ones_N = np.ones(size)
    residual_N = ones_N - skew_NN @ ones_N
    system_MM = np.zeros((size + 1, size + 1))
    system_MM[:size, :size] = skew_NN
    system_MM[:size, size] = residual_N
    system_MM[size, :size] = -residual_N
    x_M, s_M = np.ones(size + 1), np.ones(size + 1)
    diagonal_M = np.arange(size + 1)
    for _ in range(200):
        gap = float(x_M @ s_M) / (size + 1)
        if gap < 1e-15:
            break
        work_MM = x_M[:, None] * system_MM
        work_MM[diagonal_M, diagonal_M] += s_M

        def step(target_M: FloatArray, work_MM: FloatArray = work_MM) -> tuple[FloatArray, FloatArray]:
            dx_M = np.asarray(np.linalg.solve(work_MM, target_M), dtype=float)
            return dx_M, system_MM @ dx_M

        dx_M, ds_M = step(-x_M * s_M)
        ahead = _boundary(x_M, dx_M, s_M, ds_M)
        centre = gap * max((1.0 - ahead) ** 3, 1e-4)
        dx_M, ds_M = step(centre - x_M * s_M - dx_M * ds_M)
        length = min(1.0, 0.995 * _boundary(x_M, dx_M, s_M, ds_M))
        if gap < 1e-11 and length < 0.5:
            break  # the limit of precision: a game of low rank has a singular system at the end of its path
        x_M, s_M = x_M + length * dx_M, s_M + length * ds_M
    return x_M[:size], s_M[:size]


def _boundary(x_M: FloatArray, dx_M: FloatArray, s_M: FloatArray, ds_M: FloatArray) -> float:
    """Largest step ≤ 1/0.995 that keeps x and s non-negative."""
    ratio = np.concatenate([-dx_M / x_M, -ds_M / s_M]).max()
    return 1.0 / 0.995 if ratio <= 0.995 else float(1.0 / ratio)


def _most_even(game_NN: FloatArray, support_K: IndexArray, start_K: FloatArray) -> FloatArray:
    """Maximise −Σ p ln p on the face of equilibria with the given support.

    start_K: an interior point of it.
    """
    within_KK = game_NN[np.ix_(support_K, support_K)]
    outside_R = np.setdiff1d(np.arange(len(game_NN)), support_K)
    equal_EK = np.vstack([within_KK, np.ones((1, len(support_K)))])
    _, singular, basis_KK = np.linalg.svd(equal_EK)
    rank = int((singular > FLAT * singular[0]).sum())
    free_KF = basis_KK[rank:].T
    target_E = np.zeros(len(equal_EK))
    target_E[-1] = 1.0
    start_K = start_K + np.linalg.lstsq(equal_EK, target_E - equal_EK @ start_K, rcond=FLAT)[0]
    start_K = np.maximum(start_K, 1e-300)
    if free_KF.shape[1] == 0:
        return start_K / start_K.sum()
    rows_RK = game_NN[np.ix_(outside_R, support_K)]
    rows_RK = rows_RK[np.abs(rows_RK @ free_KF).max(axis=1) > 1e-12] if len(outside_R) else rows_RK
    return _newton(start_K, free_KF, rows_RK)


def _newton(start_K: FloatArray, free_KF: FloatArray, rows_RK: FloatArray) -> FloatArray:
    """Minimise Σ p ln p over p = start + free z subject to rows p ≤ 0.

    Primal-dual interior point (Boyd, Vandenberghe, 11.7).
    """
    p_K = start_K.copy()
    reduced_RF = rows_RK @ free_KF
    dims, bounds = free_KF.shape[1], len(rows_RK)
    slack_R = -(rows_RK @ p_K)
    if bounds and (slack_R <= 0).any():
        return p_K / p_K.sum()
    price_R = 1.0 / np.maximum(slack_R, 1e-3)

    def residual(p_K: FloatArray, price_R: FloatArray, goal: float) -> FloatArray:
        return np.concatenate([free_KF.T @ (np.log(p_K) + 1.0 + price_R @ rows_RK), price_R * -(rows_RK @ p_K) - goal])

    for _ in range(200):
        slack_R = -(rows_RK @ p_K)
        gap = float(slack_R @ price_R) / max(bounds, 1)
        goal = 0.1 * gap if bounds else 0.0
        error = residual(p_K, price_R, goal)
        if gap < 1e-14 and np.abs(error[:dims]).max() < 1e-12:
            break
        system = np.block([[(free_KF.T / p_K) @ free_KF, reduced_RF.T], [reduced_RF, -np.diag(slack_R / price_R)]])
        try:
            move = np.linalg.solve(system, np.concatenate([-error[:dims], error[dims:] / price_R]))
        except np.linalg.LinAlgError:  # at the limit of precision; p is feasible and the best so far
            break
        dp_K, dprice_R = free_KF @ move[:dims], move[dims:]
        worst = max(
            float((-dp_K / p_K).max()),
            float((rows_RK @ dp_K / slack_R).max(initial=0.0)),
            float((-dprice_R / price_R).max(initial=0.0)),
        )
        length = min(1.0, 0.99 / max(worst, 1e-300))
        norm = float(np.linalg.norm(error))
        while (
            length > 1e-9
            and np.linalg.norm(residual(p_K + length * dp_K, price_R + length * dprice_R, goal))
            > (1 - 0.01 * length) * norm
        ):
            length /= 2.0
        if length <= 1e-9:
            break
        p_K, price_R = p_K + length * dp_K, price_R + length * dprice_R
    return p_K / p_K.sum()
