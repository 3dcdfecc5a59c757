"""Is one number per agent enough?

Bradley-Terry fit and the likelihood-ratio test against a free win rate per pair.

Formula. P(i beats j) = σ(θ_i − θ_j), Σθ = 0, fitted by Newton's method on the log-likelihood Σ w_ij ln σ(θ_i − θ_j)
with a ridge of 1e-6 that keeps unbeaten agents finite (the curvature gets 1e-10 of its size on top: counts of 10¹²
would swallow the ridge). LR = 2 (ℓ_free − ℓ_BT); its null distribution is a parametric bootstrap from the fit, p = (1
+ #{LR* ≥ LR}) / (1 + B), because χ² is far off with few games a pair. Source: Bradley, Terry (1952); Hunter (2004).

Failure case. A small p says "not a ladder", not "a cycle": any other link function rejects too. It is a trigger for
more matches, never a certificate, and it is not valid when looked at repeatedly. Draws count half a win each and make
it conservative.
"""

import numpy as np

from league.payoffs.matrix import Counts, FloatArray

RIDGE = 1e-6
BELIEVED = 10**8
"""Games of one pair beyond which there is no p-value.

Beyond it rounding (and the ridge) weigh as much in LR as what it tests.
"""


def ladder_p_value(counts: Counts, replicates: int = 199, seed: int = 0) -> float | None:
    """p-value of the ladder; None ("undefined") where no pair has been played or it cannot be told."""
    wins_NN = counts.wins + counts.draws / 2
    if not wins_NN.any():
        return None
    strength_N = fit_bradley_terry(wins_NN[None])[0]
    observed = float(_likelihood_ratio(wins_NN[None], strength_N[None])[0])
    return _p_value(counts, strength_N, observed, replicates, seed)


def _p_value(counts: Counts, strength_N: FloatArray, observed: float, replicates: int, seed: int) -> float | None:
    row_E, col_E = np.triu_indices(len(strength_N), 1)
    games_E = counts.games[row_E, col_E].astype(int)
    if replicates == 0 or (games_E > 0).sum() < len(strength_N):
        return None  # no pair is left over to disagree with a ladder
    if games_E.max() > BELIEVED:
        return None
    chance_E = 1.0 / (1.0 + np.exp(strength_N[col_E] - strength_N[row_E]))
    rng = np.random.default_rng(seed)
    batch = max(1, 4_000_000 // max(1, len(strength_N) ** 2))
    beyond = 0
    for begin in range(0, replicates, batch):
        size = min(batch, replicates - begin)
        won_BE = rng.binomial(games_E, chance_E, size=(size, len(games_E)))
        wins_BNN = np.zeros((size, len(strength_N), len(strength_N)))
        wins_BNN[:, row_E, col_E] = won_BE
        wins_BNN[:, col_E, row_E] = games_E - won_BE
        beyond += int((_likelihood_ratio(wins_BNN, fit_bradley_terry(wins_BNN, strength_N)) >= observed - 1e-9).sum())
    return (1 + beyond) / (1 + replicates)


def fit_bradley_terry(wins_BNN: FloatArray, start_N: FloatArray | None = None) -> FloatArray:
    """Strengths θ (B, N) in logits, mean 0, for wins (B, N, N), all at once.

    Steps are limited to 2 logits, which makes Newton safe here.
    """
    batch, size, _ = wins_BNN.shape
    theta_BN = np.zeros((batch, size)) if start_N is None else np.tile(np.clip(start_N, -12, 12), (batch, 1))
    games_BNN = wins_BNN + wins_BNN.swapaxes(1, 2)
    won_BN = wins_BNN.sum(axis=2)
    diagonal = np.arange(size)
    for _ in range(60):
        chance_BNN = 1.0 / (1.0 + np.exp(theta_BN[:, None, :] - theta_BN[:, :, None]))
        slope_BN = won_BN - (games_BNN * chance_BNN).sum(axis=2) - RIDGE * theta_BN
        weight_BNN = games_BNN * chance_BNN * (1.0 - chance_BNN)
        curvature_BNN = -weight_BNN
        own_BN = weight_BNN.sum(axis=2) - weight_BNN[:, diagonal, diagonal]
        curvature_BNN[:, diagonal, diagonal] = own_BN + RIDGE + 1e-10 * own_BN.max(axis=1, keepdims=True)
        step_BN = np.linalg.solve(curvature_BNN, slope_BN[:, :, None])[:, :, 0]
        theta_BN = theta_BN + step_BN * np.minimum(
            1.0, 2.0 / np.maximum(np.abs(step_BN).max(axis=1, keepdims=True), 1e-300)
        )
        if np.abs(step_BN).max() < 1e-7:
            break
    return theta_BN - theta_BN.mean(axis=1, keepdims=True)


def _likelihood_ratio(wins_BNN: FloatArray, theta_BN: FloatArray) -> FloatArray:
    """2 (ℓ_free − ℓ_BT), (B,)."""
    games_BNN = wins_BNN + wins_BNN.swapaxes(1, 2)
    rate_BNN = np.divide(wins_BNN, games_BNN, out=np.ones_like(wins_BNN), where=games_BNN > 0)
    free_BNN = np.where(wins_BNN > 0, wins_BNN * np.log(np.where(wins_BNN > 0, rate_BNN, 1.0)), 0.0)
    ladder_BNN = -wins_BNN * np.logaddexp(0.0, theta_BN[:, None, :] - theta_BN[:, :, None])
    return np.maximum(2.0 * (free_BNN - ladder_BNN).sum(axis=(1, 2)), 0.0)
