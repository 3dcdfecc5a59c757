"""From counts and paired items to estimates with 95% intervals.

proportion  Wilson score interval (Wilson 1927), which keeps its coverage near 0 and 1.
mean        Student's t on the sample variance; no interval where all items are equal (or there is only one): a width
            of 0 would claim certainty from having seen no variation.

All intervals are for one look at fixed data. They are descriptions, not certificates: certified edges come from
e-values in `payoffs`.
"""

import math
from collections.abc import Sequence

import numpy as np

from league.reporting.views import Estimate, Floats

Z = 1.959963984540054
ROUNDING = 1e-12


def t_quantile(degrees: Floats | float) -> Floats:
    """97.5% quantile of Student's t, elementwise; degrees of freedom below 1 count as 1."""
    from scipy.special import stdtrit  # 0.2 s of start-up, for those who show a mean

    return np.asarray(stdtrit(np.maximum(degrees, 1.0), 0.975))


def proportion(successes: float, n: int) -> Estimate | None:
    """Share of successes among n; None when n is 0."""
    if n <= 0:
        return None
    share = successes / n
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return Estimate(share, max(0.0, centre - half), min(1.0, centre + half), n)


def mean(values: Sequence[float]) -> Estimate | None:
    """Mean with its interval; None without values."""
    array = np.asarray(values, dtype=np.float64)
    return mean_of_sums(len(array), float(array.sum()), float((array * array).sum()))


def mean_of_sums(n: int, total: float, total_sq: float) -> Estimate | None:
    """The same from n, Σx and Σx²."""
    if n <= 0:
        return None
    value = total / n
    variance = max(0.0, (total_sq - total * value) / (n - 1)) if n > 1 else 0.0
    if variance <= ROUNDING * max(1.0, value * value):
        return Estimate(value, None, None, n)
    half = float(t_quantile(np.array(n - 1.0))) * math.sqrt(variance / n)
    return Estimate(value, value - half, value + half, n)


def difference(first: Estimate, second: Estimate) -> Estimate:
    """first − second of two independent estimates.

    Its interval comes from each estimate's own arms (MOVER, Zou & Donner 2008).
    """
    value = first.value - second.value
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return Estimate(value)
    low = value - math.hypot(first.value - first.low, second.high - second.value)
    high = value + math.hypot(first.high - first.value, second.value - second.low)
    return Estimate(value, low, high, min(first.n, second.n))


def as_arrays(cells: Sequence[Sequence[Estimate | None]]) -> tuple[Floats, Floats, Floats, Floats]:
    """Values, low, high and n per cell, each (rows, cols).

    NaN for an unknown cell or interval, and n = 0 for an unknown cell.
    """
    unknown = (np.nan, np.nan, np.nan, 0)
    table = [[unknown if e is None else (e.value, e.low, e.high, e.n) for e in line] for line in cells]
    values_RC, low_RC, high_RC, n_RC = np.moveaxis(np.array(table, dtype=np.float64), 2, 0)
    return values_RC, low_RC, high_RC, n_RC


def win_rates(wins: Floats, draws: Floats, n: Floats) -> tuple[Floats, Floats, Floats]:
    """Values, low and high of (wins + draws/2)/n per cell, NaN where n is 0.

    The interval is Wilson's with draws as half wins; a draw varies less than Wilson's binomial assumes, so it errs on
    the wide side.
    """
    known = n > 0
    games = np.where(known, n, 1.0)
    share = (wins + draws / 2) / games
    centre = (share + Z * Z / (2 * games)) / (1 + Z * Z / games)
    half = Z / (1 + Z * Z / games) * np.sqrt(share * (1 - share) / games + Z * Z / (4 * games * games))
    low, high = np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)
    return tuple(np.where(known, column, np.nan) for column in (share, low, high))  # type: ignore[return-value]


def means(n: Floats, total: Floats, total_sq: Floats) -> tuple[Floats, Floats, Floats]:
    """Values, low and high per cell as `mean_of_sums`.

    NaN where n is 0, and an unknown interval (NaN) where all items are equal.
    """
    known, spread = n > 0, n > 1
    value = np.where(known, total / np.where(known, n, 1), np.nan)
    variance = np.where(
        spread, np.maximum(total_sq - total * np.nan_to_num(value), 0) / np.where(spread, n - 1, 1), np.nan
    )
    variance = np.where(variance <= ROUNDING * np.maximum(1, np.nan_to_num(value) ** 2), np.nan, variance)
    half = t_quantile(n - 1) * np.sqrt(variance / np.where(known, n, 1))
    return value, value - half, value + half
