"""The payoff table: sums per slot, row version and column version, kept up at each commit.

A slot is (relation, task, situation, domain).

Reading 1,000 × 1,000 cells from it takes a fraction of what grouping the raw outcomes would. `recompute_payoffs` does
that grouping, in the order of the commits, so both agree to the last bit; `league verify` compares them.
"""

import sqlite3
from collections.abc import Iterable, Iterator

import numpy as np

from league.store import codec
from league.store.records import PayoffCells
from league.types import Version

_CELL = np.dtype(
    [("slot", "i8"), ("row", "i8"), ("col", "i8"), ("wins", "i8"), ("draws", "i8"), ("losses", "i8"), ("n", "i8")]
    + [("total", "f8"), ("total_sq", "f8")]
)
_COLUMNS = "slot, row, col, wins, draws, losses, n, total, total_sq"
Slot = tuple[str, str, str, str]
Sums = dict[tuple[int, int, int], tuple[int, int, int, int, float, float]]


class PayoffQueries:
    """Queries over the payoff table, for whoever has a connection."""

    db: sqlite3.Connection

    def payoffs(self, relation: str, task: str, situation: str | None = None, members: bool = False) -> PayoffCells:
        """All cells of one relation in one task.

        With `members`, only those between current members of the population.
        """
        slots = self._slots(relation, task, situation)
        live = "(SELECT version FROM live WHERE round = (SELECT max(round) FROM rounds))"
        only = f" AND row IN {live} AND col IN {live}" if members else ""
        query = f"SELECT {_COLUMNS} FROM payoffs WHERE slot IN ({_numbers(slots)}){only}"
        return self._cells(self.db.execute(query), slots)

    def payoff_row(self, version: Version, relation: str, task: str, situation: str | None = None) -> PayoffCells:
        """The cells in which one version is row or col."""
        slots = self._slots(relation, task, situation)
        key = self.version_id(version)
        query = (
            f"SELECT {_COLUMNS} FROM payoffs WHERE slot IN ({_numbers(slots)}) AND row = ?1 UNION ALL "
            f"SELECT {_COLUMNS} FROM payoffs INDEXED BY payoffs_by_col WHERE slot IN ({_numbers(slots)}) "
            f"AND col = ?1 AND row <> ?1"
        )
        return self._cells(self.db.execute(query, (-1 if key is None else key,)), slots)

    def version_id(self, version: Version) -> int | None:
        """The database's id of a version, None for one that is not stored."""
        query = "SELECT v.id FROM versions v JOIN agents a ON a.id = v.agent WHERE a.name = ? AND v.step = ?"
        row = self.db.execute(query, (version.agent, version.step)).fetchone()
        return None if row is None else int(row[0])

    def payoff_slots(self) -> list[tuple[str, str, str, str]]:
        """(relation, task, situation, domain) of all payoffs there are."""
        return list(self.db.execute("SELECT relation, task, situation, domain FROM slots ORDER BY 1, 2, 3, 4"))

    def _slots(self, relation: str, task: str, situation: str | None) -> dict[int, tuple[str, str]]:
        query = (
            "SELECT id, situation, domain FROM slots WHERE relation = ?1 AND task = ?2 AND (?3 IS NULL "
            "OR situation = ?3)"
        )
        return {row[0]: (row[1], row[2]) for row in self.db.execute(query, (relation, task, situation))}

    def _cells(self, cursor: Iterable[tuple], slots: dict[int, tuple[str, str]]) -> PayoffCells:
        cells = np.fromiter(cursor, _CELL)
        ids = np.unique(np.concatenate([cells["row"], cells["col"]]))
        versions = self._named(ids)
        order = np.array(sorted(slots), np.int64)
        return PayoffCells(
            versions=versions,
            slots=tuple(slots[key] for key in order.tolist()),
            slot=np.searchsorted(order, cells["slot"]),
            row=np.searchsorted(ids, cells["row"]),
            col=np.searchsorted(ids, cells["col"]),
            **{
                name: np.ascontiguousarray(cells[name])
                for name in ("wins", "draws", "losses", "n", "total", "total_sq")
            },
        )

    def _named(self, ids: np.ndarray) -> tuple[Version, ...]:
        names: dict[int, Version] = {}
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500].tolist()
            query = (
                f"SELECT v.id, a.name, v.step FROM versions v JOIN agents a ON a.id = v.agent WHERE v.id IN "
                f"({_numbers(part)})"
            )
            names.update({key: Version(name, step) for key, name, step in self.db.execute(query)})
        return tuple(names[key] for key in ids.tolist())

    def recompute_payoffs(self) -> Sums:
        """Every cell summed again from the stored outcomes, by database ids.

        It is what the table would be without trimming.
        """
        sums: Sums = {}
        for number, block in self.db.execute("SELECT round, block FROM rounds ORDER BY round"):
            for match in codec.unpack_rows(block, f"matches of round {number}"):
                if match[6] is None:
                    for slot, row, col, *added in match[7]:
                        before = sums.get((slot, row, col), (0, 0, 0, 0, 0.0, 0.0))
                        sums[slot, row, col] = tuple(a + b for a, b in zip(before, added, strict=True))
        return sums

    def payoff_cells(self) -> Iterator[tuple[Slot, Version, Version, tuple[int, int, int, int, float, float]]]:
        """The whole table with names: slot, row, col, (wins, draws, losses, n, total, total_sq)."""
        slots = {
            row[0]: tuple(row[1:]) for row in self.db.execute("SELECT id, relation, task, situation, domain FROM slots")
        }
        used = "SELECT row FROM payoffs UNION SELECT col FROM payoffs"
        names = self.db.execute(
            f"SELECT v.id, a.name, v.step FROM versions v JOIN agents a ON a.id = v.agent WHERE v.id IN ({used})"
        )
        versions = {key: Version(name, step) for key, name, step in names}
        for slot, row, col, *sums in self.db.execute(f"SELECT {_COLUMNS} FROM payoffs"):
            yield slots[slot], versions[row], versions[col], tuple(sums)

    def stored_payoffs(self) -> Sums:
        """The table itself, in the form of `recompute_payoffs`."""
        return {tuple(row[:3]): tuple(row[3:]) for row in self.db.execute(f"SELECT {_COLUMNS} FROM payoffs")}


def _numbers(keys: Iterable[int]) -> str:
    return ",".join(str(int(key)) for key in keys)
