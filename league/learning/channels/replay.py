"""Replay: useful examples learned before are learned again, mixed into the steps of new ones.

A round teaches few domains, and a step on them alone undoes what others learned. So of the samples of a learner's text
steps a share s is old: beside m new ones, m · s / (1 − s). Each is drawn in two lots, first a domain, then one of the
newest `capacity` replies kept for it; none twice in a round. Old ones weigh as their channel does, without the gate:
what was verified stays right, and a domain mastered by now is rehearsed like any other.

Source: experience replay against forgetting (Rolnick et al. 2019, arXiv 1811.11682), balanced by task as in GDumb
(Prabhu et al. 2020).

Failure cases. A right answer with wrong reasoning is learned again and again. A small memory is learned by heart. A
round without new examples replays nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from league.learning.channels.kept import KeptReply, newest_replies


@dataclass(frozen=True)
class ReplayMemory:
    """Examples that were learned, oldest first; no text twice for one learner and problem."""

    rows: tuple[KeptReply, ...] = ()

    def remembered(self, learned: Iterable[KeptReply], capacity: int) -> "ReplayMemory":
        """With those just learned; of every learner and domain the newest `capacity` stay."""
        rows = {row.key: row for row in self.rows}
        for row in learned:
            rows.setdefault(row.key, row)
        return ReplayMemory(newest_replies(rows.values(), capacity))

    def kept(self, learners: Iterable[str]) -> "ReplayMemory":
        """Only those of these learners."""
        wanted = set(learners)
        return ReplayMemory(tuple(row for row in self.rows if row.learner in wanted))

    def drawn(self, learner: str, new: int, share: float, rng: np.random.Generator) -> list[KeptReply]:
        """Old examples to learn beside `new` ones.

        They are `share` of all, 0 ≤ share < 1; fewer where the memory holds no more.
        """
        by_domain: dict[str, list[KeptReply]] = {}
        for row in self.rows:
            if row.learner == learner:
                by_domain.setdefault(row.domain, []).append(row)
        drawn: list[KeptReply] = []
        for _ in range(round(new * share / (1.0 - share))):
            if not by_domain:
                break
            domain = list(by_domain)[int(rng.integers(len(by_domain)))]
            rows = by_domain[domain]
            drawn.append(rows.pop(int(rng.integers(len(rows)))))
            if not rows:
                del by_domain[domain]
        return drawn

    # ------------------------------------------------------------------------------------------------ storage
    def to_json(self) -> list[Any]:
        """A row for each reply (league.learning.channels.kept)."""
        return [row.to_json() for row in self.rows]

    @classmethod
    def from_json(cls, data: Iterable[Any]) -> "ReplayMemory":
        return cls(tuple(KeptReply.from_json(row) for row in data))
