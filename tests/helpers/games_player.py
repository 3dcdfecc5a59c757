"""A tiny player for task tests; no backend, no tensors.

Turns are answered by a function of (seat, prompt, random stream).
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import count, product

import numpy as np

from league.types import Decision, Episode, Match, Node, Reply, Turn, Version
from tasks import Task

Speaker = Callable[[str, str, np.random.Generator], str]


def match_for(task: Task, seed: int = 0, versions: Mapping[str, Version] | None = None, **changes: object) -> Match:
    seats = dict(versions or {seat: Version(f"agent-{place}", 0) for place, seat in enumerate(task.seats())})
    return Match("m", task.name, round=0, seats=seats, problems=changes.pop("problems", ()), seed=seed, **changes)  # type: ignore[arg-type]


def play(task: Task, match: Match, speak: Speaker, seed: int = 0) -> Episode:
    """Play the whole tree; replies are drawn in walking order from one stream."""
    rng = np.random.default_rng(seed)
    ids = count()

    def decide(turn: Turn, path: tuple[tuple[Decision, Node], ...]) -> Decision:
        replies = {
            seat: tuple(Reply(speak(seat, messages[-1].content, rng), "end") for _ in range(turn.samples))
            for seat, messages in turn.prompts.items()
        }
        seats = list(turn.prompts)
        picks: Sequence[tuple[int, ...]]
        if turn.joint == "cross":
            picks = list(product(range(turn.samples), repeat=len(seats)))
        else:
            picks = [(j,) * len(seats) for j in range(turn.samples)]
        decision = Decision(turn, replies, [Node(next(ids), dict(zip(seats, pick, strict=True))) for pick in picks])
        for node in decision.nodes:
            here = (*path, (decision, node))
            node.next = [decide(child, here) for child in task.follow(match, here)]
        return decision

    return Episode(match, [decide(turn, ()) for turn in task.open(match)])
