"""Adapters inside any Hugging Face forward, for the generic engine.

Forward hooks on the target linears add each row's own low-rank product, so the model itself is untouched and a row
without adapter is the base. A batch's rows are sorted by version; `Mix` says which rows belong to whom.

Gradients of A and B do not pass through autograd leaves: they are added, in fp32, to a `GradientSink` of each agent
while the backward pass runs, which makes accumulation over micro-batches exact and keeps agents apart.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from league.errors import UserError
from league.model.bank import AdapterBank
from league.model.base import BaseModel
from league.model.engine import GradientSink
from league.model.linear_layers import linear_layers
from league.types import Version


@dataclass(frozen=True)
class RowRange:
    """Consecutive rows [start, end) of one version."""

    start: int
    end: int
    version: Version


def row_ranges(rows: Sequence[Version | None]) -> list[RowRange]:
    """Runs of equal versions; rows of None (the base) belong to none."""
    found: list[RowRange] = []
    for index, version in enumerate(rows):
        if version is None:
            continue
        if found and found[-1].version == version and found[-1].end == index:
            found[-1] = RowRange(found[-1].start, index + 1, version)
        else:
            found.append(RowRange(index, index + 1, version))
    return found


@dataclass(frozen=True)
class Piece:
    """What one run adds to one linear: A and scaled B of its adapter; Z is its rank.

    Also where their gradients go.
    """

    start: int
    end: int
    a_ZI: Tensor
    b_OZ: Tensor
    a_sink_ZI: Tensor | None
    b_sink_OZ: Tensor | None
    scale: float


class Mix:
    """The adapters of one batch, ready per linear path."""

    def __init__(self, bank: AdapterBank, rows: Sequence[Version | None], sink: GradientSink | None = None):
        self._pieces: dict[str, list[Piece]] = {}
        self.rows = len(rows)
        for run in row_ranges(rows):
            layout, flat_P = bank.slice(run.version).layout, bank.compute(run.version)
            grad_P = sink[run.version] if sink is not None else None
            for path in layout.entries:
                piece = Piece(
                    start=run.start,
                    end=run.end,
                    a_ZI=layout.a(flat_P, path),
                    b_OZ=layout.b(flat_P, path),
                    a_sink_ZI=None if grad_P is None else layout.a(grad_P, path),
                    b_sink_OZ=None if grad_P is None else layout.b(grad_P, path),
                    scale=layout.spec.scale,
                )
                self._pieces.setdefault(path, []).append(piece)

    def pieces(self, path: str) -> list[Piece]:
        return self._pieces.get(path, [])


class Router:
    """Hooks on a base model's linears that apply the active mix. One per base model."""

    def __init__(self, base: BaseModel):
        self.mix: Mix | None = None
        for path, module in linear_layers(base.model).items():
            module.register_forward_hook(self._hook(path))

    def _hook(self, path: str) -> Callable[[nn.Module, Any, Tensor], Tensor | None]:
        def add(module: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
            pieces = self.mix.pieces(path) if self.mix is not None else []
            if self.mix is None or not pieces:
                return None
            return add_pieces(output, inputs[0], _of_flat(pieces, inputs[0], self.mix.rows, path))

        return add

    @contextmanager
    def using(self, mix: Mix | None) -> Iterator[None]:
        before, self.mix = self.mix, mix
        try:
            yield
        finally:
            self.mix = before


def add_pieces(y: Tensor, x: Tensor, pieces: Sequence[Piece]) -> Tensor:
    """y[rows] += (x[rows] Aᵀ) Bᵀ for every piece; x [R, ..., I], y [R, ..., O]."""
    if torch.is_grad_enabled() and (x.requires_grad or y.requires_grad):
        return _AddPieces.apply(y, x, pieces)
    for piece in pieces:
        y_nO, x_nI = _flat(y, piece), _flat(x, piece)
        y_nO.addmm_(x_nI @ piece.a_ZI.T, piece.b_OZ.T)
    return y


def _of_flat(pieces: list[Piece], x: Tensor, rows: int, path: str) -> Sequence[Piece]:
    """The pieces' places in x, which some families (OPT) pass on flat, as [R·T, I]."""
    if len(x) == rows:
        return pieces
    if x.dim() != 2 or len(x) % rows:
        raise UserError(
            f"layer {path} sees {list(x.shape)} for a batch of {rows} rows (tokens of several rows, mixed?), so rows "
            "cannot have adapters of their own there; take it out of adapter.targets"
        )
    each = len(x) // rows  # [R·T, I]: T places a row
    return [replace(piece, start=piece.start * each, end=piece.end * each) for piece in pieces]


def _flat(x: Tensor, piece: Piece) -> Tensor:
    """View of the piece's rows: [R, ..., I] → [n, I]."""
    return x[piece.start : piece.end].flatten(0, -2)


class _AddPieces(torch.autograd.Function):
    """`add_pieces` for autograd.

    Backward adds dA = (g B)ᵀ x and dB = scale · gᵀ (x Aᵀ) to the sinks and returns dy and dx.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, x: Tensor, pieces: Sequence[Piece]) -> Tensor:
        ctx.pieces, low = pieces, []
        for piece in pieces:
            low_nZ = _flat(x, piece) @ piece.a_ZI.T
            _flat(y, piece).addmm_(low_nZ, piece.b_OZ.T)
            low.append(low_nZ)
        ctx.save_for_backward(x, *low)
        ctx.mark_dirty(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, *low = ctx.saved_tensors
        dx = torch.zeros_like(x)
        for piece, low_nZ in zip(ctx.pieces, low, strict=True):
            g_nO = _flat(grad, piece)
            through_nZ = g_nO @ piece.b_OZ
            torch.mm(through_nZ, piece.a_ZI, out=_flat(dx, piece))
            if piece.a_sink_ZI is not None:
                piece.a_sink_ZI.add_(through_nZ.T @ _flat(x, piece))
                piece.b_sink_OZ.add_(g_nO.T @ low_nZ, alpha=piece.scale)
        return grad, dx, None
