"""What a league has measured so far, in memory.

Outcomes are summed per pair of versions, with views of any slice of them.

`PayoffView` is a value: `add` returns a new view and leaves the old one as it was. Nothing here is estimated. It
holds what the database's payoff table holds, cell for cell, so a resumed run reads it from there instead of replaying
every outcome, and a long run does not grow: `replaced` takes the table's cells over again once those of versions that
left long ago were dropped (`league.store.commit`). Beside the sums, the outcomes of the last `HISTORY` rounds are
kept one by one, for trends and for evolution. No answer depends on the order in which things were added.

Payoffs are between immutable versions, but a live agent is a new version after every update. A query with a half-life
therefore pools, for version a@s, the games of a@t (t ≤ s) with weight ½^((s − t) / half_life): a decayed view. It
reports the effective number of games n_eff = (Σ w n)² / Σ w² n (Kish), which is what intervals must use. Failure
case: pooling is biased whenever strength moved within a half-life; nothing is ever certified from a decayed view.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from league.payoffs.matrix import Counts, FloatArray, IndexArray
from league.payoffs.numbering import Numbering, Slot, pack_key, slot_of, unpack_keys
from league.types import Outcome, Relation, Version

NEGLIGIBLE = 1e-3
"""Decay weights below this count as 0."""
HISTORY = 1000
"""Rounds whose outcomes are kept one by one."""
Cell = tuple[Slot, Version, Version, tuple[float, float, float, float, float, float]]
"""slot, row, col, (wins, draws, losses, n, total, total_sq)."""


@dataclass(frozen=True)
class Sums:
    """Sums over outcomes of rows (R) against columns (C), each (R, C).

    Weighted where a half-life was asked for.

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
class RoundOutcome:
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


SLOT, ROW, COL, ROUND = range(4)


@dataclass(frozen=True)
class PayoffView:
    """Everything measured up to some round. `PayoffView()` is an empty league."""

    _numbers: Numbering = field(default_factory=Numbering, repr=False, compare=False)
    _packed: IndexArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False, compare=False)
    """(N,) ascending: slot, row and col of each cell in one number."""
    _sums: FloatArray = field(default_factory=lambda: np.zeros((0, 6)), repr=False, compare=False)
    """(N, 6): wins, draws, losses, n, total, total_sq."""
    _recent: IndexArray = field(default_factory=lambda: np.zeros((0, 4), dtype=np.int64), repr=False, compare=False)
    """(K, 4): slot, row, col, round of recent outcomes, in playing order."""
    _items: FloatArray = field(default_factory=lambda: np.zeros((0, 6)), repr=False, compare=False)
    """(K, 6): their wins, draws, losses, n, total, total_sq."""

    @classmethod
    def of(cls, cells: Iterable[Cell], recent: Iterable[tuple[int, Outcome]] = ()) -> "PayoffView":
        """A view of stored cells and of recent (round, outcome), in playing order."""
        numbers, packed, sums = Numbering(), [], []
        for slot, row, col, values in cells:
            packed.append(pack_key(numbers.slot(slot), numbers.version(row), numbers.version(col)))
            sums.append(values)
        order = np.argsort(np.array(packed, dtype=np.int64), kind="stable")
        view = cls(numbers, np.array(packed, dtype=np.int64)[order], np.array(sums, dtype=float).reshape(-1, 6)[order])
        return view._remember(list(recent))

    def replaced(self, cells: Iterable[Cell]) -> "PayoffView":
        """The view with these cells in place of its own; recent outcomes stay."""
        slots, versions = list(self._numbers.slots), list(self._numbers.versions)
        view = PayoffView.of(cells)
        recent = self._recent.copy()
        recent[:, SLOT] = [view._numbers.slot(slots[key]) for key in recent[:, SLOT]]
        for place in (ROW, COL):
            recent[:, place] = [view._numbers.version(versions[key]) for key in recent[:, place]]
        return replace(view, _recent=recent, _items=self._items)

    def trimmed(self, number: int) -> "PayoffView":
        """The view after the commit of round `number`.

        Of rounds older than the last `HISTORY` only the sums stay.
        """
        first = int(np.searchsorted(self._recent[:, ROUND], number - HISTORY + 1))
        return replace(self, _recent=self._recent[first:].copy(), _items=self._items[first:].copy()) if first else self

    def add(self, number: int, outcomes: Iterable[Outcome]) -> "PayoffView":
        """The view after round `number` brought `outcomes`; this view stays as it is."""
        found = list(outcomes)
        if not found:
            return self
        keys = np.array([self._key(outcome) for outcome in found], dtype=np.int64)
        packed = np.union1d(self._packed, keys)
        sums = np.zeros((len(packed), 6))
        sums[np.searchsorted(packed, self._packed)] = self._sums
        values = [(o.wins, o.draws, o.losses, o.n, o.total, o.total_sq) for o in found]
        np.add.at(
            sums, np.searchsorted(packed, keys), np.array(values, dtype=float)
        )  # one after the other, as the database adds
        view = PayoffView(self._numbers, packed, sums, self._recent, self._items)
        return view._remember([(number, outcome) for outcome in found])

    def _remember(self, played: Sequence[tuple[int, Outcome]]) -> "PayoffView":
        if not played:
            return self
        numbers = self._numbers
        keys = [
            (numbers.slot(slot_of(o)), numbers.version(o.row), numbers.version(o.col), number) for number, o in played
        ]
        items = [(o.wins, o.draws, o.losses, o.n, o.total, o.total_sq) for _, o in played]
        return replace(
            self,
            _recent=np.concatenate([self._recent, np.array(keys, dtype=np.int64)]),
            _items=np.concatenate([self._items, np.array(items, dtype=float)]),
        )

    def _key(self, outcome: Outcome) -> int:
        return pack_key(
            self._numbers.slot(slot_of(outcome)), self._numbers.version(outcome.row), self._numbers.version(outcome.col)
        )

    @property
    def size(self) -> int:
        """Number of cells: pairs of versions with an outcome, per slot."""
        return len(self._packed)

    def versions(self, relation: Relation | None = None, task: str | None = None) -> list[Version]:
        """Versions with an outcome, sorted."""
        keys = unpack_keys(self._packed)
        keys = keys[np.isin(keys[:, SLOT], self._slot_ids(relation, task, None, None))]
        known = list(self._numbers.versions)
        return sorted(known[key] for key in np.unique(keys[:, ROW : COL + 1]).tolist())

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
        """Sums of `rows` against `cols` (outcomes stored as row against column only).

        None pools tasks, situations or domains.

        half_life: in steps of an agent; 0 counts only the very versions asked for.
        """
        row_weight_RV, col_weight_CV = self._weights(rows, half_life), self._weights(cols, half_life)
        wanted = self._slot_ids(relation, task, situation, domain)
        keys_X3, sums_X6 = self._chosen(wanted, row_weight_RV, col_weight_CV)
        used_U, used_W = self._used(keys_X3[:, ROW]), self._used(keys_X3[:, COL])
        shape = (len(used_U), len(used_W))
        rank_V = self._numbers.ranks()
        cell_X = np.searchsorted(rank_V[used_U], rank_V[keys_X3[:, ROW]]) * shape[1] + np.searchsorted(
            rank_V[used_W], rank_V[keys_X3[:, COL]]
        )
        left_RU, right_CW = row_weight_RV[:, used_U], col_weight_CV[:, used_W]
        tables_UW = [
            np.bincount(cell_X, column, minlength=shape[0] * shape[1]).reshape(shape).astype(float)
            for column in sums_X6.T
        ]
        games_UW = tables_UW[3] if relation != "contest" else tables_UW[0] + tables_UW[1] + tables_UW[2]
        wins_RC, draws_RC, losses_RC, n_RC, total_RC, total_sq_RC = (
            _pooled(left_RU, table, right_CW) for table in tables_UW
        )
        weight_RC, squares_RC = _pooled(left_RU, games_UW, right_CW), _pooled(left_RU**2, games_UW, right_CW**2)
        n_eff_RC = np.divide(weight_RC**2, squares_RC, out=np.zeros_like(weight_RC), where=squares_RC > 0)
        return Sums(
            wins=wins_RC, draws=draws_RC, losses=losses_RC, n=n_RC, total=total_RC, total_sq=total_sq_RC, n_eff=n_eff_RC
        )

    def last_met(
        self,
        task: str | None,
        rows: Sequence[Version],
        cols: Sequence[Version],
        *,
        domain: str | None = None,
        half_life: float = 0.0,
    ) -> FloatArray:
        """(R, C): newest round with a teaching result that `sums` would count.

        −1 where there was none in the last `HISTORY` rounds.
        """
        row_weight_RV, col_weight_CV = self._weights(rows, half_life), self._weights(cols, half_life)
        keys_K4 = self._recent[np.isin(self._recent[:, SLOT], self._slot_ids("teaching", task, None, domain))]
        last_RC = np.full((len(rows), len(cols)), -1.0)
        for number in np.unique(keys_K4[:, ROUND]):
            pairs_L2 = np.unique(keys_K4[keys_K4[:, ROUND] == number, ROW : COL + 1], axis=0)
            met_RC = (row_weight_RV[:, pairs_L2[:, 0]] > 0).astype(float) @ (
                col_weight_CV[:, pairs_L2[:, 1]] > 0
            ).T.astype(float)
            last_RC[met_RC > 0] = number
        return last_RC

    def meetings(
        self,
        task: str | None,
        rows: Sequence[Version],
        cols: Sequence[Version],
        *,
        situation: str | None = None,
        half_life: float = 0.0,
    ) -> Sums:
        """Contests of `rows` against `cols`, whichever side each was stored on.

        Meetings of a version with itself are left out.
        """
        there = self.sums("contest", task, rows, cols, situation=situation, half_life=half_life)
        back = self.sums("contest", task, cols, rows, situation=situation, half_life=half_life)
        squares_RC = _squares(there) + _squares(back).T
        wins_RC, draws_RC, losses_RC = (
            there.wins + back.losses.T,
            there.draws + back.draws.T,
            there.losses + back.wins.T,
        )
        weight_RC = wins_RC + draws_RC + losses_RC
        n_eff_RC = np.divide(weight_RC**2, squares_RC, out=np.zeros_like(weight_RC), where=squares_RC > 0)
        places = {version: place for place, version in enumerate({*rows, *cols})}
        same_RC = np.equal.outer([places[row] for row in rows], [places[col] for col in cols])
        tables_RC = {
            "wins": wins_RC, "draws": draws_RC, "losses": losses_RC, "n": weight_RC, "n_eff": n_eff_RC,
            "total": there.total - back.total.T, "total_sq": there.total_sq + back.total_sq.T,
        }  # fmt: skip
        return Sums(**{name: np.where(same_RC, 0.0, table_RC) for name, table_RC in tables_RC.items()})

    def counts(self, task: str | None, versions: Sequence[Version], situation: str | None = None) -> Counts:
        """Wins and draws between exact versions."""
        met = self.meetings(task, versions, versions, situation=situation)
        return Counts(met.wins, met.draws)

    def history(self, task: str | None, row: str, col: str, domain: str | None = None) -> History:
        """Teaching results of agent `row` with agent `col`, in playing order.

        In the last `HISTORY` rounds.

        Over all their versions.
        """
        keys_K4 = self._recent
        agent_V, _ = self._numbers.columns()
        chosen_K = np.isin(keys_K4[:, SLOT], self._slot_ids("teaching", task, None, domain))
        chosen_K &= (agent_V[keys_K4[:, ROW]] == self._numbers.agent(row)) & (
            agent_V[keys_K4[:, COL]] == self._numbers.agent(col)
        )
        items_K6 = self._items[chosen_K]
        return History(keys_K4[chosen_K, ROUND], items_K6[:, 3], items_K6[:, 4], items_K6[:, 5])

    def recent(self, relation: Relation, task: str | None, since: int) -> list[RoundOutcome]:
        """The outcomes of rounds `since` and later, oldest first, at most of the last `HISTORY` rounds."""
        first = int(np.searchsorted(self._recent[:, ROUND], since))
        keys_K4, items_K6 = self._recent[first:], self._items[first:]
        chosen_K = np.isin(keys_K4[:, SLOT], self._slot_ids(relation, task, None, None))
        names = list(self._numbers.versions)
        return [
            RoundOutcome(
                round=int(number),
                row=names[row],
                col=names[col],
                wins=values[0],
                draws=values[1],
                losses=values[2],
                n=values[3],
                total=values[4],
                total_sq=values[5],
            )  # fmt: skip
            for (_, row, col, number), values in zip(
                keys_K4[chosen_K].tolist(), items_K6[chosen_K].tolist(), strict=True
            )
        ]

    def _chosen(
        self, slots: Sequence[int], row_weight_RV: FloatArray, col_weight_CV: FloatArray
    ) -> tuple[IndexArray, FloatArray]:
        """Keys (X, 3) and sums (X, 6) of these slots between versions that carry weight.

        In an order of their names.
        """
        keys_X3 = unpack_keys(self._packed)
        chosen_X = np.isin(keys_X3[:, SLOT], slots)
        chosen_X &= (row_weight_RV.max(axis=0, initial=0.0) > 0)[keys_X3[:, ROW]] & (
            col_weight_CV.max(axis=0, initial=0.0) > 0
        )[keys_X3[:, COL]]
        keys_X3, rank_V = keys_X3[chosen_X], self._numbers.ranks()
        order_X = np.lexsort(
            (rank_V[keys_X3[:, COL]], rank_V[keys_X3[:, ROW]], self._numbers.slot_ranks()[keys_X3[:, SLOT]])
        )
        return keys_X3[order_X], self._sums[chosen_X][order_X]

    def _used(self, versions: IndexArray) -> IndexArray:
        """The distinct versions, in the order of their names."""
        found = np.unique(versions)
        return found[np.argsort(self._numbers.ranks()[found])]

    def _slot_ids(self, relation: str | None, task: str | None, situation: str | None, domain: str | None) -> list[int]:
        wanted = (relation, task, situation, domain)
        return [
            key
            for slot, key in self._numbers.slots.items()
            if all(want in (None, have) for want, have in zip(wanted, slot, strict=True))
        ]

    def _weights(self, versions: Sequence[Version], half_life: float) -> FloatArray:
        """Weight (Q, V) of each known version in the decayed view of each asked version."""
        known = self._numbers.versions
        weight_QV = np.zeros((len(versions), len(known)))
        if half_life <= 0:
            for place, version in enumerate(versions):
                if version in known:
                    weight_QV[place, known[version]] = 1.0
            return weight_QV
        agent_V, step_V = self._numbers.columns()
        for place, version in enumerate(versions):
            age_V = version.step - step_V
            same_V = (agent_V == self._numbers.agent(version.agent)) & (age_V >= 0)
            weight_QV[place, same_V] = 0.5 ** (age_V[same_V] / half_life)
        return np.where(weight_QV < NEGLIGIBLE, 0.0, weight_QV)


def _squares(sums: Sums) -> FloatArray:
    """Σ w² n of contest sums, recovered from n_eff."""
    weight_RC = sums.wins + sums.draws + sums.losses
    return np.divide(weight_RC**2, sums.n_eff, out=np.zeros_like(weight_RC), where=sums.n_eff > 0)


def _pooled(left_RU: FloatArray, table_UW: FloatArray, right_CW: FloatArray) -> FloatArray:
    """left (R, U) · table (U, W) · rightᵀ (W, C).

    By indexing, where each row of left and right selects one entry at most.
    """
    if 0 in left_RU.shape or 0 in right_CW.shape:
        return np.zeros((len(left_RU), len(right_CW)))
    if all(((side == 0) | (side == 1)).all() and (side.sum(axis=1) <= 1).all() for side in (left_RU, right_CW)):
        known_RC = np.outer(left_RU.sum(axis=1), right_CW.sum(axis=1)) > 0
        return np.where(known_RC, table_UW[np.ix_(left_RU.argmax(axis=1), right_CW.argmax(axis=1))], 0.0)
    return np.asarray(left_RU @ table_UW @ right_CW.T)
