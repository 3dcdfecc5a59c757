"""Do agents cooperate with strangers? Joint returns per pair and the cross-play minus self-play
gap.

Formula. J_ij is the mean joint return of i with j. The gap is mean of J_ij over pairs i ≠ j minus mean of J_ii (or of
pairs from the same training family), each pair counting once; its standard error adds the squared errors of the pair
means. Near 0: a convention all understand; far below 0: private codes. Source: Hu et al. (2020), "Other-play for
zero-shot coordination".

Failure case. None ("undefined") without at least one self-play and one cross-play pair of at least two games in all;
agents of different strength move the gap too, which is why J and its errors are reported with it.
"""

from dataclasses import dataclass

import numpy as np

from league.payoffs.matrix import BoolArray, FloatArray


@dataclass(frozen=True)
class Cooperation:
    """Mean joint return (N, N) and standard error (NaN: never played, or one game), and the gap
    with its 90% interval."""

    joint_return: FloatArray
    standard_error: FloatArray
    gap: float | None
    interval: tuple[float, float] | None


def cooperation(n: FloatArray, total: FloatArray, total_sq: FloatArray, same: BoolArray | None = None) -> Cooperation:
    """From sums of joint returns n, total, total_sq (N, N). `same` (N, N) marks self-play pairs;
    the diagonal by default."""
    n = np.asarray(n, dtype=float)
    safe = np.maximum(n, 1.0)
    mean = np.where(n > 0, total / safe, np.nan)
    spread = np.maximum(total_sq / safe - np.nan_to_num(mean) ** 2, 0.0) * safe / np.maximum(n - 1.0, 1.0)
    error = np.where(n > 1, np.sqrt(spread / safe), np.nan)
    own = np.eye(len(n), dtype=bool) if same is None else same
    inside, across = own & (n > 1), ~own & (n > 1)
    if not inside.any() or not across.any():
        return Cooperation(mean, error, None, None)
    gap = float(mean[across].mean() - mean[inside].mean())
    noise = float(
        np.sqrt((error[across] ** 2).sum() / across.sum() ** 2 + (error[inside] ** 2).sum() / inside.sum() ** 2)
    )
    return Cooperation(mean, error, gap, (gap - 1.645 * noise, gap + 1.645 * noise))
