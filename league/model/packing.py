"""Rows as one packed pass: every distinct prefix once, with its adapters and its attention."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from league.model.adapter_stack import Stack
from league.model.decoder_weights import Decoder
from league.model.engine import MicroBatch, Row
from league.model.prefix_cache import common_length, join
from league.model.prefix_tree import PrefixTrees, grow_trees
from league.model.tree_attention import AttentionPlan, plan_attention, ranks
from league.types import Version


@dataclass(frozen=True)
class Packed:
    """Prefix trees on the device, with its adapters: what every layer needs."""

    trees: PrefixTrees
    tokens_N: Tensor
    attention: AttentionPlan
    stack: Stack | None
    runs: list[tuple[int, int, int]]
    """(start, end, slot) of the computed tokens that have an adapter."""
    rotary: dict[str, tuple[Tensor, Tensor]]
    """Layer kind → cosines and sines, each [N, 1, D]."""
    key_of_flat: np.ndarray
    """Flat index in the trees → number among the M keys: computed tokens first, known ones after."""
    known_NL2KD: Tensor | None
    """Keys and values of the tokens that are known, N of them."""


def pack_rows(
    decoder: Decoder,
    rows: Sequence[Sequence[int]],
    versions: Sequence[Version | None],
    stack: Stack | None,
    found: Sequence[Sequence[Tensor]] | None = None,
) -> Packed:
    """Pack rows for one pass. `stack` holds the rows' versions, None where all are the base.

    `found`: per row, known keys and values of its beginning, shorter than the row, as PrefixCache.find gives them.
    """
    trees = grow_trees(rows, versions)
    known_mask, known_NL2KD = _known(trees, found) if found is not None and any(found) else (None, None)
    device = decoder.device
    fresh = np.arange(len(trees)) if known_mask is None else np.flatnonzero(~known_mask)
    runs = [
        (int(np.searchsorted(fresh, start)), int(np.searchsorted(fresh, end)), stack.slots[version])
        for start, end, version in trees.versions
        if version is not None and stack is not None
    ]
    positions_N = torch.from_numpy(np.asarray(trees.positions)[fresh]).to(device)
    return Packed(
        trees=trees,
        tokens_N=torch.from_numpy(np.asarray(trees.tokens)[fresh]).to(device),
        attention=plan_attention(trees, decoder.heads, decoder.windows, device, known_mask),
        stack=stack,
        runs=runs,
        rotary={kind: decoder.cos_sin(positions_N, kind) for kind in decoder.layer_kinds},
        key_of_flat=ranks(len(trees), known_mask),
        known_NL2KD=known_NL2KD,
    )


def _known(trees: PrefixTrees, found: Sequence[Sequence[Tensor]]) -> tuple[np.ndarray, Tensor]:
    """Which of the trees' tokens are known, and their keys and values [n, L, 2, K, D].

    A row's last token is always computed: its logits are wanted.
    """
    paths = [np.asarray(trees.flat(row))[: sum(piece.shape[3] for piece in pieces)] for row, pieces in enumerate(found)]
    mask = np.zeros(len(trees), dtype=bool)
    mask[np.concatenate(paths)] = True
    mask[[path[-1][1] - 1 for path in trees.paths]] = False
    place = mask.cumsum() - 1
    first = next(pieces[0] for pieces in found if pieces)
    layers, two, heads, _, size = first.shape
    known_NL2KD = first.new_empty((int(mask.sum()), layers, two, heads, size))
    for path, pieces in zip(paths, found, strict=True):
        if pieces:
            kept = mask[path]
            known_NL2KD[torch.from_numpy(place[path[kept]])] = join(pieces)[torch.from_numpy(np.flatnonzero(kept))]
    return mask, known_NL2KD


def plan_packed(rows: Sequence[Row], versions: Sequence[Version], budget: int) -> list[MicroBatch]:
    """Micro-batches of about `budget` distinct tokens; rows that share a prefix stay together."""
    order = sorted(range(len(rows)), key=lambda i: (versions[i], rows[i][0], rows[i][1], i))
    plans: list[list[int]] = []
    load = 0
    for index in order:
        whole = rows[index][0] + rows[index][1]
        if plans and versions[plans[-1][-1]] == versions[index]:
            before = plans[-1][-1]
            new = len(whole) - common_length(whole, rows[before][0] + rows[before][1])
        else:
            new = len(whole)
        if plans and load + new <= budget:
            plans[-1].append(index)
            load += new
        else:
            plans.append([index])
            load = len(whole)
    return [MicroBatch(tuple(plan)) for plan in plans]
