"""Gradient clipping and AdamW on one agent's flat slice.

AdamW (Loshchilov & Hutter, arXiv 1711.05101): decoupled weight decay, bias-corrected moments, ε = 1e-8, in fp32, in
place. A finite gradient, clipped, and a rate of at most 1 keep a finite slice finite, so the caller checks gradients
of all agents before any step.
"""

import torch
from torch import Tensor

EPSILON = 1e-8


def norm_of(grad: Tensor) -> float:
    """Euclidean norm in double precision; not finite when any entry is not."""
    return float(torch.linalg.vector_norm(grad, dtype=torch.float64))


def adamw(
    params: Tensor, moments: Tensor, steps: int, grad: Tensor, *, rate: float, betas: tuple[float, float], decay: float
) -> None:
    """The `steps`-th step (from 1) for params [P], moments [2, P] and grad [P]."""
    first, second = betas
    moments[0].lerp_(grad, 1 - first)
    moments[1].mul_(second).addcmul_(grad, grad, value=1 - second)
    scale = moments[1].sqrt().div_((1 - second**steps) ** 0.5).add_(EPSILON)
    if decay:
        params.mul_(1 - rate * decay)
    params.addcdiv_(moments[0], scale, value=-rate / (1 - first**steps))
