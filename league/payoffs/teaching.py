"""Who teaches whom: the additive fit of teacher-student improvement and what it leaves over.

Formula. Δ_ts = μ + a_t + b_s + I_ts with Σa = Σb = 0, fitted by least squares weighted by the number of paired items
of each cell (the mean of its Δ per item). Interaction share: the part of the variation of Δ between cells that no
additive table explains,

    share = Σ w I² / Σ w (Δ − μ̄)²   with its expected noise Σ w σ²/n taken from numerator and denominator,

where σ² is the pooled within-cell variance. 0: good teachers are good for everyone; 1: it only matters who meets
whom.

Failure cases. None ("undefined") when no cell is left over to disagree with the additive table, when the variation
does not exceed what noise alone shows (F test by normal approximation, one-sided 5%), or when cells fall apart into
groups that share neither teacher nor student. A teacher that met one student only has a_t and I_ts confounded: its I
is 0 by convention.
"""

from dataclasses import dataclass

import numpy as np

from league.payoffs.matrix import BoolArray, FloatArray


@dataclass(frozen=True)
class TeachingFit:
    """mean μ, teacher effects (T,), student effects (S,), interaction (T, S).

    The interaction is NaN where they never met.
    `interaction_share` is None where undefined.
    """

    mean: float
    teacher: FloatArray
    student: FloatArray
    interaction: FloatArray
    interaction_share: float | None


def fit_teaching(n: FloatArray, total: FloatArray, total_sq: FloatArray) -> TeachingFit | None:
    """Fit sums over paired items n, total, total_sq (T, S). None without a single item."""
    n = np.asarray(n, dtype=float)
    met = n > 0
    if not met.any():
        return None
    cell = np.where(met, total / np.maximum(n, 1.0), np.nan)
    within = float(np.maximum(np.where(met, total_sq - n * np.nan_to_num(cell) ** 2, 0.0), 0.0).sum())
    spare = float((n[met] - 1.0).sum())
    variance = within / spare if spare > 0 else np.nan
    mean, teacher, student = _additive(n, cell, met)
    interaction = np.where(met, cell - mean - teacher[:, None] - student[None, :], np.nan)
    share = _interaction_share(n, cell, interaction, met, variance)
    return TeachingFit(mean, teacher, student, interaction, interaction_share=share)


def _additive(n: FloatArray, cell: FloatArray, met: BoolArray) -> tuple[float, FloatArray, FloatArray]:
    """Weighted least squares with sum-to-zero effects.

    The minimum-norm solution where cells leave something open.
    """
    teachers, students = n.shape
    rows, cols = np.nonzero(met)
    design = np.zeros((len(rows) + 2, 1 + teachers + students))
    root = np.sqrt(n[rows, cols])
    index = np.arange(len(rows))
    design[index, 0] = root
    design[index, 1 + rows] = root
    design[index, 1 + teachers + cols] = root
    heavy = root.max()
    design[-2, 1 : 1 + teachers] = heavy
    design[-1, 1 + teachers :] = heavy
    target = np.append(root * cell[rows, cols], [0.0, 0.0])
    effects = np.linalg.lstsq(design, target, rcond=1e-10)[0]
    return float(effects[0]), effects[1 : 1 + teachers], effects[1 + teachers :]


def _interaction_share(
    n: FloatArray, cell: FloatArray, interaction: FloatArray, met: BoolArray, variance: float
) -> float | None:
    cells = int(met.sum())
    used_teachers, used_students = int(met.any(axis=1).sum()), int(met.any(axis=0).sum())
    groups = _groups(met)
    spare = cells - (used_teachers + used_students - groups)
    if spare <= 0 or groups != 1 or not np.isfinite(variance):
        return None
    centre = float((n * np.nan_to_num(cell)).sum() / n.sum())
    between = float((n * np.nan_to_num(cell - centre) ** 2).sum())
    left = float((n * np.nan_to_num(interaction) ** 2).sum())
    if between <= variance * (cells - 1 + 1.645 * np.sqrt(2.0 * (cells - 1))) or between <= 1e-12:
        return None
    signal = between - variance * (cells - 1)
    return float(np.clip((left - variance * spare) / signal, 0.0, 1.0))


def _groups(met: BoolArray) -> int:
    """Connected components of the bipartite graph of who met whom, of those who met someone."""
    todo, groups = {int(t) for t in np.flatnonzero(met.any(axis=1))}, 0
    while todo:
        groups += 1
        front = {todo.pop()}
        while front:
            students = met[sorted(front)].any(axis=0)
            front = todo & {int(t) for t in np.flatnonzero(met[:, students].any(axis=1))}
            todo -= front
    return groups
