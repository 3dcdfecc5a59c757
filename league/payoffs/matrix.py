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
    """Wins, draws and losses of row against column, each (N, N); `losses` is `wins` transposed, the
    diagonal is 0."""

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
    """Who beats whom. `margin` (N, N) is 2·P(win) − 1 in [−1, 1], antisymmetric, NaN where a pair
    never met."""

    names: tuple[str, ...]
    margin: FloatArray
    counts: Counts | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def complete(self) -> bool:
        return not bool(np.isnan(self.margin).any())

    def missing_pairs(self) -> list[tuple[str, str]]:
        rows, cols = np.nonzero(np.triu(np.isnan(self.margin), 1))
        return [(self.names[i], self.names[j]) for i, j in zip(rows, cols, strict=True)]


def dominance(margin: FloatArray) -> BoolArray:
    """Strict dominance (N, N): row beats column by more than `TIE`. Unknown pairs dominate neither
    way."""
    with np.errstate(invalid="ignore"):
        return np.asarray(margin > TIE)


def from_margin(names: Sequence[str], margin: FloatArray, tolerance: float = 2e-6) -> PayoffMatrix:
    """An exact matrix of values in [−1, 1] with A = −Aᵀ. Raises DataError on a matrix that is none."""
    margin = np.asarray(margin, dtype=float)
    _check_shape(names, margin)
    _check_values(names, margin, -1.0, 1.0)
    _check_pairs(names, np.abs(margin + margin.T), tolerance, "A + Aᵀ must be 0")
    return PayoffMatrix(tuple(names), (margin - margin.T) / 2.0)


def from_probabilities(names: Sequence[str], win: FloatArray, tolerance: float = 2e-6) -> PayoffMatrix:
    """An exact matrix of win probabilities (draws count half) with P + Pᵀ = 1. Raises DataError on
    a matrix that is none."""
    win = np.asarray(win, dtype=float)
    _check_shape(names, win)
    _check_values(names, win, 0.0, 1.0)
    _check_pairs(
        names, np.abs(win + win.T - 1.0), tolerance, "P + Pᵀ must be 1 (and P must be 0.5, or empty, on the diagonal)"
    )
    return PayoffMatrix(tuple(names), win - win.T)


def from_counts(names: Sequence[str], wins: FloatArray, draws: FloatArray | None = None) -> PayoffMatrix:
    """A counted matrix; margin is (w − l) / n, NaN for pairs that never met. The diagonal
    (self-play) is ignored.

    wins (N, N): wins of row against column. draws (N, N): symmetric. Raises DataError on negative or asymmetric
    counts.
    """
    wins = np.array(wins, dtype=float)
    draws = np.zeros_like(wins) if draws is None else np.array(draws, dtype=float)
    for table in (wins, draws):
        _check_shape(names, table)
        np.fill_diagonal(table, 0.0)
        _check_values(names, table, 0.0, np.inf)
    _check_pairs(names, np.abs(draws - draws.T), 0.0, "draws of a pair must be equal from both sides")
    games = wins + draws + wins.T
    with np.errstate(invalid="ignore", divide="ignore"):
        margin = np.where(games > 0, (wins - wins.T) / games, np.nan)
    np.fill_diagonal(margin, 0.0)
    return PayoffMatrix(tuple(names), margin, Counts(wins, draws))


def _check_shape(names: Sequence[str], table: FloatArray) -> None:
    if table.shape != (len(names), len(names)):
        raise DataError(
            f"expected a square matrix with one row and one column per name ({len(names)}); found shape {table.shape}"
        )
    seen: set[str] = set()
    for name in names:
        if not name.strip():
            raise DataError("every agent needs a name; found an empty one")
        if name in seen:
            raise DataError(f"names must be unique; '{name}' appears twice: rename one of them")
        seen.add(name)


def _check_values(names: Sequence[str], table: FloatArray, low: float, high: float) -> None:
    bad = ~(np.isfinite(table) & (table >= low) & (table <= high))
    if bad.any():
        i, j = np.argwhere(bad)[0]
        wanted = f"a number in [{low:g}, {high:g}]" if np.isfinite(high) else "a finite count of 0 or more"
        raise DataError(f"expected {wanted}; found {table[i, j]:g} in row '{names[i]}', column '{names[j]}'")


def _check_pairs(names: Sequence[str], gap: FloatArray, tolerance: float, rule: str) -> None:
    if gap.size and gap.max() > tolerance:
        i, j = (int(place) for place in np.unravel_index(int(np.argmax(gap)), gap.shape))
        where = f"'{names[i]}' and '{names[j]}'" if i != j else f"'{names[i]}' and itself"
        raise DataError(f"{rule}; it is off by {gap[i, j]:.3g} between {where}")
