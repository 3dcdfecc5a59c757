"""Certified edges: which win rates are above ½ at an error rate that survives every look.

Formula. For a pair with w wins and l losses among n = w + l undrawn games, the Beta(½,½) mixture of likelihoods
against a fair coin is an e-process (a non-negative martingale of mean 1 while p = ½):

    ln E = betaln(w + ½, l + ½) − betaln(½, ½) + n ln 2

By Ville's inequality P(sup_n E_n ≥ m/α) ≤ α/m; with m pairs tested the family-wise error is at most α at every time
at once. Source: Robbins (1970), "Statistical methods related to the law of the iterated logarithm"; Ramdas et al.
(2023), "Game-theoretic statistics and safe anytime-valid inference".

Failure cases. Games must be exchangeable given the pair: learning agents drift, so counts are kept between frozen
versions. Choosing the next pair by looking at the counts is allowed; dropping inconvenient games is not. When agents
join, m grows and an edge near the threshold can lose its certificate. A drawn game says nothing about who is stronger
and is left out.
"""

import math

import numpy as np

from league.errors import DataError
from league.payoffs.matrix import BoolArray, Counts, FloatArray

ALPHA = 0.05


def betaln(a: FloatArray, b: FloatArray) -> FloatArray:
    """ln B(a, b), elementwise. `math.lgamma` once per distinct value: scipy costs 0.3 s of start-up."""
    parts = np.stack(
        np.broadcast_arrays(np.asarray(a, dtype=float), np.asarray(b, dtype=float), np.asarray(a + b, dtype=float))
    )
    halves = np.rint(2.0 * parts).astype(np.int64)
    if parts.size and (halves == 2.0 * parts).all() and halves.max() < 4 * parts.size + 1000:
        logs = np.array([np.inf, *map(math.lgamma, np.arange(1, halves.max() + 1) / 2.0)])[halves]
    else:
        values, inverse = np.unique(parts, return_inverse=True)
        logs = np.array([math.lgamma(value) for value in values])[inverse].reshape(parts.shape)
    return np.asarray(logs[0] + logs[1] - logs[2])


def log_e_value(wins: FloatArray, losses: FloatArray) -> FloatArray:
    """ln E (same shape) against p = ½; 0 where nothing undrawn was played."""
    wins, losses = np.asarray(wins, dtype=float), np.asarray(losses, dtype=float)
    half = np.array(0.5)
    value = betaln(wins + 0.5, losses + 0.5) - betaln(half, half) + (wins + losses) * math.log(2.0)
    return np.asarray(np.where(wins + losses > 0, value, 0.0))


def threshold(agents: int, alpha: float = ALPHA) -> float:
    """ln(m/α) for the m pairs of a league of `agents`. Raises DataError unless 0 < α < 1."""
    if not 0.0 < alpha < 1.0:
        raise DataError(f"alpha must lie strictly between 0 and 1; found {alpha}")
    return math.log(max(1, agents * (agents - 1) // 2) / alpha)


def certified_edges(counts: Counts, alpha: float = ALPHA) -> BoolArray:
    """(N, N): row is certified to beat column. All false on the diagonal and where draws are all there is."""
    evident_NN = log_e_value(counts.wins, counts.losses) >= threshold(len(counts.wins), alpha)
    return np.asarray(evident_NN & (counts.wins > counts.losses))
