"""Plays matches stage by stage: every stage is one batch over all matches, whatever the adapter.

A stage is the set of decision points that are open now, in every match of the round. Their prompts go to the backend
together; the replies become the siblings of a node; the task says which decision points follow. Seeds come from the
match and the place in the tree, so a match draws the same replies whoever else plays in the round.

A turn may ask for probes: so many replies are drawn first, and the task looks at them. The rest of all turns that go on
are one further batch of the stage. A group in two parts is the group that one batch would have drawn.

Left out on purpose: scoring (the task's), credit (learning's), and how text is made (the backend's).
"""

from collections.abc import Callable, Mapping, Sequence
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
    Score,
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


@dataclass
class _TurnInPlay:
    """An open decision point while its replies are drawn."""

    state: _MatchInPlay
    path: TreePath
    turn: Turn
    requests: dict[str, Request]
    """seat → what it is asked."""
    replies: dict[str, tuple[Reply, ...]] = field(default_factory=dict)
    failed: BackendError | None = None
    """Why a seat has no replies."""


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
    matches: Sequence[Match],
    tasks: Mapping[str, Task],
    backend: Backend,
    players: Mapping[str, Player],
    *,
    keep: Callable[[Episode, Score], object] | None = None,
) -> list[MatchResult]:
    """Play and score; of what was said, what `keep` makes of it is kept: nothing without it."""
    results = []
    for episode in play(matches, tasks, backend, players):
        score = tasks[episode.match.task].score(episode) if episode.void is None else None
        shown = keep(episode, score) if keep is not None and score is not None else None
        results.append(result_of(episode, score, shown))
    return results


def _play_stage(running: Sequence[_MatchInPlay], backend: Backend, players: Mapping[str, Player]) -> None:
    asked: list[_TurnInPlay] = []
    for state in running:
        for number, (path, turn) in enumerate(state.open):
            asked.append(_TurnInPlay(state, path, turn, _requests(state, state.decisions + number, turn, players)))
    _draw(asked, backend)
    _draw(_going_on(asked), backend)
    for state in running:
        state.open = []
    for each in asked:
        state = each.state
        state.decisions += 1
        if each.failed is not None and state.episode.void is None:
            state.episode.void = str(each.failed)
        if state.episode.void is None:
            _add_decision(state, each.path, each.turn, each.replies, players)
    for state in running:
        if state.episode.void is not None:
            state.open = []


def _requests(state: _MatchInPlay, number: int, turn: Turn, players: Mapping[str, Player]) -> dict[str, Request]:
    """seat → what to ask it first: for all samples, or for the probes."""
    made = {}
    for seat, prompt in turn.prompts.items():
        version: Version = state.match.seats[seat]
        system = players.get(version.agent, Player()).system
        made[seat] = Request(
            version=None if version == BASE else version,
            messages=with_instructions(prompt, system),
            samples=turn.probes if turn.probing else turn.samples,
            sampling=turn.sampling[seat],
            seed=derive(state.match.seed, "decision", number, "seat", seat),
        )
    return made


def _draw(asked: Sequence[_TurnInPlay], backend: Backend) -> None:
    """One batch: the replies to all requests of these turns, behind those they already have."""
    requests = [request for each in asked for request in each.requests.values()]
    if not requests:
        return
    answers = iter(backend.generate(requests))
    for each in asked:
        for seat in each.requests:
            answer = next(answers)
            if isinstance(answer, BackendError):
                each.failed = each.failed or answer
            else:
                each.replies[seat] = (*each.replies.get(seat, ()), *answer)


def _going_on(asked: Sequence[_TurnInPlay]) -> list[_TurnInPlay]:
    """The turns that go on after their probes, with the requests for the rest.

    None of a match in which somebody could not answer.
    """
    void = {id(each.state) for each in asked if each.failed is not None}
    found = []
    for each in asked:
        state, turn = each.state, each.turn
        if not turn.probing or id(state) in void or not state.task.goes_on(state.match, turn, each.replies):
            continue
        rest = turn.samples - turn.probes
        each.requests = {
            seat: replace(request, samples=rest, first=turn.probes) for seat, request in each.requests.items()
        }
        found.append(each)
    return found


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
    for picks in _joint_actions(turn, min(map(len, replies.values()), default=turn.samples)):
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


def _joint_actions(turn: Turn, samples: int) -> list[dict[str, int]]:
    """aligned: the j-th of `samples` replies of all seats; cross: every combination."""
    seats = list(turn.prompts)
    if turn.joint == "aligned":
        return [dict.fromkeys(seats, sample) for sample in range(samples)]
    return [dict(zip(seats, picks, strict=True)) for picks in product(range(samples), repeat=len(seats))]


def _with_temperatures(turn: Turn, match: Match, players: Mapping[str, Player]) -> Turn:
    """The turn with each seat's temperature scaled by its player's."""
    sampling = {}
    for seat, asked in turn.sampling.items():
        factor = players.get(match.seats[seat].agent, Player()).temperature
        sampling[seat] = replace(asked, temperature=asked.temperature * factor) if factor != 1.0 else asked
    return replace(turn, sampling=sampling)
