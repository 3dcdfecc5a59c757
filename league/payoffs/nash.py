"""The Nash equilibrium of a symmetric zero-sum game that has the most entropy.

For margins A = −Aᵀ the equilibria are {p ≥ 0, 1ᵀp = 1, A p ≤ 0}. Two steps:

1. The self-dual embedding of Roos, Terlaky and Vial (1997) followed by an interior-point method. Its limit is strictly
   complementary, so it tells the largest support S any equilibrium has.
2. On that face the equilibria are {A_SS p = 0, A_outside p ≤ 0}; the most even of them maximises −Σ p ln p (unique, by strict
   concavity; the choice of Balduzzi et al. (2018), "Re-evaluating evaluation"), by Newton steps in the null space.

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


def max_entropy_nash(margin: FloatArray) -> FloatArray:
    """The maximum-entropy Nash mixture (N,) of the symmetric zero-sum game with margins (N, N),
    antisymmetric and finite.

    Raises DataError on unknown (NaN) or asymmetric margins.
    """
    margin = np.asarray(margin, dtype=float)
    if not np.isfinite(margin).all() or not np.allclose(margin, -margin.T, atol=1e-9):
        raise DataError(
            "a Nash mixture needs a complete antisymmetric matrix; estimate or play the missing pairs first"
        )
    size = len(margin)
    if size == 0:
        return np.zeros(0)
    scale = np.abs(margin).max()
    if scale == 0.0:
        return np.full(size, 1.0 / size)
    game = margin / scale
    inner, slack = _strictly_complementary(-game)
    support = np.flatnonzero(inner > slack)
    start = inner[support] / inner[support].sum()
    mixture = np.zeros(size)
    mixture[support] = _most_even(game, support, start)
    return mixture


def _strictly_complementary(skew: FloatArray) -> tuple[FloatArray, FloatArray]:
    """x, s ≥ 0 (N,) with s = K x and x_i + s_i > 0 = x_i s_i up to rounding, for skew K (N, N).

    Follows the central path of: minimise (N+1) x_θ over x, s ≥ 0, s = M x + q, M = [[K, r], [−rᵀ, 0]], r = 1 − K 1,
    q = (0, N+1), from x = s = 1, with steps of 0.995 to the boundary and a centring predictor.
    """
    size = len(skew)
    ones = np.ones(size)
    residual = ones - skew @ ones
    system = np.zeros((size + 1, size + 1))
    system[:size, :size] = skew
    system[:size, size] = residual
    system[size, :size] = -residual
    x, s = np.ones(size + 1), np.ones(size + 1)
    diagonal = np.arange(size + 1)
    for _ in range(200):
        gap = float(x @ s) / (size + 1)
        if gap < 1e-15:
            break
        work = x[:, None] * system
        work[diagonal, diagonal] += s

        def step(target: FloatArray, work: FloatArray = work) -> tuple[FloatArray, FloatArray]:
            dx = np.asarray(np.linalg.solve(work, target), dtype=float)
            return dx, system @ dx

        dx, ds = step(-x * s)
        ahead = _boundary(x, dx, s, ds)
        centre = gap * max((1.0 - ahead) ** 3, 1e-4)
        dx, ds = step(centre - x * s - dx * ds)
        length = min(1.0, 0.995 * _boundary(x, dx, s, ds))
        if gap < 1e-11 and length < 0.5:
            break  # the limit of precision: a game of low rank has a singular system at the end of its path
        x, s = x + length * dx, s + length * ds
    return x[:size], s[:size]


def _boundary(x: FloatArray, dx: FloatArray, s: FloatArray, ds: FloatArray) -> float:
    """Largest step ≤ 1/0.995 that keeps x and s non-negative."""
    ratio = np.concatenate([-dx / x, -ds / s]).max()
    return 1.0 / 0.995 if ratio <= 0.995 else float(1.0 / ratio)


def _most_even(game: FloatArray, support: IndexArray, start: FloatArray) -> FloatArray:
    """Maximise −Σ p ln p on the face of equilibria with the given support, from the interior point
    `start` (K,)."""
    within = game[np.ix_(support, support)]
    outside = np.setdiff1d(np.arange(len(game)), support)
    equal = np.vstack([within, np.ones((1, len(support)))])
    _, singular, basis = np.linalg.svd(equal)
    rank = int((singular > FLAT * singular[0]).sum())
    free = basis[rank:].T
    target = np.zeros(len(equal))
    target[-1] = 1.0
    start = start + np.linalg.lstsq(equal, target - equal @ start, rcond=FLAT)[0]
    start = np.maximum(start, 1e-300)
    if free.shape[1] == 0:
        return start / start.sum()
    rows = game[np.ix_(outside, support)]
    rows = rows[np.abs(rows @ free).max(axis=1) > 1e-12] if len(outside) else rows
    return _newton(start, free, rows)


def _newton(start: FloatArray, free: FloatArray, rows: FloatArray) -> FloatArray:
    """Minimise Σ p ln p over p = start + free z subject to rows p ≤ 0: primal-dual interior point
    (Boyd, Vandenberghe, 11.7)."""
    p = start.copy()
    reduced = rows @ free
    dims, bounds = free.shape[1], len(rows)
    slack = -(rows @ p)
    if bounds and (slack <= 0).any():
        return p / p.sum()
    price = 1.0 / np.maximum(slack, 1e-3)

    def residual(p: FloatArray, price: FloatArray, goal: float) -> FloatArray:
        return np.concatenate([free.T @ (np.log(p) + 1.0 + price @ rows), price * -(rows @ p) - goal])

    for _ in range(200):
        slack = -(rows @ p)
        gap = float(slack @ price) / max(bounds, 1)
        goal = 0.1 * gap if bounds else 0.0
        now = residual(p, price, goal)
        if gap < 1e-14 and np.abs(now[:dims]).max() < 1e-12:
            break
        system = np.block([[(free.T / p) @ free, reduced.T], [reduced, -np.diag(slack / price)]])
        try:
            move = np.linalg.solve(system, np.concatenate([-now[:dims], now[dims:] / price]))
        except np.linalg.LinAlgError:  # at the limit of precision; p is feasible and the best so far
            break
        dp, dprice = free @ move[:dims], move[dims:]
        worst = max(
            float((-dp / p).max()),
            float((rows @ dp / slack).max(initial=0.0)),
            float((-dprice / price).max(initial=0.0)),
        )
        length = min(1.0, 0.99 / max(worst, 1e-300))
        norm = float(np.linalg.norm(now))
        while (
            length > 1e-9
            and np.linalg.norm(residual(p + length * dp, price + length * dprice, goal)) > (1 - 0.01 * length) * norm
        ):
            length /= 2.0
        if length <= 1e-9:
            break
        p, price = p + length * dp, price + length * dprice
    return p / p.sum()
