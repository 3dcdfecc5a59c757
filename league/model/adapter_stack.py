"""The adapters of one batch, stacked and fused for the decoder's projections.

A decoder layer has four fused projections: q|k|v, o, gate|up, down. For S versions and rank r (the largest; smaller
ranks and absent targets are zero-padded) the stack holds, per layer and projection of k linears, A [S, Z, I] and
B [S, Z, O] with Z = k·r, block-diagonal in the k linears, and alpha / rank folded into B.
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
    """One projection's adapters; x gains (x Aᵀ) B."""

    a_SZI: Tensor
    b_SZO: Tensor


class Stack:
    """Adapters of `versions` (distinct, in row order) for every layer: layers[l][group]."""

    def __init__(self, bank: AdapterBank, decoder: Decoder, versions: Sequence[Version]):
        self.versions = tuple(versions)
        self.slots = {version: slot for slot, version in enumerate(self.versions)}
        self.layouts: list[Layout] = [bank.slice(version).layout for version in self.versions]
        self.rank = max(layout.spec.rank for layout in self.layouts)
        self.layers: list[list[Fused]] = []
        flats = [bank.slice(version).params_P for version in self.versions]
        for layer in decoder.layers:
            fused = []
            for group in GROUPS:
                fused.append(self._fuse(flats, layer.paths[group], layer.outs[group], layer.ins[group], decoder))
            self.layers.append(fused)

    def _fuse(
        self, flats: Sequence[Tensor], paths: Sequence[str], outs: Sequence[int], inputs: int, decoder: Decoder
    ) -> Fused:
        count, rank = len(self.versions), self.rank
        a_SZI = torch.zeros(count, len(paths) * rank, inputs, dtype=decoder.dtype)
        b_SZO = torch.zeros(count, len(paths) * rank, sum(outs), dtype=decoder.dtype)
        for slot, (layout, flat_P) in enumerate(zip(self.layouts, flats, strict=True)):
            column = 0
            for j, (path, out) in enumerate(zip(paths, outs, strict=True)):
                if path in layout.entries:
                    rows = slice(j * rank, j * rank + layout.spec.rank)
                    a_SZI[slot, rows] = layout.a(flat_P, path)
                    b_SZO[slot, rows, column : column + out] = layout.b(flat_P, path).T * layout.spec.scale
                column += out
        return Fused(a_SZI.to(decoder.device), b_SZO.to(decoder.device))

    def take(self, versions: Sequence[Version]) -> "Stack":
        """A stack of some of these versions."""
        part = Stack.__new__(Stack)
        part.versions, part.rank = tuple(versions), self.rank
        part.slots = {version: slot for slot, version in enumerate(versions)}
        index = [self.slots[version] for version in versions]
        part.layouts = [self.layouts[slot] for slot in index]
        part.layers = [[Fused(fused.a_SZI[index], fused.b_SZO[index]) for fused in groups] for groups in self.layers]
        return part

    def scatter(
        self,
        slot: int,
        paths: Sequence[str],
        outs: Sequence[int],
        *,
        da_ZI: Tensor,
        db_ZO: Tensor,
        grad_P: Tensor,
    ) -> None:
        """Add the gradients of a projection's A and scaled B to the flat fp32 gradient of one version."""
        layout, rank, column = self.layouts[slot], self.rank, 0
        for j, (path, out) in enumerate(zip(paths, outs, strict=True)):
            if path in layout.entries:
                rows = slice(j * rank, j * rank + layout.spec.rank)
                layout.a(grad_P, path).add_(da_ZI[rows])
                layout.b(grad_P, path).add_(db_ZO[rows, column : column + out].T, alpha=layout.spec.scale)
            column += out
