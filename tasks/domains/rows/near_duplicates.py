"""Groups of questions that are nearly the same, found in linear time and with 64 bytes a question.

Two questions are nearly the same where their sets of 3-word shingles have a Jaccard index of at least `threshold`
(A. Broder, 1997). Candidates come from MinHash signatures in bands (P. Indyk and R. Motwani, 1998; Leskovec, Rajaraman,
Ullman, "Mining of Massive Datasets", ch. 3): BANDS bands of ROWS hashes each, so a pair of index s shares a band with
chance 1 − (1 − s^ROWS)^BANDS: 0.95 at 0.8, 0.9999 at 0.9, 0.003 at 0.3. Each question is compared with the first of
its band, exactly, and joined with it where they agree; groups are what is joined. So a pair just above the threshold
can be missed; one below it is never joined by itself, only through others.

    h_k(x) = (x · a_k mod 2^64) >> 32,  a_k odd;   signature_k = min over the shingles x of a question

Numbers are words like others: "12 + 7" and "12 + 8" share few shingles, a long story with another number many.
"""

import hashlib
import re
from array import array
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

SHINGLE, BANDS, ROWS = 3, 16, 8
CHUNK = 1024
"""Questions whose signatures are computed at once."""
KNOWN_WORDS = 200_000
_WORD = re.compile(r"\w+|[^\w\s]")
_FACTORS = np.array([3_935_559_000_370_003_845, 2_691_343_689_449_507_681, 4_768_777_513_237_032_717], np.uint64)


def words_and_marks(text: str) -> list[str]:
    """Words and marks, in lower case."""
    return _WORD.findall(text.casefold())


def shingles_of(text: str) -> frozenset[tuple[str, ...]]:
    """The set of 3-word runs; a shorter text is one shingle."""
    found = words_and_marks(text)
    return frozenset(tuple(found[i : i + SHINGLE]) for i in range(max(1, len(found) - SHINGLE + 1)))


def similarity(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    """The Jaccard index, in [0, 1]."""
    return len(one & other) / len(one | other)


class NearDuplicates:
    """Takes questions one by one (`add`), then says which belong together (`groups`)."""

    def __init__(self) -> None:
        rng = np.random.default_rng(20_110_429)  # fixed: the same questions always get the same groups
        self._a_K = rng.integers(0, 2**64, BANDS * ROWS, dtype=np.uint64) | np.uint64(1)
        self._band_ROWS = rng.integers(0, 2**64, ROWS, dtype=np.uint64) | np.uint64(1)
        self._hashes: dict[str, int] = {}
        self._flat, self._ends = array("Q"), array("Q")
        self._chunks: list[NDArray[np.uint32]] = []

    def add(self, question: str) -> None:
        known = self._hashes
        for word in words_and_marks(question):
            found = known.get(word)
            if found is None:
                found = int.from_bytes(hashlib.blake2b(word.encode(errors="replace"), digest_size=8).digest(), "big")
                if len(known) < KNOWN_WORDS:
                    known[word] = found
            self._flat.append(found)
        while len(self._flat) - (self._ends[-1] if self._ends else 0) < SHINGLE:
            self._flat.append(0)
        self._ends.append(len(self._flat))
        if len(self._ends) == CHUNK:
            self._flush()

    def _flush(self) -> None:
        """Turn the words that were taken into band keys, (questions, BANDS)."""
        if not self._ends:
            return
        flat = np.frombuffer(self._flat, np.uint64)
        ends = np.frombuffer(self._ends, np.uint64).astype(np.int64)
        starts = np.concatenate([[0], ends[:-1]])
        inside = np.ones(len(flat), bool)
        for back in range(1, SHINGLE):
            inside[ends - back] = False
        run = sum(flat[place : len(flat) - SHINGLE + 1 + place] * _FACTORS[place] for place in range(SHINGLE))
        hashed = np.asarray(run)[inside[: len(flat) - SHINGLE + 1]]
        hashed ^= hashed >> np.uint64(29)
        firsts = starts - (SHINGLE - 1) * np.arange(len(starts))
        signature_KQ = np.empty((BANDS * ROWS, len(starts)), np.uint64)
        for k, factor in enumerate(self._a_K):
            signature_KQ[k] = np.minimum.reduceat((hashed * factor) >> np.uint64(32), firsts)
        keys_BQ = (signature_KQ.reshape(BANDS, ROWS, -1) * self._band_ROWS[:, None]).sum(1, dtype=np.uint64)
        self._chunks.append((keys_BQ >> np.uint64(32)).astype(np.uint32).T.copy())
        del flat, ends
        self._flat, self._ends = array("Q"), array("Q")

    def groups(self, question: Callable[[int], str], threshold: float) -> NDArray[np.int64]:
        """For each question the number of the first one of its group, (questions,).

        `question` gives the text of one by its number.
        """
        self._flush()
        parent_Q = np.arange(sum(map(len, self._chunks)), dtype=np.int64)
        for band in range(BANDS):
            for members in _shared(np.concatenate([chunk[:, band] for chunk in self._chunks])):
                first = int(members[0])
                pattern: frozenset[tuple[str, ...]] | None = None
                for other in members[1:]:
                    low, high = sorted((_root(parent_Q, first), _root(parent_Q, int(other))))
                    if low == high:
                        continue
                    if pattern is None:
                        pattern = shingles_of(question(first))
                    if similarity(pattern, shingles_of(question(int(other)))) >= threshold:
                        parent_Q[high] = low
        while not np.array_equal(parent_Q, above := parent_Q[parent_Q]):
            parent_Q = above
        return parent_Q


def _root(parent_Q: NDArray[np.int64], member: int) -> int:
    while parent_Q[member] != member:
        parent_Q[member] = parent_Q[parent_Q[member]]
        member = int(parent_Q[member])
    return member


def _shared(key_Q: NDArray[np.uint32]) -> Iterator[NDArray[np.int64]]:
    """The numbers of questions that share a key with another, key by key, each in rising order."""
    order = np.argsort(key_Q, kind="stable")
    ordered = key_Q[order]
    ends = np.flatnonzero(np.diff(ordered, append=ordered[-1:] + np.uint32(1))) + 1 if len(ordered) else order
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64) if len(ends) else ends
    several = ends - starts > 1
    for start, end in zip(starts[several], ends[several], strict=True):
        yield order[start:end]
