"""Gradient clipping and AdamW on one agent's flat slice.

AdamW (Loshchilov & Hutter, arXiv 1711.05101): decoupled weight decay, bias-corrected moments, ε = 1e-8, in fp32, in
place. A finite gradient, clipped, and a rate of at most 1 keep a finite slice finite, so the caller checks gradients
of all agents before any step.
"""

import torch
from torch import Tensor

EPSILON = 1e-8


def norm_of(grad_P: Tensor) -> float:
    """Euclidean norm in double precision; not finite when any entry is not."""
    return float(torch.linalg.vector_norm(grad_P, dtype=torch.float64))


def adamw(
    params_P: Tensor,
    moments_2P: Tensor,
    steps: int,
    grad_P: Tensor,
    *,
    rate: float,
    betas: tuple[float, float],
    decay: float,
) -> None:
    """The `steps`-th step (from 1), in place."""
    first, second = betas
    moments_2P[0].lerp_(grad_P, 1 - first)
    moments_2P[1].mul_(second).addcmul_(grad_P, grad_P, value=1 - second)
    scale_P = moments_2P[1].sqrt().div_((1 - second**steps) ** 0.5).add_(EPSILON)
    if decay:
        params_P.mul_(1 - rate * decay)
    params_P.addcdiv_(moments_2P[0], scale_P, value=-rate / (1 - first**steps))
