"""The one value all analysis starts from: names and pairwise payoffs, exact or counted.

Leaves out reading files (`csv_matrix.py`) and everything that is estimated from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from league.errors import DataError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]

TIE = 1e-9
"""Margins nearer to zero than this are ties: below anything a person writes, above rounding noise."""


@dataclass(frozen=True)
class Counts:
    """Wins, draws and losses of row against column, each (N, N).

    `losses` is `wins` transposed, the diagonal is 0.
    """

    wins: FloatArray
    draws: FloatArray

    @property
    def losses(self) -> FloatArray:
        return self.wins.T

    @property
    def games(self) -> FloatArray:
        return self.wins + self.draws + self.wins.T

    @property
    def played(self) -> BoolArray:
        return self.games > 0


@dataclass(frozen=True)
class PayoffMatrix:
    """Win rates of every pair.

    `margin` (N, N) is 2·P(win) − 1 in [−1, 1], antisymmetric, NaN where a pair never met.
    """

    names: tuple[str, ...]
    margin: FloatArray
    counts: Counts | None = None
    notes: tuple[str, ...] = ()
    """What had to be done to read it, for people."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def complete(self) -> bool:
        return not bool(np.isnan(self.margin).any())

    def missing_pairs(self) -> list[tuple[str, str]]:
        rows, cols = np.nonzero(np.triu(np.isnan(self.margin), 1))
        return [(self.names[i], self.names[j]) for i, j in zip(rows, cols, strict=True)]


def dominance(margin_NN: FloatArray) -> BoolArray:
    """Strict dominance (N, N): row beats column by more than `TIE`. Unknown pairs dominate neither way."""
    with np.errstate(invalid="ignore"):
        return np.asarray(margin_NN > TIE)


def from_margin(names: Sequence[str], margin_NN: FloatArray, tolerance: float = 2e-6) -> PayoffMatrix:
    """An exact matrix of values in [−1, 1] with A = −Aᵀ. Raises DataError on a matrix that is none."""
    margin_NN = np.asarray(margin_NN, dtype=float)
    _check_shape(names, margin_NN)
    _check_values(names, margin_NN, -1.0, 1.0)
    _check_pairs(names, np.abs(margin_NN + margin_NN.T), tolerance, "A + Aᵀ must be 0")
    return PayoffMatrix(tuple(names), (margin_NN - margin_NN.T) / 2.0)


def from_probabilities(names: Sequence[str], win_NN: FloatArray, tolerance: float = 2e-6) -> PayoffMatrix:
    """An exact matrix of win probabilities (draws count half) with P + Pᵀ = 1.

    Raises DataError on a matrix that is none.
    """
    win_NN = np.asarray(win_NN, dtype=float)
    _check_shape(names, win_NN)
    _check_values(names, win_NN, 0.0, 1.0)
    _check_pairs(
        names,
        np.abs(win_NN + win_NN.T - 1.0),
        tolerance,
        "P + Pᵀ must be 1 (and P must be 0.5, or empty, on the diagonal)",
    )
    return PayoffMatrix(tuple(names), win_NN - win_NN.T)


def from_counts(names: Sequence[str], wins_NN: FloatArray, draws_NN: FloatArray | None = None) -> PayoffMatrix:
    """A counted matrix; margin is (w − l) / n, NaN for pairs that never met.

    The diagonal (self-play) is ignored.

    wins (N, N): wins of row against column. draws (N, N): symmetric. Raises DataError on negative or asymmetric
    counts.
    """
    wins_NN = np.array(wins_NN, dtype=float)
    draws_NN = np.zeros_like(wins_NN) if draws_NN is None else np.array(draws_NN, dtype=float)
    for table_NN in (wins_NN, draws_NN):
        _check_shape(names, table_NN)
        np.fill_diagonal(table_NN, 0.0)
        _check_values(names, table_NN, 0.0, np.inf)
    _check_pairs(names, np.abs(draws_NN - draws_NN.T), 0.0, "draws of a pair must be equal from both sides")
    games_NN = wins_NN + draws_NN + wins_NN.T
    with np.errstate(invalid="ignore", divide="ignore"):
        margin_NN = np.where(games_NN > 0, (wins_NN - wins_NN.T) / games_NN, np.nan)
    np.fill_diagonal(margin_NN, 0.0)
    return PayoffMatrix(tuple(names), margin_NN, Counts(wins_NN, draws_NN))


def _check_shape(names: Sequence[str], table_NN: FloatArray) -> None:
    if table_NN.shape != (len(names), len(names)):
        raise DataError(
            f"expected a square matrix with one row and one column per name ({len(names)}); "
            f"found shape {table_NN.shape}"
        )
    seen: set[str] = set()
    for name in names:
        if not name.strip():
            raise DataError("every agent needs a name; found an empty one")
        if name in seen:
            raise DataError(f"names must be unique; '{name}' appears twice: rename one of them")
        seen.add(name)


def _check_values(names: Sequence[str], table_NN: FloatArray, low: float, high: float) -> None:
    bad_NN = ~(np.isfinite(table_NN) & (table_NN >= low) & (table_NN <= high))
    if bad_NN.any():
        i, j = np.argwhere(bad_NN)[0]
        wanted = f"a number in [{low:g}, {high:g}]" if np.isfinite(high) else "a finite count of 0 or more"
        margin = low == 0 and high == 1 and -1 <= table_NN[i, j] < 0
        raise DataError(
            f"expected {wanted}; found {table_NN[i, j]:g} in row '{names[i]}', column '{names[j]}'"
            + ("; margins need --antisymmetric" if margin else "; correct the cell")
        )


def _check_pairs(names: Sequence[str], gap_NN: FloatArray, tolerance: float, rule: str) -> None:
    if gap_NN.size and gap_NN.max() > tolerance:
        i, j = (int(place) for place in np.unravel_index(int(np.argmax(gap_NN)), gap_NN.shape))
        where = f"'{names[i]}' and '{names[j]}'" if i != j else f"'{names[i]}' and itself"
        remedy = (
            "correct one of their cells, or leave one half of the table blank" if i != j else "leave its cell blank"
        )
        raise DataError(f"{rule}; it is off by {gap_NN[i, j]:.3g} between {where}: {remedy}")
