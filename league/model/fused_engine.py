"""The fast engine for Llama-shaped decoders: flat packed tokens, fused projections, a backward pass
written out by hand.

One pass serves prefill and training alike: tokens of all rows lie flat, without padding, every distinct prefix once
(forest.py), and each version's low-rank products run over its own contiguous tokens. Training saves, per layer and
token, the residual stream twice, queries, keys, values, the attention's output and gate|up; with checkpointing only
the first, and the layer is run again.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from league.model import ops
from league.model.adapter_stack import Fused, Stack
from league.model.bank import AdapterBank
from league.model.decoder_weights import DOWN, GATE_UP, OUT, QKV, Decoder, Layer
from league.model.fused_session import FusedSession
from league.model.generic_engine import Micro, Pass, Prompt, Row
from league.model.lora import GradientSink
from league.model.prefix_cache import PrefixCache, join, shared
from league.model.prefix_tree import Forest, grow
from league.model.tree_attention import Plan, plan_attention, ranks
from league.types import Version


@dataclass
class Packed:
    """A forest on the device, with its adapters: what every layer needs."""

    forest: Forest
    tokens: Tensor
    attention: Plan
    stack: Stack | None
    runs: list[tuple[int, int, int]]
    """(start, end, slot) of the computed tokens that have an adapter."""
    tables: dict[str, tuple[Tensor, Tensor]]
    rank: np.ndarray
    """Flat index → number among the keys: computed tokens first, then those whose keys and values
    are known."""
    known: Tensor | None
    """Keys and values of the known tokens [n, layers, 2, K, D]."""


@dataclass
class Saved:
    """What one layer keeps for its backward pass; only x when checkpointing."""

    x: Tensor
    q: Tensor
    k: Tensor
    v: Tensor
    raw: Tensor | None
    """q|k before their norms, where the family has them."""
    attended: Tensor
    projected: Tensor | None
    """o_proj's output, where a norm follows it."""
    middle: Tensor
    gate_up: Tensor
    down: Tensor | None
    low: tuple[list[Tensor], ...]
    """Per projection and run, x Aᵀ."""


class FusedEngine:
    """Same interface as GenericEngine."""

    name = "fused"

    def __init__(self, bank: AdapterBank, decoder: Decoder):
        self.bank, self.base, self.decoder = bank, bank.base, decoder
        self.windows = sorted({layer.window for layer in decoder.layers}, key=lambda window: window or 0)
        self.prefixes: PrefixCache | None = None
        self._cached: tuple[tuple[tuple[Version, int], ...], Stack] | None = None

    # --------------------------------------------------------------------------------------------- adapters
    def stack(self, versions: Sequence[Version]) -> Stack | None:
        """Stacked adapters of exactly these distinct versions; the last stack is kept until one of
        its versions changes."""
        if not versions:
            return None
        key = tuple((version, self.bank.slice(version).revision) for version in versions)
        if self._cached is None or self._cached[0] != key:
            self._cached = None
            self._cached = (key, Stack(self.bank, self.decoder, versions))
        return self._cached[1]

    def forget(self) -> None:
        """Free the kept stack: an update makes it stale anyway, and its memory is wanted for
        gradients."""
        self._cached = None

    @contextmanager
    def remembering(self, limit: int) -> Iterator[None]:
        """Inside, sessions keep the keys and values of at most `limit` tokens for later sessions."""
        before, self.prefixes = self.prefixes, PrefixCache(self.bank, limit) if limit else None
        try:
            yield
        finally:
            self.prefixes = before

    def pack(
        self,
        rows: Sequence[Sequence[int]],
        versions: Sequence[Version | None],
        stack: Stack | None = None,
        found: Sequence[Sequence[Tensor]] | None = None,
    ) -> Packed:
        """`stack`: one that holds the rows' versions, where there is one. `found`: per row, the
        known keys and values of its beginning, shorter than the row (PrefixCache.find)."""
        forest = grow(rows, versions)
        mask, known = _known(forest, found) if found is not None and any(found) else (None, None)
        stack = stack or self.stack([version for _, _, version in forest.versions if version is not None])
        device, rank = self.base.device, ranks(len(forest), mask)
        fresh = np.arange(len(forest)) if mask is None else np.flatnonzero(~mask)
        runs = [
            (int(np.searchsorted(fresh, start)), int(np.searchsorted(fresh, end)), stack.slots[version])
            for start, end, version in forest.versions
            if version is not None and stack is not None
        ]
        attention = plan_attention(forest, self.decoder.heads, self.windows, device, mask)
        positions = torch.from_numpy(np.asarray(forest.positions)[fresh]).to(device)
        tokens = torch.from_numpy(np.asarray(forest.tokens)[fresh]).to(device)
        tables = {kind: self.decoder.cos_sin(positions, kind) for kind in {layer.kind for layer in self.decoder.layers}}
        return Packed(forest, tokens, attention, stack, runs, tables, rank, known)

    # ---------------------------------------------------------------------------------------------- forward
    def project(
        self, x: Tensor, layer: Layer, fused: Fused | None, group: int, runs: Sequence[tuple[int, int, int]]
    ) -> tuple[Tensor, list[Tensor]]:
        """Base product plus each run's own low-rank product; also each run's x Aᵀ."""
        y, low = layer.linears[group](x), []
        if fused is not None:
            for start, end, slot in runs:
                low.append(x[start:end] @ fused.a[slot].T)
                y[start:end].addmm_(low[-1], fused.b[slot])
        return y, low

    def layer(self, x: Tensor, index: int, packed: Packed) -> tuple[Tensor, Saved]:
        """One decoder layer over flat tokens x [N, h]."""
        d, layer, runs = self.decoder, self.decoder.layers[index], packed.runs
        each: Sequence[Fused | None] = packed.stack.layers[index] if packed.stack is not None else [None] * 4
        normed = ops.rms(x, layer.norm_attention, d.eps)
        qkv, low_qkv = self.project(normed, layer, each[QKV], QKV, runs)
        qkv = qkv.view(len(x), -1, d.head_size)
        raw = qkv[:, : d.heads + d.kv_heads] if layer.norm_q is not None else None
        turned = ops.rotate(self.head_norms(qkv, layer), *packed.tables[layer.kind])
        q, k, v = turned[:, : d.heads], turned[:, d.heads :], qkv[:, d.heads + d.kv_heads :].contiguous()
        if packed.known is not None:
            k, v = torch.cat([k, packed.known[:, index, 0]]), torch.cat([v, packed.known[:, index, 1]])
        attended = ops.attend(q, k, v, packed.attention, d.scaling, layer.window)
        projected, low_out = self.project(attended, layer, each[OUT], OUT, runs)
        after = layer.norm_after_attention
        middle = x + (projected if after is None else ops.rms(projected, after, d.eps))
        gate_up, low_up = self.project(ops.rms(middle, layer.norm_mlp, d.eps), layer, each[GATE_UP], GATE_UP, runs)
        down, low_down = self.project(ops.gate(gate_up, d.activation), layer, each[DOWN], DOWN, runs)
        last = layer.norm_after_mlp
        out = middle + (down if last is None else ops.rms(down, last, d.eps))
        kept = (projected if after is not None else None, middle, gate_up, down if last is not None else None)
        return out, Saved(x, q, k, v, raw, attended, *kept, (low_qkv, low_out, low_up, low_down))

    def head_norms(self, qkv: Tensor, layer: Layer) -> Tensor:
        """q|k of qkv [N, H + 2K, D], normed per head where the family does (Qwen3, Gemma3)."""
        d = self.decoder
        both = qkv[:, : d.heads + d.kv_heads]
        if layer.norm_q is None or layer.norm_k is None:
            return both
        return torch.cat(
            [ops.rms(both[:, : d.heads], layer.norm_q, d.eps), ops.rms(both[:, d.heads :], layer.norm_k, d.eps)], 1
        )

    # --------------------------------------------------------------------------------------------- backward
    def project_backward(
        self, grad: Tensor, x: Tensor, low: Sequence[Tensor], index: int, group: int, packed: Packed, sink: GradientSink
    ) -> Tensor:
        """Gradient at x; adds those of A and B to the sink. `low` is what `project` gave."""
        layer, stack = self.decoder.layers[index], packed.stack
        dx = grad @ layer.linears[group].weight
        for (start, end, slot), hidden in zip(packed.runs, low, strict=True):
            assert stack is not None
            fused = stack.layers[index][group]
            part = grad[start:end]
            through = part @ fused.b[slot].T
            dx[start:end].addmm_(through, fused.a[slot])
            da, db = through.T @ x[start:end], hidden.T @ part
            stack.scatter(slot, layer.paths[group], layer.outs[group], da, db, sink[stack.versions[slot]])
        return dx

    def layer_backward(self, grad: Tensor, index: int, saved: Saved, packed: Packed, sink: GradientSink) -> Tensor:
        """Gradient at the layer's input from that at its output."""
        d, layer = self.decoder, self.decoder.layers[index]
        g = (
            grad
            if saved.down is None or layer.norm_after_mlp is None
            else ops.rms_backward(grad, saved.down, layer.norm_after_mlp, d.eps)
        )
        active = ops.activate(saved.gate_up, d.activation)
        g = self.project_backward(g, active * saved.gate_up.chunk(2, -1)[1], saved.low[DOWN], index, DOWN, packed, sink)
        g = ops.gate_backward(g, saved.gate_up, active, d.activation)
        g = self.project_backward(
            g, ops.rms(saved.middle, layer.norm_mlp, d.eps), saved.low[GATE_UP], index, GATE_UP, packed, sink
        )
        grad = grad + ops.rms_backward(g, saved.middle, layer.norm_mlp, d.eps)
        g = grad
        if saved.projected is not None and layer.norm_after_attention is not None:
            g = ops.rms_backward(grad, saved.projected, layer.norm_after_attention, d.eps)
        g = self.project_backward(g, saved.attended, saved.low[OUT], index, OUT, packed, sink)
        dq, dk, dv = ops.attend_backward(g, saved.q, saved.k, saved.v, packed.attention, d.scaling, layer.window)
        turned = ops.rotate_backward(torch.cat([dq, dk], 1), *packed.tables[layer.kind])
        if saved.raw is not None and layer.norm_q is not None and layer.norm_k is not None:
            turned = torch.cat(
                [
                    ops.rms_backward(turned[:, : d.heads], saved.raw[:, : d.heads], layer.norm_q, d.eps),
                    ops.rms_backward(turned[:, d.heads :], saved.raw[:, d.heads :], layer.norm_k, d.eps),
                ],
                1,
            )
        g = torch.cat([turned, dv], 1).flatten(1)
        g = self.project_backward(
            g, ops.rms(saved.x, layer.norm_attention, d.eps), saved.low[QKV], index, QKV, packed, sink
        )
        return grad + ops.rms_backward(g, saved.x, layer.norm_attention, d.eps)

    # ---------------------------------------------------------------------------------------------- training
    def plan(self, rows: Sequence[Row], versions: Sequence[Version], budget: int) -> list[Micro]:
        """Micro-batches of about `budget` distinct tokens: rows in trie order, so that what shares
        a prefix stays together."""
        order = sorted(range(len(rows)), key=lambda i: (versions[i], rows[i][0], rows[i][1], i))
        plans: list[list[int]] = []
        load = 0
        for index in order:
            whole = rows[index][0] + rows[index][1]
            if plans and versions[plans[-1][-1]] == versions[index]:
                before = plans[-1][-1]
                new = len(whole) - shared(whole, rows[before][0] + rows[before][1])
            else:
                new = len(whole)
            if plans and load + new <= budget:
                plans[-1].append(index)
                load += new
            else:
                plans.append([index])
                load = len(whole)
        return [Micro(tuple(plan)) for plan in plans]

    def run(
        self, rows: Sequence[Row], versions: Sequence[Version | None], sink: GradientSink | None, checkpointing: bool
    ) -> Pass:
        """Hidden states that predict the completions' tokens, flat [tokens, h], row by row; `sink`
        None means no backward."""
        packed = self.pack([prompt + completion[:-1] for prompt, completion in rows], versions)
        pick = torch.tensor(
            [index for row, (prompt, _) in enumerate(rows) for index in packed.forest.flat(row)[len(prompt) - 1 :]],
            device=self.base.device,
        )
        with torch.no_grad():
            x = self.decoder.embed(packed.tokens)
            kept: list[Saved | Tensor] = []
            for index in range(len(self.decoder.layers)):
                out, saved = self.layer(x, index, packed)
                if sink is not None:
                    kept.append(x if checkpointing else saved)
                x = out
            last = x[pick]
            hidden = ops.rms(last, self.decoder.norm, self.decoder.eps)
        return Pass(hidden, self._backward(packed, kept, last, pick, sink))

    def _backward(
        self, packed: Packed, kept: list[Saved | Tensor], last: Tensor, pick: Tensor, sink: GradientSink | None
    ) -> Callable[[Tensor], None]:
        def backward(grad: Tensor) -> None:
            assert sink is not None, "this pass was run without a gradient sink"
            with torch.no_grad():
                at_last = ops.rms_backward(grad, last, self.decoder.norm, self.decoder.eps)
                g = torch.zeros(len(packed.tokens), last.shape[1], dtype=torch.float32, device=last.device)
                g = g.index_add_(0, pick, at_last.float()).to(last.dtype)
                for index in reversed(range(len(kept))):
                    saved = kept.pop()
                    if isinstance(saved, Tensor):
                        _, saved = self.layer(saved, index, packed)
                    g = self.layer_backward(g, index, saved, packed, sink)

        return backward

    # ---------------------------------------------------------------------------------------------- decoding
    def open(self, prompts: Sequence[Prompt], reserve: int) -> FusedSession:
        """Prefill; `reserve` is the most tokens that will follow."""
        return FusedSession(self, prompts, reserve)


def _known(forest: Forest, found: Sequence[Sequence[Tensor]]) -> tuple[np.ndarray, Tensor]:
    """Which flat tokens are known [N], and their keys and values [n, layers, 2, K, D]; rows' last
    tokens are always computed."""
    paths = [
        np.asarray(forest.flat(row))[: sum(piece.shape[3] for piece in pieces)] for row, pieces in enumerate(found)
    ]
    mask = np.zeros(len(forest), dtype=bool)
    mask[np.concatenate(paths)] = True
    mask[[path[-1][1] - 1 for path in forest.paths]] = False
    place = mask.cumsum() - 1
    first = next(pieces[0] for pieces in found if pieces)
    layers, two, heads, _, size = first.shape
    known = first.new_empty((int(mask.sum()), layers, two, heads, size))
    for path, pieces in zip(paths, found, strict=True):
        if pieces:
            kept = mask[path]
            known[torch.from_numpy(place[path[kept]])] = join(pieces)[torch.from_numpy(np.flatnonzero(kept))]
    return mask, known
