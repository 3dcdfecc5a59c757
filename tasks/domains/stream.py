"""The stream of distinct problems of a kind and its three splits.

reasoning-gym makes item i from the random seed `seed + i`, so nearby seeds overlap and one stream repeats itself:
ranges of indices cannot keep splits apart. Here a problem's split is a hash of its identity (its wording, or wider),
whatever the level, settings or seed, so no two splits can share an instance, not even between two runs. Repeats are
skipped, so within a split index → problem is one to one.
"""

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any

from league.errors import DataError
from league.seeds import derive
from league.types import Split
from tasks.domains.kind import DomainKind, Rendered

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_TENTHS: tuple[Split, ...] = ("train",) * 6 + ("validation",) * 2 + ("test",) * 2
PATIENCE = 2_000
"""A stream is exhausted when max(PATIENCE, 5 × problems found) draws in a row bring nothing new."""


def split_of(kind: str, identity: str) -> Split:
    """Six tenths train, two validation, two test.

    By sha256 of the kind's name and the problem's identity.
    """
    digest = hashlib.sha256(f"{kind}\x1f{identity}".encode()).digest()
    return _TENTHS[int.from_bytes(digest[:8], "big") % 10]


LARGEST = 65_536
"""Problems of one split; all three together then take under 3 MB and some seconds to draw."""
RENDERED = 256
"""Problems kept as text; the others are rendered again when they are asked for, from the same draw."""


class Stream:
    """Distinct problems in the order in which they are drawn.

    Deterministic in what it draws from: `draw` gives draw number n, or None where that is no good problem.

    A league that lasts walks through its training problems for ever, so of each problem found only two numbers stay:
    a 64-bit digest of its identity (two of a million problems collide with odds of 3e-8; one would be skipped) and
    its place among the draws. After LARGEST of a split the domain counts as exhausted, and who walks on begins again:
    a resumed league draws all of them anew.
    """

    def __init__(self, name: str, level: int, draw: Callable[[int], Rendered | None]):
        self._name = name
        self._level = level
        self._rendered_from = draw
        self._drawn = 0
        self._idle = 0
        self._seen = array("Q")
        self._found: dict[Split, array[int]] = {split: array("Q") for split in SPLITS}
        self._rendered: dict[int, Rendered] = {}

    def get(self, split: Split, index: int) -> Rendered:
        """Problem `index` of a split.

        Raises DataError where the domain has fewer, naming how many there are.
        """
        if index < 0:
            raise DataError(f"domain '{self._name}': expected a problem index from 0, found {index}")
        if self.available(split, index + 1) <= index:
            counts = ", ".join(f"{name} {len(rows)}" for name, rows in self._found.items())
            raise DataError(
                f"domain '{self._name}' at level {self._level} has only {len(self._seen)} distinct problems "
                f"({counts}); problem {index} of '{split}' does not exist: "
                "ask for fewer, raise the level or widen the settings"
            )
        return self._at(self._found[split][index])

    def available(self, split: Split, wanted: int) -> int:
        """How many problems the split has, counting no further than `wanted`."""
        rows, wanted = self._found[split], min(wanted, LARGEST)
        while len(rows) < wanted and self._idle < max(PATIENCE, 5 * len(self._seen)):
            self._draw()
        return min(len(rows), wanted)

    def _draw(self) -> None:
        place = self._drawn
        rendered = self._rendered_from(place)
        self._drawn += 1
        self._idle += 1
        if rendered is None:
            return
        identity = rendered.identity or rendered.question
        digest = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big")
        where = bisect_left(self._seen, digest)
        if where < len(self._seen) and self._seen[where] == digest:
            return
        self._idle = 0
        self._seen.insert(where, digest)
        self._found[split_of(self._name, identity)].append(place)
        self._keep(place, rendered)

    def _at(self, place: int) -> Rendered:
        """The problem of a draw, which was rendered before."""
        if place not in self._rendered:
            again = self._rendered_from(place)
            assert again is not None
            self._keep(place, again)
        return self._rendered[place]

    def _keep(self, place: int, rendered: Rendered) -> None:
        if len(self._rendered) >= RENDERED:
            del self._rendered[next(iter(self._rendered))]
        self._rendered[place] = rendered


def generated(kind: DomainKind, settings: Mapping[str, int], seed: int) -> Callable[[int], Rendered | None]:
    """Draws of a kind, for a stream. The generator is made at the first one.

    Deterministic in (kind, settings, seed).
    """
    base, made = derive("domain", kind.name, seed) % 2**31, list[Any]()

    def draw(place: int) -> Rendered | None:
        if not made:
            made.append(_dataset(kind, settings, base))
        return kind.render(made[0][place], settings)

    return draw


def _dataset(kind: DomainKind, settings: Mapping[str, int], seed: int) -> Any:
    """The generator; reasoning-gym is imported here because it takes over a second."""
    import reasoning_gym

    known = {name: value for name, value in settings.items() if name not in kind.own}
    try:
        return reasoning_gym.create_dataset(kind.dataset, seed=seed, size=2**30, **{**(kind.fixed or {}), **known})
    except (AssertionError, TypeError, ValueError) as problem:
        raise DataError(
            f"domain '{kind.name}': reasoning-gym refused the settings {dict(settings)}: {problem}"
        ) from problem
