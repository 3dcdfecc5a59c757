"""Log-probabilities of given completions, by the same rule as sampling and the update."""

from collections.abc import Sequence

import torch
from torch import Tensor

from league.model.bank import AdapterBank
from league.model.engine import Row
from league.model.engine_choice import engine_for
from league.model.sampling import RowSampling, truncate
from league.types import Sampling, Version

TOKENS = 8192
"""Tokens of a micro-batch."""


def score(
    bank: AdapterBank,
    rows: Sequence[Row],
    versions: Sequence[Version | None],
    settings: Sequence[Sampling],
    *,
    chunk: int = 256,
) -> list[Tensor]:
    """Per row: log π(token) [T] of its completion's T tokens.

    π is the row's sampling distribution (temperature, top-k, top-p; greedy is scored at temperature 1). A token
    outside its truncated set is scored as if it alone had been added to the set. Rows must have non-empty
    completions.
    """
    engine, found = engine_for(bank), [torch.empty(0)] * len(rows)
    keyed = [version if version is not None else Version("", -1) for version in versions]
    for micro_batch in engine.plan(rows, keyed, TOKENS):
        order = micro_batch.order
        part = [rows[i] for i in order]
        hidden_NH = engine.run(part, [versions[i] for i in order], None, False).hidden_NH
        device = hidden_NH.device
        tokens_N = torch.tensor([token for _, completion in part for token in completion], device=device)
        sampling = RowSampling.of([settings[i] for i in order for _ in rows[i][1]], device)
        values_N = torch.empty(len(tokens_N), device=device)
        for at in range(0, len(tokens_N), chunk):
            index = torch.arange(at, min(at + chunk, len(tokens_N)), device=device)
            own = sampling.rows(index)
            scores_nV = bank.base.head.logits(hidden_NH[index]).float() / own.temperature_R[:, None]
            scores_nV = truncate(scores_nV, own, forced_R=tokens_N[index])
            values_N[index] = scores_nV.gather(1, tokens_N[index, None]).squeeze(1) - scores_nV.logsumexp(1)
        lengths = [len(completion) for _, completion in part]
        for i, value_T in zip(order, values_N.cpu().split(lengths), strict=True):
            found[i] = value_T
    return found
