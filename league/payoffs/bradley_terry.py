"""Is one number per agent enough? Bradley-Terry fit and the likelihood-ratio test against a free
win rate per pair.

Formula. P(i beats j) = σ(θ_i − θ_j), Σθ = 0, fitted by Newton's method on the log-likelihood Σ w_ij ln σ(θ_i − θ_j)
with a ridge of 1e-6 that keeps unbeaten agents finite (the curvature gets 1e-10 of its size on top: counts of 10¹²
would swallow the ridge). LR = 2 (ℓ_free − ℓ_BT); its null distribution is a parametric bootstrap from the fit, p = (1
+ #{LR* ≥ LR}) / (1 + B), because χ² is far off with few games a pair. Source: Bradley, Terry (1952); Hunter (2004).

Failure case. A small p says "not a ladder", not "a cycle": any other link function rejects too. It is a trigger for
more matches, never a certificate, and it is not valid when looked at repeatedly. Draws count half a win each and make
it conservative.
"""

from dataclasses import dataclass

import numpy as np

from league.payoffs.matrix import Counts, FloatArray

RIDGE = 1e-6
BELIEVED = 10**8
"""Games of one pair beyond which rounding (and the ridge) weigh as much in LR as what it tests: no
p-value."""


@dataclass(frozen=True)
class BradleyTerry:
    """strength θ (N,) in logits, mean 0. p_value: None where it cannot be told."""

    strength: FloatArray
    p_value: float | None


def fit_bradley_terry(counts: Counts, replicates: int = 199, seed: int = 0) -> BradleyTerry | None:
    """Fit and test. None ("undefined") where no pair has been played. `replicates` = 0 skips the
    p-value."""
    wins = counts.wins + counts.draws / 2
    if not wins.any():
        return None
    strength = _fit(wins[None])[0]
    observed = float(_likelihood_ratio(wins[None], strength[None])[0])
    return BradleyTerry(strength, _p_value(counts, strength, observed, replicates, seed))


def _p_value(counts: Counts, strength: FloatArray, observed: float, replicates: int, seed: int) -> float | None:
    rows, cols = np.triu_indices(len(strength), 1)
    games = counts.games[rows, cols].astype(int)
    if replicates == 0 or (games > 0).sum() < len(strength):
        return None  # no pair is left over to disagree with a ladder
    if games.max() > BELIEVED:
        return None
    chance = 1.0 / (1.0 + np.exp(strength[cols] - strength[rows]))
    rng = np.random.default_rng(seed)
    batch = max(1, 4_000_000 // max(1, len(strength) ** 2))
    beyond = 0
    for begin in range(0, replicates, batch):
        size = min(batch, replicates - begin)
        won = rng.binomial(games, chance, size=(size, len(games)))
        wins = np.zeros((size, len(strength), len(strength)))
        wins[:, rows, cols] = won
        wins[:, cols, rows] = games - won
        beyond += int((_likelihood_ratio(wins, _fit(wins, strength)) >= observed - 1e-9).sum())
    return (1 + beyond) / (1 + replicates)


def _fit(wins: FloatArray, start: FloatArray | None = None) -> FloatArray:
    """θ (B, N) for wins (B, N, N), all at once; steps are limited to 2 logits, which makes Newton
    safe here."""
    batch, size, _ = wins.shape
    theta = np.zeros((batch, size)) if start is None else np.tile(np.clip(start, -12, 12), (batch, 1))
    games = wins + wins.swapaxes(1, 2)
    won = wins.sum(axis=2)
    diagonal = np.arange(size)
    for _ in range(60):
        chance = 1.0 / (1.0 + np.exp(theta[:, None, :] - theta[:, :, None]))
        slope = won - (games * chance).sum(axis=2) - RIDGE * theta
        weight = games * chance * (1.0 - chance)
        curvature = -weight
        own = weight.sum(axis=2) - weight[:, diagonal, diagonal]
        curvature[:, diagonal, diagonal] = own + RIDGE + 1e-10 * own.max(axis=1, keepdims=True)
        step = np.linalg.solve(curvature, slope[:, :, None])[:, :, 0]
        theta = theta + step * np.minimum(1.0, 2.0 / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1e-300))
        if np.abs(step).max() < 1e-7:
            break
    return theta - theta.mean(axis=1, keepdims=True)


def _likelihood_ratio(wins: FloatArray, theta: FloatArray) -> FloatArray:
    """2 (ℓ_free − ℓ_BT), (B,)."""
    games = wins + wins.swapaxes(1, 2)
    rate = np.divide(wins, games, out=np.ones_like(wins), where=games > 0)
    free = np.where(wins > 0, wins * np.log(np.where(wins > 0, rate, 1.0)), 0.0)
    ladder = -wins * np.logaddexp(0.0, theta[:, None, :] - theta[:, :, None])
    return np.maximum(2.0 * (free - ladder).sum(axis=(1, 2)), 0.0)
