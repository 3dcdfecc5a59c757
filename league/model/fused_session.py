"""Token-by-token decoding with fused projections and shared prompts.

Rows are sorted by version, so a projection's adapters are one batched product over S slots; where rows per slot are
uneven they are padded through an index, and where that would waste more than half, slots go one by one. A prompt's
keys and values exist once and are read by all its samples; each row has a buffer of its own for what it says. Rows
that end are dropped and the buffers closed up.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from league.model import ops
from league.model.adapter_stack import Fused, Stack
from league.model.decoder_layer import head_norms, layer_forward
from league.model.decoder_weights import DOWN, GATE_UP, OUT, QKV, Decoder
from league.model.engine import Prompt, Session
from league.model.memory import release_freed_memory
from league.model.packing import pack_rows, plan_packed
from league.model.prefix_cache import PrefixCache
from league.types import Version

PREFILL_TOKENS = 2048
"""Distinct prompt tokens computed at a time: bounds memory, and sharing holds inside each part."""
BLOCK = 32
"""Rows' own buffers grow by this many tokens and are always read whole.

Batched products copy operands that are not contiguous, which costs more than the masked columns.
"""


@dataclass(frozen=True)
class RowPlan:
    """Which rows use which slot of the stack.

    Rows before `start` are the base's, the others sorted by slot.

    Where rows per slot are uneven, `gather` [S·n] picks rows for a batch padded to n rows a slot, and `scatter`
    [R − start] finds each row in it. Where padding would waste more than half, `spans` (start, end, slot) is used.
    """

    stack: Stack
    start: int
    slots: int
    gather: Tensor | None = None
    scatter: Tensor | None = None
    spans: tuple[tuple[int, int, int], ...] = ()

    def add(self, y_RO: Tensor, x_RI: Tensor, fused: Fused) -> None:
        """y[rows] += (x[rows] Aᵀ) B, in place."""
        for start, end, slot in self.spans:
            y_RO[start:end].addmm_(x_RI[start:end] @ fused.a_SZI[slot].T, fused.b_SZO[slot])
        if self.spans:
            return
        a_SIZ = fused.a_SZI.transpose(1, 2)
        if self.gather is None:
            x_SnI = x_RI[self.start :].view(self.slots, -1, x_RI.shape[1])  # [S·n, I] → [S, n, I]
            y_SnO = y_RO[self.start :].view(self.slots, -1, y_RO.shape[1])  # [S·n, O] → [S, n, O]
            y_SnO.baddbmm_(torch.bmm(x_SnI, a_SIZ), fused.b_SZO)
            return
        x_SnI = x_RI[self.gather].view(self.slots, -1, x_RI.shape[1])  # [R, I] → [S·n, I] → [S, n, I]
        more_SnO = torch.bmm(torch.bmm(x_SnI, a_SIZ), fused.b_SZO)
        y_RO[self.start :] += more_SnO.view(-1, y_RO.shape[1])[self.scatter]  # [S·n, O] → [R − start, O]


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
    """Move rows `index` (ascending) of a buffer [L, 2, R, ...] to its front and return that part.

    Layer by layer, so that no second buffer is needed.
    """
    for layer in buffer:
        layer[:, : len(index)] = layer[:, index]
    return buffer[:, :, : len(index)]


class FusedSession(Session):
    """A session over a `Decoder`.

    `stack` holds the adapters of its rows, `prefixes` what is known from before.
    """

    def __init__(
        self,
        decoder: Decoder,
        prompts: Sequence[Prompt],
        reserve: int,
        stack: Stack | None,
        prefixes: PrefixCache | None,
    ):
        d, device = decoder, decoder.device
        self.decoder, self.stack, self.prefixes = decoder, stack, prefixes
        lengths = [len(prompt.tokens) for prompt in prompts]
        longest = max(lengths)
        copies = torch.tensor([prompt.copies for prompt in prompts], device=device)
        rows = int(copies.sum())
        self.prompt_R = torch.arange(len(prompts), device=device).repeat_interleave(copies)
        """Each row's prompt, ascending."""
        self.versions = [prompt.version for prompt in prompts for _ in range(prompt.copies)]
        self.reused = 0
        self.read = [prompt.tokens for prompt in prompts for _ in range(prompt.copies)]
        self.said: list[list[int]] = [[] for _ in self.read]
        self.positions_R = torch.tensor(lengths, device=device)[self.prompt_R]
        shape = (len(d.layers), 2, len(prompts), d.kv_heads, longest, d.head_size)
        self.prompt_kv_L2BKTD = torch.zeros(shape, dtype=d.dtype, device=device)
        """Keys and values of the prompts, read by all rows of a prompt."""
        self.reserve = max(reserve, 1)
        self.used = 0
        """Columns of `own_kv_L2RKTD` in use."""
        with torch.inference_mode():
            pads_BT = torch.arange(longest, device=device)[None] >= torch.tensor(lengths, device=device)[:, None]
            self.pads_B11T = pads_BT[:, None, None] if bool(pads_BT.any()) else None
            self.logits_RV = self._prefill(prompts)[self.prompt_R]
            room = min(BLOCK, self.reserve)
            shape = (len(d.layers), 2, rows, d.kv_heads, room, d.head_size)
            self.own_kv_L2RKTD = torch.zeros(shape, dtype=d.dtype, device=device)
            """Keys and values of what each row has said."""
            self._layout()

    def _prefill(self, prompts: Sequence[Prompt]) -> Tensor:
        """Fill `prompt_kv_L2BKTD`; return each prompt's next-token logits [B, V]."""
        d = self.decoder
        logits_BV = torch.empty(len(prompts), len(d.head.weight_OI), dtype=d.dtype, device=d.device)
        rows = [(prompt.tokens, ()) for prompt in prompts]
        versions = [prompt.version or Version("", -1) for prompt in prompts]
        parts = plan_packed(rows, versions, PREFILL_TOKENS)
        for part in parts:
            logits_BV[list(part.order)] = self._prefill_part(prompts, part.order)
            if len(parts) > 1:
                release_freed_memory()  # parts differ in shape, and what one leaves behind does not fit the next
        return logits_BV

    def _prefill_part(self, prompts: Sequence[Prompt], part: Sequence[int]) -> Tensor:
        """The same for the prompts with these indices, in one packed pass."""
        d, cache = self.decoder, self.prefixes
        found = [cache.find(prompts[i].version, prompts[i].tokens[:-1]) for i in part] if cache is not None else None
        packed = pack_rows(d, [prompts[i].tokens for i in part], [prompts[i].version for i in part], self.stack, found)
        self.reused += len(packed.known_NL2KD) if packed.known_NL2KD is not None else 0
        places = [torch.from_numpy(packed.key_of_flat[packed.trees.flat(row)]).to(d.device) for row in range(len(part))]
        x_NH = d.embed(packed.tokens_N)
        for index in range(len(d.layers)):
            x_NH, saved = layer_forward(d, x_NH, index, packed)
            kv_2BKTD = self.prompt_kv_L2BKTD[index]
            for prompt, place_T in zip(part, places, strict=True):
                kv_2BKTD[0, prompt, :, : len(place_T)] = saved.k_MKD[place_T].transpose(0, 1)  # [T, K, D] → [K, T, D]
                kv_2BKTD[1, prompt, :, : len(place_T)] = saved.v_MKD[place_T].transpose(0, 1)
        last_BH = x_NH[torch.stack([place_T[-1] for place_T in places])]
        return d.head(ops.rms(last_BH, d.norm_H, d.eps))

    def _layout(self) -> None:
        """Everything that depends on which rows are left."""
        device = self.positions_R.device
        distinct = sorted({version for version in self.versions if version is not None})
        if self.stack is not None and 2 * len(distinct) < len(self.stack.versions):
            self.stack = self.stack.take(distinct) if distinct else None
        self.plan = plan_rows(self.stack, self.versions, device) if self.stack is not None else None
        counts_B = torch.bincount(self.prompt_R, minlength=self.prompt_kv_L2BKTD.shape[2])
        self.rows_per_prompt = int(counts_B.max())
        """G; prompts with fewer rows are padded to it where rows are regrouped by prompt."""
        self.even = bool((counts_B == self.rows_per_prompt).all())
        starts_B = counts_B.cumsum(0) - counts_B
        offset_R = torch.arange(len(self.prompt_R), device=device) - starts_B[self.prompt_R]
        self.place_R = self.prompt_R * self.rows_per_prompt + offset_R
        """Each row's place among the B·G padded ones."""
        rows_BG = starts_B[:, None] + torch.arange(self.rows_per_prompt, device=device)
        self.fill = rows_BG.clamp_(max=len(self.prompt_R) - 1).flatten()
        """The row at each of the B·G places [B·G]; any row where it is padding."""

    def cache_prefixes(self, rows: Iterable[int]) -> None:
        if self.prefixes is None:
            return
        for row in rows:
            prompt_kv_L2KTD = self.prompt_kv_L2BKTD[:, :, int(self.prompt_R[row])]
            own_kv_L2KTD, length = self.own_kv_L2RKTD[:, :, row], len(self.read[row])

            def read(
                start: int,
                end: int,
                prompt: Tensor = prompt_kv_L2KTD,
                own: Tensor = own_kv_L2KTD,
                length: int = length,
            ) -> Tensor:
                before = prompt[:, :, :, min(start, length) : min(end, length)]
                return torch.cat([before, own[:, :, :, max(start - length, 0) : max(end - length, 0)]], 3)

            self.prefixes.put(self.versions[row], self.read[row] + tuple(self.said[row]), read)

    def keep(self, index: Tensor) -> None:
        """Keep the rows at `index` (ascending) and drop the others; prompts without rows go too."""
        kept = set(index.tolist())
        self.cache_prefixes(row for row in range(len(self.versions)) if row not in kept)
        self.read, self.said = [self.read[row] for row in index.tolist()], [self.said[row] for row in index.tolist()]
        with torch.inference_mode():
            self.own_kv_L2RKTD = _close_up(self.own_kv_L2RKTD, index)
            self.versions = [self.versions[row] for row in index.tolist()]
            self.positions_R, self.logits_RV = self.positions_R[index], self.logits_RV[index]
            left_B, self.prompt_R = torch.unique_consecutive(self.prompt_R[index], return_inverse=True)
            if len(left_B) < self.prompt_kv_L2BKTD.shape[2]:
                self.prompt_kv_L2BKTD = _close_up(self.prompt_kv_L2BKTD, left_B)
                self.pads_B11T = self.pads_B11T[left_B] if self.pads_B11T is not None else None
            self._layout()

    def step(self, tokens_R: Tensor) -> None:
        d = self.decoder
        for said, token in zip(self.said, tokens_R.tolist(), strict=True):
            said.append(token)
        with torch.inference_mode():
            own = self.own_kv_L2RKTD
            if self.used == own.shape[4]:
                more = min(BLOCK, max(self.reserve - self.used, 1))
                self.own_kv_L2RKTD = torch.cat([own, own.new_zeros((*own.shape[:4], more, d.head_size))], 4)
            x_RH = d.embed(tokens_R)
            rotary = {kind: d.cos_sin(self.positions_R, kind) for kind in d.layer_kinds}
            for index in range(len(d.layers)):
                x_RH = self._layer(x_RH, index, rotary)
            self.logits_RV = d.head(ops.rms(x_RH, d.norm_H, d.eps))
            self.positions_R = self.positions_R + 1
            self.used += 1

    def _project(self, x_RI: Tensor, index: int, group: int) -> Tensor:
        """Fused projection `group` of layer `index`, with the rows' adapters [R, O]."""
        y_RO = self.decoder.layers[index].linears[group](x_RI)
        if self.plan is not None:
            self.plan.add(y_RO, x_RI, self.plan.stack.layers[index][group])
        return y_RO

    def _layer(self, x_RH: Tensor, index: int, rotary: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
        """One decoder layer on one token of every row."""
        d, layer = self.decoder, self.decoder.layers[index]
        qkv_RO = self._project(ops.rms(x_RH, layer.norm_attention_H, d.eps), index, QKV)
        qkv_RXD = qkv_RO.view(len(x_RH), -1, d.head_size)  # [R, (A + 2K)·D] → [R, A + 2K, D]
        turned_RXD = ops.rotate(head_norms(d, qkv_RXD, layer), *rotary[layer.kind])
        own_2RKTD = self.own_kv_L2RKTD[index]
        own_2RKTD[0, :, :, self.used] = turned_RXD[:, d.heads :]
        own_2RKTD[1, :, :, self.used] = qkv_RXD[:, d.heads + d.kv_heads :]
        attended_RO = self._attend(turned_RXD[:, : d.heads], index, layer.window)
        y_RH = self._project(attended_RO, index, OUT)
        after, last = layer.norm_after_attention_H, layer.norm_after_mlp_H
        x_RH = x_RH + (y_RH if after is None else ops.rms(y_RH, after, d.eps))
        gate_up_RO = self._project(ops.rms(x_RH, layer.norm_mlp_H, d.eps), index, GATE_UP)
        y_RH = self._project(ops.gate(gate_up_RO, d.activation), index, DOWN)
        return x_RH + (y_RH if last is None else ops.rms(y_RH, last, d.eps))

    def _attend(self, q_RAD: Tensor, index: int, window: int | None) -> Tensor:
        """One query per row over its prompt's keys, shared by the prompt's rows, and its own [R, A·D].

        Below, G rows of each of B prompts share one product; `t` are the T tokens of prompts, `u` those of rows.
        """
        d, rows = self.decoder, len(q_RAD)
        E, G = d.heads // d.kv_heads, self.rows_per_prompt
        K, D, B, T = d.kv_heads, d.head_size, self.prompt_kv_L2BKTD.shape[2], self.prompt_kv_L2BKTD.shape[4]
        k_BKtD, v_BKtD = self.prompt_kv_L2BKTD[index]
        k_RKuD, v_RKuD = self.own_kv_L2RKTD[index]
        q_RKED = (q_RAD * d.scaling).reshape(rows, K, E, D)  # [R, A, D] → [R, K, E, D]
        q_BGKED = (q_RKED if self.even else q_RKED[self.fill]).view(B, G, K, E, D)  # [B·G, K, E, D] → [B, G, K, E, D]
        q_BKnD = q_BGKED.transpose(1, 2).reshape(B, K, G * E, D)  # → [B, K, G, E, D] → [B, K, G·E, D]
        scores_BKnt = torch.matmul(q_BKnD, k_BKtD.transpose(2, 3))  # [B, K, G·E, T]
        if self.pads_B11T is not None:
            scores_BKnt.masked_fill_(self.pads_B11T, float("-inf"))
        scores_BGKEt = scores_BKnt.view(B, K, G, E, T).transpose(1, 2)  # → [B, K, G, E, T] → [B, G, K, E, T]
        scores_RKEt = scores_BGKEt.reshape(-1, K, E, T)  # → [B·G, K, E, T]
        if not self.even:
            scores_RKEt = scores_RKEt[self.place_R]  # → [R, K, E, T]
        scores_RKET = torch.cat([scores_RKEt, torch.matmul(q_RKED, k_RKuD.transpose(2, 3))], -1)  # T: prompt, then own
        scores_RKET[..., T + self.used + 1 :] = float("-inf")
        if window is not None:
            self._drop_far(scores_RKET, T, window)
        p_RKET = scores_RKET.softmax(-1)
        own_RKED = torch.matmul(p_RKET[..., T:], v_RKuD)
        p_RKEt = p_RKET[..., :T] if self.even else p_RKET[self.fill][..., :T]  # [R or B·G, K, E, T]
        p_BKGEt = p_RKEt.reshape(B, G, K, E, T).transpose(1, 2)  # → [B, G, K, E, T] → [B, K, G, E, T]
        p_BKnt = p_BKGEt.reshape(B, K, -1, T)  # → [B, K, G·E, T]
        shared_BGKED = torch.matmul(p_BKnt, v_BKtD).view(B, K, G, E, D).transpose(1, 2)  # → [B, G, K, E, D]
        shared_RKED = shared_BGKED.reshape(-1, K, E, D)  # → [B·G, K, E, D]
        out_RKED = own_RKED + (shared_RKED if self.even else shared_RKED[self.place_R])
        return out_RKED.flatten(1)  # [R, K, E, D] → [R, A·D]

    def _drop_far(self, scores_RKET: Tensor, prompt_length: int, window: int) -> None:
        """Sliding window: hide keys at least `window` positions behind the row's own."""
        positions_R1, device = self.positions_R[:, None], scores_RKET.device
        own_RT = positions_R1 - self.used + torch.arange(self.own_kv_L2RKTD.shape[4], device=device)
        prompt_RT = torch.arange(prompt_length, device=device).expand(len(own_RT), -1)
        far_RT = positions_R1 - torch.cat([prompt_RT, own_RT], 1) >= window
        scores_RKET.masked_fill_(far_RT[:, None, None], float("-inf"))
