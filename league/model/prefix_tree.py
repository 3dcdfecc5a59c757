"""Sequences that share beginnings, packed so that every distinct prefix is computed once.

Rows (token sequences, each of one version) are put into a trie per version; each trie node is a segment of tokens
without a branch. Flat order is depth first, so a version's tokens are contiguous and siblings lie side by side. A
token attends to its ancestors' segments and to what precedes it in its own. G completions of one prompt thus cost
prompt + G completions, in training as in prefill.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from league.types import Version


@dataclass
class Segment:
    """Tokens [start, end) of the flat order; ancestors as flat ranges from the root."""

    start: int
    end: int
    ancestors: tuple[tuple[int, int], ...]


@dataclass
class PrefixTrees:
    """A tree per version, flat."""

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    versions: list[tuple[int, int, Version | None]] = field(default_factory=list)
    """(start, end, version) over the flat order."""
    segments: list[Segment] = field(default_factory=list)
    """In flat order."""
    paths: list[tuple[tuple[int, int], ...]] = field(default_factory=list)
    """Each row's flat ranges."""

    def __len__(self) -> int:
        return len(self.tokens)

    def between(self, start: int, end: int) -> list[Segment]:
        """Segments with tokens in the flat range [start, end), in order."""
        first = bisect_right(self.segments, start, key=lambda segment: segment.end)
        last = bisect_left(self.segments, end, key=lambda segment: segment.start)
        return self.segments[first:last]

    def flat(self, row: int) -> list[int]:
        """Flat indices of a row's tokens, in order."""
        return [index for start, end in self.paths[row] for index in range(start, end)]


def grow_trees(rows: Sequence[Sequence[int]], versions: Sequence[Version | None]) -> PrefixTrees:
    """Pack rows; rows of equal tokens and version share every token.

    Every row must have at least one token.
    """
    trees = PrefixTrees(paths=[()] * len(rows))
    order = sorted(range(len(rows)), key=lambda i: (_key(versions[i]), rows[i], i))
    at = 0
    while at < len(order):
        version = versions[order[at]]
        stop = at
        while stop < len(order) and versions[order[stop]] == version:
            stop += 1
        start = len(trees)
        _add_rows(trees, rows, order[at:stop], 0, ())
        trees.versions.append((start, len(trees), version))
        at = stop
    return trees


def _key(version: Version | None) -> tuple[str, int]:
    return (version.agent, version.step) if version is not None else ("", -1)


def _add_rows(
    trees: PrefixTrees,
    rows: Sequence[Sequence[int]],
    order: Sequence[int],
    depth: int,
    ancestors: tuple[tuple[int, int], ...],
) -> None:
    """Add the sorted rows in `order`, which agree on their first `depth` tokens.

    Those are in the trees already, as `ancestors`.
    """
    for row in order:
        if len(rows[row]) == depth:
            trees.paths[row] = ancestors
    rest = [row for row in order if len(rows[row]) > depth]
    at = 0
    while at < len(rest):
        first = rows[rest[at]][depth]
        stop = at
        while stop < len(rest) and rows[rest[stop]][depth] == first:
            stop += 1
        group = rest[at:stop]
        end = depth + _common(rows[group[0]], rows[group[-1]], depth)
        start = len(trees)
        trees.tokens.extend(rows[group[0]][depth:end])
        trees.positions.extend(range(depth, end))
        trees.segments.append(Segment(start, len(trees), ancestors))
        _add_rows(trees, rows, group, end, (*ancestors, (start, len(trees))))
        at = stop


def _common(first: Sequence[int], last: Sequence[int], depth: int) -> int:
    """Length of the common run from `depth`; for sorted rows, first and last bound all between."""
    count = 0
    for a, b in zip(first[depth:], last[depth:], strict=False):
        if a != b:
            break
        count += 1
    return count
