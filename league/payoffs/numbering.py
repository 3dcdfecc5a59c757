"""Numbers for what a payoff view tells apart, slots and versions.

Each cell's slot, row and column are packed into one number.
"""

import numpy as np

from league.payoffs.matrix import IndexArray
from league.types import Outcome, Version

Slot = tuple[str, str, str, str]
"""(relation, task, situation, domain)."""
_BITS = 24
"""Of a version's number within a packed key."""


class Numbering:
    """Numbers of slots and versions. Only ever appended to, so views may share it."""

    def __init__(self) -> None:
        self.slots: dict[Slot, int] = {}
        self.versions: dict[Version, int] = {}
        self._agents: dict[str, int] = {}
        self._columns = np.zeros((2, 0), dtype=np.int64)
        self._ranked: tuple[int, IndexArray] = (-1, np.zeros(0, dtype=np.intp))

    def slot(self, slot: Slot) -> int:
        return self.slots.setdefault(slot, len(self.slots))

    def version(self, version: Version) -> int:
        return self.versions.setdefault(version, len(self.versions))

    def columns(self) -> tuple[IndexArray, IndexArray]:
        """(V,) each: number of the version's agent, and its step."""
        known = self._columns.shape[1]
        if known < len(self.versions):
            fresh = list(self.versions)[known:]
            pairs = [(self._agents.setdefault(version.agent, len(self._agents)), version.step) for version in fresh]
            self._columns = np.concatenate([self._columns, np.array(pairs, dtype=np.int64).T], axis=1)
        return self._columns[0], self._columns[1]

    def agent(self, name: str) -> int:
        self.columns()
        return self._agents.get(name, -1)

    def ranks(self) -> IndexArray:
        """(V,): each version's place among all, by agent and step.

        An order that does not depend on who came first.
        """
        if self._ranked[0] != len(self.versions):
            agents, steps = self.columns()
            places = {name: place for place, name in enumerate(sorted(self._agents))}
            by_name = (
                np.array([places[name] for name in self._agents], dtype=np.int64)[agents] if len(agents) else agents
            )
            ranks = np.empty(len(agents), dtype=np.intp)
            ranks[np.lexsort((steps, by_name))] = np.arange(len(agents))
            self._ranked = (len(self.versions), ranks)
        return self._ranked[1]

    def slot_ranks(self) -> IndexArray:
        ranks = np.empty(len(self.slots), dtype=np.intp)
        ranks[[self.slots[slot] for slot in sorted(self.slots)]] = np.arange(len(self.slots))
        return ranks


def slot_of(outcome: Outcome) -> Slot:
    return (outcome.relation, outcome.task, outcome.situation, outcome.domain)


def pack_key(slot: int, row: int, col: int) -> int:
    """Packed keys sort by slot, then row, then column."""
    return (slot << (2 * _BITS)) | (row << _BITS) | col


def unpack_keys(keys: IndexArray) -> IndexArray:
    """(N, 3): slot, row, col of packed keys."""
    mask = (1 << _BITS) - 1
    return np.stack([keys >> (2 * _BITS), (keys >> _BITS) & mask, keys & mask], axis=1)
