"""The positions of a micro-batch that carry loss: its samples, laid out flat.

Each token of a completion has a row. What is made of them is in league.learning.objective.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from league.model.base import BaseModel
from league.model.grammar import Grammars
from league.model.sampling import RowSampling
from league.types import Hyper, Sample, SampleRule, Sampling

RULES: tuple[SampleRule, ...] = get_args(SampleRule)
POLICY_GRADIENT, CLIP, SHAPED, DISTILLATION = range(len(RULES))


@dataclass(frozen=True)
class Weighted:
    """A sample with the weight of its tokens in its agent's loss."""

    sample: Sample
    owner: int
    weight: float


@dataclass(frozen=True)
class LossPositions:
    """The N positions of one micro-batch that carry loss, flat: one for each token of a completion."""

    tokens_N: Tensor
    """The tokens to be predicted."""
    behaviour_N: Tensor
    """Their log-probabilities when they were sampled; NaN where unknown."""
    advantage_N: Tensor
    weight_N: Tensor
    """1 / samples or 1 / tokens of the agent."""
    kl_N: Tensor
    """KL coefficient of the agent."""
    owner_N: Tensor
    """Index of the agent."""
    sampling: RowSampling
    """How each token was sampled."""
    rule_N: Tensor
    """Index of each token's rule in RULES."""
    teacher_NH: Tensor | None = None
    """Hidden states of the teachers, where any sample distils; rows of other samples mean nothing."""
    allowed_NW: Tensor | None = None
    """Packed grammar masks, where any completion was sampled under a grammar."""

    def part(self, part: slice) -> "LossPositions":
        """Those in `part`."""
        index = torch.arange(len(self.tokens_N), device=self.tokens_N.device)[part]
        return LossPositions(
            tokens_N=self.tokens_N[part],
            behaviour_N=self.behaviour_N[part],
            advantage_N=self.advantage_N[part],
            weight_N=self.weight_N[part],
            kl_N=self.kl_N[part],
            owner_N=self.owner_N[part],
            sampling=self.sampling.rows(index),
            rule_N=self.rule_N[part],
            teacher_NH=None if self.teacher_NH is None else self.teacher_NH[part],
            allowed_NW=None if self.allowed_NW is None else self.allowed_NW[part],
        )


def loss_positions(
    items: Sequence[Weighted], hypers: Sequence[Hyper], base: BaseModel, teacher_NH: Tensor | None
) -> LossPositions:
    """The positions of the items' completions, in order."""
    device = base.device
    lengths = torch.tensor([len(item.sample.tokens) for item in items])

    def spread(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32).repeat_interleave(lengths).to(device)

    tokens = [token for item in items for token in item.sample.tokens]
    nan = math.nan
    behaviour = [value for item in items for value in (item.sample.logprobs or (nan,) * len(item.sample.tokens))]
    owner_N = torch.tensor([item.owner for item in items]).repeat_interleave(lengths)
    settings: list[Sampling] = [item.sample.sampling for item in items for _ in item.sample.tokens]
    return LossPositions(
        tokens_N=torch.tensor(tokens, device=device),
        behaviour_N=torch.tensor(behaviour, dtype=torch.float32, device=device),
        advantage_N=spread([item.sample.advantage for item in items]),
        weight_N=spread([item.weight for item in items]),
        kl_N=spread([hypers[item.owner].kl for item in items]),
        owner_N=owner_N.to(device),
        sampling=RowSampling.of(settings, device),
        rule_N=torch.tensor([RULES.index(item.sample.rule) for item in items]).repeat_interleave(lengths).to(device),
        teacher_NH=teacher_NH,
        allowed_NW=_allowed(items, base),
    )


def _allowed(items: Sequence[Weighted], base: BaseModel) -> Tensor | None:
    """Packed grammar masks of all loss positions [N, W]; None without any grammar."""
    if all(item.sample.sampling.grammar is None for item in items):
        return None
    grammars = Grammars(base)
    masks = [
        np.full((len(item.sample.tokens), grammars.words), -1, dtype=np.int32)
        if item.sample.sampling.grammar is None
        else grammars.replay(item.sample.sampling.grammar, item.sample.tokens)
        for item in items
    ]
    return torch.from_numpy(np.concatenate(masks)).to(base.device)
