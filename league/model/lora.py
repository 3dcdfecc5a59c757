"""Adapters inside any Hugging Face forward: the generic path.

Forward hooks on the target linears add each row's own low-rank product, so the model itself is untouched and a row
without adapter is the base. A batch's rows are sorted by version; `Mix` says which rows belong to whom.

Gradients of A and B do not pass through autograd leaves: they are added, in fp32, to a `GradientSink` of each agent
while the backward pass runs, which makes accumulation over micro-batches exact and keeps agents apart.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from league.model.bank import AdapterBank
from league.model.base import BaseModel
from league.types import Version

GradientSink = Mapping[Version, Tensor]
"""version → flat fp32 gradient in the slice's layout, added to in place."""


@dataclass(frozen=True)
class Run:
    """Consecutive rows [start, end) of one version."""

    start: int
    end: int
    version: Version


def runs_of(rows: Sequence[Version | None]) -> list[Run]:
    """Runs of equal versions; rows of None (the base) belong to none."""
    found: list[Run] = []
    for index, version in enumerate(rows):
        if version is None:
            continue
        if found and found[-1].version == version and found[-1].end == index:
            found[-1] = Run(found[-1].start, index + 1, version)
        else:
            found.append(Run(index, index + 1, version))
    return found


@dataclass(frozen=True)
class Piece:
    """What one run adds to one linear: A [r, in], B [out, r] (scaled), and where their gradients
    go."""

    start: int
    end: int
    a: Tensor
    b: Tensor
    a_sink: Tensor | None
    b_sink: Tensor | None
    scale: float


class Mix:
    """The adapters of one batch, ready per linear path."""

    def __init__(self, bank: AdapterBank, rows: Sequence[Version | None], sink: GradientSink | None = None):
        self._pieces: dict[str, list[Piece]] = {}
        for run in runs_of(rows):
            layout, flat = bank.slice(run.version).layout, bank.compute(run.version)
            grad = sink[run.version] if sink is not None else None
            for path in layout.entries:
                piece = Piece(
                    run.start,
                    run.end,
                    layout.a(flat, path),
                    layout.b(flat, path),
                    None if grad is None else layout.a(grad, path),
                    None if grad is None else layout.b(grad, path),
                    layout.spec.scale,
                )
                self._pieces.setdefault(path, []).append(piece)

    def pieces(self, path: str) -> list[Piece]:
        return self._pieces.get(path, [])


class Router:
    """Hooks on a base model's linears that apply the active mix. One per base model."""

    def __init__(self, base: BaseModel):
        self.mix: Mix | None = None
        for path, module in base.model.named_modules():
            if isinstance(module, nn.Linear):
                module.register_forward_hook(self._hook(path))

    def _hook(self, path: str) -> Callable[[nn.Module, Any, Tensor], Tensor | None]:
        def add(module: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
            pieces = self.mix.pieces(path) if self.mix is not None else []
            if not pieces:
                return None
            return add_pieces(output, inputs[0], pieces)

        return add

    @contextmanager
    def using(self, mix: Mix | None) -> Iterator[None]:
        before, self.mix = self.mix, mix
        try:
            yield
        finally:
            self.mix = before


def add_pieces(y: Tensor, x: Tensor, pieces: Sequence[Piece]) -> Tensor:
    """y[rows] += (x[rows] Aᵀ) Bᵀ for every piece; x [rows, ..., in], y [rows, ..., out]."""
    if torch.is_grad_enabled() and (x.requires_grad or y.requires_grad):
        return _AddPieces.apply(y, x, pieces)
    for piece in pieces:
        part = y[piece.start : piece.end].flatten(0, -2)
        part.addmm_(x[piece.start : piece.end].flatten(0, -2) @ piece.a.T, piece.b.T)
    return y


class _AddPieces(torch.autograd.Function):
    """Forward as above; backward adds dA = (g B)ᵀ x and dB = scale · gᵀ (x Aᵀ) to the sinks and
    returns dy, dx."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, x: Tensor, pieces: Sequence[Piece]) -> Tensor:
        ctx.pieces, hidden = pieces, []
        for piece in pieces:
            h = x[piece.start : piece.end].flatten(0, -2) @ piece.a.T
            y[piece.start : piece.end].flatten(0, -2).addmm_(h, piece.b.T)
            hidden.append(h)
        ctx.save_for_backward(x, *hidden)
        ctx.mark_dirty(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, *hidden = ctx.saved_tensors
        dx = torch.zeros_like(x)
        for piece, h in zip(ctx.pieces, hidden, strict=True):
            g = grad[piece.start : piece.end].flatten(0, -2)
            gh = g @ piece.b
            torch.mm(gh, piece.a, out=dx[piece.start : piece.end].flatten(0, -2))
            if piece.a_sink is not None:
                piece.a_sink.add_(gh.T @ x[piece.start : piece.end].flatten(0, -2))
                piece.b_sink.add_(g.T @ h, alpha=piece.scale)
        return grad, dx, None
