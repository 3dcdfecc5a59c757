"""Reads likelihoods for the tasks that ask for them: between play and score, all matches in one batch.

A row is the player's prompt as in play, the sampled tokens of a reply's beginning where the reading has one, and the
completion with the end token. Equal rows are computed once, and so are shared beginnings (league.model.packing).

Left out on purpose: what a reading is for (the task's), and how a pass is made (the engine's).
"""

from collections.abc import Mapping, Sequence
from math import isfinite

from league.model.bank import AdapterBank
from league.model.base import BaseModel
from league.model.engine import Row
from league.model.score import score
from league.rollouts.play import Player, with_instructions
from league.types import BASE, Episode, Likelihood, Reading, Reply, Sampling, Version

Asked = tuple[Version | None, Row, Sampling]
"""One row to compute; version None is the base model."""


RowsRead = dict[Version, list[Row]]
"""Player → the distinct rows that were computed with it; the base model under its own version."""


def read_likelihoods(
    asked: Sequence[tuple[Episode, Sequence[Reading]]],
    bank: AdapterBank | None,
    players: Mapping[str, Player],
) -> RowsRead:
    """Answer every reading in its episode's `likelihoods`, one batch for all.

    A player without an adapter here (scripted, remote) has no likelihoods: its readings stay without an answer. An
    answer that is not finite, or a row that does not fit the context, makes its match void, so that it teaches nobody
    and the others go on. Returns what was computed, for the accounts: each row once.
    """
    wanted = [
        (episode, reading)
        for episode, readings in asked
        if episode.void is None
        for reading in readings
        if bank is not None and _readable(bank, episode.match.seats[reading.seat])
    ]
    if bank is None or not wanted:
        return {}
    tried = [(each, _row(bank.base, *each, players)) for each in wanted]
    for (episode, reading), row in tried:
        if episode.void is None and not _fits(bank.base, row):
            episode.void = _too_long(bank.base, episode, reading, row)
    tried = [((episode, reading), row) for (episode, reading), row in tried if episode.void is None]
    if not tried:
        return {}
    wanted, rows = [each for each, _ in tried], [row for _, row in tried]
    distinct = list(dict.fromkeys(rows))
    values = score(
        bank, [row for _, row, _ in distinct], [who for who, _, _ in distinct], [how for _, _, how in distinct]
    )
    logprobs = {row: tuple(value_T.tolist()) for row, value_T in zip(distinct, values, strict=True)}
    spans = {completion: _spans(bank.base, completion) for _, (_, completion), _ in distinct}
    found: dict[str, dict[str, Likelihood]] = {}
    for (episode, reading), row in zip(wanted, rows, strict=True):
        found.setdefault(episode.match.id, {})[reading.key] = Likelihood(logprobs[row], spans[row[1][1]])
        if not all(map(isfinite, logprobs[row])):
            episode.void = _not_finite(episode, reading)
    for episode, _ in asked:
        episode.likelihoods = {**episode.likelihoods, **found.get(episode.match.id, {})}
    computed: RowsRead = {}
    for version, tokens in dict.fromkeys((version or BASE, tokens) for version, tokens, _ in distinct):
        computed.setdefault(version, []).append(tokens)
    return computed


def _readable(bank: AdapterBank, version: Version) -> bool:
    return version == BASE or version in bank


def _fits(base: BaseModel, asked: Asked) -> bool:
    _, (prompt, completion), _ = asked
    return len(prompt) + len(completion) <= base.context


def _too_long(base: BaseModel, episode: Episode, reading: Reading, asked: Asked) -> str:
    _, (prompt, completion), _ = asked
    return (
        f"match {episode.match.id}: a likelihood of seat '{reading.seat}' needs {len(prompt)} tokens of prompt and "
        f"{len(completion)} of text, the context is {base.context}"
    )


def _not_finite(episode: Episode, reading: Reading) -> str:
    agent = episode.match.seats[reading.seat].agent
    return (
        f"match {episode.match.id}: a likelihood of agent '{agent}' (seat '{reading.seat}') is not finite; "
        "are its adapter's weights?"
    )


def _row(base: BaseModel, episode: Episode, reading: Reading, players: Mapping[str, Player]) -> Asked:
    version = episode.match.seats[reading.seat]
    system = players.get(version.agent, Player()).system
    messages = with_instructions(reading.prompt, system)
    said = () if reading.reply is None else _beginning(base, reading.reply, reading.characters)
    completion = (*_encoded(base, reading.completion), int(base.tokenizer.eos_token_id))
    return None if version == BASE else version, ((*base.tokens_of(messages), *said), completion), reading.sampling


def _beginning(base: BaseModel, reply: Reply, characters: int) -> tuple[int, ...]:
    """The reply's tokens that lie within its first `characters`.

    The part of them that a token shares with what follows ("Answer" of "Answer:\\n" in one token) is encoded anew.
    """
    ends = _ends(base, reply.tokens)
    whole = sum(end <= characters for end in ends)
    known = ends[whole - 1] if whole else 0
    return (*reply.tokens[:whole], *_encoded(base, reply.text[known:characters]))


def _encoded(base: BaseModel, text: str) -> tuple[int, ...]:
    return tuple(int(token) for token in base.tokenizer.encode(text, add_special_tokens=False))


def _ends(base: BaseModel, tokens: Sequence[int]) -> list[int]:
    """Per token, how many characters of text there are with it."""
    return [len(base.decode(tokens[: place + 1])) for place in range(len(tokens))]


def _spans(base: BaseModel, tokens: Sequence[int]) -> tuple[tuple[int, int], ...]:
    ends = _ends(base, tokens)
    return tuple(zip([0, *ends[:-1]], ends, strict=True))
