"""The plain values that pictures and tables are drawn from.

Filled by `queries`, or by anyone's own numbers. Unknown is NaN in arrays and None elsewhere; it is drawn as blank,
never as a number. Suffixes name the axes of arrays: `_RC` is rows × columns, `_NN` agents × agents, `_TS` teachers ×
students.
"""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from league.errors import DataError
from league.types import Version

Scale = Literal["signed", "winrate", "share", "points", "count"]
"""How a matrix is coloured.

signed −1…1 about 0; winrate 0…1 about ½; share 0…1 (accuracy); points about 0, in percentage points; count from 0 up.
"""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval.

    `low` and `high` are None where no interval is known; NaN is taken as None. `n` counts what it rests on.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0

    def __post_init__(self) -> None:
        for name, bound in (("low", self.low), ("high", self.high)):
            if bound is not None and bound != bound:
                object.__setattr__(self, name, None)

    @property
    def excludes_zero(self) -> bool:
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Matrix:
    """Rows × columns of estimates.

    `values`, `low`, `high` and `n` have shape (rows, cols); NaN is unknown. Raises DataError when the shapes disagree.
    """

    title: str
    unit: str
    _: KW_ONLY
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
    """Scale "points": full colour at ± this value, shared by matrices to be compared.

    None takes the largest value, at least 10.
    """
    key: str = ""
    """Its name in TensorBoard tags and in --json; by default the title.

    It stays as it is when the title is worded anew.
    """

    def __post_init__(self) -> None:
        if not self.key:
            object.__setattr__(self, "key", self.title)
        shape = (len(self.rows), len(self.cols))
        for name, given in (("values", self.values), ("low", self.low), ("high", self.high), ("n", self.n)):
            if given is None:
                continue
            array_RC = np.asarray(given, dtype=np.float64)
            if array_RC.shape != shape:
                raise DataError(
                    f"matrix '{self.title}': {name} has shape {array_RC.shape}, expected {shape} (rows × columns)"
                )
            object.__setattr__(self, name, array_RC)

    @property
    def centre(self) -> float:
        """The value that means "nothing": ½ for win rates, 0 otherwise."""
        return 0.5 if self.scale == "winrate" else 0.0

    @property
    def certain(self) -> NDArray[np.bool_]:
        """Where the interval leaves the centre out (rows, cols); all False without intervals."""
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
    """One line over rounds.

    `rounds`, `values` and, where known, `low` and `high` have the same length. Raises DataError where they do not.
    """

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
    """Lines that share an axis.

    `baseline` is drawn dashed, under its label. `bounds` fixes the y axis.
    """

    title: str
    unit: str
    series: tuple[Series, ...]
    _: KW_ONLY
    baseline: Estimate | None = None
    baseline_label: str = "baseline"
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class LadderRow:
    """One agent's place in one ladder; `mu` ± 2 `sigma` is the band that is drawn."""

    ladder: str
    name: str
    _: KW_ONLY
    role: str
    mu: float
    sigma: float
    games: int


@dataclass(frozen=True)
class CertifiedEdge:
    """`winner` beats `loser` beyond doubt.

    `rate` is the winner's win rate, `n` the number of games.
    """

    winner: str
    loser: str
    rate: float
    n: int = 0


@dataclass(frozen=True)
class CertifiedCycles:
    """The wins that are certain, and the cycles among them.

    `cycles` are bounded in length; in each, every agent beats the next one and the last beats the first.
    """

    names: tuple[str, ...]
    edges: tuple[CertifiedEdge, ...]
    _: KW_ONLY
    cycles: tuple[tuple[str, ...], ...] = ()
    pairs: int = 0
    truncated: bool = False
    statistics: Mapping[str, Estimate | None] = field(default_factory=dict)
    """Further results by name (cyclic share, p-value, exploitability).

    None is shown as "undefined".
    """
    unmet: int = 0
    """Pairs that never met: while there are any, mixtures and what rests on them are undefined."""


@dataclass(frozen=True)
class TeachingInteraction:
    """How much of a teaching task's Δ depends on who meets whom: Δ_ts = mean + a_t + b_s + I_ts.

    All numbers are in percentage points but `share`, the part (0…1) of the variation of Δ between pairs that the
    additive part leaves over; None where it is undefined (see `league.payoffs.teaching`).
    """

    task: str
    teachers: tuple[str, ...]
    students: tuple[str, ...]
    _: KW_ONLY
    mean: float
    teacher_T: Floats
    student_S: Floats
    interaction_TS: Floats
    """I_ts; NaN where teacher t never taught student s."""
    share: float | None


@dataclass(frozen=True, kw_only=True)
class Taught:
    """What one teacher taught one student in one domain through one channel, and what that caused."""

    teacher: str
    """"" where the student learned by itself."""
    student: str
    domain: str
    channel: str
    sampled: int
    """Tokens, as the next one."""
    trained: int
    samples: int
    credit: Estimate | None
    """Rise of held-out accuracy, in percentage points; None where no answer has followed these tokens."""
    per_thousand: float | None
    """The same, per thousand tokens sampled or trained on."""
    entangled: tuple[str, ...] = ()
    """What it is hardly told apart from: `credit` is wide, and only their sum is known."""


@dataclass(frozen=True, kw_only=True)
class Rise:
    """How one student's held-out unaided accuracy in one domain moved, and what channels are credited."""

    student: str
    domain: str
    kind: str
    """The kind with more answers: "training" (fresh, sampled) or "exam" (validation, greedy)."""
    first: Estimate | None
    """Fractions, as the next one."""
    last: Estimate | None
    credited: Estimate | None
    """Sum over all channels, in percentage points."""


@dataclass(frozen=True)
class TeachingAudit:
    """What teaching caused over a run."""

    taught: tuple[Taught, ...]
    rises: tuple[Rise, ...]
    channels: Matrix
    """Channel × domain: points, mean over the students."""
    teachers: Matrix
    """Teacher × domain: the same."""
    complete: bool
    """False where the run had rounds before its version audited."""


@dataclass(frozen=True)
class LineageEdge:
    """A version came to be: from `parents` (none for a founder) in `round`, for `reason`."""

    child: str
    parents: tuple[str, ...]
    round: int
    reason: str
    _: KW_ONLY
    role: str = ""
    retired: int | None = None
    """The round in which the league stopped meeting it."""

    @property
    def how(self) -> str:
        """The reason, or "3 updates" where one line stands for a chain of updates."""
        child = Version.parse(self.child)
        parents = [Version.parse(parent) for parent in self.parents]
        if self.reason != "update" or len(parents) != 1 or parents[0].agent != child.agent:
            return self.reason
        count = child.step - parents[0].step
        return "update" if count == 1 else f"{count} updates"


@dataclass(frozen=True)
class Gain:
    """One agent's held-out accuracy in one domain at the start and the end, and its gain.

    Both exams are on the same problems, so the gain is paired.
    """

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


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What a run has spent on learning. None is unknown: its version did not count that."""

    sampled: int | None
    """Tokens, as the three that follow; league.learning.accounting defines them."""
    trained: int | None
    scored: int | None
    read: int | None
    flops: int | None
    solutions: int | None
    """Distinct problems whose solution from the data was a target."""
    verified_solutions: int | None
    """Distinct problems whose verified replies were learned."""
    verifier_calls: int | None
    measured_tokens: int | None
    """Sampled, read and scored in exams and other measurements, which are in nothing above."""
    measured_flops: int | None
    trained_by: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Agent → channel → tokens trained on."""

    @property
    def budget(self) -> int | None:
        """Tokens sampled and trained on."""
        return None if self.sampled is None or self.trained is None else self.sampled + self.trained


@dataclass(frozen=True)
class Quantity:
    """What two runs spent of one thing; None is unknown."""

    name: str
    words: str
    first: int | None
    second: int | None

    @property
    def gap(self) -> float | None:
        """By what share of the larger one they differ; None when one of them is unknown."""
        if self.first is None or self.second is None:
            return None
        return abs(self.first - self.second) / max(self.first, self.second, 1)


@dataclass(frozen=True)
class RoundLine:
    """What one round's line says.

    Fractions are 0…1, `delta` is in percentage points; None is left blank.
    """

    round: int
    rewards: Mapping[str, float]
    """Mean reward by role, in the order in which the columns are to stand."""
    _: KW_ONLY
    alone: float | None = None
    """Accuracy of those who are taught, alone, as believed now: mean over agents and domains."""
    accuracy: float | None = None
    win_rate: float | None = None
    delta: float | None = None
    tokens_per_s: float | None = None
    seconds: float = 0.0
    shares: Mapping[str, float] = field(default_factory=dict)
    """Share of the round's wall time by activity ("generate", "update", …); "rest" is what is in no other."""
    used: float = 0.0
    """Share of the run's nearest limit in tokens or hours that is spent, 0…1.

    0 where there is none.
    """


@dataclass(frozen=True)
class AgentStatus:
    """A member of the population; `games` are those its overall rating rests on."""

    name: str
    role: str
    _: KW_ONLY
    step: int
    games: int
    rating: Estimate | None = None
    accuracy: float | None = None


@dataclass(frozen=True)
class ReplayCost:
    """What it takes that a run's matches can be played again, in bytes."""

    rounds: int
    """Those whose matches are kept."""
    replies: int
    """Transcripts with tokens and log-probabilities."""
    weights: int
    """Adapters that nothing else needs."""

    @property
    def a_round(self) -> float:
        """Mean over the rounds that are kept."""
        return (self.replies + self.weights) / max(1, self.rounds)


@dataclass(frozen=True)
class Status:
    """Where a run stands."""

    name: str
    state: str
    """"running", "stopped", "finished", "new"."""
    _: KW_ONLY
    round: int
    rounds: int | None
    matches: int
    versions: int
    seconds: float
    agents: tuple[AgentStatus, ...] = ()
    notes: tuple[str, ...] = ()
    spending: Spending | None = None
    """None before the first round."""
    teaching: Mapping[str, float] = field(default_factory=dict)
    """The newest means: delta and own_share (fractions), delta_logprob and own_share_logprob (nats)."""
    taught: Mapping[str, Estimate] = field(default_factory=dict)
    """Channel → points of held-out accuracy credited to its teachers, mean over students and domains."""
    changes: tuple[str, ...] = ()
    """The newest changes of settings, in words with the round they came after."""
    replay: ReplayCost | None = None
    """What `league.keep: replayable` takes; None where it is not set."""


@dataclass(frozen=True)
class Report:
    """Everything `league report` shows, in the order in which it shows it."""

    status: Status
    _: KW_ONLY
    identity: str = ""
    """What tells the run from every other, so that no page takes another run's place."""
    headline: Gain | None = None
    """All students and domains together; None when the run measured nothing held out."""
    gains: Sequence[Gain] = ()
    teaching: Estimate | None = None
    """Mean Δ caused by teaching at the end, in percentage points."""
    gain_beyond_shuffled: Estimate | None = None
    """The part of Δ beyond a shuffled explanation, in percentage points.

    It is due to what the explanation says, not to its form.
    """
    teaching_held_out: Estimate | None = None
    """Δ with the held-out student, a frozen self that never trains."""
    teaching_gain: Estimate | None = None
    """Change of the mean Δ over the run, in percentage points."""
    logprob_gain: Estimate | None = None
    """Δ in log-probability of the true solution, in nats per token, where it was measured."""
    logprob_own_share: Estimate | None = None
    """The part of it beyond a shuffled explanation."""
    interactions: Sequence[TeachingInteraction] = ()
    """One per teaching task, over the whole run."""
    audit: TeachingAudit | None = None
    """None where the run's version did not audit."""
    matrices: Sequence[Matrix] = ()
    ladder: Sequence[LadderRow] = ()
    rating_history: Sequence[Panel] = ()
    cycles: CertifiedCycles | None = None
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
