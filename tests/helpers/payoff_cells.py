"""Payoff cells as a matrix, for tests and benchmarks."""

import numpy as np

from league.store.records import PayoffCells


def cell_matrix(cells: PayoffCells, values: np.ndarray) -> np.ndarray:
    """Sum one column of `cells` over slots into a (V, V) matrix; unseen pairs are 0."""
    size = len(cells.versions)
    flat = np.bincount(cells.row.astype(np.int64) * size + cells.col, weights=values, minlength=size * size)
    return flat.reshape(size, size)
