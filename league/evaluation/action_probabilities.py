"""The exact distribution over action names of an adapter whose replies are held to them by a grammar.

Sampling draws token by token from the model's distribution over the tokens that the grammar allows. So the probability
of a name is the sum, over all ways to spell its beginning in tokens, of the products of these shares. A beginning that
only one name has need not be spelled further. All prompts grow together: one batch of scores for each token of depth.

Failure case. Names that share long beginnings have many spellings: at most SPELLINGS beginnings are kept open, the
likeliest first, and what is left out is told as an error.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp

import torch

from league.errors import UserError
from league.model.bank import AdapterBank
from league.model.grammar import Grammars, unpack_mask
from league.model.score import score
from league.types import BASE, Message, Sampling, Version

SPELLINGS = 200_000
"""Rows that are scored at one depth, at most."""

Held = tuple[tuple[tuple[int, str], ...], Sampling]
"""((action, name) …, how replies are drawn, a grammar among it)."""


@dataclass(frozen=True)
class _Beginning:
    """Tokens that a reply may begin with, and how likely it does."""

    place: int
    """Which prompt it answers."""
    tokens: tuple[int, ...]
    chance: float
    allowed: tuple[int, ...] = field(default=())
    """Tokens that may come next."""


def action_probabilities(
    bank: AdapterBank, version: Version, prompts: Sequence[tuple[Message, ...]], held: Sequence[Held]
) -> list[dict[int, float]]:
    """Per prompt: action → probability, under the grammar and temperature of its sampling.

    Raises UserError where the names have too many spellings.
    """
    base = bank.base
    encoded, grammars = [base.encode(prompt) for prompt in prompts], Grammars(base)
    found: list[dict[int, float]] = [dict.fromkeys((action for action, _ in names), 0.0) for names, _ in held]
    open_ = [_Beginning(place, (), 1.0) for place in range(len(prompts))]
    while open_:
        spelled = [_with_next(grammars, base.head_VH.shape[0], each, held[each.place][1]) for each in open_]
        rows = [(each, token) for each in spelled for token in each.allowed]
        if len(rows) > SPELLINGS:
            raise UserError(f"the action names have more than {SPELLINGS:,} spellings; take the figures from samples")
        values = score(
            bank,
            [((*encoded[each.place], *each.tokens), (token,)) for each, token in rows],
            [None if version == BASE else version] * len(rows),
            [Sampling(temperature=held[each.place][1].temperature) for each, _ in rows],
        )
        masses = [exp(float(value[0])) for value in values]
        totals: dict[tuple[int, tuple[int, ...]], float] = {}
        for (each, _), mass in zip(rows, masses, strict=True):
            totals[each.place, each.tokens] = totals.get((each.place, each.tokens), 0.0) + mass
        open_ = []
        for (each, token), mass in zip(rows, masses, strict=True):
            total = totals[each.place, each.tokens]
            share = each.chance * (mass / total if total > 0 else 1 / len(each.allowed))
            tokens = each.tokens if token in base.end_tokens else (*each.tokens, token)
            text = base.decode(tokens)
            names = held[each.place][0]
            fitting = [
                action
                for action, name in names
                if name == text or token not in base.end_tokens and name.startswith(text)
            ]
            if len(fitting) == 1:
                found[each.place][fitting[0]] += share
            elif fitting:
                open_.append(_Beginning(each.place, tokens, share))
    return found


def _with_next(grammars: Grammars, vocabulary: int, beginning: _Beginning, sampling: Sampling) -> _Beginning:
    """The beginning, with the tokens that its grammar allows next."""
    assert sampling.grammar is not None
    guide = grammars.start(sampling.grammar)
    for token in beginning.tokens:
        guide.take(token)
    allowed = unpack_mask(torch.from_numpy(guide.mask()[None].copy()), vocabulary)[0].nonzero().flatten().tolist()
    return _Beginning(beginning.place, beginning.tokens, beginning.chance, tuple(allowed))
