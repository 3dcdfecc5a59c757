"""Where a match of several turns stands: what a seat last said, where turns end. Shared by the
tasks whose agents write more than once.

A turn of a task may take several stages (the helper's writer, then the main writer); its last stage carries the tag
"write".
"""

from collections.abc import Iterator

from league.types import Decision, Episode, Message, Node, TreePath

Stage = tuple[str, tuple[str, ...]]
"""(tag, seats that speak)."""
WRITE = "write"


def last_said(path: TreePath, seat: str) -> tuple[tuple[Message, ...], str] | None:
    """The newest (prompt, reply) of a seat."""
    for decision, node in reversed(path):
        if seat in decision.turn.prompts:
            return decision.turn.prompts[seat], decision.texts(node)[seat]
    return None


def until_write(path: TreePath) -> TreePath:
    """The path up to the end of its newest complete turn."""
    end = max(index for index, (decision, _) in enumerate(path) if decision.turn.tag == WRITE)
    return path[: end + 1]


def wrote_before(path: TreePath) -> bool:
    """Whether a turn has been completed along the path."""
    return any(decision.turn.tag == WRITE for decision, _ in path)


def written(episode: Episode) -> Iterator[TreePath]:
    """The path to every node that ends a turn, in playing order."""
    for path, decision in episode.decisions():
        if decision.turn.tag == WRITE:
            yield from ((*path, (decision, node)) for node in decision.nodes)


def leaves(episode: Episode) -> Iterator[Node]:
    return (node for _, decision in episode.decisions() for node in decision.nodes if not node.next)


def by_turn(episode: Episode) -> dict[int, list[int]]:
    """Turn number → ids of the nodes that end it."""
    found: dict[int, list[int]] = {}
    for path in written(episode):
        turn = sum(decision.turn.tag == WRITE for decision, _ in path)
        found.setdefault(turn, []).append(path[-1][1].id)
    return found


def first_plays(root: Decision) -> Iterator[Node]:
    """The end of one independent playthrough per aligned joint reply: always the first
    continuation."""
    for node in root.nodes:
        if len(set(node.picks.values())) == 1:
            while node.next:
                node = node.next[0].nodes[0]
            yield node
