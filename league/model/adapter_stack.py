"""The adapters of one batch, stacked and fused for the decoder's projections.

A decoder layer has four fused projections: q|k|v, o, gate|up, down. For S versions and rank r (the largest; smaller
ranks and absent targets are zero-padded) the stack holds, per layer and projection of k linears, A [S, k·r, in] and B
[S, k·r, out], block-diagonal in the k linears, with alpha / rank folded into B.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from league.model.bank import AdapterBank, Layout
from league.model.decoder_weights import GROUPS, Decoder
from league.types import Version


@dataclass(frozen=True)
class Fused:
    """One projection's adapters: a [S, k·r, in], b [S, k·r, out]."""

    a: Tensor
    b: Tensor


class Stack:
    """Adapters of `versions` (distinct, in row order) for every layer: layers[l][group]."""

    def __init__(self, bank: AdapterBank, decoder: Decoder, versions: Sequence[Version]):
        self.versions = tuple(versions)
        self.slots = {version: slot for slot, version in enumerate(self.versions)}
        self.layouts: list[Layout] = [bank.slice(version).layout for version in self.versions]
        self.rank = max(layout.spec.rank for layout in self.layouts)
        self.layers: list[list[Fused]] = []
        flats = [bank.slice(version).params for version in self.versions]
        for layer in decoder.layers:
            fused = []
            for group in GROUPS:
                fused.append(self._fuse(flats, layer.paths[group], layer.outs[group], layer.ins[group], decoder))
            self.layers.append(fused)

    def _fuse(
        self, flats: Sequence[Tensor], paths: Sequence[str], outs: Sequence[int], inputs: int, decoder: Decoder
    ) -> Fused:
        count, rank = len(self.versions), self.rank
        a = torch.zeros(count, len(paths) * rank, inputs, dtype=decoder.dtype)
        b = torch.zeros(count, len(paths) * rank, sum(outs), dtype=decoder.dtype)
        for slot, (layout, flat) in enumerate(zip(self.layouts, flats, strict=True)):
            column = 0
            for j, (path, out) in enumerate(zip(paths, outs, strict=True)):
                if path in layout.entries:
                    rows = slice(j * rank, j * rank + layout.spec.rank)
                    a[slot, rows] = layout.a(flat, path)
                    b[slot, rows, column : column + out] = layout.b(flat, path).T * layout.spec.scale
                column += out
        return Fused(a.to(decoder.device), b.to(decoder.device))

    def take(self, versions: Sequence[Version]) -> "Stack":
        """A stack of some of these versions."""
        part = Stack.__new__(Stack)
        part.versions, part.rank = tuple(versions), self.rank
        part.slots = {version: slot for slot, version in enumerate(versions)}
        index = [self.slots[version] for version in versions]
        part.layouts = [self.layouts[slot] for slot in index]
        part.layers = [[Fused(fused.a[index], fused.b[index]) for fused in groups] for groups in self.layers]
        return part

    def scatter(
        self, slot: int, paths: Sequence[str], outs: Sequence[int], da: Tensor, db: Tensor, grad: Tensor
    ) -> None:
        """Add gradients of a fused A [k·r, in] and scaled B [k·r, out] to the flat fp32 gradient of
        one version."""
        layout, rank, column = self.layouts[slot], self.rank, 0
        for j, (path, out) in enumerate(zip(paths, outs, strict=True)):
            if path in layout.entries:
                rows = slice(j * rank, j * rank + layout.spec.rank)
                layout.a(grad, path).add_(da[rows])
                layout.b(grad, path).add_(db[rows, column : column + out].T, alpha=layout.spec.scale)
            column += out
