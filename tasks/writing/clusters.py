"""Clusters of near-duplicate texts.

Connected components of "shares at least `threshold` of its shingles".

Similarity is the Jaccard index of the texts' sets of 3-word shingles (A. Broder, 1997). Candidates come from an index
of shingles, so texts that share none are never compared. Shingles in more than `common` texts are boilerplate and
bring no candidates by themselves; two texts made of nothing else would be missed.
"""

from collections import defaultdict
from collections.abc import Sequence

from tasks.writing.words import words

SHINGLE = 3


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """The text's set of 3-word runs; a shorter text is one shingle."""
    tokens = words(text)
    return frozenset(tuple(tokens[i : i + SHINGLE]) for i in range(max(len(tokens) - SHINGLE + 1, 1)))


def clusters(texts: Sequence[str], threshold: float = 0.4, common: int = 200) -> list[list[int]]:
    """Indices of `texts` by cluster, in order of first member.

    Every index is in exactly one cluster.
    """
    sets = [shingles(text) for text in texts]
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, members in enumerate(sets):
        for shingle in members:
            holders[shingle].append(index)
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    compared: set[tuple[int, int]] = set()
    for held in holders.values():
        if len(held) > common:
            continue
        for place, first in enumerate(held):
            for second in held[place + 1 :]:
                if (first, second) in compared:
                    continue
                compared.add((first, second))
                if len(sets[first] & sets[second]) >= threshold * len(sets[first] | sets[second]):
                    low, high = sorted((root(first), root(second)))
                    parent[high] = low
    grouped: dict[int, list[int]] = defaultdict(list)
    for index in range(len(texts)):
        grouped[root(index)].append(index)
    return [grouped[key] for key in sorted(grouped)]
