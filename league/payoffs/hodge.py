"""How much of a payoff matrix is cyclic: combinatorial Hodge decomposition of the edge flow.

Formula. A flow Y (antisymmetric, weight w_e on played edges) splits orthogonally under ⟨F, G⟩ = Σ_e w_e F_e G_e into

    Y = grad f + curl part + harmonic part,   f = argmin Σ_e w_e (f_i − f_j − Y_ij)²

The cyclic share is (curl + harmonic) / total energy. The harmonic part (cycles that no triangles fill) exists only
where pairs were never played. Flow: the margin ("probability") or ln(p / (1 − p)) ("logit", in which an Elo ladder
has share 0). Source: Jiang, Lim, Yao, Ye (2011), "Statistical ranking and combinatorial Hodge theory".

Noise. Counts add Σ w_e v_e of expected energy, split by leverages h_e = w_e (L⁺_ii + L⁺_jj − 2 L⁺_ij) into gradient
(h_e) and cyclic (1 − h_e); both floors are subtracted. The interval is a parametric bootstrap, whose replicates carry
the noise twice and so get twice the floor; it is moved so that its median is the estimate. Weights are games played,
so a pair met once hardly matters.

Failure cases. None ("undefined") with fewer than two agents, no played pair, no energy, where pairs never met and
those that did close no loop (nothing could have been cyclic), or with energy that equal players would show (Σ
(w−l)²/(w+l) within 1.645 standard errors of its mean). Logits are None where one is infinite: an exact 0 or 1, or a
played pair without a single upset, whose share would come from the pseudo-count. With unequal schedules the share
describes the games played, not all pairs equally.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from league.payoffs.graph import has_loops
from league.payoffs.matrix import BoolArray, Counts, FloatArray, PayoffMatrix

Space = Literal["probability", "logit"]
NOTHING = 1e-12
"""Energy shares below this are rounding, reported as 0."""


@dataclass(frozen=True)
class HodgeSplit:
    """Shares of the energy: the cyclic one, and of it the harmonic part; the rest of it is curl.

    `potential` (N,) is f, with mean 0. `interval` is the bootstrap 90% interval of `cyclic`, None for an exact matrix.
    """

    cyclic: float
    harmonic: float
    potential: FloatArray
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class _Flow:
    """Edge values (N, N), weights (N, N; 0 where unknown) and noise variances (N, N)."""

    value: FloatArray
    weight: FloatArray
    noise: FloatArray


def hodge_split(matrix: PayoffMatrix, space: Space, replicates: int = 200, seed: int = 0) -> HodgeSplit | None:
    """Decompose `matrix` in `space`; None means undefined (see the module). `seed` draws the
    bootstrap of a counted matrix."""
    flow = _counted(matrix.counts, space) if matrix.counts else _exact(matrix, space)
    if flow is None or len(matrix) < 2 or (matrix.counts and not has_signal(matrix.counts)):
        return None
    if not matrix.complete and not has_loops(flow.weight > 0):
        return None
    inverse = np.asarray(np.linalg.pinv(_laplacian(flow.weight), hermitian=True), dtype=float)
    potential = inverse @ (flow.weight * flow.value).sum(axis=1)
    total, gradient = _energies(flow.value, flow.weight, potential)
    if total <= NOTHING:
        return None
    noise_gradient, noise_cyclic = _floors(flow, inverse)
    cyclic = _share(gradient - noise_gradient, total - gradient - noise_cyclic)
    if cyclic is None:
        return None
    residual = np.where(flow.weight > 0, flow.value - (potential[:, None] - potential[None, :]), 0.0)
    hole = _harmonic_fraction(residual, flow.weight) * cyclic
    interval = (
        _bootstrap(matrix.counts, space, flow, inverse, cyclic, replicates, seed)
        if matrix.counts and replicates
        else None
    )
    return HodgeSplit(cyclic, hole, potential - potential.mean(), interval)


def has_signal(counts: Counts, deviations: float = 1.645) -> bool:
    """Do the undrawn games differ from coin flips? z of Σ (w−l)²/(w+l), mean 1 and variance 2 −
    2/(w+l) per pair, one-sided 5%."""
    rows, cols = np.triu_indices(len(counts.wins), 1)
    wins, losses = counts.wins[rows, cols], counts.wins[cols, rows]
    undrawn = wins + losses
    met = undrawn > 0
    if not met.any():
        return False
    excess = ((wins - losses)[met] ** 2 / undrawn[met] - 1.0).sum()
    spread = np.sqrt(np.maximum(2.0 - 2.0 / undrawn[met], 0.0).sum())
    return bool(excess > deviations * spread)


def _exact(matrix: PayoffMatrix, space: Space) -> _Flow | None:
    known = ~np.isnan(matrix.margin)
    np.fill_diagonal(known, False)
    value = np.where(known, matrix.margin, 0.0)
    if space == "logit":
        if (np.abs(value) >= 1.0 - 1e-12).any():
            return None
        value = 2.0 * np.arctanh(value)
    return _Flow(value, known.astype(float), np.zeros_like(value))


def _counted(counts: Counts, space: Space) -> _Flow | None:
    """Margins with their multinomial variance, or Haldane-Anscombe logits with theirs; weights are
    games."""
    if space == "logit" and (counts.played & (counts.wins + counts.draws == 0)).any():
        return None
    return _Flow(*_values(counts.wins, counts.wins.T, counts.draws, space))


def _values(
    wins: FloatArray, losses: FloatArray, draws: FloatArray, space: Space
) -> tuple[FloatArray, FloatArray, FloatArray]:
    games = wins + losses + draws
    safe = np.maximum(games, 1.0)
    if space == "probability":
        value = (wins - losses) / safe
        smooth = (wins - losses) / (safe + 1.0)
        noise = ((wins + losses + 1.0) / (safe + 1.0) - smooth**2) / safe
    else:
        up, down = wins + draws / 2 + 0.5, losses + draws / 2 + 0.5
        value = np.log(up / down)
        noise = 1.0 / up + 1.0 / down
    return value, games, np.where(games > 0, noise, 0.0)


def _laplacian(weight: FloatArray) -> FloatArray:
    return np.asarray(np.diag(weight.sum(axis=1)) - weight)


def _energies(value: FloatArray, weight: FloatArray, potential: FloatArray) -> tuple[float, float]:
    """Total and gradient energy; each edge counted once."""
    slope = potential[:, None] - potential[None, :]
    return float((weight * value**2).sum()) / 2, float((weight * slope**2).sum()) / 2


def _floors(flow: _Flow, inverse: FloatArray) -> tuple[float, float]:
    """Expected noise energy in the gradient and in the cyclic part."""
    diagonal = np.diag(inverse)
    leverage = flow.weight * (diagonal[:, None] + diagonal[None, :] - 2 * inverse)
    energy = flow.weight * flow.noise / 2
    return float((energy * leverage).sum()), float((energy * (1.0 - leverage)).sum())


def _share(gradient: float, cyclic: float) -> float | None:
    gradient, cyclic = max(gradient, 0.0), max(cyclic, 0.0)
    if gradient + cyclic <= 0.0:
        return None
    share = cyclic / (gradient + cyclic)
    return 0.0 if share < NOTHING else 1.0 if share > 1.0 - NOTHING else float(share)


def _harmonic_fraction(residual: FloatArray, weight: FloatArray) -> float:
    """Harmonic energy over residual energy, by conjugate gradients on the curl-curl operator
    (matrix form, O(N³) a step).

    With F antisymmetric on the edge mask M and C = M M (common neighbours): Σ_triangles curl = M∘(C∘F − M F − F M).
    """
    mask: BoolArray = weight > 0
    np.fill_diagonal(mask := mask.copy(), False)
    size = len(mask)
    if mask.sum() == size * (size - 1):
        return 0.0
    edges = mask.astype(float)
    common = edges @ edges
    root = np.where(mask, 1.0 / np.sqrt(np.where(mask, weight, 1.0)), 0.0)

    def curl_curl(flow: FloatArray) -> FloatArray:
        scaled = root * flow
        return np.asarray(root * edges * (common * scaled - edges @ scaled - scaled @ edges))

    goal = np.where(mask, residual * np.sqrt(weight), 0.0)
    energy = float((goal**2).sum())
    if energy <= 0.0:
        return 0.0
    found = np.zeros_like(goal)
    rest = curl_curl(goal)
    direction, size2 = rest.copy(), float((rest**2).sum())
    stop = 1e-22 * max(size2, 1e-300)
    for _ in range(500):
        if size2 <= stop:
            break
        pushed = curl_curl(direction)
        length = size2 / float((direction * pushed).sum())
        found += length * direction
        rest -= length * pushed
        new = float((rest**2).sum())
        direction = rest + (new / size2) * direction
        size2 = new
    fraction = float(((goal - found) ** 2).sum()) / energy
    return 0.0 if fraction < 1e-10 else min(fraction, 1.0)


def _bootstrap(
    counts: Counts, space: Space, flow: _Flow, inverse: FloatArray, share: float, replicates: int, seed: int
) -> tuple[float, float] | None:
    """5% and 95% quantiles of the share over parametric replicates of the counts, moved to have
    their median at `share`."""
    size = len(counts.wins)
    rows, cols = np.triu_indices(size, 1)
    games = counts.games[rows, cols].astype(int)
    prior = np.maximum(games, 1)
    chances = (
        np.stack([counts.wins[rows, cols], counts.draws[rows, cols], counts.wins[cols, rows]], axis=1) / prior[:, None]
    )
    chances[games == 0] = (0.5, 0.0, 0.5)
    rng = np.random.default_rng(seed)
    gradient_floor, cyclic_floor = _floors(flow, inverse)
    shares = []
    for _ in range(replicates):
        drawn = rng.multinomial(games, chances)
        value, weight, noise = (np.zeros((size, size)) for _ in range(3))
        parts = _values(drawn[:, 0].astype(float), drawn[:, 2].astype(float), drawn[:, 1].astype(float), space)
        for table, part, sign in zip((value, weight, noise), parts, (-1.0, 1.0, 1.0), strict=True):
            table[rows, cols] = part
            table[cols, rows] = sign * part
        potential = inverse @ (weight * value).sum(axis=1)
        total, gradient = _energies(value, weight, potential)
        own = _floors(_Flow(value, weight, noise), inverse)
        replicate = _share(gradient - own[0] - gradient_floor, total - gradient - own[1] - cyclic_floor)
        if replicate is not None:
            shares.append(replicate)
    if not shares:
        return None
    low, middle, high = np.quantile(shares, (0.05, 0.5, 0.95))
    return max(0.0, share + float(low - middle)), min(1.0, share + float(high - middle))
