"""The values of one round of the loop: what it gathers on its way to the commit, what people are
told of it, and who is told."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from league.evaluation.exams import Lesson, Marks
from league.learning.alarms import Alarm
from league.model.memory import release_freed_memory
from league.runtime.assembly import League
from league.types import MatchResult, Version, VersionRow

LARGE = ("warm-up", "generate", "update", "evaluate")
"""Phases that leave much freed memory behind."""


@dataclass(frozen=True)
class RoundReport:
    """What a finished, committed round looks like to people."""

    round: int
    rounds: int
    scalars: Mapping[str, float]
    marks: tuple[Marks, ...]
    lessons: tuple[Lesson, ...]
    matches: tuple[MatchResult, ...]
    alarms: tuple[Alarm, ...]
    clock: Mapping[str, float]
    """Seconds of this round by phase."""
    seconds: float


class Audience(Protocol):
    """Who is told: the terminal, TensorBoard, or nobody in tests."""

    def phase(self, league: League, number: int, text: str) -> None: ...

    def round(self, league: League, report: RoundReport) -> None: ...


@dataclass
class Round:
    """What a round gathers on its way to the commit."""

    number: int
    started: float = field(default_factory=time.perf_counter)
    scalars: dict[str, float] = field(default_factory=dict)
    matches: list[MatchResult] = field(default_factory=list)
    versions: list[VersionRow] = field(default_factory=list)
    marks: list[Marks] = field(default_factory=list)
    lessons: list[Lesson] = field(default_factory=list)
    clock: dict[str, float] = field(default_factory=dict)
    broken: list[Alarm] = field(default_factory=list)
    """Updates that were not finite."""
    alarms: list[Alarm] = field(default_factory=list)

    def report(self, rounds: int) -> RoundReport:
        """For people, after the commit."""
        return RoundReport(
            self.number, rounds, self.scalars, tuple(self.marks), tuple(self.lessons), tuple(self.matches), tuple(self.alarms),
            dict(self.clock), time.perf_counter() - self.started,
        )  # fmt: skip

    def came(self, league: League, version: Version, parents: tuple[Version, ...], reason: str) -> None:
        """Note a version of a member that this round made. Its blobs are written at the commit, if
        it is still in the bank then."""
        self.versions.append(
            VersionRow(version, league.population.members[version.agent].role, self.number, None, None, parents, reason)
        )


@contextmanager
def timed(league: League, now: Round, phase: str) -> Iterator[None]:
    """Add the block's wall time to the round's and the run's clock, and leave a heartbeat."""
    league.store.beat(now.number, phase)
    started = time.perf_counter()
    yield
    if phase in LARGE:
        release_freed_memory()
    for clock in (now.clock, league.clock):
        clock[phase] = clock.get(phase, 0.0) + time.perf_counter() - started
