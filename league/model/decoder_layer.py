"""One decoder layer over packed tokens: forward, and the backward pass written out by hand.

Each version's low-rank products run over its own contiguous tokens. What a training pass keeps of a layer is in
`Saved`; with checkpointing only its input is kept, and the layer is run again. Letters: see league.model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from league.model import ops
from league.model.adapter_stack import Fused
from league.model.decoder_weights import DOWN, GATE_UP, OUT, QKV, Decoder, Layer
from league.model.engine import GradientSink
from league.model.packing import Packed


@dataclass(frozen=True)
class Saved:
    """What one layer keeps for its backward pass."""

    x_NH: Tensor
    q_NAD: Tensor
    k_MKD: Tensor
    v_MKD: Tensor
    unnormed_NXD: Tensor | None
    """Queries and keys before their norms, where the family has them."""
    attended_NO: Tensor
    """Attention's output, O = A·D."""
    projected_NH: Tensor | None
    """o_proj's output, where a norm follows it."""
    middle_NH: Tensor
    """The residual stream between attention and MLP."""
    gate_up_NO: Tensor
    """Gate and up projections, O = 2F."""
    down_NH: Tensor | None
    """down_proj's output, where a norm follows it."""
    low: tuple[list[Tensor], ...]
    """Per projection and run of tokens, x Aᵀ [n, Z]."""


def project(
    x_NI: Tensor, layer: Layer, fused: Fused | None, group: int, runs: Sequence[tuple[int, int, int]]
) -> tuple[Tensor, list[Tensor]]:
    """Base product plus each run's own low-rank product; also each run's x Aᵀ."""
    y_NO, low = layer.linears[group](x_NI), []
    if fused is not None:
        for start, end, slot in runs:
            low.append(x_NI[start:end] @ fused.a_SZI[slot].T)
            y_NO[start:end].addmm_(low[-1], fused.b_SZO[slot])
    return y_NO, low


def head_norms(decoder: Decoder, qkv_NXD: Tensor, layer: Layer) -> Tensor:
    """Queries and keys [N, A + K, D], normed per head where the family does (Qwen3, Gemma3)."""
    heads = decoder.heads
    both_NXD = qkv_NXD[:, : heads + decoder.kv_heads]
    if layer.norm_q_D is None or layer.norm_k_D is None:
        return both_NXD
    return torch.cat(
        [
            ops.rms(both_NXD[:, :heads], layer.norm_q_D, decoder.eps),
            ops.rms(both_NXD[:, heads:], layer.norm_k_D, decoder.eps),
        ],
        1,
    )


def layer_forward(decoder: Decoder, x_NH: Tensor, index: int, packed: Packed) -> tuple[Tensor, Saved]:
    """The layer's output [N, H], and what its backward needs."""
    d, layer, runs = decoder, decoder.layers[index], packed.runs
    each: Sequence[Fused | None] = packed.stack.layers[index] if packed.stack is not None else [None] * 4
    normed_NH = ops.rms(x_NH, layer.norm_attention_H, d.eps)
    qkv_NO, low_qkv = project(normed_NH, layer, each[QKV], QKV, runs)
    qkv_NXD = qkv_NO.view(len(x_NH), -1, d.head_size)  # [N, (A + 2K)·D] → [N, A + 2K, D]
    unnormed_NXD = qkv_NXD[:, : d.heads + d.kv_heads] if layer.norm_q_D is not None else None
    turned_NXD = ops.rotate(head_norms(d, qkv_NXD, layer), *packed.rotary[layer.kind])
    q_NAD, k_MKD = turned_NXD[:, : d.heads], turned_NXD[:, d.heads :]
    v_MKD = qkv_NXD[:, d.heads + d.kv_heads :].contiguous()
    if packed.known_NL2KD is not None:  # so far M is N
        k_MKD = torch.cat([k_MKD, packed.known_NL2KD[:, index, 0]])
        v_MKD = torch.cat([v_MKD, packed.known_NL2KD[:, index, 1]])
    attended_NO = ops.attend(q_NAD, k_MKD, v_MKD, packed.attention, scaling=d.scaling, window=layer.window)
    projected_NH, low_out = project(attended_NO, layer, each[OUT], OUT, runs)
    after = layer.norm_after_attention_H
    middle_NH = x_NH + (projected_NH if after is None else ops.rms(projected_NH, after, d.eps))
    gate_up_NO, low_up = project(ops.rms(middle_NH, layer.norm_mlp_H, d.eps), layer, each[GATE_UP], GATE_UP, runs)
    down_NH, low_down = project(ops.gate(gate_up_NO, d.activation), layer, each[DOWN], DOWN, runs)
    last = layer.norm_after_mlp_H
    out_NH = middle_NH + (down_NH if last is None else ops.rms(down_NH, last, d.eps))
    return out_NH, Saved(
        x_NH=x_NH,
        q_NAD=q_NAD,
        k_MKD=k_MKD,
        v_MKD=v_MKD,
        unnormed_NXD=unnormed_NXD,
        attended_NO=attended_NO,
        projected_NH=projected_NH if after is not None else None,
        middle_NH=middle_NH,
        gate_up_NO=gate_up_NO,
        down_NH=down_NH if last is not None else None,
        low=(low_qkv, low_out, low_up, low_down),
    )


@dataclass(frozen=True)
class LayerBackward:
    """The backward pass of layer `index`; gradients of A and B are added to `sink` on the way."""

    decoder: Decoder
    packed: Packed
    sink: GradientSink
    index: int
    saved: Saved

    def run(self, grad_NH: Tensor) -> Tensor:
        """Gradient at the layer's input from that at its output."""
        d, layer, saved = self.decoder, self.decoder.layers[self.index], self.saved
        grad_NH = self._mlp(grad_NH, layer)
        g_NH = grad_NH
        if saved.projected_NH is not None and layer.norm_after_attention_H is not None:
            g_NH = ops.rms_backward(grad_NH, saved.projected_NH, layer.norm_after_attention_H, d.eps)
        g_NO = self._project(OUT, g_NH, saved.attended_NO)  # O = A·D
        g_NO = self._attention(g_NO, layer)  # O = (A + 2K)·D
        g_NH = self._project(QKV, g_NO, ops.rms(saved.x_NH, layer.norm_attention_H, d.eps))
        return grad_NH + ops.rms_backward(g_NH, saved.x_NH, layer.norm_attention_H, d.eps)

    def _mlp(self, grad_NH: Tensor, layer: Layer) -> Tensor:
        """Gradient at the residual stream between attention and MLP."""
        d, saved = self.decoder, self.saved
        g_NH = grad_NH
        if saved.down_NH is not None and layer.norm_after_mlp_H is not None:
            g_NH = ops.rms_backward(grad_NH, saved.down_NH, layer.norm_after_mlp_H, d.eps)
        active_NF = ops.activate(saved.gate_up_NO, d.activation)
        up_NF = saved.gate_up_NO.chunk(2, -1)[1]  # [N, 2F] → [N, F]
        g_NF = self._project(DOWN, g_NH, active_NF * up_NF)
        g_NO = ops.gate_backward(g_NF, saved.gate_up_NO, active_NF, d.activation)  # O = 2F
        g_NH = self._project(GATE_UP, g_NO, ops.rms(saved.middle_NH, layer.norm_mlp_H, d.eps))
        return grad_NH + ops.rms_backward(g_NH, saved.middle_NH, layer.norm_mlp_H, d.eps)

    def _attention(self, grad_NO: Tensor, layer: Layer) -> Tensor:
        """Gradient at the fused projection q|k|v [N, (A + 2K)·D] from that at attention's output [N, A·D]."""
        d, saved = self.decoder, self.saved
        dq_NAD, dk_NKD, dv_NKD = ops.attend_backward(
            grad_NO,
            saved.q_NAD,
            saved.k_MKD,
            saved.v_MKD,
            self.packed.attention,
            scaling=d.scaling,
            window=layer.window,
        )
        turned_NXD = ops.rotate_backward(torch.cat([dq_NAD, dk_NKD], 1), *self.packed.rotary[layer.kind])
        raw_NXD = saved.unnormed_NXD
        if raw_NXD is not None and layer.norm_q_D is not None and layer.norm_k_D is not None:
            turned_NXD = torch.cat(
                [
                    ops.rms_backward(turned_NXD[:, : d.heads], raw_NXD[:, : d.heads], layer.norm_q_D, d.eps),
                    ops.rms_backward(turned_NXD[:, d.heads :], raw_NXD[:, d.heads :], layer.norm_k_D, d.eps),
                ],
                1,
            )
        return torch.cat([turned_NXD, dv_NKD], 1).flatten(1)  # [N, A + 2K, D] → [N, (A + 2K)·D]

    def _project(self, group: int, grad_NO: Tensor, x_NI: Tensor) -> Tensor:
        """Gradient at the input [N, I] of a projection; adds those of its A and B to the sink."""
        layer, stack = self.decoder.layers[self.index], self.packed.stack
        dx_NI = grad_NO @ layer.linears[group].weight_OI
        for (start, end, slot), low_nZ in zip(self.packed.runs, self.saved.low[group], strict=True):
            assert stack is not None
            fused = stack.layers[self.index][group]
            part_nO = grad_NO[start:end]
            through_nZ = part_nO @ fused.b_SZO[slot].T
            dx_NI[start:end].addmm_(through_nZ, fused.a_SZI[slot])
            stack.scatter(
                slot,
                layer.paths[group],
                layer.outs[group],
                da_ZI=through_nZ.T @ x_NI[start:end],
                db_ZO=low_nZ.T @ part_nO,
                grad_P=self.sink[stack.versions[slot]],
            )
        return dx_NI
