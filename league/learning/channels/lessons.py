"""Lessons that last: right answers given with a worked example are learned without it.

    L = −(λ / |V|) Σ_{y ∈ V} (1 − c₀(q)) Σ_t g(log π_S(y_t | x), log π_b(y_t | x, p, e))

V holds the student's distinct right answers y of the taught arm, to problems q whose control arm was right less often
than `control_below`; x is the prompt without the example, r = 1, and c₀(q) is the accuracy of the control arm. The
replies were drawn from another prompt, π_b. How that is met is named by `off_policy`:

    nll     g = log π: they are texts to be learned (rejection sampling; no ratio)
    clip    g = min(ρ, 1 + ε): PPO's surrogate for a positive advantage (Schulman et al. 2017, arXiv 1707.06347)
    shaped  g = ρ / (ρ + γ): LUFFY's shaping (Yan et al. 2025, arXiv 2504.14945), which keeps learning unlikely tokens

with ρ = π_S(y_t | x) / π_b(y_t | x, p, e) at the temperature of sampling.

Source: context distillation (Snell et al. 2022, arXiv 2209.15189) on answers that a verifier found right.

Failure cases. A student that no example helps has no right taught answers: V is empty. `clip` learns nothing from a
token far above its bound, and almost nothing from one far below it: exactly those that the lesson was about. A
teacher that gives the answer away would fill V with copies: leaked problems are never examples (tasks.leakage).
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from league.config import LessonsConfig
from league.learning.channels.examples import Encode, FoundExample, sample_of
from league.types import Sample


def lesson_samples(found: Iterable[FoundExample], chosen: LessonsConfig, encode: Encode) -> Iterator[Sample]:
    """One sample for each rescued answer: right when taught, mostly wrong without the example."""
    for each in found:
        worth = each.example.weight
        if each.example.channel != "lessons" or 1.0 - worth >= chosen.control_below or not each.reply.tokens:
            continue
        if each.reply.finish == "length" or (chosen.off_policy != "nll" and not each.reply.logprobs):
            continue
        if chosen.off_policy == "nll":
            yield sample_of(each, encode, chosen.weight * worth, each.reply.tokens)
        else:
            yield sample_of(
                each,
                encode,
                chosen.weight * worth,
                each.reply.tokens,
                rule=chosen.off_policy,
                logprobs=each.reply.logprobs,
            )


def clipped_surrogate(logprob_N: Tensor, behaviour_N: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """min(ρ, 1 + ε) and its slope with respect to log π, each [N]."""
    ratio_N = (logprob_N - behaviour_N).exp()
    return ratio_N.clamp_max(1 + clip), torch.where(ratio_N > 1 + clip, 0.0, ratio_N)


def shaped_surrogate(logprob_N: Tensor, behaviour_N: Tensor, shaping: float) -> tuple[Tensor, Tensor]:
    """f(ρ) = ρ / (ρ + γ) and its slope with respect to log π, γρ / (ρ + γ)², each [N]."""
    ratio_N = (logprob_N - behaviour_N).exp()
    total_N = ratio_N + shaping
    return ratio_N / total_N, shaping * ratio_N / total_N**2
