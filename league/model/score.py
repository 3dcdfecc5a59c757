"""Log-probabilities of given completions under our own weights, by the same rule as sampling and
the update."""

from collections.abc import Sequence

import torch
from torch import Tensor

from league.model.bank import AdapterBank
from league.model.engine import engine_for
from league.model.generic_engine import Row
from league.model.sampling import Shape, truncate
from league.types import Sampling, Version

TOKENS = 8192


def score(
    bank: AdapterBank,
    rows: Sequence[Row],
    versions: Sequence[Version | None],
    settings: Sequence[Sampling],
    *,
    chunk: int = 256,
) -> list[Tensor]:
    """Per row: log π(token) [completion] under the row's sampling distribution (temperature, top-k,
    top-p; greedy is scored at 1).

    A token outside its truncated set is scored as if it alone had been added to the set. Rows must have non-empty
    completions.
    """
    engine, found = engine_for(bank), [torch.empty(0)] * len(rows)
    keyed = [version if version is not None else Version("", -1) for version in versions]
    for micro in engine.plan(rows, keyed, TOKENS):
        part = [rows[i] for i in micro.order]
        hidden = engine.run(part, [versions[i] for i in micro.order], None, False).hidden
        tokens = torch.tensor([token for _, completion in part for token in completion], device=hidden.device)
        shape = Shape.of([settings[i] for i in micro.order for _ in rows[i][1]], hidden.device)
        values = torch.empty(len(tokens), device=hidden.device)
        for at in range(0, len(tokens), chunk):
            index = torch.arange(at, min(at + chunk, len(tokens)), device=hidden.device)
            own = shape.rows(index)
            scores = (hidden[index] @ bank.base.head.T).float() / own.temperature[:, None]
            scores = truncate(scores, own, forced=tokens[index])
            values[index] = scores.gather(1, tokens[index, None]).squeeze(1) - scores.logsumexp(1)
        for i, value in zip(micro.order, values.cpu().split([len(completion) for _, completion in part]), strict=True):
            found[i] = value
    return found
