"""What evolution remembers between rounds. It is part of the round's state, so a resumed run goes
on exactly where it was."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from league.types import Hyper, Version

REMEMBERED = 1000
"""Retired versions named in the round's state, for the lineage: a league that lasts retires some
every round."""


@dataclass
class Evolution:
    """By agent: when it was frozen last, where its present line of weights began, where it began at
    all."""

    frozen_at: dict[str, int] = field(default_factory=dict)
    """Round of the last snapshot."""
    frozen_before: dict[str, int] = field(default_factory=dict)
    """Round of the snapshot before that one."""
    since: dict[str, int] = field(default_factory=dict)
    """Step at which the present line of weights began: a reset or an exploit cuts it, and games
    before say nothing of the agent now."""
    origin: dict[str, Version] = field(default_factory=dict)
    """The frozen version of the warm-up's weights, kept on disk because it is named here."""
    start: dict[str, Hyper] = field(default_factory=dict)
    """Hyper-parameters at the beginning: exploration stays near them."""
    retired: list[tuple[Version, int]] = field(default_factory=list)
    """The newest retired versions and their rounds, newest last."""
    stored: list[Version] = field(default_factory=list)
    """The newest of them, whose weights stay on disk because the state names them."""
    merged: list[str] = field(default_factory=list)
    """Agents that were born by merging and live."""

    def begins(self, name: str, origin: Version, hyper: Hyper) -> None:
        """Remember an agent's beginning, once."""
        self.origin.setdefault(name, origin)
        self.start.setdefault(name, hyper)

    def freezes(self, name: str, number: int) -> None:
        """Note a snapshot of round `number`."""
        self.frozen_before[name] = self.frozen_at.get(name, number)
        self.frozen_at[name] = number

    def retires(self, versions: list[Version], number: int, stored: int) -> None:
        """Note retired versions; the newest `stored` of all keep their weights."""
        self.retired = [*self.retired, *((version, number) for version in versions)][-REMEMBERED:]
        self.stored = [version for version, _ in self.retired][max(0, len(self.retired) - stored) :]

    def forgets(self, names: frozenset[str]) -> None:
        """Agents that left the league."""
        for table in (self.frozen_at, self.frozen_before, self.since, self.origin, self.start):
            for name in names & table.keys():
                del table[name]
        self.merged = [name for name in self.merged if name not in names]

    def to_json(self) -> dict[str, Any]:
        return {
            "frozen_at": dict(self.frozen_at),
            "frozen_before": dict(self.frozen_before),
            "since": dict(self.since),
            "origin": {name: str(version) for name, version in self.origin.items()},
            "start": {name: vars(hyper) for name, hyper in self.start.items()},
            "retired": [[version.agent, version.step, number] for version, number in self.retired],
            "stored": [str(version) for version in self.stored],
            "merged": list(self.merged),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Evolution":
        """Runs from before there was evolution have none of it: {} is an empty memory."""
        return cls(
            dict(data.get("frozen_at", {})),
            dict(data.get("frozen_before", {})),
            dict(data.get("since", {})),
            {name: Version.parse(text) for name, text in data.get("origin", {}).items()},
            {name: Hyper(**values) for name, values in data.get("start", {}).items()},
            [(Version(agent, step), number) for agent, step, number in data.get("retired", ())],
            [Version.parse(text) for text in data.get("stored", ())],
            list(data.get("merged", ())),
        )
