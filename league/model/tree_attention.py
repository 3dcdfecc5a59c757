"""Tree attention as a few large products: the plan of which tokens attend to which.

Each version's part of the flat order is cut into tiles of QUERIES tokens, wherever that falls; a tile's keys
are all tokens that any of its queries may see, and a mask says which sees which. Because the order is depth first,
those are little more than the path to the tile's first token and the tile itself. Tiles of about the same size and
with about equally many keys are padded to be alike and attend in one batched product, so the number of operations a
layer does not grow with the number of branches.

A tile never holds tokens of two versions, and its padding is its own: a weight of zero hides a number but not a NaN,
and an agent with broken weights must break no other.

Tokens whose keys and values are known already (prefix_cache.py) are keys but not queries. Queries are numbered among
the tokens that are computed, in flat order; keys in that order too, the known ones after them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from league.model.prefix_tree import PrefixTrees

QUERIES = 64
"""Tokens of a tile: more waste products on masked keys, fewer make products too thin."""
SIZES = 16
KEYS = 32
"""A tile's size and number of keys are rounded up to multiples of these.

So tiles can share a product.
"""
SCORES = 1 << 21
"""Attention scores of one product: bounds memory, and keeps them in the cache."""


@dataclass(frozen=True)
class Tile:
    """Flat indices of a tile's queries and of its keys, both ascending, and which query sees which key."""

    queries_Q: np.ndarray
    keys_C: np.ndarray
    visible_QC: np.ndarray


@dataclass(frozen=True)
class Span:
    """Columns [column, column + length) of tile `tile` of a batch are keys [first, first + length)."""

    tile: int
    column: int
    first: int
    length: int


@dataclass(frozen=True)
class Batch:
    """J tiles of Q queries and C keys each, both padded."""

    count: int
    """J."""
    size: int
    """Q."""
    queries: Tensor
    """Indices of queries [J·Q]; padding repeats the tile's last query."""
    spare: Tensor
    """Places in `queries` that are padding."""
    keys: Tensor
    """Indices of keys [J·C]; padding is the tile's first key, always blocked."""
    blocked_J1QC: Mapping[int | None, Tensor]
    """Window (None: no window) → True where a query must not see a key."""
    spans: tuple[Span, ...]
    """All keys but padding, in runs."""


@dataclass(frozen=True)
class AttentionPlan:
    """The batches, and where each computed token is found in their concatenated queries."""

    batches: list[Batch]
    place_N: Tensor


def plan_attention(
    trees: PrefixTrees, heads: int, windows: Sequence[int | None], device: torch.device, known: np.ndarray | None = None
) -> AttentionPlan:
    """Tiles of prefix trees, batched.

    `windows` are the distinct sliding windows of the model's layers; `known` says of each of the trees' tokens
    whether it is a key only.
    """
    fresh = np.arange(len(trees)) if known is None else np.flatnonzero(~known)
    rank = ranks(len(trees), known)
    alike: dict[tuple[int, int], list[Tile]] = {}
    for tile in tiles_of(trees, fresh):
        alike.setdefault((_round(len(tile.queries_Q), SIZES), _round(len(tile.keys_C), KEYS)), []).append(tile)
    batches: list[Batch] = []
    place_N, rows = np.empty(len(fresh), dtype=np.int64), 0
    positions = np.asarray(trees.positions)
    for (size, length), group in sorted(alike.items(), key=lambda item: item[0]):
        most = max(1, SCORES // (heads * size * length))
        batches.extend(
            _batch(
                group[at : at + most], (size, length), positions=positions, rank=rank, windows=windows, device=device
            )
            for at in range(0, len(group), most)
        )
        for tile in group:
            place_N[rank[tile.queries_Q]] = rows + np.arange(len(tile.queries_Q))
            rows += size
    return AttentionPlan(batches, torch.from_numpy(place_N).to(device))


def ranks(count: int, known: np.ndarray | None) -> np.ndarray:
    """Flat index → number: computed tokens first, known ones after."""
    if known is None:
        return np.arange(count)
    rank = np.empty(count, dtype=np.int64)
    rank[np.concatenate([np.flatnonzero(~known), np.flatnonzero(known)])] = np.arange(count)
    return rank


def _round(count: int, step: int) -> int:
    return -(-count // step) * step


def tiles_of(trees: PrefixTrees, fresh: np.ndarray) -> list[Tile]:
    """Tiles over the flat indices `fresh`, in order, none across two versions."""
    tiles: list[Tile] = []
    for start, end, _ in trees.versions:
        own = fresh[np.searchsorted(fresh, start) : np.searchsorted(fresh, end)]
        tiles.extend(_tile(trees, own[at : at + QUERIES], start) for at in range(0, len(own), QUERIES))
    return tiles


def _tile(trees: PrefixTrees, queries_Q: np.ndarray, start: int) -> Tile:
    """The tile of some queries.

    `start` is the first flat index of their version: nothing before it is visible.
    """
    end = int(queries_Q[-1]) + 1
    seen = np.zeros((len(queries_Q), end - start), dtype=bool)
    for segment in trees.between(int(queries_Q[0]), end):
        rows = slice(*np.searchsorted(queries_Q, (segment.start, segment.end)))
        for first, last in segment.ancestors:
            seen[rows, first - start : last - start] = True
        own = np.arange(segment.start, min(segment.end, end))
        seen[rows, own - start] = own[None] <= queries_Q[rows, None]
    keys_C = np.flatnonzero(seen.any(0))
    return Tile(queries_Q, keys_C + start, seen[:, keys_C])


def _batch(
    tiles: Sequence[Tile],
    shape: tuple[int, int],
    *,
    positions: np.ndarray,
    rank: np.ndarray,
    windows: Sequence[int | None],
    device: torch.device,
) -> Batch:
    """Tiles padded to `shape` (Q, C). `positions` and `rank` are by flat index."""
    size, length = shape
    queries_JQ = np.stack([_padded(tile.queries_Q, size, tile.queries_Q[-1]) for tile in tiles])
    keys_JC = np.stack([_padded(tile.keys_C, length, tile.keys_C[0]) for tile in tiles])
    blocked_JQC = np.ones((len(tiles), size, length), dtype=bool)
    for j, tile in enumerate(tiles):
        blocked_JQC[j, : len(tile.queries_Q), : len(tile.keys_C)] = ~tile.visible_QC
        blocked_JQC[j, len(tile.queries_Q) :] = blocked_JQC[j, len(tile.queries_Q) - 1]
    behind_JQC = positions[queries_JQ][:, :, None] - positions[keys_JC][:, None, :]
    masks = {window: blocked_JQC if window is None else blocked_JQC | (behind_JQC >= window) for window in windows}
    spare = [j * size + i for j, tile in enumerate(tiles) for i in range(len(tile.queries_Q), size)]
    return Batch(
        count=len(tiles),
        size=size,
        queries=torch.from_numpy(rank[queries_JQ].ravel()).to(device),  # [J, Q] → [J·Q]
        spare=torch.tensor(spare, dtype=torch.long, device=device),
        keys=torch.from_numpy(rank[keys_JC].ravel()).to(device),  # [J, C] → [J·C]
        blocked_J1QC={window: torch.from_numpy(mask_JQC[:, None]).to(device) for window, mask_JQC in masks.items()},
        spans=tuple(span for j, tile in enumerate(tiles) for span in _spans(j, rank[tile.keys_C])),
    )


def _padded(indices: np.ndarray, length: int, value: int) -> np.ndarray:
    return np.pad(indices, (0, length - len(indices)), constant_values=value)


def _spans(tile: int, keys: np.ndarray) -> list[Span]:
    """Runs of consecutive keys."""
    breaks = np.flatnonzero(np.diff(keys) != 1) + 1
    return [Span(tile, int(part[0]), int(keys[part[0]]), len(part)) for part in np.split(np.arange(len(keys)), breaks)]
