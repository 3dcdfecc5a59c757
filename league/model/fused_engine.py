"""The fast engine for Llama-shaped decoders: flat packed tokens, fused projections, a manual backward.

One pass serves prefill and training alike: tokens of all rows lie flat, without padding, every distinct prefix once
(packing.py), and a layer's forward and backward are written out (decoder_layer.py). Training saves, per layer and
token, the residual stream twice, queries, keys, values, the attention's output and gate|up; with checkpointing only
the first, and the layer is run again.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from league.model import ops
from league.model.adapter_stack import Stack
from league.model.bank import AdapterBank
from league.model.decoder_layer import LayerBackward, Saved, layer_forward
from league.model.decoder_weights import Decoder
from league.model.engine import Engine, GradientSink, MicroBatch, Pass, Prompt, Row
from league.model.fused_session import FusedSession
from league.model.packing import Packed, pack_rows, plan_packed
from league.model.prefix_cache import PrefixCache
from league.types import Version


class FusedEngine(Engine):
    """Engine over a `Decoder`: the weights of a supported architecture, fused per projection."""

    def __init__(self, bank: AdapterBank, decoder: Decoder):
        self.bank, self.base, self.decoder = bank, bank.base, decoder
        self.prefixes: PrefixCache | None = None
        self._stacked: tuple[tuple[tuple[Version, int], ...], Stack] | None = None

    def stack(self, versions: Sequence[Version | None]) -> Stack | None:
        """The adapters of these versions; None where all are the base.

        The last stack is kept until one of its versions changes.
        """
        distinct = sorted({version for version in versions if version is not None})
        if not distinct:
            return None
        key = tuple((version, self.bank.slice(version).revision) for version in distinct)
        if self._stacked is None or self._stacked[0] != key:
            self._stacked = None
            self._stacked = (key, Stack(self.bank, self.decoder, distinct))
        return self._stacked[1]

    def forget(self) -> None:
        """Free the kept stack: an update makes it stale, and gradients want its memory."""
        self._stacked = None

    @contextmanager
    def prefix_caching(self, limit: int) -> Iterator[None]:
        before, self.prefixes = self.prefixes, PrefixCache(self.bank, limit) if limit else None
        try:
            yield
        finally:
            self.prefixes = before

    def open(self, prompts: Sequence[Prompt], reserve: int) -> FusedSession:
        stack = self.stack([prompt.version for prompt in prompts])
        return FusedSession(self.decoder, prompts, reserve, stack, self.prefixes)

    def plan(self, rows: Sequence[Row], versions: Sequence[Version], budget: int) -> list[MicroBatch]:
        """Micro-batches of about `budget` distinct tokens; rows that share a prefix stay together."""
        return plan_packed(rows, versions, budget)

    def run(
        self, rows: Sequence[Row], versions: Sequence[Version | None], sink: GradientSink | None, checkpointing: bool
    ) -> Pass:
        packed = pack_rows(
            self.decoder, [prompt + completion[:-1] for prompt, completion in rows], versions, self.stack(versions)
        )
        pick = torch.tensor(
            [index for row, (prompt, _) in enumerate(rows) for index in packed.trees.flat(row)[len(prompt) - 1 :]],
            device=self.base.device,
        )
        with torch.no_grad():
            x_NH = self.decoder.embed(packed.tokens_N)
            kept: list[Saved | Tensor] = []
            for index in range(len(self.decoder.layers)):
                out_NH, saved = layer_forward(self.decoder, x_NH, index, packed)
                if sink is not None:
                    kept.append(x_NH if checkpointing else saved)
                x_NH = out_NH
            last_NH = x_NH[pick]  # packed tokens → loss positions
            hidden_NH = ops.rms(last_NH, self.decoder.norm_H, self.decoder.eps)
        return Pass(hidden_NH, self._backward(packed, kept, last_NH, pick, sink))

    def _backward(
        self, packed: Packed, kept: list[Saved | Tensor], last_NH: Tensor, pick: Tensor, sink: GradientSink | None
    ) -> Callable[[Tensor], None]:
        decoder = self.decoder

        def backward(grad_NH: Tensor) -> None:
            assert sink is not None, "this pass was run without a gradient sink"
            with torch.no_grad():
                at_last_NH = ops.rms_backward(grad_NH, last_NH, decoder.norm_H, decoder.eps)
                shape = (len(packed.tokens_N), last_NH.shape[1])
                g_NH = torch.zeros(shape, dtype=torch.float32, device=last_NH.device)
                g_NH = g_NH.index_add_(0, pick, at_last_NH.float()).to(last_NH.dtype)  # loss positions → packed tokens
                for index in reversed(range(len(kept))):
                    saved = kept.pop()
                    if isinstance(saved, Tensor):
                        _, saved = layer_forward(decoder, saved, index, packed)
                    g_NH = LayerBackward(decoder, packed, sink, index, saved).run(g_NH)

        return backward
