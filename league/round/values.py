"""The values of one round: what it gathers until the commit, what people are told, and who is."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from league.backends.metered import MeteredBackend
from league.evaluation.exams import ExamResult
from league.evaluation.teaching_gains import TeachingGain
from league.learning.accounting import Heard, Spent, played
from league.learning.alarms import Alarm
from league.model.memory import release_freed_memory
from league.population import Population
from league.runtime.league import League, LeagueState
from league.store.run import RunStore
from league.types import BASE, MatchResult, Role, Version, VersionRow

LARGE = ("warm-up", "generate", "update", "evaluate")
"""Phases that leave much freed memory behind."""


@dataclass(frozen=True)
class RoundReport:
    """What a finished, committed round looks like to people."""

    round: int
    rounds: int
    state: LeagueState
    scalars: Mapping[str, float]
    exams: tuple[ExamResult, ...]
    gains: tuple[TeachingGain, ...]
    matches: tuple[MatchResult, ...]
    alarms: tuple[Alarm, ...]
    clock: Mapping[str, float]
    """Seconds of this round by phase."""
    seconds: float


class Audience(Protocol):
    """Who is told: the terminal, TensorBoard, or nobody in tests."""

    def opens(self, league: League, state: LeagueState) -> None:
        """A run is about to begin its warm-up."""

    def phase(self, league: League, number: int, text: str) -> None:
        """Round `number` has come to what `text` says."""

    def round(self, league: League, report: RoundReport) -> None:
        """A round has been committed."""


@dataclass
class RoundDraft:
    """What a round gathers on its way to the commit."""

    number: int
    started: float = field(default_factory=time.perf_counter)
    scalars: dict[str, float] = field(default_factory=dict)
    matches: list[MatchResult] = field(default_factory=list)
    versions: list[VersionRow] = field(default_factory=list)
    exams: list[ExamResult] = field(default_factory=list)
    gains: list[TeachingGain] = field(default_factory=list)
    clock: dict[str, float] = field(default_factory=dict)
    """Seconds of this round by phase."""
    broken: list[Alarm] = field(default_factory=list)
    """Updates that were not finite."""
    alarms: list[Alarm] = field(default_factory=list)
    spent: Spent = Spent()
    """What playing, scoring and learning took so far. Who has a model read completions adds it here."""
    measured: Spent = Spent()
    """What measuring took so far."""

    def began_earlier(self, phase: str, seconds: float) -> None:
        """A process before this one spent so many seconds in the phase, and this one went on from there."""
        self.started -= seconds
        self.clock[phase] = self.clock.get(phase, 0.0) + seconds

    def report(self, rounds: int, state: LeagueState) -> RoundReport:
        """For people, after the commit."""
        return RoundReport(
            round=self.number,
            rounds=rounds,
            state=state,
            scalars=self.scalars,
            exams=tuple(self.exams),
            gains=tuple(self.gains),
            matches=tuple(self.matches),
            alarms=tuple(self.alarms),
            clock=dict(self.clock),
            seconds=time.perf_counter() - self.started,
        )

    def made(self, population: Population, version: Version, parents: tuple[Version, ...], reason: str) -> None:
        """Note a version of a member that this round made.

        Its blobs are written at the commit, if it is still in the bank then.
        """
        role = population.members[version.agent].role
        self.versions.append(_row(version, role, self.number, parents, reason))

    def refused(self, version: Version, parents: tuple[Version, ...]) -> None:
        """Note a merged candidate that did not join: it stays in the lineage, without weights."""
        self.versions.append(_row(version, "past", self.number, parents, "merge refused"))


def base_row() -> VersionRow:
    """The base model in the lineage."""
    return _row(BASE, "past", 0, (), "base model")


def _row(version: Version, role: Role, number: int, parents: tuple[Version, ...], reason: str) -> VersionRow:
    return VersionRow(
        version=version, role=role, round=number, blob=None, optimizer=None, parents=parents, reason=reason
    )


@contextmanager
def metered(league: League, draft: RoundDraft) -> Iterator[League]:
    """The same league; what is said through it counts as measuring."""
    heard = Heard()
    yield replace(league, backend=MeteredBackend(league.backend, heard.hear))
    if heard.prompts:
        draft.measured += played(heard, league.size())


@contextmanager
def timed(store: RunStore, draft: RoundDraft, phase: str) -> Iterator[None]:
    """Add the block's wall time to the round's clock, and leave a heartbeat."""
    store.beat(draft.number, phase)
    started = time.perf_counter()
    yield
    if phase in LARGE:
        release_freed_memory()
    draft.clock[phase] = draft.clock.get(phase, 0.0) + time.perf_counter() - started
