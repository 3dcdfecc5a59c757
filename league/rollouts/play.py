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
from league.rollouts.matches import result_of
from league.seeds import derive
from league.types import (
    BASE,
    Backend,
    Decision,
    Episode,
    Match,
    MatchResult,
    Message,
    Node,
    PrefixCaching,
    Reply,
    Request,
    TreePath,
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
class _MatchInPlay:
    """One match in play: its tree so far, and where its open decision points hang."""

    match: Match
    task: Task
    episode: Episode
    open: list[tuple[TreePath, Turn]] = field(default_factory=list)
    nodes: int = 0
    decisions: int = 0


def play(
    matches: Sequence[Match], tasks: Mapping[str, Task], backend: Backend, players: Mapping[str, Player] | None = None
) -> list[Episode]:
    """Play every match to its end. An unreachable player makes its match void; the others go on.

    `tasks` maps a match's task name to its rules, `players` an agent's name to what it brings (default: nothing).
    """
    running = []
    for match in matches:
        task = tasks[match.task]
        state = _MatchInPlay(match, task, Episode(match, []))
        state.open = [((), _with_temperatures(turn, match, players or {})) for turn in task.open(match)]
        running.append(state)
    with backend.prefix_caching() if isinstance(backend, PrefixCaching) else nullcontext():
        while any(state.open for state in running):
            _play_stage([state for state in running if state.open], backend, players or {})
    return [state.episode for state in running]


def play_unseen(
    matches: Sequence[Match], tasks: Mapping[str, Task], backend: Backend, players: Mapping[str, Player]
) -> list[MatchResult]:
    """Play and score; nothing is kept of what was said."""
    return [
        result_of(episode, tasks[episode.match.task].score(episode) if episode.void is None else None)
        for episode in play(matches, tasks, backend, players)
    ]


def _play_stage(running: Sequence[_MatchInPlay], backend: Backend, players: Mapping[str, Player]) -> None:
    requests: list[Request] = []
    for state in running:
        for number, (_, turn) in enumerate(state.open):
            requests.extend(_requests(state, state.decisions + number, turn, players))
    answers = iter(backend.generate(requests))
    for state in running:
        stage, state.open = state.open, []
        for path, turn in stage:
            replies = {seat: next(answers) for seat in turn.prompts}
            state.decisions += 1
            failed = [reply for reply in replies.values() if isinstance(reply, BackendError)]
            if failed and state.episode.void is None:
                state.episode.void = str(failed[0])
            if state.episode.void is None:
                _add_decision(
                    state,
                    path,
                    turn,
                    {seat: reply for seat, reply in replies.items() if not isinstance(reply, BackendError)},
                    players,
                )
        if state.episode.void is not None:
            state.open = []


def _requests(state: _MatchInPlay, number: int, turn: Turn, players: Mapping[str, Player]) -> list[Request]:
    made = []
    for seat, prompt in turn.prompts.items():
        version: Version = state.match.seats[seat]
        system = players.get(version.agent, Player()).system
        messages = with_instructions(prompt, system)
        seed = derive(state.match.seed, "decision", number, "seat", seat)
        made.append(Request(None if version == BASE else version, messages, turn.samples, turn.sampling[seat], seed))
    return made


def with_instructions(prompt: tuple[Message, ...], system: str | None) -> tuple[Message, ...]:
    """The player's own instructions, if any, before the task's, in one system message.

    Templates know only one.
    """
    if not system:
        return prompt
    if prompt and prompt[0].role == "system":
        return (Message("system", f"{system}\n\n{prompt[0].content}"), *prompt[1:])
    return (Message("system", system), *prompt)


def _add_decision(
    state: _MatchInPlay,
    path: TreePath,
    turn: Turn,
    replies: Mapping[str, tuple[Reply, ...]],
    players: Mapping[str, Player],
) -> None:
    decision = Decision(turn, replies, [])
    for picks in _joint_actions(turn):
        decision.nodes.append(Node(state.nodes, picks))
        state.nodes += 1
    if path:
        path[-1][1].next.append(decision)
    else:
        state.episode.roots.append(decision)
    for node in decision.nodes:
        here = path + ((decision, node),)
        state.open.extend(
            (here, _with_temperatures(following, state.match, players))
            for following in state.task.follow(state.match, here)
        )


def _joint_actions(turn: Turn) -> list[dict[str, int]]:
    """aligned: the j-th samples of all seats; cross: every combination."""
    seats = list(turn.prompts)
    if turn.joint == "aligned":
        return [dict.fromkeys(seats, sample) for sample in range(turn.samples)]
    return [dict(zip(seats, picks, strict=True)) for picks in product(range(turn.samples), repeat=len(seats))]


def _with_temperatures(turn: Turn, match: Match, players: Mapping[str, Player]) -> Turn:
    """The turn with each seat's temperature scaled by its player's."""
    sampling = {}
    for seat, asked in turn.sampling.items():
        factor = players.get(match.seats[seat].agent, Player()).temperature
        sampling[seat] = replace(asked, temperature=asked.temperature * factor) if factor != 1.0 else asked
    return replace(turn, sampling=sampling)
