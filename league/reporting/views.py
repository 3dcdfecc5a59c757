"""The values that pictures and tables are drawn from: small, frozen, plain. Filled by `from_store`,
or by anyone's own numbers.

Unknown is NaN in arrays and None elsewhere; it is drawn as blank, never as a number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from league.errors import DataError

Scale = Literal["signed", "winrate", "share", "points", "count"]
"""How a matrix is coloured: signed −1…1 about 0; winrate 0…1 about ½; share 0…1 (accuracy); points
about 0, in percentage points; count from 0 up."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval; low and high are None where no interval is known (NaN is
    taken as None)."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            bound = getattr(self, name)
            if bound is not None and bound != bound:
                object.__setattr__(self, name, None)

    @property
    def excludes_zero(self) -> bool:
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Matrix:
    """Rows × columns of estimates. `values`, `low`, `high`, `n` have shape (rows, cols); NaN is
    unknown.

    Raises DataError when the shapes disagree.
    """

    title: str
    unit: str
    rows: tuple[str, ...]
    cols: tuple[str, ...]
    values: Floats
    scale: Scale
    low: Floats | None = None
    high: Floats | None = None
    n: Floats | None = None
    row_axis: str = "row"
    col_axis: str = "column"
    reach: float | None = None
    """Scale "points": full colour at ± this value, shared by matrices to be compared; None takes
    the largest value, at least 10."""

    def __post_init__(self) -> None:
        shape = (len(self.rows), len(self.cols))
        for name in ("values", "low", "high", "n"):
            array = getattr(self, name)
            if array is None:
                continue
            array = np.asarray(array, dtype=np.float64)
            if array.shape != shape:
                raise DataError(
                    f"matrix '{self.title}': {name} has shape {array.shape}, expected {shape} (rows × columns)"
                )
            object.__setattr__(self, name, array)

    @property
    def centre(self) -> float:
        """The value that means "nothing": ½ for win rates, 0 otherwise."""
        return 0.5 if self.scale == "winrate" else 0.0

    @property
    def certain(self) -> NDArray[np.bool_]:
        """Where the interval leaves the centre out; all False without intervals."""
        if self.low is None or self.high is None:
            return np.zeros(self.values.shape, dtype=bool)
        return (self.low > self.centre) | (self.high < self.centre)

    def estimate(self, row: int, col: int) -> Estimate | None:
        """The estimate of one cell, or None where it is unknown."""
        value = float(self.values[row, col])
        if np.isnan(value):
            return None
        low, high = (None if a is None or np.isnan(a[row, col]) else float(a[row, col]) for a in (self.low, self.high))
        return Estimate(value, low, high, 0 if self.n is None else int(np.nan_to_num(self.n[row, col])))


@dataclass(frozen=True)
class Series:
    """One line over rounds: `rounds`, `values` and, where known, `low` and `high` have the same
    length."""

    name: str
    rounds: tuple[int, ...]
    values: tuple[float, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for label, column in (("values", self.values), ("low", self.low), ("high", self.high)):
            if column is not None and len(column) != len(self.rounds):
                raise DataError(f"series '{self.name}': {len(column)} {label} for {len(self.rounds)} rounds")


@dataclass(frozen=True)
class Panel:
    """Lines that share an axis. `baseline` is drawn dashed, under its label; `bounds` fixes the y
    axis."""

    title: str
    unit: str
    series: tuple[Series, ...]
    baseline: Estimate | None = None
    baseline_label: str = "baseline"
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class LadderRow:
    """One agent's place in one ladder; `mu` ± 2 `sigma` is the band that is drawn."""

    ladder: str
    name: str
    role: str
    mu: float
    sigma: float
    games: int


@dataclass(frozen=True)
class CertifiedEdge:
    """`winner` beats `loser` beyond doubt; `rate` is the winner's win rate, `n` the number of
    games."""

    winner: str
    loser: str
    rate: float
    n: int = 0


@dataclass(frozen=True)
class Cycles:
    """What is certain about who beats whom. `cycles` are bounded in length; each lists its agents
    in beating order."""

    names: tuple[str, ...]
    edges: tuple[CertifiedEdge, ...]
    cycles: tuple[tuple[str, ...], ...]
    pairs: int
    truncated: bool = False
    statistics: Mapping[str, Estimate | None] = field(default_factory=dict)
    """Further results by name (cyclic share, p-value, exploitability); None is shown as
    "undefined"."""
    unmet: int = 0
    """Pairs that never met: while there are any, mixtures and what rests on them are undefined."""


@dataclass(frozen=True)
class LineageEdge:
    """A version came to be: from `parents` (none for a founder) in `round`, for `reason`."""

    child: str
    parents: tuple[str, ...]
    round: int
    reason: str
    role: str = ""
    retired: int | None = None
    """The round in which the league stopped meeting it."""


@dataclass(frozen=True)
class Gain:
    """Held-out accuracy of one agent in one domain, first and last measurement on the same
    problems, and the paired gain."""

    agent: str
    domain: str
    start: Estimate
    end: Estimate
    gain: Estimate


@dataclass(frozen=True)
class Comparison:
    """One domain in two runs, side by side, and the difference first − second."""

    domain: str
    first: Estimate | None
    second: Estimate | None
    difference: Estimate | None


@dataclass(frozen=True)
class RoundLine:
    """What one round's line says. Fractions are 0…1, `delta` in percentage points; None is left
    blank."""

    round: int
    rewards: Mapping[str, float]
    """Mean reward by role, in the order in which the columns are to stand."""
    accuracy: float | None = None
    win_rate: float | None = None
    delta: float | None = None
    tokens_per_s: float | None = None
    seconds: float = 0.0
    shares: Mapping[str, float] = field(default_factory=dict)
    """Share of the round's wall time by activity ("generate", "update", "other")."""
    used: float = 0.0
    """Share of the run's nearest limit in tokens or hours that is spent, 0…1; 0 where there is
    none."""


@dataclass(frozen=True)
class AgentRow:
    """A member of the population; `games` are those its overall rating rests on."""

    name: str
    role: str
    step: int
    games: int
    rating: Estimate | None = None
    accuracy: float | None = None


@dataclass(frozen=True)
class Status:
    """Where a run stands."""

    name: str
    state: str
    """"running", "stopped", "finished", "new"."""
    round: int
    rounds: int | None
    matches: int
    versions: int
    seconds: float
    agents: tuple[AgentRow, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """Everything `league report` shows, in the order in which it shows it."""

    status: Status
    headline: Gain | None = None
    """All students and domains together; None when the run measured nothing held out."""
    gains: Sequence[Gain] = ()
    teaching: Estimate | None = None
    """Mean Δ caused by teaching at the end, in percentage points."""
    teaching_lesson: Estimate | None = None
    """The part of Δ beyond a shuffled explanation: the lesson rather than the template, in
    percentage points."""
    teaching_held_out: Estimate | None = None
    """Δ with the held-out student, a frozen self that never trains."""
    teaching_gain: Estimate | None = None
    """Change of the mean Δ over the run, in percentage points."""
    matrices: Sequence[Matrix] = ()
    ladder: Sequence[LadderRow] = ()
    rating_history: Sequence[Panel] = ()
    cycles: Cycles | None = None
    structure: Sequence[Panel] = ()
    """Cyclic share over time."""
    masses: Sequence[Panel] = ()
    """Nash and α-rank mass over time."""
    curves: Sequence[Panel] = ()
    lineage: Sequence[LineageEdge] = ()
    transcripts: Sequence[object] = ()
    config: str = ""
    versions: str = ""
    agents: Sequence[str] = ()
    """Agents in order of creation: fixes their colours."""
