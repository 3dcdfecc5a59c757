"""Tree attention as a few large products: the plan of which tokens attend to which.

Each version's part of a forest's flat order is cut into tiles of QUERIES tokens, wherever that falls. Because the order is depth first,
whatever a tile's tokens may see before the tile lies on the path from the root to the tile's first token: a tile's keys are those
ancestors, then the tile itself, and a mask says the rest. Tiles of about the same size and with about equally many ancestors are padded
to be alike and attend in one batched product, so the number of operations a layer does not grow with the number of branches.

A tile never holds tokens of two versions, and its padding is its own: a weight of zero hides a number but not a NaN, and an agent with
broken weights must break no other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from league.model.forest import Forest

QUERIES = 64
"""Tokens of a tile: more waste products on masked keys, fewer make products too thin."""
SIZES = 16
ANCESTORS = 32
"""A tile's size and its number of ancestors are rounded up to multiples of these, so that tiles can share a product."""
SCORES = 1 << 21
"""Attention scores of one product: bounds memory, and keeps them in the cache."""


@dataclass(frozen=True)
class Tile:
    """Queries [start, end) of the flat order; `ancestors` are the flat ranges before `start` that its keys begin with, ascending."""

    start: int
    end: int
    ancestors: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        return self.end - self.start

    @property
    def before(self) -> int:
        return sum(end - start for start, end in self.ancestors)


@dataclass(frozen=True)
class Batch:
    """J tiles of Q queries and L keys each: `before` columns of ancestors, then the Q of the tile itself, both padded."""

    tiles: tuple[Tile, ...]
    size: int
    before: int
    queries: Tensor
    """Flat indices [J·Q]; padding repeats the tile's last token."""
    spare: Tensor
    """Places in `queries` that are padding."""
    keys: Tensor
    """Flat indices [J·L]; padding is the tile's first token, always blocked."""
    blocked: Mapping[int | None, Tensor]
    """Window (None: no window) → [J, 1, Q, L], True where a query must not see a key."""


@dataclass(frozen=True)
class Plan:
    """The batches, and where each flat token is found in their concatenated queries [N]."""

    batches: list[Batch]
    place: Tensor


def plan_attention(forest: Forest, heads: int, windows: Sequence[int | None], device: torch.device) -> Plan:
    """Tiles of a forest, batched; `windows` are the distinct sliding windows of the model's layers."""
    alike: dict[tuple[int, int], list[Tile]] = {}
    for tile in cut(forest):
        alike.setdefault((_round(tile.size, SIZES), _round(tile.before, ANCESTORS)), []).append(tile)
    batches: list[Batch] = []
    place, rows = np.empty(len(forest), dtype=np.int64), 0
    for (size, before), group in sorted(alike.items()):
        most = max(1, SCORES // (heads * size * (before + size)))
        batches.extend(_batch(forest, group[at : at + most], size, before, windows, device) for at in range(0, len(group), most))
        for tile in group:
            place[tile.start : tile.end] = rows + np.arange(tile.size)
            rows += size
    return Plan(batches, torch.from_numpy(place).to(device))


def _round(count: int, step: int) -> int:
    return -(-count // step) * step


def cut(forest: Forest) -> list[Tile]:
    """Consecutive tiles over the flat order, none across two versions."""
    tiles: list[Tile] = []
    for first, last, _ in forest.versions:
        for start in range(first, last, QUERIES):
            segment = forest.between(start, start + 1)[0]
            tiles.append(Tile(start, min(start + QUERIES, last), _merged((*segment.ancestors, (segment.start, start)))))
    return tiles


def _merged(ranges: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Ascending ranges with neighbours joined and empty ones left out."""
    joined: list[tuple[int, int]] = []
    for start, end in ranges:
        if start == end:
            continue
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return tuple(joined)


def _batch(forest: Forest, tiles: Sequence[Tile], size: int, before: int, windows: Sequence[int | None], device: torch.device) -> Batch:
    positions = np.asarray(forest.positions)
    queries = np.stack([np.minimum(np.arange(tile.start, tile.start + size), tile.end - 1) for tile in tiles])
    keys = np.stack([_keys(tile, size, before) for tile in tiles])
    blocked = np.stack([_blocked(forest, tile, row, size, before) for tile, row in zip(tiles, keys, strict=True)])
    behind = positions[queries][:, :, None] - positions[keys][:, None, :]
    masks = {window: blocked if window is None else blocked | (behind >= window) for window in windows}
    return Batch(
        tuple(tiles),
        size,
        before,
        torch.from_numpy(queries.ravel()).to(device),
        torch.tensor([j * size + i for j, tile in enumerate(tiles) for i in range(tile.size, size)], dtype=torch.long, device=device),
        torch.from_numpy(keys.ravel()).to(device),
        {window: torch.from_numpy(mask[:, None]).to(device) for window, mask in masks.items()},
    )


def _keys(tile: Tile, size: int, before: int) -> np.ndarray:
    """Flat indices [L] of the ancestors and of the tile's own tokens, each followed by padding."""
    keys = np.full(before + size, tile.start, dtype=np.int64)
    keys[: tile.before] = np.concatenate([np.arange(0), *(np.arange(start, end) for start, end in tile.ancestors)])
    keys[before : before + tile.size] = np.arange(tile.start, tile.end)
    return keys


def _blocked(forest: Forest, tile: Tile, keys: np.ndarray, size: int, before: int) -> np.ndarray:
    """[Q, L]: a token sees its segment's ancestors and its own segment up to itself."""
    blocked = np.ones((size, len(keys)), dtype=bool)
    visible = np.zeros(tile.end, dtype=bool)
    later = np.triu(np.ones((QUERIES, QUERIES), dtype=bool), 1)
    for segment in forest.between(tile.start, tile.end):
        visible[:] = False
        for start, end in (*segment.ancestors, (segment.start, max(segment.start, tile.start))):
            visible[start:end] = True
        first, last = max(segment.start, tile.start) - tile.start, min(segment.end, tile.end) - tile.start
        blocked[first:last] = ~visible[keys]
        blocked[first:last, before + first : before + last] = later[: last - first, : last - first]
    blocked[:, tile.before : before] = True
    blocked[:, before + tile.size :] = True
    blocked[tile.size :] = blocked[tile.size - 1]
    return blocked
