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

    `interval` is the bootstrap 90% interval of `cyclic`, None for an exact matrix.
    """

    cyclic: float
    harmonic: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class _Flow:
    """Edge values (N, N), weights (N, N; 0 where unknown) and noise variances (N, N)."""

    value_NN: FloatArray
    weight_NN: FloatArray
    noise_NN: FloatArray


def hodge_split(matrix: PayoffMatrix, space: Space, replicates: int = 200, seed: int = 0) -> HodgeSplit | None:
    """Decompose `matrix` in `space`; None means undefined (see the module).

    `seed` draws the bootstrap of a counted matrix.
    """
    flow = _counted(matrix.counts, space) if matrix.counts else _exact(matrix, space)
    if flow is None or len(matrix) < 2 or (matrix.counts and not has_signal(matrix.counts)):
        return None
    if not matrix.complete and not has_loops(flow.weight_NN > 0):
        return None
    inverse_NN = np.asarray(np.linalg.pinv(_laplacian(flow.weight_NN), hermitian=True), dtype=float)
    potential_N = inverse_NN @ (flow.weight_NN * flow.value_NN).sum(axis=1)
    total, gradient = _energies(flow.value_NN, flow.weight_NN, potential_N)
    if total <= NOTHING:
        return None
    noise_gradient, noise_cyclic = _floors(flow, inverse_NN)
    cyclic = _share(gradient - noise_gradient, total - gradient - noise_cyclic)
    if cyclic is None:
        return None
    residual_NN = np.where(flow.weight_NN > 0, flow.value_NN - (potential_N[:, None] - potential_N[None, :]), 0.0)
    hole = _harmonic_fraction(residual_NN, flow.weight_NN) * cyclic
    interval = (
        _bootstrap(matrix.counts, space, flow, inverse_NN, share=cyclic, replicates=replicates, seed=seed)
        if matrix.counts and replicates
        else None
    )
    return HodgeSplit(cyclic, hole, interval)


def has_signal(counts: Counts, deviations: float = 1.645) -> bool:
    """Whether the undrawn games differ from coin flips.

    z of Σ (w−l)²/(w+l), of mean 1 and variance 2 − 2/(w+l) per pair, one-sided 5%.
    """
    row_E, col_E = np.triu_indices(len(counts.wins), 1)
    wins_E, losses_E = counts.wins[row_E, col_E], counts.wins[col_E, row_E]
    undrawn_E = wins_E + losses_E
    met_E = undrawn_E > 0
    if not met_E.any():
        return False
    excess = ((wins_E - losses_E)[met_E] ** 2 / undrawn_E[met_E] - 1.0).sum()
    spread = np.sqrt(np.maximum(2.0 - 2.0 / undrawn_E[met_E], 0.0).sum())
    return bool(excess > deviations * spread)


def _exact(matrix: PayoffMatrix, space: Space) -> _Flow | None:
    known_NN = ~np.isnan(matrix.margin)
    np.fill_diagonal(known_NN, False)
    value_NN = np.where(known_NN, matrix.margin, 0.0)
    if space == "logit":
        if (np.abs(value_NN) >= 1.0 - 1e-12).any():
            return None
        value_NN = 2.0 * np.arctanh(value_NN)
    return _Flow(value_NN, known_NN.astype(float), np.zeros_like(value_NN))


def _counted(counts: Counts, space: Space) -> _Flow | None:
    """Margins with their multinomial variance, or Haldane-Anscombe logits with theirs; weights are games."""
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


def _laplacian(weight_NN: FloatArray) -> FloatArray:
    return np.asarray(np.diag(weight_NN.sum(axis=1)) - weight_NN)


def _energies(value_NN: FloatArray, weight_NN: FloatArray, potential_N: FloatArray) -> tuple[float, float]:
    """Total and gradient energy; each edge counted once."""
    slope_NN = potential_N[:, None] - potential_N[None, :]
    return float((weight_NN * value_NN**2).sum()) / 2, float((weight_NN * slope_NN**2).sum()) / 2


def _floors(flow: _Flow, inverse_NN: FloatArray) -> tuple[float, float]:
    """Expected noise energy in the gradient and in the cyclic part."""
    diagonal_N = np.diag(inverse_NN)
    leverage_NN = flow.weight_NN * (diagonal_N[:, None] + diagonal_N[None, :] - 2 * inverse_NN)
    energy_NN = flow.weight_NN * flow.noise_NN / 2
    return float((energy_NN * leverage_NN).sum()), float((energy_NN * (1.0 - leverage_NN)).sum())


def _share(gradient: float, cyclic: float) -> float | None:
    gradient, cyclic = max(gradient, 0.0), max(cyclic, 0.0)
    if gradient + cyclic <= 0.0:
        return None
    share = cyclic / (gradient + cyclic)
    return 0.0 if share < NOTHING else 1.0 if share > 1.0 - NOTHING else float(share)


def _harmonic_fraction(residual_NN: FloatArray, weight_NN: FloatArray) -> float:
    """Harmonic energy over residual energy.

    By conjugate gradients on the curl-curl operator (matrix form, O(N³) a step).

    With F antisymmetric on the edge mask M and C = M M (common neighbours): Σ_triangles curl = M∘(C∘F − M F − F M).
    """
    mask_NN: BoolArray = weight_NN > 0
    np.fill_diagonal(mask_NN := mask_NN.copy(), False)
    size = len(mask_NN)
    if mask_NN.sum() == size * (size - 1):
        return 0.0
    edges_NN = mask_NN.astype(float)
    common_NN = edges_NN @ edges_NN
    root_NN = np.where(mask_NN, 1.0 / np.sqrt(np.where(mask_NN, weight_NN, 1.0)), 0.0)

    def curl_curl(flow_NN: FloatArray) -> FloatArray:
        scaled_NN = root_NN * flow_NN
        return np.asarray(root_NN * edges_NN * (common_NN * scaled_NN - edges_NN @ scaled_NN - scaled_NN @ edges_NN))

    goal_NN = np.where(mask_NN, residual_NN * np.sqrt(weight_NN), 0.0)
    energy = float((goal_NN**2).sum())
    if energy <= 0.0:
        return 0.0
    found_NN = np.zeros_like(goal_NN)
    rest_NN = curl_curl(goal_NN)
    direction_NN, size2 = rest_NN.copy(), float((rest_NN**2).sum())
    stop = 1e-22 * max(size2, 1e-300)
    for _ in range(500):
        if size2 <= stop:
            break
        pushed_NN = curl_curl(direction_NN)
        length = size2 / float((direction_NN * pushed_NN).sum())
        found_NN += length * direction_NN
        rest_NN -= length * pushed_NN
        new = float((rest_NN**2).sum())
        direction_NN = rest_NN + (new / size2) * direction_NN
        size2 = new
    fraction = float(((goal_NN - found_NN) ** 2).sum()) / energy
    return 0.0 if fraction < 1e-10 else min(fraction, 1.0)


def _bootstrap(
    counts: Counts, space: Space, flow: _Flow, inverse_NN: FloatArray, *, share: float, replicates: int, seed: int
) -> tuple[float, float] | None:
    """5% and 95% quantiles of the share over parametric replicates of the counts.

    They are moved to have their median at `share`.
    """
    size = len(counts.wins)
    row_E, col_E = np.triu_indices(size, 1)
    games_E = counts.games[row_E, col_E].astype(int)
    prior_E = np.maximum(games_E, 1)
    chance_E3 = (
        np.stack([counts.wins[row_E, col_E], counts.draws[row_E, col_E], counts.wins[col_E, row_E]], axis=1)
        / prior_E[:, None]
    )
    chance_E3[games_E == 0] = (0.5, 0.0, 0.5)
    rng = np.random.default_rng(seed)
    gradient_floor, cyclic_floor = _floors(flow, inverse_NN)
    shares = []
    for _ in range(replicates):
        drawn_E3 = rng.multinomial(games_E, chance_E3)
        value_NN, weight_NN, noise_NN = (np.zeros((size, size)) for _ in range(3))
        parts = _values(drawn_E3[:, 0].astype(float), drawn_E3[:, 2].astype(float), drawn_E3[:, 1].astype(float), space)
        for table_NN, part_E, sign in zip((value_NN, weight_NN, noise_NN), parts, (-1.0, 1.0, 1.0), strict=True):
            table_NN[row_E, col_E] = part_E
            table_NN[col_E, row_E] = sign * part_E
        potential_N = inverse_NN @ (weight_NN * value_NN).sum(axis=1)
        total, gradient = _energies(value_NN, weight_NN, potential_N)
        own = _floors(_Flow(value_NN, weight_NN, noise_NN), inverse_NN)
        replicate = _share(gradient - own[0] - gradient_floor, total - gradient - own[1] - cyclic_floor)
        if replicate is not None:
            shares.append(replicate)
    if not shares:
        return None
    low, middle, high = np.quantile(shares, (0.05, 0.5, 0.95))
    return max(0.0, share + float(low - middle)), min(1.0, share + float(high - middle))
