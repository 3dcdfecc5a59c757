"""Components and short cycles of a dominance graph; an edge i → j means "i beats j".

Cycles of length ≤ 5 are listed shortest first, each once, starting at its lowest index. In a graph without 2-cycles
every closed walk of length ≤ 5 is a simple cycle (3 + 2 would need a 2-cycle), so a search pruned by "a walk of
exactly the remaining length leads home" never visits a dead end: cost is proportional to output. Failure case: with
`limit` reached the list is a prefix and `truncated` says so; `three_cycles` is always the full count.
"""

from dataclasses import dataclass

import numpy as np

from league.errors import DataError
from league.payoffs.matrix import BoolArray

MAX_LENGTH = 5
MAX_CYCLES = 10_000


@dataclass(frozen=True)
class Cycles:
    """Cycles as index tuples (each beats the next, the last beats the first), shortest first."""

    found: tuple[tuple[int, ...], ...]
    truncated: bool


def components(beats_NN: BoolArray) -> list[list[int]]:
    """Strongly connected components, largest first (ties: lowest index first), members ascending.

    beats (N, N). Two agents share a component where each reaches the other.
    """
    from scipy.sparse.csgraph import connected_components

    _, label_N = connected_components(beats_NN, directed=True, connection="strong")
    groups = [np.flatnonzero(label_N == label).tolist() for label in np.unique(label_N)]
    return sorted(groups, key=lambda group: (-len(group), group[0]))


def three_cycles(beats_NN: BoolArray) -> int:
    """Number of directed triangles: trace(B³) / 3 (exact below 2⁵³)."""
    matrix_NN = beats_NN.astype(float)
    return round(float(np.einsum("ij,ji->", matrix_NN @ matrix_NN, matrix_NN)) / 3.0)


def bounded_cycles(beats_NN: BoolArray, max_length: int = MAX_LENGTH, limit: int = MAX_CYCLES) -> Cycles:
    """All simple cycles of length ≤ `max_length`, at most `limit`.

    Raises DataError on 2-cycles or a length outside 3…5.
    """
    if (beats_NN & beats_NN.T).any():
        raise DataError("a dominance graph cannot have two agents that beat each other, or one that beats itself")
    if not 3 <= max_length <= MAX_LENGTH:
        raise DataError(f"cycle length must lie in 3…{MAX_LENGTH}; found {max_length}")
    found: list[tuple[int, ...]] = []
    cyclic_N = np.zeros(len(beats_NN), dtype=bool)
    for group in components(beats_NN):
        cyclic_N[group] = len(group) > 2
    within_NN = beats_NN & cyclic_N[:, None] & cyclic_N[None, :]
    for length in range(3, max_length + 1):
        for start in np.flatnonzero(cyclic_N):
            if _extend(within_NN, int(start), length, limit, found):
                return Cycles(tuple(found), True)
    return Cycles(tuple(found), False)


def _extend(beats_NN: BoolArray, start: int, length: int, limit: int, found: list[tuple[int, ...]]) -> bool:
    """Append the cycles of exactly `length` whose lowest index is `start`.

    True when one more than `limit` exists.
    """
    later_NN = beats_NN.copy()
    later_NN[:start] = False
    later_NN[:, :start] = False
    home: list[BoolArray] = [np.asarray(later_NN[:, start])]
    for _ in range(length - 2):
        home.append(np.asarray(later_NN[:, home[-1]].any(axis=1)))
    paths: list[tuple[int, ...]] = [(start,)]
    while paths:
        path = paths.pop()
        if len(path) == length:
            if len(found) >= limit:
                return True
            found.append(path)
            continue
        steps = np.flatnonzero(later_NN[path[-1]] & home[length - len(path) - 1])
        paths.extend((*path, int(step)) for step in reversed(steps) if step != start)
    return False


def has_loops(played_NN: BoolArray) -> bool:
    """Whether the played pairs (N, N, symmetric) close any loop.

    Without one a cyclic share of 0 would be a fact about the schedule, not about the agents.
    """
    others_NN = played_NN & ~np.eye(len(played_NN), dtype=bool)
    return int(others_NN.sum()) // 2 > len(played_NN) - len(components(others_NN))
