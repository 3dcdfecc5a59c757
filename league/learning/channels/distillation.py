"""On-policy distillation: a student moves towards its teacher's distribution on its own replies.

    L = w / n Σ_s Σ_t KL(π_S(· | h_t) ‖ π_E(· | h_t))        the full vocabulary, in closed form
    ∂KL / ∂z = p ∘ (log p − log q − KL) / T                  z the student's logits, p and q at temperature T

The head is shared and frozen, so the teacher's distribution needs only its hidden states: one forward pass of the same
base under another adapter. With a limit c on a token's log-ratio the slope uses clip(log p − log q, ±c), centred by its
mean under p; far from the limit both are the same.

w is `weight`, n the number of all samples of the agent in the step, of other channels too. A reply is distilled with
the probability of the gate's strength λ, which falls to 0 as the student catches up: this is the annealing. (A factor λ
in the loss would do nothing where all samples have it: AdamW divides it out.) A student starts only when the bridge is
crossed: when the lower bound of its own accuracy in the domain has reached `bridge`. Before that its replies are of no
use to either side (cold distillation took a student from 4 of 40 right answers to 1).

Source: on-policy distillation, Agarwal et al. 2023 (GKD, arXiv 2306.13649); MOPD, arXiv 2606.30406, samples the
log-ratio of the token where this takes its expectation.

Failure cases. A teacher that is no better moves the student nowhere good: the gate. Reverse KL seeks one mode, so
entropy falls: the alarms on entropy and length watch it. A remote teacher has no distribution here.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from league.config import DistillationConfig
from league.learning.channels.gate import Gate
from league.learning.loss_positions import DISTILLATION, LossPositions
from league.model.head import OutputHead
from league.types import Reply, Sample, Sampling, Version


def distillation_samples(
    spoken: Iterable[tuple[Version, str, Reply, Sampling]],
    teachers: Mapping[tuple[Version, str], Version],
    chosen: DistillationConfig,
    gate: Gate,
    rng: np.random.Generator,
) -> Iterator[Sample]:
    """A sample for each unaided reply whose teacher the gate lets through, thinned by the gate's strength.

    `spoken`: (student, domain, reply, how it was sampled).
    """
    for student, domain, reply, sampling in spoken:
        chance = float(rng.random())
        teacher = teachers.get((student, domain))
        if teacher is None or not reply.tokens or not _bridged(student, domain, chosen.bridge, gate):
            continue
        if chance < (gate.weight(teacher, student, domain) if chosen.gate else 1.0):
            yield Sample(
                agent=student.agent,
                prompt_tokens=reply.prompt_tokens,
                tokens=reply.tokens,
                logprobs=(),
                advantage=chosen.weight,
                sampling=Sampling(temperature=sampling.temperature or 1.0),
                channel="distillation",
                teacher=teacher,
                domain=domain,
                rule="distillation",
            )


def _bridged(student: Version, domain: str, bridge: float, gate: Gate) -> bool:
    """Whether the student is surely as good as the bridge asks; a bridge of 0 asks for nothing."""
    return bridge == 0 or gate.competence.bounds(student, domain, gate.confidence)[0] >= bridge


def reverse_kl(logp_NV: Tensor, logq_NV: Tensor, limit: float) -> tuple[Tensor, Tensor]:
    """KL(p ‖ q) per position [N], and its slope at the student's scores z / T [N, V].

    `limit` bounds a token's log-ratio in the slope, in nats.
    """
    p_NV = logp_NV.exp()
    ratio_NV = logp_NV - logq_NV
    kl_N = (p_NV * ratio_NV).sum(1)
    ratio_NV = ratio_NV.clamp(-limit, limit)
    centre_N = (p_NV * ratio_NV).sum(1)
    return kl_N, p_NV * (ratio_NV - centre_N[:, None])


@dataclass(frozen=True)
class DistillationTerm:
    """The positions of a block that distil (n of its N), and what they add."""

    rows: Tensor
    kl_n: Tensor
    slope_nV: Tensor
    """Weighted gradient at the logits."""


def distillation_term(
    scores_NV: Tensor, total_N: Tensor, positions: LossPositions, head: OutputHead, limit: float
) -> DistillationTerm | None:
    """The KL to the teacher at the positions that distil; None where there are none.

    `scores_NV` are logits at the positions' temperature, `total_N` the logarithms of their partition sums. Positions
    whose teacher is not finite are left out: a broken teacher must not stop its student.
    """
    rows = (positions.rule_N == DISTILLATION).nonzero().squeeze(1)
    if positions.teacher_NH is None or not len(rows):
        return None
    temperature_n = positions.sampling.temperature_R[rows]
    logq_nV = head.logits(positions.teacher_NH[rows]).float() / temperature_n[:, None]
    logq_nV = logq_nV.log_softmax(1)
    sound_n = torch.isfinite(logq_nV).all(1)
    rows, logq_nV, temperature_n = rows[sound_n], logq_nV[sound_n], temperature_n[sound_n]
    kl_n, slope_nV = reverse_kl(scores_NV[rows] - total_N[rows, None], logq_nV, limit)
    weight_n = positions.advantage_N[rows] * positions.weight_N[rows] / temperature_n
    return DistillationTerm(rows, kl_n, slope_nV * weight_n[:, None])
