"""Plays matches stage by stage: every stage is one batch over all matches, whatever the adapter.

A stage is the set of decision points that are open now, in every match of the round. Their prompts go to the backend
together; the replies become the siblings of a node; the task says which decision points follow. Seeds come from the
match and the place in the tree, so a match draws the same replies whoever else plays in the round.

Left out on purpose: scoring (the task's), credit (learning's), and how text is made (the backend's).
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import product

from league.errors import BackendError
from league.seeds import derive
from league.types import (
    BASE,
    Backend,
    Decision,
    Episode,
    Match,
    Message,
    Node,
    PrefixCaching,
    Reply,
    Request,
    Turn,
    Version,
)
from tasks import Task


@dataclass(frozen=True)
class Player:
    """What an agent brings to every seat it takes: its own instructions and its own temperature."""

    system: str | None = None
    temperature: float = 1.0
    """Multiplies the task's temperature; greedy stays greedy."""


@dataclass
class _Table:
    """One match in play: its tree so far, and where its open decision points hang."""

    match: Match
    task: Task
    episode: Episode
    open: list[tuple[tuple[tuple[Decision, Node], ...], Turn]] = field(default_factory=list)
    nodes: int = 0
    decisions: int = 0


def play(
    matches: Sequence[Match], tasks: Mapping[str, Task], backend: Backend, players: Mapping[str, Player] | None = None
) -> list[Episode]:
    """Play every match to its end. An unreachable player makes its match void; the others go on.

    `tasks` maps a match's task name to its rules, `players` an agent's name to what it brings (default: nothing).
    """
    tables = []
    for match in matches:
        task = tasks[match.task]
        table = _Table(match, task, Episode(match, []))
        table.open = [((), _personal(turn, match, players or {})) for turn in task.open(match)]
        tables.append(table)
    with backend.prefix_caching() if isinstance(backend, PrefixCaching) else nullcontext():
        while any(table.open for table in tables):
            _play_stage([table for table in tables if table.open], backend, players or {})
    return [table.episode for table in tables]


def _play_stage(tables: Sequence[_Table], backend: Backend, players: Mapping[str, Player]) -> None:
    requests: list[Request] = []
    for table in tables:
        for number, (_, turn) in enumerate(table.open):
            requests.extend(_requests(table, table.decisions + number, turn, players))
    answers = iter(backend.generate(requests))
    for table in tables:
        stage, table.open = table.open, []
        for path, turn in stage:
            replies = {seat: next(answers) for seat in turn.prompts}
            table.decisions += 1
            failed = [reply for reply in replies.values() if isinstance(reply, BackendError)]
            if failed and table.episode.void is None:
                table.episode.void = str(failed[0])
            if table.episode.void is None:
                _grow(
                    table,
                    path,
                    turn,
                    {seat: reply for seat, reply in replies.items() if not isinstance(reply, BackendError)},
                    players,
                )
        if table.episode.void is not None:
            table.open = []


def _requests(table: _Table, number: int, turn: Turn, players: Mapping[str, Player]) -> list[Request]:
    made = []
    for seat, prompt in turn.prompts.items():
        version: Version = table.match.seats[seat]
        system = players.get(version.agent, Player()).system
        messages = _instructed(prompt, system) if system else prompt
        seed = derive(table.match.seed, "decision", number, "seat", seat)
        made.append(Request(None if version == BASE else version, messages, turn.samples, turn.sampling[seat], seed))
    return made


def _instructed(prompt: tuple[Message, ...], system: str) -> tuple[Message, ...]:
    """The player's own instructions before the task's, in one system message: templates know only
    one."""
    if prompt and prompt[0].role == "system":
        return (Message("system", f"{system}\n\n{prompt[0].content}"), *prompt[1:])
    return (Message("system", system), *prompt)


def _grow(
    table: _Table,
    path: tuple[tuple[Decision, Node], ...],
    turn: Turn,
    replies: Mapping[str, tuple[Reply, ...]],
    players: Mapping[str, Player],
) -> None:
    decision = Decision(turn, replies, [])
    for picks in _joint_actions(turn):
        decision.nodes.append(Node(table.nodes, picks))
        table.nodes += 1
    if path:
        path[-1][1].next.append(decision)
    else:
        table.episode.roots.append(decision)
    for node in decision.nodes:
        here = path + ((decision, node),)
        table.open.extend(
            (here, _personal(following, table.match, players)) for following in table.task.follow(table.match, here)
        )


def _joint_actions(turn: Turn) -> list[dict[str, int]]:
    """aligned: the j-th samples of all seats; cross: every combination."""
    seats = list(turn.prompts)
    if turn.joint == "aligned":
        return [dict.fromkeys(seats, sample) for sample in range(turn.samples)]
    return [dict(zip(seats, picks, strict=True)) for picks in product(range(turn.samples), repeat=len(seats))]


def _personal(turn: Turn, match: Match, players: Mapping[str, Player]) -> Turn:
    """The turn with each seat's temperature scaled by its player's."""
    sampling = {}
    for seat, asked in turn.sampling.items():
        factor = players.get(match.seats[seat].agent, Player()).temperature
        sampling[seat] = replace(asked, temperature=asked.temperature * factor) if factor != 1.0 else asked
    return replace(turn, sampling=sampling)
