"""The decoder's operations, each with its backward written out, so that an update keeps exactly what it needs and no autograd graph.

Shapes: N tokens flat, h hidden, H query heads, K key-value heads, D head size. Elementwise backward runs in fp32.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from league.model.forest import Job


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
    """Rotary embedding of x [N, heads, D] with tables [N, 1, D]; the halves pair up (Llama's order)."""
    half = x.shape[-1] // 2
    return torch.cat([-x[..., half:], x[..., :half]], -1).mul_(sin).addcmul_(x, cos)


def rotate_backward(grad: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = grad.shape[-1] // 2
    turned = grad * sin
    return torch.cat([turned[..., half:], -turned[..., :half]], -1).addcmul_(grad, cos)


def gate(gate_up: Tensor, activation: str) -> Tensor:
    """act(gate) · up for gate_up [N, 2m]."""
    g, u = gate_up.chunk(2, -1)
    return (F.silu(g) if activation == "silu" else F.gelu(g, approximate="tanh")).mul_(u)


def gate_backward(grad: Tensor, gate_up: Tensor, activation: str) -> Tensor:
    g, u = gate_up.chunk(2, -1)
    out = torch.empty_like(gate_up)
    dg, du = out.chunk(2, -1)
    through = grad * u
    if activation == "silu":
        torch.mul(F.silu(g), grad, out=du)
        dg.copy_(torch.ops.aten.silu_backward(through, g))
    else:
        torch.mul(F.gelu(g, approximate="tanh"), grad, out=du)
        dg.copy_(torch.ops.aten.gelu_backward(through, g, approximate="tanh"))
    return out


def _grouped(x: Tensor, kv_heads: int) -> Tensor:
    """[Q, H, D] → [K, H/K · Q, D]: the queries that share a key-value head, as rows."""
    q, heads, size = x.shape
    return x.view(q, kv_heads, heads // kv_heads, size).permute(1, 2, 0, 3).reshape(kv_heads, -1, size)


def _ungrouped(x: Tensor, count: int) -> Tensor:
    """Inverse of _grouped: [K, H/K · Q, D] → [Q, H, D]."""
    kv_heads, rows, size = x.shape
    return x.view(kv_heads, rows // count, count, size).permute(2, 0, 1, 3).reshape(count, -1, size)


def _gather(x: Tensor, job: Job) -> Tensor:
    """Keys or values a job sees, [L, K, D]."""
    own = x[job.start : job.end]
    return torch.cat([*(x[a:b] for a, b in job.ancestors), own]) if job.ancestors else own


def _weights(q: Tensor, k: Tensor, job: Job, scaling: float, far: Tensor | None) -> Tensor:
    """Attention weights [K, H/K · Q, L] for grouped queries and keys [L, K, D]."""
    count = job.end - job.start
    scores = torch.baddbmm(q.new_empty(()), q, k.permute(1, 2, 0), beta=0, alpha=scaling)
    shaped = scores.view(scores.shape[0], -1, count, scores.shape[-1])
    shaped[..., -count:].masked_fill_(job.blocked, float("-inf"))
    if far is not None:
        shaped.masked_fill_(far, float("-inf"))
    return scores.softmax(-1)


def _far(job: Job, positions: Tensor, window: int | None) -> Tensor | None:
    """True where a key is at least `window` positions behind its query; None when the window reaches everything."""
    if window is None:
        return None
    own = positions[job.start : job.end]
    if int(own.max()) < window:
        return None
    keys = torch.cat([*(positions[a:b] for a, b in job.ancestors), own])
    return own[:, None] - keys[None] >= window


def attend(q: Tensor, k: Tensor, v: Tensor, jobs: Sequence[Job], scaling: float, positions: Tensor, window: int | None) -> Tensor:
    """Tree attention: q [N, H, D], k and v [N, K, D] → [N, H·D]. Grouped heads share one product with their key-value head."""
    out = torch.empty_like(q)
    for job in jobs:
        p = _weights(_grouped(q[job.start : job.end], k.shape[1]), _gather(k, job), job, scaling, _far(job, positions, window))
        out[job.start : job.end] = _ungrouped(torch.bmm(p, _gather(v, job).transpose(0, 1)), job.end - job.start)
    return out.flatten(1)


def attend_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, jobs: Sequence[Job], scaling: float, positions: Tensor, window: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `attend`; the weights are computed again. Keys shared by several jobs gather their gradients in fp32."""
    dq = torch.empty_like(q)
    dk, dv = torch.zeros_like(k, dtype=torch.float32), torch.zeros_like(v, dtype=torch.float32)
    grad = grad.view_as(q)
    for job in jobs:
        rows = _grouped(q[job.start : job.end], k.shape[1])
        keys, values = _gather(k, job), _gather(v, job)
        p = _weights(rows, keys, job, scaling, _far(job, positions, window))
        g = _grouped(grad[job.start : job.end], k.shape[1])
        dvalues = torch.bmm(p.transpose(1, 2), g).transpose(0, 1)
        dp = torch.bmm(g, values.permute(1, 2, 0))
        ds = torch._softmax_backward_data(dp, p, -1, p.dtype)
        empty = q.new_empty(())
        rows_grad = torch.baddbmm(empty, ds, keys.transpose(0, 1), beta=0, alpha=scaling)
        dq[job.start : job.end] = _ungrouped(rows_grad, job.end - job.start)
        dkeys = torch.baddbmm(empty, ds.transpose(1, 2), rows, beta=0, alpha=scaling).transpose(0, 1)
        at = 0
        for a, b in (*job.ancestors, (job.start, job.end)):
            dk[a:b] += dkeys[at : at + b - a]
            dv[a:b] += dvalues[at : at + b - a]
            at += b - a
    return dq, dk.to(k.dtype), dv.to(v.dtype)
