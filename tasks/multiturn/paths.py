"""Where a play of several turns stands: what a seat last said, where turns end.

A turn of a task may take several stages (the helper's writer, then the main writer); its last stage carries the tag
"write".
"""

from collections.abc import Iterator
from dataclasses import dataclass

from league.types import Decision, Episode, Message, Node, TreePath

Stage = tuple[str, tuple[str, ...]]
"""(tag, seats that speak at once): one batch of replies."""
WRITE = "write"


@dataclass(frozen=True)
class Spoken:
    """A reply and the prompt it answers."""

    prompt: tuple[Message, ...]
    reply: str


def newest(path: TreePath, seat: str) -> Spoken | None:
    """What a seat said last, or None before its first reply."""
    for decision, node in reversed(path):
        if seat in decision.turn.prompts:
            return Spoken(decision.turn.prompts[seat], decision.texts(node)[seat])
    return None


def to_turn_end(path: TreePath) -> TreePath:
    """The path up to the end of its newest complete turn."""
    end = max(index for index, (decision, _) in enumerate(path) if decision.turn.tag == WRITE)
    return path[: end + 1]


def completed(path: TreePath) -> bool:
    """Whether a turn has been completed along the path."""
    return any(decision.turn.tag == WRITE for decision, _ in path)


def turn_ends(episode: Episode) -> Iterator[TreePath]:
    """The path to every node that ends a turn, in playing order."""
    for path, decision in episode.decisions():
        if decision.turn.tag == WRITE:
            yield from ((*path, (decision, node)) for node in decision.nodes)


def leaves(episode: Episode) -> Iterator[Node]:
    """The nodes after which nobody speaks."""
    return (node for _, decision in episode.decisions() for node in decision.nodes if not node.next)


def ends_by_turn(episode: Episode) -> dict[int, list[int]]:
    """Turn number → ids of the nodes that end it."""
    found: dict[int, list[int]] = {}
    for path in turn_ends(episode):
        turn = sum(decision.turn.tag == WRITE for decision, _ in path)
        found.setdefault(turn, []).append(path[-1][1].id)
    return found


def independent_ends(root: Decision) -> Iterator[Node]:
    """The end of one independent play per aligned joint reply: always the first continuation."""
    for node in root.nodes:
        if len(set(node.picks.values())) == 1:
            while node.next:
                node = node.next[0].nodes[0]
            yield node
