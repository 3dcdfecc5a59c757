"""What evolution and the alarms remember between rounds.

It is part of the round's state, so a resumed run goes on exactly where it was.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from league.types import Hyper, Version

REMEMBERED = 1000
"""Retired versions named in the round's state, for the lineage.

A league that lasts retires some every round.
"""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class AgentHistory:
    """What evolution remembers of one agent; None where it has nothing."""

    frozen_at: int | None = None
    frozen_before: int | None = None
    since: int | None = None
    origin: Version | None = None
    start: Hyper | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "frozen_at": self.frozen_at,
            "frozen_before": self.frozen_before,
            "since": self.since,
            "origin": None if self.origin is None else str(self.origin),
            "start": None if self.start is None else dict(vars(self.start)),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "AgentHistory":
        return cls(
            frozen_at=data["frozen_at"],
            frozen_before=data["frozen_before"],
            since=data["since"],
            origin=None if data["origin"] is None else Version.parse(data["origin"]),
            start=None if data["start"] is None else Hyper(**data["start"]),
        )


@dataclass(frozen=True)
class EvolutionHistory:
    """By agent: when it was frozen last, where its present line of weights began, where it began at all."""

    frozen_at: Mapping[str, int] = field(default_factory=dict)
    """Round of the last snapshot."""
    frozen_before: Mapping[str, int] = field(default_factory=dict)
    """Round of the snapshot before that one."""
    since: Mapping[str, int] = field(default_factory=dict)
    """Step at which the present line of weights began.

    A reset or an exploit cuts it, and games before say nothing of the agent now.
    """
    origin: Mapping[str, Version] = field(default_factory=dict)
    """The frozen version of the warm-up's weights, kept on disk because it is named here."""
    start: Mapping[str, Hyper] = field(default_factory=dict)
    """Hyper-parameters at the beginning: exploration stays near them."""
    retired: tuple[tuple[Version, int], ...] = ()
    """The newest retired versions and their rounds, newest last."""
    stored: tuple[Version, ...] = ()
    """The newest of them, whose weights stay on disk because the state names them."""
    merged: tuple[str, ...] = ()
    """Agents that were born by merging and live."""

    def begun(self, name: str, origin: Version, hyper: Hyper) -> "EvolutionHistory":
        """An agent's beginning, remembered once."""
        return replace(self, origin={name: origin, **self.origin}, start={name: hyper, **self.start})

    def frozen(self, name: str, number: int) -> "EvolutionHistory":
        """A snapshot was made in round `number`."""
        return replace(
            self,
            frozen_before={**self.frozen_before, name: self.frozen_at.get(name, number)},
            frozen_at={**self.frozen_at, name: number},
        )

    def cut(self, name: str, step: int) -> "EvolutionHistory":
        """The agent's present line of weights begins at this step."""
        return replace(self, since={**self.since, name: step})

    def with_retired(self, versions: Iterable[Version], number: int, stored: int) -> "EvolutionHistory":
        """Versions were retired; the newest `stored` of all keep their weights."""
        retired = (*self.retired, *((version, number) for version in versions))[-REMEMBERED:]
        kept = tuple(version for version, _ in retired)[max(0, len(retired) - stored) :]
        return replace(self, retired=retired, stored=kept)

    def with_merged(self, name: str) -> "EvolutionHistory":
        """A merged agent joined the league."""
        return replace(self, merged=(*self.merged, name))

    def of(self, name: str) -> AgentHistory:
        """What is remembered of one agent."""
        return AgentHistory(
            frozen_at=self.frozen_at.get(name),
            frozen_before=self.frozen_before.get(name),
            since=self.since.get(name),
            origin=self.origin.get(name),
            start=self.start.get(name),
        )

    def with_agent(self, name: str, history: AgentHistory) -> "EvolutionHistory":
        """An agent came back, with what was remembered of it."""
        return replace(
            self,
            frozen_at=_with(self.frozen_at, name, history.frozen_at),
            frozen_before=_with(self.frozen_before, name, history.frozen_before),
            since=_with(self.since, name, history.since),
            origin=_with(self.origin, name, history.origin),
            start=_with(self.start, name, history.start),
        )

    def without(self, names: frozenset[str]) -> "EvolutionHistory":
        """These agents left the league."""
        return replace(
            self,
            frozen_at=_without(self.frozen_at, names),
            frozen_before=_without(self.frozen_before, names),
            since=_without(self.since, names),
            origin=_without(self.origin, names),
            start=_without(self.start, names),
            merged=tuple(name for name in self.merged if name not in names),
        )

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
    def from_json(cls, data: Mapping[str, Any]) -> "EvolutionHistory":
        """Runs from before there was evolution have none of it: {} is an empty memory."""
        return cls(
            frozen_at=dict(data.get("frozen_at", {})),
            frozen_before=dict(data.get("frozen_before", {})),
            since=dict(data.get("since", {})),
            origin={name: Version.parse(text) for name, text in data.get("origin", {}).items()},
            start={name: Hyper(**values) for name, values in data.get("start", {}).items()},
            retired=tuple((Version(agent, step), number) for agent, step, number in data.get("retired", ())),
            stored=tuple(Version.parse(text) for text in data.get("stored", ())),
            merged=tuple(data.get("merged", ())),
        )


@dataclass(frozen=True)
class AlarmHistory:
    """By agent: the first round's measurements, the last good version, roll-backs in a row."""

    first: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    later: Mapping[str, Mapping[str, float]] = field(default_factory=dict, kw_only=True)
    """Quantities that the first round lacked, as they were when they were first measured."""
    good: Mapping[str, Version] = field(default_factory=dict)
    strikes: Mapping[str, int] = field(default_factory=dict)
    quarantined: tuple[str, ...] = ()
    raised: tuple[str, ...] = ()
    """The newest round's alarms, in words."""

    def without(self, names: frozenset[str]) -> "AlarmHistory":
        """These agents left the league."""
        return replace(
            self,
            first=_without(self.first, names),
            later=_without(self.later, names),
            good=_without(self.good, names),
            strikes=_without(self.strikes, names),
            quarantined=tuple(agent for agent in self.quarantined if agent not in names),
        )

    def with_good(self, agent: str, version: Version) -> "AlarmHistory":
        """This version of the agent is the one to go back to."""
        return replace(self, good={**self.good, agent: version})

    def with_strikes(self, agent: str, count: int) -> "AlarmHistory":
        """So many roll-backs in a row; 0 forgets them."""
        others = _without(self.strikes, frozenset({agent}))
        return replace(self, strikes=others | ({agent: count} if count else {}))

    def with_first(self, agent: str, measured: Mapping[str, float]) -> "AlarmHistory":
        """The measurements that later ones of the agent are compared with."""
        return replace(self, first={**self.first, agent: dict(measured)})

    def with_later(self, agent: str, measured: Mapping[str, float]) -> "AlarmHistory":
        """More of them, which its first round did not have."""
        if not measured:
            return self
        return replace(self, later={**self.later, agent: {**self.later.get(agent, {}), **measured}})

    def with_firsts_of(self, agent: str, other: str) -> "AlarmHistory":
        """The agent goes on as a copy of the other, and is compared with what that one was."""
        if other not in self.first:
            return self
        later = _without(self.later, frozenset({agent}))
        return (
            replace(self, later=later).with_first(agent, self.first[other]).with_later(agent, self.later.get(other, {}))
        )

    def to_json(self) -> dict[str, Any]:
        later = {"later": {agent: dict(values) for agent, values in self.later.items()}} if self.later else {}
        return later | {
            "first": {agent: dict(values) for agent, values in self.first.items()},
            "good": {agent: str(version) for agent, version in self.good.items()},
            "strikes": dict(self.strikes),
            "quarantined": list(self.quarantined),
            "raised": list(self.raised),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "AlarmHistory":
        good = {agent: Version.parse(name) for agent, name in data["good"].items()}
        return cls(
            dict(data["first"]),
            good,
            dict(data["strikes"]),
            tuple(data["quarantined"]),
            tuple(data["raised"]),
            later=dict(data.get("later", {})),
        )


def _without(table: Mapping[str, T], names: frozenset[str]) -> dict[str, T]:
    """The rows of the agents that stay."""
    return {name: value for name, value in table.items() if name not in names}


def _with(table: Mapping[str, T], name: str, value: T | None) -> dict[str, T]:
    """The rows with one more, if there is one."""
    return {**table, name: value} if value is not None else dict(table)
