"""A teacher's hidden states on a student's own replies.

The head is shared, so these are all that distillation needs of a teacher: one forward pass of the base under its
adapter. What is made of them is in league.learning.channels.distillation.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from league.errors import LeagueError
from league.model.bank import AdapterBank
from league.model.base import BaseModel
from league.model.engine import Engine
from league.types import Sample, Sampling, Version


def check_distilled(sample: Sample, bank: AdapterBank) -> None:
    """Raises LeagueError unless the sample can be distilled.

    It needs a teacher with an adapter in the bank, and the whole vocabulary.
    """
    if _teacher(sample) not in bank or _bounded(sample.sampling):
        raise LeagueError(
            f"agent {sample.agent}: a sample to distil needs a teacher with an adapter here, and the whole "
            f"vocabulary: {sample.teacher}, {sample.sampling}"
        )


def teacher_states(engine: Engine, samples: Sequence[Sample], base: BaseModel, budget: int) -> Tensor | None:
    """Hidden states [N, H] of the teachers on the samples' N completion tokens; None where none distils.

    Rows of samples with another rule are 0 and mean nothing. `budget`: tokens of a micro-batch.
    """
    distilled = [place for place, sample in enumerate(samples) if sample.rule == "distillation"]
    if not distilled:
        return None
    lengths = [len(sample.tokens) for sample in samples]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    states_NH = torch.zeros(int(starts[-1]), base.head_VH.shape[1], dtype=base.dtype, device=base.device)
    rows = [(samples[place].prompt_tokens, samples[place].tokens) for place in distilled]
    teachers = [_teacher(samples[place]) for place in distilled]
    with torch.no_grad():
        for part in engine.plan(rows, teachers, budget):
            found_NH = engine.run(
                [rows[i] for i in part.order], [teachers[i] for i in part.order], None, False
            ).hidden_NH
            at = 0
            for place in (distilled[i] for i in part.order):
                states_NH[int(starts[place]) : int(starts[place + 1])] = found_NH[at : at + lengths[place]]
                at += lengths[place]
    return states_NH


def _teacher(sample: Sample) -> Version:
    if sample.teacher is None:
        raise LeagueError(f"agent {sample.agent}: a sample to distil has no teacher")
    return sample.teacher


def _bounded(sampling: Sampling) -> bool:
    """Whether only a part of the vocabulary could be drawn."""
    return sampling.grammar is not None or sampling.top_k > 0 or sampling.top_p < 1.0
