"""The decoder's operations, each with its backward written out, so that an update keeps exactly
what it needs and no autograd graph.

Shapes: N tokens flat, h hidden, H query heads, K key-value heads, D head size. Elementwise backward runs in fp32.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from league.model.tree_attention import Batch, Plan


def rms(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / rms(x) · weight over the last axis (Zhang & Sennrich, arXiv 1910.07467), in x's dtype."""
    if weight.dtype != x.dtype:  # Gemma: 1 + weight, applied in fp32
        return F.rms_norm(x.float(), (x.shape[-1],), weight, eps).to(x.dtype)
    return F.rms_norm(x, (x.shape[-1],), weight, eps)


def rms_backward(grad: Tensor, x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """With x̂ = x / rms: dx = (g w − x̂ mean(g w x̂)) / rms."""
    normal = x.float()
    inverse = normal.square().mean(-1, keepdim=True).add_(eps).rsqrt_()
    normal = normal.mul_(inverse) if normal is not x else normal * inverse
    weighted = grad.float() * weight.float()
    dot = (weighted * normal).mean(-1, keepdim=True)
    return weighted.addcmul_(normal, dot, value=-1).mul_(inverse).to(x.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of x [N, heads, D] with tables [N, 1, D]; the halves pair up (Llama's
    order)."""
    half = x.shape[-1] // 2
    return torch.cat([-x[..., half:], x[..., :half]], -1).mul_(sin).addcmul_(x, cos)


def rotate_backward(grad: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = grad.shape[-1] // 2
    turned = grad * sin
    return torch.cat([turned[..., half:], -turned[..., :half]], -1).addcmul_(grad, cos)


def activate(gate_up: Tensor, activation: str) -> Tensor:
    """act(gate) for gate_up [N, 2m]."""
    g = gate_up.chunk(2, -1)[0]
    return F.silu(g) if activation == "silu" else F.gelu(g, approximate="tanh")


def gate(gate_up: Tensor, activation: str) -> Tensor:
    """act(gate) · up for gate_up [N, 2m]."""
    return activate(gate_up, activation).mul_(gate_up.chunk(2, -1)[1])


def gate_backward(grad: Tensor, gate_up: Tensor, active: Tensor, activation: str) -> Tensor:
    """Gradient at gate_up; `active` is act(gate)."""
    g, u = gate_up.chunk(2, -1)
    out = torch.empty_like(gate_up)
    dg, du = out.chunk(2, -1)
    torch.mul(active, grad, out=du)
    through = grad * u
    if activation == "silu":
        torch.ops.aten.silu_backward.grad_input(through, g, grad_input=dg)
    else:
        torch.ops.aten.gelu_backward.grad_input(through, g, approximate="tanh", grad_input=dg)
    return out


def _grouped(x: Tensor, batch: Batch, kv_heads: int, zero: Tensor | None = None) -> Tensor:
    """A batch's rows of x [N, H, D] → [K·J, H/K·Q, D]: the queries that share a key-value head, as
    rows; rows `zero` become 0."""
    heads, size = x.shape[1:]
    picked = x.index_select(0, batch.queries)
    if zero is not None and len(zero):
        picked.index_fill_(0, zero, 0)
    split = picked.view(-1, batch.size, kv_heads, heads // kv_heads, size)
    return split.permute(2, 0, 3, 1, 4).reshape(kv_heads * batch.count, -1, size)


def _ungrouped(x: Tensor, batch: Batch, kv_heads: int) -> Tensor:
    """Inverse of _grouped: [K·J, H/K·Q, D] → [J·Q, H, D]."""
    size = x.shape[-1]
    return (
        x.view(kv_heads, batch.count, -1, batch.size, size).permute(1, 3, 0, 2, 4).reshape(len(batch.queries), -1, size)
    )


def _gather(x: Tensor, batch: Batch) -> Tensor:
    """Keys or values [K, N, D] a batch sees, [K·J, L, D]."""
    return x.index_select(1, batch.keys).view(len(x) * batch.count, -1, x.shape[2])


def _weights(q: Tensor, k: Tensor, batch: Batch, scaling: float, window: int | None) -> Tensor:
    """Attention weights [K·J, H/K·Q, L] of grouped queries and gathered keys."""
    scores = torch.baddbmm(q.new_empty(()), q, k.transpose(1, 2), beta=0, alpha=scaling)
    scores.view(-1, batch.count, scores.shape[1] // batch.size, batch.size, k.shape[1]).masked_fill_(
        batch.blocked[window], -math.inf
    )
    return scores.softmax(-1)


def attend(q: Tensor, k: Tensor, v: Tensor, plan: Plan, scaling: float, window: int | None) -> Tensor:
    """Tree attention: q [Q, H, D], k and v [N, K, D] → [Q, H·D]. Grouped heads share one product
    with their key-value head."""
    kv_heads = k.shape[1]
    keys, values = k.transpose(0, 1).contiguous(), v.transpose(0, 1).contiguous()
    parts = []
    for batch in plan.batches:
        p = _weights(_grouped(q, batch, kv_heads), _gather(keys, batch), batch, scaling, window)
        parts.append(_ungrouped(torch.bmm(p, _gather(values, batch)), batch, kv_heads))
    return torch.cat(parts).index_select(0, plan.place).flatten(1)


def attend_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, plan: Plan, scaling: float, window: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `attend`; the weights are computed again. Keys shared by several tiles gather
    their gradients in fp32."""
    kv_heads = k.shape[1]
    keys, values = k.transpose(0, 1).contiguous(), v.transpose(0, 1).contiguous()
    both = torch.zeros(2, *keys.shape, dtype=torch.float32, device=k.device)
    grad, empty, parts = grad.view_as(q), q.new_empty(()), []
    for batch in plan.batches:
        rows, own_keys, own_values = _grouped(q, batch, kv_heads), _gather(keys, batch), _gather(values, batch)
        p = _weights(rows, own_keys, batch, scaling, window)
        g = _grouped(grad, batch, kv_heads, zero=batch.spare)
        part = own_keys.new_empty(2, *own_keys.shape)
        torch.bmm(p.transpose(1, 2), g, out=part[1])
        dp = torch.bmm(g, own_values.transpose(1, 2))
        ds = torch._softmax_backward_data(dp, p, -1, p.dtype)
        parts.append(_ungrouped(torch.baddbmm(empty, ds, own_keys, beta=0, alpha=scaling), batch, kv_heads))
        torch.baddbmm(empty, ds.transpose(1, 2), rows, beta=0, alpha=scaling, out=part[0])
        _spread(both, part.view(2, kv_heads, batch.count, -1, keys.shape[2]), batch)
    dk, dv = both.transpose(1, 2).to(k.dtype)
    return torch.cat(parts).index_select(0, plan.place), dk, dv


def _spread(total: Tensor, part: Tensor, batch: Batch) -> None:
    """Add a batch's key and value gradients part [2, K, J, L, D] to total [2, K, N, D]."""
    for span in batch.spans:
        total[:, :, span.first : span.first + span.length] += part[
            :, :, span.tile, span.column : span.column + span.length
        ]
