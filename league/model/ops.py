"""The decoder's operations, each with its backward written out.

So an update keeps exactly what it needs, and there is no autograd graph. Letters: see league.model. Elementwise
backward runs in fp32.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from league.model.tree_attention import AttentionPlan, Batch


def rms(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / rms(x) · weight over the last axis (Zhang & Sennrich, arXiv 1910.07467), in x's dtype."""
    if weight.dtype != x.dtype:  # Gemma: 1 + weight, applied in fp32
        return F.rms_norm(x.float(), (x.shape[-1],), weight, eps).to(x.dtype)
    return F.rms_norm(x, (x.shape[-1],), weight, eps)


def rms_backward(grad: Tensor, x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Gradient at x: with x̂ = x / rms(x), dx = (g w − x̂ mean(g w x̂)) / rms(x)."""
    normal = x.float()
    inverse = normal.square().mean(-1, keepdim=True).add_(eps).rsqrt_()
    normal = normal.mul_(inverse) if normal is not x else normal * inverse
    weighted = grad.float() * weight.float()
    dot = (weighted * normal).mean(-1, keepdim=True)
    return weighted.addcmul_(normal, dot, value=-1).mul_(inverse).to(x.dtype)


def rotate(x_NXD: Tensor, cos_N1D: Tensor, sin_N1D: Tensor) -> Tensor:
    """Rotary embedding (Su et al., arXiv 2104.09864); the two halves of D pair up (Llama's order)."""
    half = x_NXD.shape[-1] // 2
    return torch.cat([-x_NXD[..., half:], x_NXD[..., :half]], -1).mul_(sin_N1D).addcmul_(x_NXD, cos_N1D)


def rotate_backward(grad_NXD: Tensor, cos_N1D: Tensor, sin_N1D: Tensor) -> Tensor:
    """Gradient at the input of `rotate`."""
    half = grad_NXD.shape[-1] // 2
    turned_NXD = grad_NXD * sin_N1D
    return torch.cat([turned_NXD[..., half:], -turned_NXD[..., :half]], -1).addcmul_(grad_NXD, cos_N1D)


def activate(gate_up_NO: Tensor, activation: str) -> Tensor:
    """act(gate) [N, F] of gate|up [N, 2F]."""
    gate_NF = gate_up_NO.chunk(2, -1)[0]
    return F.silu(gate_NF) if activation == "silu" else F.gelu(gate_NF, approximate="tanh")


def gate(gate_up_NO: Tensor, activation: str) -> Tensor:
    """act(gate) · up [N, F] of gate|up [N, 2F]."""
    return activate(gate_up_NO, activation).mul_(gate_up_NO.chunk(2, -1)[1])


def gate_backward(grad_NF: Tensor, gate_up_NO: Tensor, active_NF: Tensor, activation: str) -> Tensor:
    """Gradient at gate|up [N, 2F]; `active_NF` is act(gate)."""
    gate_NF, up_NF = gate_up_NO.chunk(2, -1)
    out_NO = torch.empty_like(gate_up_NO)
    dgate_NF, dup_NF = out_NO.chunk(2, -1)  # views: what is written to them is in out_NO
    torch.mul(active_NF, grad_NF, out=dup_NF)
    through_NF = grad_NF * up_NF
    if activation == "silu":
        torch.ops.aten.silu_backward.grad_input(through_NF, gate_NF, grad_input=dgate_NF)
    else:
        torch.ops.aten.gelu_backward.grad_input(through_NF, gate_NF, approximate="tanh", grad_input=dgate_NF)
    return out_NO


def _grouped(x_NAD: Tensor, batch: Batch, kv_heads: int, zero: Tensor | None = None) -> Tensor:
    """A batch's rows of x as [K·J, E·Q, D]: the queries that share a key-value head, as rows.

    Of the picked rows, those in `zero` become 0.
    """
    heads, size = x_NAD.shape[1:]
    picked = x_NAD.index_select(0, batch.queries)  # [N, A, D] → [J·Q, A, D]
    if zero is not None and len(zero):
        picked.index_fill_(0, zero, 0)
    x_JQKED = picked.view(-1, batch.size, kv_heads, heads // kv_heads, size)  # [J·Q, A, D] → [J, Q, K, E, D]
    x_KJEQD = x_JQKED.permute(2, 0, 3, 1, 4)
    return x_KJEQD.reshape(kv_heads * batch.count, -1, size)  # → [K·J, E·Q, D]


def _ungrouped(x: Tensor, batch: Batch, kv_heads: int) -> Tensor:
    """Inverse of _grouped: [K·J, E·Q, D] → [J·Q, A, D]."""
    size = x.shape[-1]
    x_KJEQD = x.view(kv_heads, batch.count, -1, batch.size, size)
    x_JQKED = x_KJEQD.permute(1, 3, 0, 2, 4)
    return x_JQKED.reshape(len(batch.queries), -1, size)  # → [J·Q, A, D]


def _gather(x_KMD: Tensor, batch: Batch) -> Tensor:
    """The keys or values a batch sees, [K·J, C, D]."""
    picked = x_KMD.index_select(1, batch.keys)  # [K, M, D] → [K, J·C, D]
    return picked.view(len(x_KMD) * batch.count, -1, x_KMD.shape[2])  # → [K·J, C, D]


def _weights(q: Tensor, k: Tensor, batch: Batch, scaling: float, window: int | None) -> Tensor:
    """Attention weights [K·J, E·Q, C] of grouped queries [K·J, E·Q, D] and gathered keys [K·J, C, D]."""
    scores = torch.baddbmm(q.new_empty(()), q, k.transpose(1, 2), beta=0, alpha=scaling)
    per_head = scores.shape[1] // batch.size
    scores_KJEQC = scores.view(-1, batch.count, per_head, batch.size, k.shape[1])  # a view: masks `scores` too
    scores_KJEQC.masked_fill_(batch.blocked_J1QC[window], -math.inf)
    return scores.softmax(-1)


def attend(
    q_NAD: Tensor, k_MKD: Tensor, v_MKD: Tensor, plan: AttentionPlan, *, scaling: float, window: int | None
) -> Tensor:
    """Tree attention [N, A·D]. Query heads share one product with their key-value head."""
    kv_heads = k_MKD.shape[1]
    k_KMD, v_KMD = k_MKD.transpose(0, 1).contiguous(), v_MKD.transpose(0, 1).contiguous()
    parts = []
    for batch in plan.batches:
        p = _weights(_grouped(q_NAD, batch, kv_heads), _gather(k_KMD, batch), batch, scaling, window)
        parts.append(_ungrouped(torch.bmm(p, _gather(v_KMD, batch)), batch, kv_heads))
    out_NAD = torch.cat(parts).index_select(0, plan.place_N)  # all batches' [J·Q, A, D] → [N, A, D]
    return out_NAD.flatten(1)  # → [N, A·D]


def attend_backward(
    grad_NO: Tensor,
    q_NAD: Tensor,
    k_MKD: Tensor,
    v_MKD: Tensor,
    plan: AttentionPlan,
    *,
    scaling: float,
    window: int | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients at q, k and v of `attend` from that at its output [N, A·D].

    The weights are computed again. Keys shared by several tiles gather their gradients in fp32.
    """
    kv_heads = k_MKD.shape[1]
    k_KMD, v_KMD = k_MKD.transpose(0, 1).contiguous(), v_MKD.transpose(0, 1).contiguous()
    both_2KMD = torch.zeros(2, *k_KMD.shape, dtype=torch.float32, device=k_MKD.device)
    grad_NAD, empty, parts = grad_NO.view_as(q_NAD), q_NAD.new_empty(()), []  # [N, A·D] → [N, A, D]
    for batch in plan.batches:
        q = _grouped(q_NAD, batch, kv_heads)  # [K·J, E·Q, D]
        k, v = _gather(k_KMD, batch), _gather(v_KMD, batch)  # [K·J, C, D]
        p = _weights(q, k, batch, scaling, window)  # [K·J, E·Q, C]
        g = _grouped(grad_NAD, batch, kv_heads, zero=batch.spare)  # [K·J, E·Q, D]
        dkv = k.new_empty(2, *k.shape)  # [2, K·J, C, D]
        torch.bmm(p.transpose(1, 2), g, out=dkv[1])
        dp = torch.bmm(g, v.transpose(1, 2))
        ds = torch._softmax_backward_data(dp, p, -1, p.dtype)  # [K·J, E·Q, C]
        parts.append(_ungrouped(torch.baddbmm(empty, ds, k, beta=0, alpha=scaling), batch, kv_heads))
        torch.baddbmm(empty, ds.transpose(1, 2), q, beta=0, alpha=scaling, out=dkv[0])
        _add_spans(both_2KMD, dkv.view(2, kv_heads, batch.count, -1, k_KMD.shape[2]), batch)  # → [2, K, J, C, D]
    dk_MKD, dv_MKD = both_2KMD.transpose(1, 2).to(k_MKD.dtype)  # → [2, M, K, D]
    return torch.cat(parts).index_select(0, plan.place_N), dk_MKD, dv_MKD


def _add_spans(total_2KMD: Tensor, part_2KJCD: Tensor, batch: Batch) -> None:
    """Add a batch's key and value gradients to those of all keys."""
    for span in batch.spans:
        keys = slice(span.first, span.first + span.length)
        columns = slice(span.column, span.column + span.length)
        total_2KMD[:, :, keys] += part_2KJCD[:, :, span.tile, columns]
