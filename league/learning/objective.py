"""What one update minimises, token by token, and its exact gradient with respect to the hidden
states.

Per agent, over its n samples (sequence aggregation; design: MAGRPO, arXiv 2508.04652, plus the usual options)

    L = 1/n Σ_s Σ_t [ −A_s · g(ρ_t) + kl · k3_t − entropy · H_t ]

g(ρ) = log π (its gradient is that of the policy gradient) without clipping; min(ρ A, clip(ρ, 1±ε) A) / A with it, ρ =
π / π_behaviour. k3 = exp(log π_base − log π) − (log π_base − log π) − 1 (Schulman), H the entropy of the sampling
distribution. Token aggregation divides by the agent's number of tokens instead of its number of samples.

π is the distribution that was sampled from: temperature, the grammar if any, then top-k / top-p. A truncated token
set is recomputed under the current weights, holds the sampled token in any case, and is taken as constant by the
gradient. The KL term uses the untruncated distribution at the same temperature on both sides. Temperature 0 is taken
as 1 (supervised).

Because every term is a function of logits at one position, the gradient reaching the hidden states is known in closed
form, so each chunk of logits is computed once, used, and freed; logits exist only at positions that carry loss.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from league.errors import ConfigError
from league.model.grammar import unpack
from league.model.sampling import BLOCK, Shape, log_total, truncate
from league.types import Hyper


@dataclass(frozen=True)
class Objective:
    """Options shared by all agents of an update; what differs between agents is in `Hyper`.

    tokens_per_microbatch bounds memory: activations of about that many tokens exist at a time. checkpointing
    recomputes them.
    """

    aggregation: Literal["sequence", "token"] = "sequence"
    clip: float | None = None
    entropy: float = 0.0
    epochs: int = 1
    minibatches: int = 1
    max_grad_norm: float = 1.0
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.99)
    tokens_per_microbatch: int = 1024
    checkpointing: bool = False

    def __post_init__(self) -> None:
        checks = {
            "aggregation: expected 'sequence' or 'token'": self.aggregation in ("sequence", "token"),
            "clip: expected a value between 0 and 1, or null": self.clip is None or 0 < self.clip < 1,
            "epochs: expected at least 1": self.epochs >= 1,
            "minibatches: expected at least 1": self.minibatches >= 1,
            "max_grad_norm: expected a positive number": self.max_grad_norm > 0,
            "tokens_per_microbatch: expected at least 1": self.tokens_per_microbatch >= 1,
        }
        problems = [f"objective.{text}" for text, good in checks.items() if not good]
        if problems:
            raise ConfigError("objective", problems)

    def needs(self, advantage: float, hyper: Hyper) -> bool:
        """Whether a sample with this advantage has any gradient."""
        return advantage != 0.0 or hyper.kl != 0.0 or self.entropy != 0.0


@dataclass(frozen=True)
class Targets:
    """Loss positions of one micro-batch, flat, each [N]: target token, behaviour log-probability
    (NaN where unknown), advantage, weight (1/n or 1/tokens of its agent), KL coefficient, owner (index of the
    agent), sampling shape."""

    tokens: Tensor
    behaviour: Tensor
    advantage: Tensor
    weight: Tensor
    kl: Tensor
    owner: Tensor
    shape: Shape
    allowed: Tensor | None = None
    """Packed grammar masks [N, words], where any completion was sampled under a grammar."""


SUMS = ("loss", "kl", "entropy", "clipped", "logprob", "tokens")
"""What is summed per agent: weighted loss; and over tokens: k3, entropy, clipped, log-probability,
count."""


def head_gradient(
    hidden: Tensor,
    head: Tensor,
    targets: Targets,
    objective: Objective,
    reference: Tensor | None,
    agents: int,
    *,
    chunk: int = 256,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of the loss at `hidden` [N, h] through head [V, h]; also sums [agents, len(SUMS)]
    and log-probabilities [N].

    `reference` [N]: log-probabilities of the targets under the base at the same temperature, or None when no agent
    has a KL term.
    """
    grad = torch.empty_like(hidden)
    sums = torch.zeros(agents, len(SUMS), dtype=torch.float64)
    logprobs = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
    size = BLOCK if hidden.device.type == "cpu" else chunk
    for at in range(0, len(hidden), chunk):
        logits = torch.nn.functional.linear(hidden[at : at + chunk], head)
        for start in range(0, len(logits), size):
            block = logits[start : start + size]
            part = slice(at + start, at + start + len(block))
            known = None if reference is None else reference[part]
            dscores, logprobs[part] = _slope(block.float(), _cut(targets, part), objective, known, sums)
            block.copy_(dscores)
        grad[at : at + chunk] = logits @ head
    return grad, sums, logprobs


def _slope(
    scores: Tensor, targets: Targets, objective: Objective, reference: Tensor | None, sums: Tensor
) -> tuple[Tensor, Tensor]:
    """(gradient at the logits, log-probabilities) of some positions' fp32 logits [n, V], which it
    overwrites; adds to sums."""
    if not targets.shape.unit:
        scores /= targets.shape.temperature[:, None]
    chosen = scores.gather(1, targets.tokens[:, None]).squeeze(1)
    bounded = targets.allowed is not None or not targets.shape.plain
    full = untruncated = None
    if reference is not None and bounded:
        untruncated = scores.softmax(1)
        full = chosen - log_total(scores, untruncated)
    if targets.allowed is not None:
        scores = scores.masked_fill(~unpack(targets.allowed, scores.shape[1]), float("-inf"))
    scores = truncate(scores, targets.shape, forced=targets.tokens)
    probability = scores.softmax(1)
    total = log_total(scores, probability)
    logprob = chosen - total
    full = logprob if full is None else full
    policy, loss, clipped = _policy_term(logprob, targets, objective)
    kl, kl_slope = _kl_term(full, reference)
    coefficient = policy
    if untruncated is None:
        coefficient = coefficient + targets.kl * kl_slope
    coefficient = coefficient * targets.weight / targets.shape.temperature
    entropy = total - _expectation(probability, scores, bounded)
    if objective.entropy:
        # dH/dz = −p (log p + H); the loss holds −entropy · H
        slope = probability * (probability.clamp_min(1e-30).log() + entropy[:, None])
    dscores = probability.mul_(-coefficient[:, None])
    if objective.entropy:
        dscores.addcmul_(slope, (objective.entropy * targets.weight / targets.shape.temperature)[:, None])
    if untruncated is not None:
        more = targets.kl * kl_slope * targets.weight / targets.shape.temperature
        dscores.addcmul_(untruncated, -more[:, None])
        coefficient = coefficient + more
    dscores.scatter_add_(1, targets.tokens[:, None], coefficient[:, None])
    weighted = targets.weight * (loss + targets.kl * kl - objective.entropy * entropy)
    rows = torch.stack([weighted, kl, entropy, clipped, logprob, torch.ones_like(loss)], 1)
    sums.index_add_(0, targets.owner.cpu(), rows.cpu().double())
    return dscores, logprob


def _policy_term(logprob: Tensor, targets: Targets, objective: Objective) -> tuple[Tensor, Tensor, Tensor]:
    """(d loss / d log π, loss, 1 where the clip cut the gradient), before weighting."""
    advantage = targets.advantage
    if objective.clip is None:
        return -advantage, -advantage * logprob, torch.zeros_like(logprob)
    known = torch.isfinite(targets.behaviour)
    ratio = (logprob - torch.where(known, targets.behaviour, logprob)).exp()
    bounded = ratio.clamp(1 - objective.clip, 1 + objective.clip)
    cut = (bounded * advantage < ratio * advantage) & known
    surrogate = -torch.where(cut, bounded, ratio) * advantage
    slope = torch.where(cut, 0.0, -ratio * advantage)
    loss = torch.where(known, surrogate, -advantage * logprob)
    return torch.where(known, slope, -advantage), loss, cut.float()


def _kl_term(logprob: Tensor, reference: Tensor | None) -> tuple[Tensor, Tensor]:
    """k3 and its slope with respect to log π."""
    if reference is None:
        return torch.zeros_like(logprob), torch.zeros_like(logprob)
    gap = reference - logprob
    return torch.expm1(gap) - gap, 1 - gap.exp()


def _expectation(probability: Tensor, scores: Tensor, bounded: bool) -> Tensor:
    """Σ p z per row; excluded tokens (p 0, z −inf) count nothing. With log Z it gives the entropy,
    log Z − Σ p z, without a logarithm."""
    finite = scores.masked_fill(scores == float("-inf"), 0.0) if bounded else scores
    return (probability * finite).sum(1)


def reference_logprobs(hidden: Tensor, head: Tensor, tokens: Tensor, shape: Shape, *, chunk: int = 256) -> Tensor:
    """log π_base(token) [N] at the rows' temperature, without truncation."""
    found = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
    size = BLOCK if hidden.device.type == "cpu" else chunk
    for at in range(0, len(hidden), chunk):
        logits = torch.nn.functional.linear(hidden[at : at + chunk], head)
        for start in range(0, len(logits), size):
            scores = logits[start : start + size].float()
            part = slice(at + start, at + start + len(scores))
            scores /= shape.temperature[part, None]
            found[part] = scores.gather(1, tokens[part, None]).squeeze(1) - log_total(scores, scores.softmax(1))
    return found


def _cut(targets: Targets, part: slice) -> Targets:
    index = torch.arange(len(targets.tokens), device=targets.tokens.device)[part]
    return Targets(
        targets.tokens[part],
        targets.behaviour[part],
        targets.advantage[part],
        targets.weight[part],
        targets.kl[part],
        targets.owner[part],
        targets.shape.rows(index),
        None if targets.allowed is None else targets.allowed[part],
    )


def hyper_of(agent: str, hyper: Mapping[str, Hyper]) -> Hyper:
    if agent not in hyper:
        raise ConfigError("update", [f"hyper: no entry for agent {agent!r} that has samples"])
    return hyper[agent]
