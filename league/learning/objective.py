"""What one update minimises, token by token, and its exact gradient at the hidden states.

Per agent, over its n samples (sequence aggregation; design: MAGRPO, arXiv 2508.04652, plus the usual options)

    L = 1/n Σ_s Σ_t [ −A_s · g(ρ_t) + kl · k3_t − entropy · H_t ]

g(ρ) = log π (its gradient is that of the policy gradient) without clipping; min(ρ A, clip(ρ, 1±ε) A) / A with it, ρ =
π / π_behaviour. k3 = exp(log π_base − log π) − (log π_base − log π) − 1 (Schulman), H the entropy of the sampling
distribution. Token aggregation divides by the agent's number of tokens instead of its number of samples.

π is the distribution that was sampled from: temperature, the grammar if any, then top-k / top-p. A truncated token
set is recomputed under the current weights, holds the sampled token in any case, and is taken as constant by the
gradient. The KL term uses the untruncated distribution at the same temperature on both sides. Temperature 0 is taken
as 1 (supervised).

A sample's own `rule` may ask for another g than that of the objective: `clip` and `shaped` (replies that were drawn
from another prompt, league.learning.channels.lessons), or `distillation`, whose term is the reverse KL to its teacher
over the whole vocabulary, weighted by A (league.learning.channels.distillation).

Because every term is a function of logits at one position, the gradient reaching the hidden states is known in closed
form, so each chunk of logits is computed once, used, and freed; logits exist only at positions that carry loss.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from league.errors import ConfigError
from league.learning.channels.distillation import distillation_term
from league.learning.channels.lessons import clipped_surrogate, shaped_surrogate
from league.learning.loss_positions import CLIP, DISTILLATION, POLICY_GRADIENT, SHAPED, LossPositions
from league.model.grammar import unpack_mask
from league.model.head import OutputHead
from league.model.sampling import BLOCK, RowSampling, log_total, truncate
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
    off_policy_clip: float = 0.2
    """ε of samples with the rule `clip`."""
    shaping: float = 0.1
    """γ of samples with the rule `shaped`."""
    log_ratio_limit: float = 2.0
    """Bound of a token's log-ratio to its teacher in samples with the rule `distillation`, in nats."""

    def __post_init__(self) -> None:
        checks = {
            "aggregation: expected 'sequence' or 'token'": self.aggregation in ("sequence", "token"),
            "clip: expected a value between 0 and 1, or null": self.clip is None or 0 < self.clip < 1,
            "epochs: expected at least 1": self.epochs >= 1,
            "minibatches: expected at least 1": self.minibatches >= 1,
            "max_grad_norm: expected a positive number": self.max_grad_norm > 0,
            "tokens_per_microbatch: expected at least 1": self.tokens_per_microbatch >= 1,
            "off_policy_clip: expected a value between 0 and 1": 0 < self.off_policy_clip < 1,
            "shaping: expected a positive number": self.shaping > 0,
            "log_ratio_limit: expected a positive number": self.log_ratio_limit > 0,
        }
        problems = [f"objective.{text}" for text, good in checks.items() if not good]
        if problems:
            raise ConfigError("objective", problems)

    def needs(self, advantage: float, hyper: Hyper) -> bool:
        """Whether a sample with this advantage has any gradient."""
        return advantage != 0.0 or hyper.kl != 0.0 or self.entropy != 0.0


SUMS = ("loss", "kl", "entropy", "clipped", "logprob", "tokens", "teacher_kl", "distilled")
"""What is summed per agent.

The weighted loss; and over tokens: k3, entropy, 1 where the clip acted, log-probability, 1, KL to the teacher, 1 where
there is one.
"""


def head_gradient(
    hidden_NH: Tensor,
    head: OutputHead,
    positions: LossPositions,
    objective: Objective,
    reference_N: Tensor | None,
    *,
    agents: int,
    chunk: int = 256,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of the loss at the hidden states [N, H], through the head.

    Also the sums [agents, len(SUMS)] and the log-probabilities of the tokens [N]. `reference_N`: log-probabilities
    of the tokens under the base at the same temperature, or None when no agent has a KL term.
    """
    grad_NH = torch.empty_like(hidden_NH)
    sums = torch.zeros(agents, len(SUMS), dtype=torch.float64)
    logprobs_N = torch.empty(len(hidden_NH), dtype=torch.float32, device=hidden_NH.device)
    size = BLOCK if hidden_NH.device.type == "cpu" else chunk
    for at in range(0, len(hidden_NH), chunk):
        logits_nV = head.logits(hidden_NH[at : at + chunk])
        slope_nV = head.slope(logits_nV)
        for start in range(0, len(logits_nV), size):
            block_nV = logits_nV[start : start + size]
            part = slice(at + start, at + start + len(block_nV))
            known = None if reference_N is None else reference_N[part]
            dscores_nV, logprobs_N[part] = _slope(
                block_nV.float(), positions.part(part), head, objective, reference_N=known, sums=sums
            )
            block_nV.copy_(dscores_nV)
        grad_NH[at : at + chunk] = head.at_hidden(logits_nV, slope_nV)
    return grad_NH, sums, logprobs_N


def _slope(
    scores_NV: Tensor,
    positions: LossPositions,
    head: OutputHead,
    objective: Objective,
    *,
    reference_N: Tensor | None,
    sums: Tensor,
) -> tuple[Tensor, Tensor]:
    """(gradient at the logits [N, V], log-probabilities [N]) of some positions; adds to sums.

    Overwrites `scores_NV`, their fp32 logits.
    """
    sampling = positions.sampling
    if not sampling.unscaled:
        scores_NV /= sampling.temperature_R[:, None]
    chosen_N = scores_NV.gather(1, positions.tokens_N[:, None]).squeeze(1)
    bounded = positions.allowed_NW is not None or not sampling.untruncated
    full_N = unbounded_NV = None
    if reference_N is not None and bounded:
        unbounded_NV = scores_NV.softmax(1)
        full_N = chosen_N - log_total(scores_NV, unbounded_NV)
    if positions.allowed_NW is not None:
        scores_NV = scores_NV.masked_fill(~unpack_mask(positions.allowed_NW, scores_NV.shape[1]), float("-inf"))
    scores_NV = truncate(scores_NV, sampling, forced_R=positions.tokens_N)
    probability_NV = scores_NV.softmax(1)
    total_N = log_total(scores_NV, probability_NV)
    logprob_N = chosen_N - total_N
    full_N = logprob_N if full_N is None else full_N
    policy_N, loss_N, clipped_N = _policy_term(logprob_N, positions, objective)
    kl_N, kl_slope_N = _kl_term(full_N, reference_N)
    coefficient_N = policy_N
    if unbounded_NV is None:
        coefficient_N = coefficient_N + positions.kl_N * kl_slope_N
    coefficient_N = coefficient_N * positions.weight_N / sampling.temperature_R
    entropy_N = total_N - _expectation(probability_NV, scores_NV, bounded)
    distilled = distillation_term(scores_NV, total_N, positions, head, objective.log_ratio_limit)
    teacher_kl_N, taught_N = torch.zeros_like(loss_N), torch.zeros_like(loss_N)
    if distilled is not None:
        teacher_kl_N[distilled.rows], taught_N[distilled.rows] = distilled.kl_n, 1.0
        loss_N = loss_N + positions.advantage_N * teacher_kl_N
    if objective.entropy:
        # dH/dz = −p (log p + H); the loss holds −entropy · H
        slope_NV = probability_NV * (probability_NV.clamp_min(1e-30).log() + entropy_N[:, None])
    dscores_NV = probability_NV.mul_(-coefficient_N[:, None])
    if objective.entropy:
        dscores_NV.addcmul_(slope_NV, (objective.entropy * positions.weight_N / sampling.temperature_R)[:, None])
    if unbounded_NV is not None:
        more_N = positions.kl_N * kl_slope_N * positions.weight_N / sampling.temperature_R
        dscores_NV.addcmul_(unbounded_NV, -more_N[:, None])
        coefficient_N = coefficient_N + more_N
    if distilled is not None:
        dscores_NV[distilled.rows] += distilled.slope_nV
    dscores_NV.scatter_add_(1, positions.tokens_N[:, None], coefficient_N[:, None])
    weighted_N = positions.weight_N * (loss_N + positions.kl_N * kl_N - objective.entropy * entropy_N)
    ones_N = torch.ones_like(loss_N)
    rows = torch.stack([weighted_N, kl_N, entropy_N, clipped_N, logprob_N, ones_N, teacher_kl_N, taught_N], 1)
    sums.index_add_(0, positions.owner_N.cpu(), rows.cpu().double())
    return dscores_NV, logprob_N


def _policy_term(logprob_N: Tensor, positions: LossPositions, objective: Objective) -> tuple[Tensor, Tensor, Tensor]:
    """(d loss / d log π, loss, 1 where the clip cut the gradient), each [N], before weighting."""
    advantage_N = positions.advantage_N
    if objective.clip is None:
        slope_N, loss_N, cut_N = -advantage_N, -advantage_N * logprob_N, torch.zeros_like(logprob_N)
    else:
        known_N = torch.isfinite(positions.behaviour_N)
        ratio_N = (logprob_N - torch.where(known_N, positions.behaviour_N, logprob_N)).exp()
        bounded_N = ratio_N.clamp(1 - objective.clip, 1 + objective.clip)
        beyond_N = (bounded_N * advantage_N < ratio_N * advantage_N) & known_N
        surrogate_N = -torch.where(beyond_N, bounded_N, ratio_N) * advantage_N
        slope_N = torch.where(known_N, torch.where(beyond_N, 0.0, -ratio_N * advantage_N), -advantage_N)
        loss_N = torch.where(known_N, surrogate_N, -advantage_N * logprob_N)
        cut_N = beyond_N.float()
    if not bool((positions.rule_N != POLICY_GRADIENT).any()):
        return slope_N, loss_N, cut_N
    nothing_N = torch.zeros_like(logprob_N)
    clip_N, clip_slope_N = clipped_surrogate(logprob_N, positions.behaviour_N, objective.off_policy_clip)
    shaped_N, shaped_slope_N = shaped_surrogate(logprob_N, positions.behaviour_N, objective.shaping)
    for rule, value_N, d_N in (
        (CLIP, clip_N, clip_slope_N),
        (SHAPED, shaped_N, shaped_slope_N),
        (DISTILLATION, nothing_N, nothing_N),
    ):
        here_N = positions.rule_N == rule
        slope_N = torch.where(here_N, -advantage_N * d_N, slope_N)
        loss_N = torch.where(here_N, -advantage_N * value_N, loss_N)
        cut_N = torch.where(here_N, (d_N == 0).float() if rule == CLIP else nothing_N, cut_N)
    return slope_N, loss_N, cut_N


def _kl_term(logprob_N: Tensor, reference_N: Tensor | None) -> tuple[Tensor, Tensor]:
    """k3 and its slope with respect to log π, each [N]."""
    if reference_N is None:
        return torch.zeros_like(logprob_N), torch.zeros_like(logprob_N)
    gap_N = reference_N - logprob_N
    return torch.expm1(gap_N) - gap_N, 1 - gap_N.exp()


def _expectation(probability_NV: Tensor, scores_NV: Tensor, bounded: bool) -> Tensor:
    """Σ p z per position [N]; excluded tokens (p 0, z −inf) count nothing.

    With log Z it gives the entropy, log Z − Σ p z, without a logarithm.
    """
    finite_NV = scores_NV.masked_fill(scores_NV == float("-inf"), 0.0) if bounded else scores_NV
    return (probability_NV * finite_NV).sum(1)


def reference_logprobs(
    hidden_NH: Tensor, head: OutputHead, tokens_N: Tensor, sampling: RowSampling, *, chunk: int = 256
) -> Tensor:
    """log π_base(token) [N] at the positions' temperature, without truncation."""
    found_N = torch.empty(len(hidden_NH), dtype=torch.float32, device=hidden_NH.device)
    size = BLOCK if hidden_NH.device.type == "cpu" else chunk
    for at in range(0, len(hidden_NH), chunk):
        logits_nV = head.logits(hidden_NH[at : at + chunk])
        for start in range(0, len(logits_nV), size):
            scores_nV = logits_nV[start : start + size].float()
            part = slice(at + start, at + start + len(scores_nV))
            scores_nV /= sampling.temperature_R[part, None]
            chosen_n = scores_nV.gather(1, tokens_N[part, None]).squeeze(1)
            found_N[part] = chosen_n - log_total(scores_nV, scores_nV.softmax(1))
    return found_N


def hyper_of(agent: str, hyper: Mapping[str, Hyper]) -> Hyper:
    if agent not in hyper:
        raise ConfigError("update", [f"hyper: no entry for agent {agent!r} that has samples"])
    return hyper[agent]
