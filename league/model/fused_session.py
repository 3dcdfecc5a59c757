"""Token-by-token decoding with fused projections and shared prompts.

Rows are sorted by version, so a projection's adapters are one batched product over S slots; where rows per slot are
uneven they are padded through an index, and where that would waste more than half, slots go one by one. A prompt's
keys and values exist once and are read by all its samples; each row has a buffer of its own for what it says. Rows
that end are dropped and the buffers closed up.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from league.model import ops
from league.model.adapter_stack import Fused, Stack
from league.model.decoder_weights import DOWN, GATE_UP, OUT, QKV
from league.model.generic_engine import Prompt
from league.model.memory import give_back
from league.types import Version

if TYPE_CHECKING:
    from league.model.fused_engine import FusedEngine

PREFILL_TOKENS = 2048
"""Distinct prompt tokens computed at a time: bounds memory, and sharing holds inside each part."""
BLOCK = 32
"""Rows' own buffers grow by this many tokens and are always read whole: batched products copy
operands that are not contiguous, which costs more than the masked columns."""


@dataclass(frozen=True)
class RowPlan:
    """Which rows use which slot. Rows [start, R) have adapters, sorted by slot; those before are
    the base.

    gather [S·cap] picks rows for the padded batch, scatter [R − start] finds each row's place in it; both None when
    rows are even. `spans` is used instead when padding would waste more than half.
    """

    stack: Stack
    start: int
    count: int
    gather: Tensor | None = None
    scatter: Tensor | None = None
    spans: tuple[tuple[int, int, int], ...] = ()

    def add(self, y: Tensor, x: Tensor, fused: Fused) -> None:
        """y[rows] += (x[rows] Aᵀ) B, in place."""
        for start, end, slot in self.spans:
            y[start:end].addmm_(x[start:end] @ fused.a[slot].T, fused.b[slot])
        if self.spans:
            return
        if self.gather is None:
            own = x[self.start :].view(self.count, -1, x.shape[1])
            y[self.start :].view(self.count, -1, y.shape[1]).baddbmm_(torch.bmm(own, fused.a.transpose(1, 2)), fused.b)
            return
        own = x[self.gather].view(self.count, -1, x.shape[1])
        more = torch.bmm(torch.bmm(own, fused.a.transpose(1, 2)), fused.b)
        y[self.start :] += more.view(-1, y.shape[1])[self.scatter]


def plan_rows(stack: Stack, versions: Sequence[Version | None], device: torch.device) -> RowPlan:
    """`versions` must be sorted as the stack's, None first; the stack may hold more."""
    start = sum(1 for version in versions if version is None)
    counts = [0] * len(stack.versions)
    for version in versions[start:]:
        assert version is not None
        counts[stack.slots[version]] += 1
    cap, rows = max(counts), len(versions) - start
    if len(counts) * cap == rows:
        return RowPlan(stack, start, len(counts))
    firsts = [start + sum(counts[:slot]) for slot in range(len(counts))]
    if len(counts) * cap > 2 * rows:
        spans = tuple((first, first + n, slot) for slot, (first, n) in enumerate(zip(firsts, counts, strict=True)) if n)
        return RowPlan(stack, start, len(counts), spans=spans)
    gather = [min(first + j, len(versions) - 1) for first in firsts for j in range(cap)]
    scatter = [slot * cap + j for slot, n in enumerate(counts) for j in range(n)]
    return RowPlan(stack, start, len(counts), torch.tensor(gather, device=device), torch.tensor(scatter, device=device))


def _close_up(buffer: Tensor, index: Tensor) -> Tensor:
    """Move rows `index` (ascending) of a buffer [layers, 2, rows, ...] to its front, layer by
    layer, and return that part."""
    for layer in buffer:
        layer[:, : len(index)] = layer[:, index]
    return buffer[:, :, : len(index)]


class FusedSession:
    """Rows being decoded; `logits` [rows, V] are those of the next token. Same interface as
    GenericSession."""

    def __init__(self, engine: "FusedEngine", prompts: Sequence[Prompt], reserve: int):
        self.engine, self.decoder = engine, engine.decoder
        d, device = self.decoder, engine.base.device
        lengths = [len(prompt.tokens) for prompt in prompts]
        longest = max(lengths)
        copies = torch.tensor([prompt.copies for prompt in prompts], device=device)
        rows = int(copies.sum())
        self.prompt = torch.arange(len(prompts), device=device).repeat_interleave(copies)
        self.versions = [prompt.version for prompt in prompts for _ in range(prompt.copies)]
        self.stack = engine.stack(sorted({prompt.version for prompt in prompts if prompt.version is not None}))
        self.memory = engine.prefixes
        self.reused = 0
        """Prompt tokens whose keys and values were known."""
        self.read = [prompt.tokens for prompt in prompts for _ in range(prompt.copies)]
        self.said: list[list[int]] = [[] for _ in self.read]
        self.positions = torch.tensor(lengths, device=device)[self.prompt]
        kv = (len(d.layers), 2, len(prompts), d.kv_heads, longest, d.head_size)
        self.shared = torch.zeros(kv, dtype=d.dtype, device=device)
        self.reserve = max(reserve, 1)
        self.used = 0
        with torch.inference_mode():
            pads = torch.arange(longest, device=device)[None] >= torch.tensor(lengths, device=device)[:, None]
            self.pads = pads[:, None, None] if bool(pads.any()) else None
            self.logits = self._prefill(prompts)[self.prompt]
            room = min(BLOCK, self.reserve)
            self.own = torch.zeros(
                (len(d.layers), 2, rows, d.kv_heads, room, d.head_size), dtype=d.dtype, device=device
            )
            self._layout()

    def _prefill(self, prompts: Sequence[Prompt]) -> Tensor:
        """Fill `shared` from one packed pass over the distinct prefixes; return each prompt's
        next-token logits."""
        logits = torch.empty(
            len(prompts), len(self.decoder.head.weight), dtype=self.decoder.dtype, device=self.positions.device
        )
        rows = [(prompt.tokens, ()) for prompt in prompts]
        versions = [prompt.version or Version("", -1) for prompt in prompts]
        parts = self.engine.plan(rows, versions, PREFILL_TOKENS)
        for micro in parts:
            logits[list(micro.order)] = self._prefill_part(prompts, micro.order)
            if len(parts) > 1:
                give_back()  # parts differ in shape, and what one leaves behind does not fit the next
        return logits

    def _prefill_part(self, prompts: Sequence[Prompt], part: Sequence[int]) -> Tensor:
        engine, d, memory = self.engine, self.decoder, self.memory
        found = [memory.find(prompts[i].version, prompts[i].tokens[:-1]) for i in part] if memory is not None else None
        packed = engine.pack([prompts[i].tokens for i in part], [prompts[i].version for i in part], self.stack, found)
        self.reused += len(packed.known) if packed.known is not None else 0
        places = [
            torch.from_numpy(packed.rank[packed.forest.flat(row)]).to(self.positions.device) for row in range(len(part))
        ]
        x = d.embed(packed.tokens)
        for index in range(len(d.layers)):
            x, saved = engine.layer(x, index, packed)
            for row, place in zip(part, places, strict=True):
                self.shared[index, 0, row, :, : len(place)] = saved.k[place].transpose(0, 1)
                self.shared[index, 1, row, :, : len(place)] = saved.v[place].transpose(0, 1)
        last = x[torch.stack([place[-1] for place in places])]
        return d.head(ops.rms(last, d.norm, d.eps))

    def _layout(self) -> None:
        """Everything that depends on which rows are left."""
        device = self.positions.device
        distinct = sorted({version for version in self.versions if version is not None})
        if self.stack is not None and 2 * len(distinct) < len(self.stack.versions):
            self.stack = self.stack.take(distinct) if distinct else None
        self.plan = plan_rows(self.stack, self.versions, device) if self.stack is not None else None
        prompts = self.shared.shape[2]
        counts = torch.bincount(self.prompt, minlength=prompts)
        self.group = int(counts.max())
        self.even = bool((counts == self.group).all())
        starts = counts.cumsum(0) - counts
        offset = torch.arange(len(self.prompt), device=device) - starts[self.prompt]
        self.place = self.prompt * self.group + offset
        self.fill = (
            (starts[:, None] + torch.arange(self.group, device=device)).clamp_(max=len(self.prompt) - 1).flatten()
        )

    def remember(self, rows: Iterable[int]) -> None:
        """Hand what these rows have read and said to the cache of prefixes, if there is one."""
        if self.memory is None:
            return
        for row in rows:
            prompt, own, length = self.shared[:, :, int(self.prompt[row])], self.own[:, :, row], len(self.read[row])

            def read(start: int, end: int, prompt: Tensor = prompt, own: Tensor = own, length: int = length) -> Tensor:
                before = prompt[:, :, :, min(start, length) : min(end, length)]
                return torch.cat([before, own[:, :, :, max(start - length, 0) : max(end - length, 0)]], 3)

            self.memory.put(self.versions[row], self.read[row] + tuple(self.said[row]), read)

    def keep(self, index: Tensor) -> None:
        """Keep the rows at `index` (ascending); prompts without rows go too."""
        kept = set(index.tolist())
        self.remember(row for row in range(len(self.versions)) if row not in kept)
        self.read, self.said = [self.read[row] for row in index.tolist()], [self.said[row] for row in index.tolist()]
        with torch.inference_mode():
            self.own = _close_up(self.own, index)
            self.versions = [self.versions[row] for row in index.tolist()]
            self.positions, self.logits = self.positions[index], self.logits[index]
            left, self.prompt = torch.unique_consecutive(self.prompt[index], return_inverse=True)
            if len(left) < self.shared.shape[2]:
                self.shared = _close_up(self.shared, left)
                self.pads = self.pads[left] if self.pads is not None else None
            self._layout()

    def step(self, tokens: Tensor) -> None:
        """Append one token [rows] to every row and compute the next logits."""
        d = self.decoder
        for said, token in zip(self.said, tokens.tolist(), strict=True):
            said.append(token)
        with torch.inference_mode():
            if self.used == self.own.shape[4]:
                more = min(BLOCK, max(self.reserve - self.used, 1))
                self.own = torch.cat([self.own, self.own.new_zeros((*self.own.shape[:4], more, d.head_size))], 4)
            x = d.embed(tokens)
            tables = {kind: d.cos_sin(self.positions, kind) for kind in {layer.kind for layer in d.layers}}
            for index in range(len(d.layers)):
                x = self._layer(x, index, tables)
            self.logits = d.head(ops.rms(x, d.norm, d.eps))
            self.positions = self.positions + 1
            self.used += 1

    def _project(self, x: Tensor, index: int, group: int) -> Tensor:
        y = self.decoder.layers[index].linears[group](x)
        if self.plan is not None:
            self.plan.add(y, x, self.plan.stack.layers[index][group])
        return y

    def _layer(self, x: Tensor, index: int, tables: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
        d, layer = self.decoder, self.decoder.layers[index]
        qkv = self._project(ops.rms(x, layer.norm_attention, d.eps), index, QKV).view(len(x), -1, d.head_size)
        turned = ops.rotate(self.engine.head_norms(qkv, layer), *tables[layer.kind])
        own = self.own[index]
        own[0, :, :, self.used] = turned[:, d.heads :]
        own[1, :, :, self.used] = qkv[:, d.heads + d.kv_heads :]
        attended = self._attend(turned[:, : d.heads], index, layer.window)
        y = self._project(attended, index, OUT)
        x = x + (y if layer.norm_after_attention is None else ops.rms(y, layer.norm_after_attention, d.eps))
        gate_up = self._project(ops.rms(x, layer.norm_mlp, d.eps), index, GATE_UP)
        y = self._project(ops.gate(gate_up, d.activation), index, DOWN)
        return x + (y if layer.norm_after_mlp is None else ops.rms(y, layer.norm_after_mlp, d.eps))

    def _attend(self, q: Tensor, index: int, window: int | None) -> Tensor:
        """One query per row over its prompt's keys (shared by the prompt's rows) and its own; q [R,
        H, D] → [R, H·D]."""
        d, rows = self.decoder, len(q)
        per, prompts, length = d.heads // d.kv_heads, self.shared.shape[2], self.shared.shape[4]
        q = (q * d.scaling).reshape(rows, d.kv_heads, per, d.head_size)
        keys, values = self.shared[index]
        own_keys, own_values = self.own[index]
        by_prompt = (q if self.even else q[self.fill]).view(prompts, self.group, d.kv_heads, per, d.head_size)
        by_prompt = by_prompt.transpose(1, 2).reshape(prompts, d.kv_heads, self.group * per, d.head_size)
        first = torch.matmul(by_prompt, keys.transpose(2, 3))
        if self.pads is not None:
            first.masked_fill_(self.pads, float("-inf"))
        first = (
            first.view(prompts, d.kv_heads, self.group, per, length)
            .transpose(1, 2)
            .reshape(-1, d.kv_heads, per, length)
        )
        if not self.even:
            first = first[self.place]
        scores = torch.cat([first, torch.matmul(q, own_keys.transpose(2, 3))], -1)
        scores[..., length + self.used + 1 :] = float("-inf")
        if window is not None:
            self._drop_far(scores, length, window)
        p = scores.softmax(-1)
        out = torch.matmul(p[..., length:], own_values)
        back = p[..., :length] if self.even else p[self.fill][..., :length]
        back = (
            back.reshape(prompts, self.group, d.kv_heads, per, length)
            .transpose(1, 2)
            .reshape(prompts, d.kv_heads, -1, length)
        )
        more = torch.matmul(back, values).view(prompts, d.kv_heads, self.group, per, d.head_size).transpose(1, 2)
        more = more.reshape(-1, d.kv_heads, per, d.head_size)
        return (out + (more if self.even else more[self.place])).flatten(1)

    def _drop_far(self, scores: Tensor, length: int, window: int) -> None:
        """Sliding window: hide keys at least `window` positions behind the row's own."""
        own = self.positions[:, None] - self.used + torch.arange(self.own.shape[4], device=scores.device)
        prompt = torch.arange(length, device=scores.device).expand(len(own), -1)
        far = self.positions[:, None] - torch.cat([prompt, own], 1) >= window
        scores.masked_fill_(far[:, None, None], float("-inf"))
