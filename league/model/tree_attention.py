"""Tree attention as a few large products: the plan of which tokens attend to which.

Each version's part of a forest's flat order is cut into tiles of QUERIES tokens, wherever that falls; a tile's keys
are all tokens that any of its queries may see, and a mask says which sees which. Because the order is depth first,
those are little more than the path to the tile's first token and the tile itself. Tiles of about the same size and
with about equally many keys are padded to be alike and attend in one batched product, so the number of operations a
layer does not grow with the number of branches.

A tile never holds tokens of two versions, and its padding is its own: a weight of zero hides a number but not a NaN,
and an agent with broken weights must break no other.

Tokens whose keys and values are known already (prefix.py) are keys but not queries. Queries are numbered among the
tokens that are computed, in flat order; keys in that order too, the known ones after them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from league.model.prefix_tree import Forest

QUERIES = 64
"""Tokens of a tile: more waste products on masked keys, fewer make products too thin."""
SIZES = 16
KEYS = 32
"""A tile's size and its number of keys are rounded up to multiples of these, so that tiles can
share a product."""
SCORES = 1 << 21
"""Attention scores of one product: bounds memory, and keeps them in the cache."""


@dataclass(frozen=True)
class Tile:
    """Flat indices of the queries and of the keys, both ascending; visible [queries, keys]."""

    queries: np.ndarray
    keys: np.ndarray
    visible: np.ndarray


@dataclass(frozen=True)
class Span:
    """Columns [column, column + length) of tile `tile` of a batch are keys [first, first + length)."""

    tile: int
    column: int
    first: int
    length: int


@dataclass(frozen=True)
class Batch:
    """J tiles of Q queries and L keys each, both padded."""

    count: int
    size: int
    queries: Tensor
    """Indices [J·Q]; padding repeats the tile's last query."""
    spare: Tensor
    """Places in `queries` that are padding."""
    keys: Tensor
    """Indices [J·L]; padding is the tile's first key, always blocked."""
    blocked: Mapping[int | None, Tensor]
    """Window (None: no window) → [J, 1, Q, L], True where a query must not see a key."""
    spans: tuple[Span, ...]
    """All keys but padding, in runs."""


@dataclass(frozen=True)
class Plan:
    """The batches, and where each computed token is found in their concatenated queries."""

    batches: list[Batch]
    place: Tensor


def plan_attention(
    forest: Forest, heads: int, windows: Sequence[int | None], device: torch.device, known: np.ndarray | None = None
) -> Plan:
    """Tiles of a forest, batched.

    `windows` are the distinct sliding windows of the model's layers; `known` [N] says which tokens are keys only.
    """
    fresh = np.arange(len(forest)) if known is None else np.flatnonzero(~known)
    rank = ranks(len(forest), known)
    alike: dict[tuple[int, int], list[Tile]] = {}
    for tile in cut(forest, fresh):
        alike.setdefault((_round(len(tile.queries), SIZES), _round(len(tile.keys), KEYS)), []).append(tile)
    batches: list[Batch] = []
    place, rows = np.empty(len(fresh), dtype=np.int64), 0
    positions = np.asarray(forest.positions)
    for (size, length), group in sorted(alike.items(), key=lambda item: item[0]):
        most = max(1, SCORES // (heads * size * length))
        batches.extend(
            _batch(group[at : at + most], size, length, positions, rank, windows, device)
            for at in range(0, len(group), most)
        )
        for tile in group:
            place[rank[tile.queries]] = rows + np.arange(len(tile.queries))
            rows += size
    return Plan(batches, torch.from_numpy(place).to(device))


def ranks(count: int, known: np.ndarray | None) -> np.ndarray:
    """Flat index → number: computed tokens first, known ones after."""
    if known is None:
        return np.arange(count)
    rank = np.empty(count, dtype=np.int64)
    rank[np.concatenate([np.flatnonzero(~known), np.flatnonzero(known)])] = np.arange(count)
    return rank


def _round(count: int, step: int) -> int:
    return -(-count // step) * step


def cut(forest: Forest, fresh: np.ndarray) -> list[Tile]:
    """Tiles over the flat indices `fresh`, in order, none across two versions."""
    tiles: list[Tile] = []
    for start, end, _ in forest.versions:
        own = fresh[np.searchsorted(fresh, start) : np.searchsorted(fresh, end)]
        tiles.extend(_tile(forest, own[at : at + QUERIES], start) for at in range(0, len(own), QUERIES))
    return tiles


def _tile(forest: Forest, queries: np.ndarray, start: int) -> Tile:
    """`start` is the first flat index of the queries' version: nothing before it is visible."""
    seen = np.zeros((len(queries), int(queries[-1]) + 1 - start), dtype=bool)
    for segment in forest.between(int(queries[0]), int(queries[-1]) + 1):
        rows = slice(*np.searchsorted(queries, (segment.start, segment.end)))
        for first, last in segment.ancestors:
            seen[rows, first - start : last - start] = True
        own = np.arange(segment.start, min(segment.end, int(queries[-1]) + 1))
        seen[rows, own - start] = own[None] <= queries[rows, None]
    keys = np.flatnonzero(seen.any(0))
    return Tile(queries, keys + start, seen[:, keys])


def _batch(
    tiles: Sequence[Tile],
    size: int,
    length: int,
    positions: np.ndarray,
    rank: np.ndarray,
    windows: Sequence[int | None],
    device: torch.device,
) -> Batch:
    queries = np.stack([np.pad(tile.queries, (0, size - len(tile.queries)), mode="edge") for tile in tiles])
    keys = np.stack([np.pad(tile.keys, (0, length - len(tile.keys)), constant_values=tile.keys[0]) for tile in tiles])
    blocked = np.ones((len(tiles), size, length), dtype=bool)
    for j, tile in enumerate(tiles):
        blocked[j, : len(tile.queries), : len(tile.keys)] = ~tile.visible
        blocked[j, len(tile.queries) :] = blocked[j, len(tile.queries) - 1]
    behind = positions[queries][:, :, None] - positions[keys][:, None, :]
    masks = {window: blocked if window is None else blocked | (behind >= window) for window in windows}
    spare = [j * size + i for j, tile in enumerate(tiles) for i in range(len(tile.queries), size)]
    return Batch(
        len(tiles),
        size,
        torch.from_numpy(rank[queries].ravel()).to(device),
        torch.tensor(spare, dtype=torch.long, device=device),
        torch.from_numpy(rank[keys].ravel()).to(device),
        {window: torch.from_numpy(mask[:, None]).to(device) for window, mask in masks.items()},
        tuple(span for j, tile in enumerate(tiles) for span in _spans(j, rank[tile.keys])),
    )


def _spans(tile: int, keys: np.ndarray) -> list[Span]:
    """Runs of consecutive keys."""
    breaks = np.flatnonzero(np.diff(keys) != 1) + 1
    return [Span(tile, int(part[0]), int(keys[part[0]]), len(part)) for part in np.split(np.arange(len(keys)), breaks)]
