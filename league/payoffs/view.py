"""What a league has measured so far, in memory: an append-only column log of outcomes with views of any slice of it.

`PayoffView` is a value: `add` returns a new view and leaves the old one as it was, though both share the log. Nothing here is
estimated; the database keeps the same outcomes for ever (`league.store`), and `PayoffView` is rebuilt from them on resume.

Payoffs are between immutable versions, but a live agent is a new version after every update. A query with a half-life therefore
pools, for version a@s, the games of a@t (t ≤ s) with weight ½^((s − t) / half_life): a decayed view. It reports the effective
number of games n_eff = (Σ w n)² / Σ w² n (Kish), which is what intervals must use. Failure case: pooling is biased whenever
strength moved within a half-life; nothing is ever certified from a decayed view.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from league.payoffs.matrix import Counts, FloatArray, IndexArray, PayoffMatrix, from_counts
from league.types import Outcome, Version

Relation = Literal["contest", "teaching", "cooperation"]
Slot = tuple[str, str, str, str]
"""(relation, task, situation, domain)."""
NEGLIGIBLE = 1e-3
"""Decay weights below this count as 0."""


@dataclass(frozen=True)
class Sums:
    """Sums over outcomes of rows (R) against columns (C), each (R, C); weighted where a half-life was asked for.

    `n_eff` counts games for contests and paired items otherwise.
    """

    wins: FloatArray
    draws: FloatArray
    losses: FloatArray
    n: FloatArray
    total: FloatArray
    total_sq: FloatArray
    n_eff: FloatArray


@dataclass(frozen=True)
class History:
    """Outcomes of one pair in playing order, each (K,): round, items, sum and sum of squares."""

    round: IndexArray
    n: FloatArray
    total: FloatArray
    total_sq: FloatArray


@dataclass(frozen=True)
class Played:
    """One outcome as it was measured, with its round."""

    round: int
    row: Version
    col: Version
    wins: float
    draws: float
    losses: float
    n: float
    total: float
    total_sq: float


class _Log:
    """Growing columns. Only ever appended to, so a view of its first `size` rows never changes."""

    def __init__(self) -> None:
        self.slots: dict[Slot, int] = {}
        self.versions: dict[Version, int] = {}
        self.names: list[Version] = []
        """The versions by their number."""
        self.size = 0
        self.keys = np.zeros((64, 4), dtype=np.int64)  # slot, row, col, round
        self.sums = np.zeros((64, 6))  # wins, draws, losses, n, total, total_sq

    def append(self, number: int, outcome: Outcome) -> None:
        if self.size == len(self.keys):
            self.keys = np.concatenate([self.keys, np.zeros_like(self.keys)])
            self.sums = np.concatenate([self.sums, np.zeros_like(self.sums)])
        slot = self.slots.setdefault((outcome.relation, outcome.task, outcome.situation, outcome.domain), len(self.slots))
        row, col = self._number(outcome.row), self._number(outcome.col)
        self.keys[self.size] = (slot, row, col, number)
        self.sums[self.size] = (outcome.wins, outcome.draws, outcome.losses, outcome.n, outcome.total, outcome.total_sq)
        self.size += 1

    def _number(self, version: Version) -> int:
        number = self.versions.setdefault(version, len(self.names))
        if number == len(self.names):
            self.names.append(version)
        return number

    def copy(self, size: int) -> "_Log":
        other = _Log()
        other.slots, other.versions, other.names = dict(self.slots), dict(self.versions), list(self.names)
        other.size, other.keys, other.sums = size, self.keys.copy(), self.sums.copy()
        return other


@dataclass(frozen=True)
class PayoffView:
    """Everything measured up to some round. `PayoffView()` is an empty league."""

    _log: _Log = field(default_factory=_Log, repr=False, compare=False)
    size: int = 0
    """Number of outcomes."""

    def add(self, number: int, outcomes: Iterable[Outcome]) -> "PayoffView":
        """The view after round `number` brought `outcomes`; this view stays as it is."""
        log = self._log if self._log.size == self.size else self._log.copy(self.size)
        for outcome in outcomes:
            log.append(number, outcome)
        return PayoffView(log, log.size)

    @property
    def last_round(self) -> int:
        """The newest round with an outcome, −1 in an empty league."""
        return int(self._log.keys[: self.size, 3].max(initial=-1))

    def slots(self, relation: Relation | None = None) -> list[Slot]:
        """What has been measured, in order of first appearance."""
        used = set(np.unique(self._log.keys[: self.size, 0]).tolist())
        return [slot for slot, key in self._log.slots.items() if key in used and relation in (None, slot[0])]

    def versions(self, relation: Relation | None = None, task: str | None = None) -> list[Version]:
        """Versions with an outcome, in order of first appearance."""
        keys = self._log.keys[: self.size]
        keys = keys[np.isin(keys[:, 0], self._slot_ids(relation, task, None, None))]
        used = set(np.unique(keys[:, 1:3]).tolist())
        return [version for version, key in self._log.versions.items() if key in used]

    def sums(
        self,
        relation: Relation,
        task: str | None,
        rows: Sequence[Version],
        cols: Sequence[Version],
        *,
        situation: str | None = None,
        domain: str | None = None,
        half_life: float = 0.0,
    ) -> Sums:
        """Sums of `rows` against `cols` (outcomes stored as row against column only). None pools tasks, situations or domains.

        half_life: in steps of an agent; 0 counts only the very versions asked for.
        """
        row_weight, col_weight = self._weights(rows, half_life), self._weights(cols, half_life)
        chosen = self._chosen(relation, task, situation, domain, row_weight, col_weight)
        keys, sums = self._log.keys[chosen], self._log.sums[chosen]
        used_rows, used_cols = np.unique(keys[:, 1]), np.unique(keys[:, 2])
        shape = (len(used_rows), len(used_cols))
        cell = np.searchsorted(used_rows, keys[:, 1]) * shape[1] + np.searchsorted(used_cols, keys[:, 2])
        left, right = row_weight[:, used_rows], col_weight[:, used_cols]
        tables = [np.bincount(cell, column, minlength=shape[0] * shape[1]).reshape(shape).astype(float) for column in sums.T]
        games = tables[3] if relation != "contest" else tables[0] + tables[1] + tables[2]
        wins, draws, losses, n, total, total_sq = (_pooled(left, table, right) for table in tables)
        weight, squares = _pooled(left, games, right), _pooled(left**2, games, right**2)
        n_eff = np.divide(weight**2, squares, out=np.zeros_like(weight), where=squares > 0)
        return Sums(wins, draws, losses, n, total, total_sq, n_eff)

    def last_met(
        self,
        relation: Relation,
        task: str | None,
        rows: Sequence[Version],
        cols: Sequence[Version],
        *,
        domain: str | None = None,
        half_life: float = 0.0,
    ) -> FloatArray:
        """(R, C): newest round with an outcome that `sums` would count, −1 where there is none."""
        row_weight, col_weight = self._weights(rows, half_life), self._weights(cols, half_life)
        keys = self._log.keys[self._chosen(relation, task, None, domain, row_weight, col_weight)]
        last = np.full((len(rows), len(cols)), -1.0)
        for number in np.unique(keys[:, 3]):
            now = np.unique(keys[keys[:, 3] == number, 1:3], axis=0)
            met = (row_weight[:, now[:, 0]] > 0).astype(float) @ (col_weight[:, now[:, 1]] > 0).T.astype(float)
            last[met > 0] = number
        return last

    def meetings(
        self, task: str | None, rows: Sequence[Version], cols: Sequence[Version], *, situation: str | None = None, half_life: float = 0.0
    ) -> Sums:
        """Contests of `rows` against `cols`, whichever side each was stored on. Meetings of a version with itself are left out."""
        there = self.sums("contest", task, rows, cols, situation=situation, half_life=half_life)
        back = self.sums("contest", task, cols, rows, situation=situation, half_life=half_life)
        squares = _squares(there) + _squares(back).T
        wins, draws, losses = there.wins + back.losses.T, there.draws + back.draws.T, there.losses + back.wins.T
        weight = wins + draws + losses
        n_eff = np.divide(weight**2, squares, out=np.zeros_like(weight), where=squares > 0)
        same = np.array([[row == col for col in cols] for row in rows], dtype=bool).reshape(weight.shape)
        total, total_sq = there.total - back.total.T, there.total_sq + back.total_sq.T
        tables = (np.where(same, 0.0, table) for table in (wins, draws, losses, weight, total, total_sq, n_eff))
        wins, draws, losses, weight, total, total_sq, n_eff = tables
        return Sums(wins, draws, losses, weight, total, total_sq, n_eff)

    def matrix(self, task: str | None, versions: Sequence[Version], situation: str | None = None) -> PayoffMatrix:
        """The counted contest matrix between exact versions, for `analyze_matrix`."""
        met = self.meetings(task, versions, versions, situation=situation)
        return from_counts([str(version) for version in versions], met.wins, met.draws)

    def counts(self, task: str | None, versions: Sequence[Version], situation: str | None = None) -> Counts:
        """Wins and draws between exact versions."""
        met = self.meetings(task, versions, versions, situation=situation)
        return Counts(met.wins, met.draws)

    def history(self, relation: Relation, task: str | None, row: str, col: str, domain: str | None = None) -> History:
        """Outcomes of agent `row` against agent `col`, over all their versions, in playing order."""
        keys = self._log.keys[: self.size]
        rows = [key for version, key in self._log.versions.items() if version.agent == row]
        cols = [key for version, key in self._log.versions.items() if version.agent == col]
        chosen = np.isin(keys[:, 0], self._slot_ids(relation, task, None, domain)) & np.isin(keys[:, 1], rows) & np.isin(keys[:, 2], cols)
        sums = self._log.sums[: self.size][chosen]
        return History(keys[chosen, 3], sums[:, 3], sums[:, 4], sums[:, 5])

    def recent(self, relation: Relation, task: str | None, since: int) -> list[Played]:
        """The outcomes of rounds `since` and later, oldest first. Costs what is recent, not the whole log."""
        first = int(np.searchsorted(self._log.keys[: self.size, 3], since))
        keys, sums = self._log.keys[first : self.size], self._log.sums[first : self.size]
        chosen = np.isin(keys[:, 0], self._slot_ids(relation, task, None, None))
        names = self._log.names
        return [
            Played(int(number), names[row], names[col], *(float(value) for value in values))
            for (_, row, col, number), values in zip(keys[chosen].tolist(), sums[chosen], strict=True)
        ]

    def _chosen(
        self,
        relation: str | None,
        task: str | None,
        situation: str | None,
        domain: str | None,
        row_weight: FloatArray,
        col_weight: FloatArray,
    ) -> IndexArray:
        """Places in the log of the outcomes of a slice between versions that carry weight."""
        keys = self._log.keys[: self.size]
        chosen = np.isin(keys[:, 0], self._slot_ids(relation, task, situation, domain))
        chosen &= (row_weight.max(axis=0, initial=0.0) > 0)[keys[:, 1]] & (col_weight.max(axis=0, initial=0.0) > 0)[keys[:, 2]]
        return np.flatnonzero(chosen)

    def _slot_ids(self, relation: str | None, task: str | None, situation: str | None, domain: str | None) -> list[int]:
        wanted = (relation, task, situation, domain)
        return [key for slot, key in self._log.slots.items() if all(want in (None, have) for want, have in zip(wanted, slot, strict=True))]

    def _weights(self, versions: Sequence[Version], half_life: float) -> FloatArray:
        """Weight (V, known versions) of each known version in the decayed view of each asked version."""
        known = self._log.versions
        weight = np.zeros((len(versions), len(known)))
        if half_life <= 0:
            for place, version in enumerate(versions):
                if version in known:
                    weight[place, known[version]] = 1.0
            return weight
        agents: dict[str, int] = {}
        agent_of = np.array([agents.setdefault(version.agent, len(agents)) for version in known], dtype=np.int64)
        step_of = np.array([version.step for version in known], dtype=float)
        for place, version in enumerate(versions):
            age = version.step - step_of
            same = (agent_of == agents.get(version.agent, -1)) & (age >= 0)
            weight[place, same] = 0.5 ** (age[same] / half_life)
        return np.where(weight < NEGLIGIBLE, 0.0, weight)


def _squares(sums: Sums) -> FloatArray:
    """Σ w² n of contest sums, recovered from n_eff."""
    weight = sums.wins + sums.draws + sums.losses
    return np.divide(weight**2, sums.n_eff, out=np.zeros_like(weight), where=sums.n_eff > 0)


def _pooled(left: FloatArray, table: FloatArray, right: FloatArray) -> FloatArray:
    """left (R, U) · table (U, V) · rightᵀ (V, C); by indexing where each row of left and right selects one entry at most."""
    if 0 in left.shape or 0 in right.shape:
        return np.zeros((len(left), len(right)))
    if all(((side == 0) | (side == 1)).all() and (side.sum(axis=1) <= 1).all() for side in (left, right)):
        known = np.outer(left.sum(axis=1), right.sum(axis=1)) > 0
        return np.where(known, table[np.ix_(left.argmax(axis=1), right.argmax(axis=1))], 0.0)
    return np.asarray(left @ table @ right.T)
