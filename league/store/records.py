"""What goes into the store and what comes out, as plain frozen values: no SQL, no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from league.types import Match, MatchResult, Outcome, Rating, Role, Version, VersionRow

CLOCK = "clock"
"""Top-level key of `RoundRecord.state`, and prefix `clock/` of scalar names.

It marks times that differ from run to run: `run_digest` leaves them out.
"""


@dataclass(frozen=True)
class Retention:
    """How much of the past a run keeps. Outcomes, versions, scalars and lineage are kept for ever."""

    rounds: int = 2
    """Rounds whose weights, optimizer and state are kept to fall back to (at least 2)."""
    payoff_rounds: int = 1000
    """Payoff cells of a version that left the league stay in the table this long.

    Its outcomes stay for ever.
    """
    detail_rounds: int = 1000
    """Seeds, problems and metrics of single matches."""
    transcript_rounds: int = 1000
    transcript_megabytes: float = 200.0
    """Cap on the compressed transcripts together; the oldest round goes first."""
    figure_rounds: int = 100
    """`RoundRecord.figures` of so many rounds."""
    adapters_of_transcripts: bool = False
    """Whether the adapter of every version in a match with a transcript stays, for replays."""


@dataclass(frozen=True, kw_only=True)
class RoundRecord:
    """Everything that makes a round exist, committed in one transaction.

    Blobs named here are already written.
    """

    round: int
    versions: tuple[VersionRow, ...]
    """New in this round."""
    matches: tuple[MatchResult, ...]
    ratings: tuple[Rating, ...]
    """Those that changed; unchanged ones may be repeated and cost nothing."""
    scalars: Mapping[str, float]
    live: Mapping[str, Version]
    """agent → its current version, for every member of the population; who is missing has left it."""
    state: Mapping[str, object]
    """JSON: scheduler, evolution, hyper per agent, counters; times under the key `clock`."""
    figures: object | None = None
    """JSON: matrices for pictures; kept for the last `Retention.figure_rounds` rounds."""
    seconds: float = 0.0


@dataclass(frozen=True)
class PlayedOutcome:
    """One outcome with where it came from; void matches have none."""

    round: int
    match: str
    purpose: str
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class StoredMatch:
    """A match as kept for ever, and its details while they last.

    The details are None after `Retention.detail_rounds`.
    """

    id: str
    round: int
    task: str
    purpose: str
    situation: str
    rewards: tuple[float, ...]
    """The weights of its reward mix, in the order of RewardMix's fields."""
    seats: Mapping[str, Version]
    void: str | None
    outcomes: tuple[Outcome, ...]
    seed: int | None = None
    problems: tuple[str, ...] | None = None
    """Problem keys: domain/split/index."""
    metrics: Mapping[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class AgentRow:
    """An agent, past or present, at its newest version."""

    name: str
    role: Role
    version: Version
    created: int
    """Round of its first version."""
    member: bool
    pinned: bool


@dataclass(frozen=True, kw_only=True)
class PayoffCells:
    """Payoff cells as parallel arrays of length N.

    `row` and `col` index `versions`, `slot` indexes `slots`.
    """

    versions: tuple[Version, ...]
    slots: tuple[tuple[str, str], ...]
    """(situation, domain)"""
    slot: np.ndarray
    row: np.ndarray
    col: np.ndarray
    wins: np.ndarray
    draws: np.ndarray
    losses: np.ndarray
    n: np.ndarray
    total: np.ndarray
    total_sq: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """The writer's last sign of life.

    `alive`: the process that holds the run still exists on this machine.
    """

    pid: int
    round: int
    phase: str
    at: float
    """Unix time."""
    alive: bool
    age: float
    """Seconds since `at`."""
    since: float
    """Unix time at which it came to where it is: the phase, or the step that `detail` tells."""
    detail: str = ""
    """Where it is within the phase, in words."""


@dataclass(frozen=True)
class Collected:
    """What garbage collection removed."""

    blobs: int = 0
    bytes: int = 0
    orphans: int = 0


@dataclass
class VerifyReport:
    """What `league verify` found. `problems` empty means sound."""

    folder: str
    round: int | None
    checked: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    digest: str | None = None
    """Over all that determines the run's results and future; None for a damaged run."""

    @property
    def sound(self) -> bool:
        return not self.problems


__all__: Sequence[str] = [
    "CLOCK",
    "AgentRow",
    "Collected",
    "Heartbeat",
    "Retention",
    "Match",
    "MatchResult",
    "PayoffCells",
    "PlayedOutcome",
    "Rating",
    "RoundRecord",
    "StoredMatch",
    "VerifyReport",
]
