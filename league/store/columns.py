"""What a run stores for ever, as columns: one pass over the rounds, without an object for each match.

For tables of a million rows. Each query is one short read of some hundred rounds, so a reader never holds the
write-ahead log of a live run back. `RunReader` has the same as values, one by one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from league.store import codec, match_rows
from league.store.match_rows import COLUMNS, ROUNDS_A_READ, Table
from league.store.reader import RunReader
from league.types import EXAM


@dataclass(frozen=True)
class VersionNames:
    """Versions by their database ids.

    `agent[id]` indexes `agents`, `step[id]` is the step; -1 where there is none.
    """

    agents: tuple[str, ...]
    agent: np.ndarray
    step: np.ndarray


def version_names(reader: RunReader) -> VersionNames:
    """All versions of a run."""
    rows = reader.db.execute("SELECT v.id, a.name, v.step FROM versions v JOIN agents a ON a.id = v.agent").fetchall()
    agents = tuple(dict.fromkeys(row[1] for row in rows))
    place, length = {name: index for index, name in enumerate(agents)}, max((row[0] for row in rows), default=-1) + 1
    agent, step = np.full(length, -1, np.int64), np.full(length, -1, np.int64)
    for key, name, number in rows:
        agent[key], step[key] = place[name], number
    return VersionNames(agents, agent, step)


FEW = ("task", "purpose", "situation")
"""Texts of which few differ: equal ones become one object, so that a million take no room."""


def columns_of(
    reader: RunReader, table: Table, names: Sequence[str], since: int = 0, until: int | None = None
) -> dict[str, np.ndarray]:
    """Columns of a table of matches or outcomes, in playing order.

    Arrays from the start: a million rows in lists would keep Python's garbage collector busy.
    """
    parts = {name: [np.zeros(0, COLUMNS[table][name])] for name in names}
    pool: dict[str, str] = {}
    for rows in match_rows.read_rows(reader, table, names, since, until):
        for name, column in zip(names, zip(*rows, strict=True), strict=bool(rows)):
            values = [pool.setdefault(value, value) for value in column] if name in FEW else column
            parts[name].append(np.array(values, COLUMNS[table][name]))
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def scalar_columns(reader: RunReader, since: int = 0, until: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(rounds, records of `codec.SCALAR`), both (N,), in the order of rounds and ids."""
    rounds, records = [], []
    for number, block in _blocks(reader, "scalars", since, until):
        array = np.sort(codec.unpack_scalars(block), order="id")
        rounds.append(np.full(len(array), number, np.int64))
        records.append(array)
    if not records:
        return np.zeros(0, np.int64), np.zeros(0, codec.SCALAR)
    return np.concatenate(rounds), np.concatenate(records)


def scalar_ids(reader: RunReader) -> dict[int, str]:
    """id → name of every scalar there is."""
    return dict(reader.db.execute("SELECT id, name FROM scalar_names ORDER BY id"))


def slots(reader: RunReader) -> dict[int, tuple[str, str, str, str]]:
    """id → (relation, task, situation, domain)."""
    rows = reader.db.execute("SELECT id, relation, task, situation, domain FROM slots ORDER BY id")
    return {row[0]: row[1:] for row in rows}


def rating_rows(reader: RunReader) -> list[tuple[str, str, int, int, float, float, int]]:
    """(ladder, agent, step, round, mu, sigma, games) of the last rating of every version.

    By ladder and round.
    """
    query = (
        "SELECT d.name, a.name, v.step, max(r.round), r.mu, r.sigma, r.games FROM ratings r "
        "JOIN ladders d ON d.id = r.ladder JOIN versions v ON v.id = r.version JOIN agents a ON a.id = v.agent "
        "GROUP BY r.ladder, r.version ORDER BY d.name, max(r.round), a.name, v.step"
    )
    return reader.db.execute(query).fetchall()


def exam_splits(reader: RunReader) -> dict[int, str]:
    """Round → the split of its exam, as its matches are called; not of rounds without an exam."""
    rows: Iterable[tuple[int, str]]
    if match_rows.is_plain(reader):
        rows = reader.db.execute("SELECT round, match FROM match_rows WHERE task = ?", (EXAM,)).fetchall()
    else:
        rows = ((match.round, match.id) for match in reader.matches() if match.task == EXAM)
    named = ((number, name.removeprefix(f"{number}-{EXAM}-").partition("-")[0]) for number, name in rows)
    return {number: split for number, split in named if split in ("test", "validation")}


def transcript_blocks(reader: RunReader, since: int = 0, until: int | None = None) -> Iterator[tuple[int, str, Any]]:
    """(round, match, transcript) of those that are kept, read round by round."""
    query = "SELECT DISTINCT round FROM transcripts WHERE round BETWEEN ? AND ? ORDER BY round"
    numbers = reader.db.execute(query, (since, _last(reader, until))).fetchall()
    for (number,) in numbers:
        rows = reader.db.execute("SELECT match, block FROM transcripts WHERE round = ? ORDER BY id", (number,))
        for match, block in rows.fetchall():
            yield number, match, codec.unpack_json(block, f"transcript of match {match}")


def _blocks(reader: RunReader, column: str, since: int, until: int | None) -> Iterator[tuple[int, bytes]]:
    last = _last(reader, until)
    query = f"SELECT round, {column} FROM rounds WHERE round BETWEEN ? AND ? ORDER BY round"
    for start in range(max(0, since), last + 1, ROUNDS_A_READ):
        yield from reader.db.execute(query, (start, min(last, start + ROUNDS_A_READ - 1))).fetchall()


def _last(reader: RunReader, until: int | None) -> int:
    latest = reader.latest_round()
    newest = -1 if latest is None else latest
    return newest if until is None else min(until, newest)
