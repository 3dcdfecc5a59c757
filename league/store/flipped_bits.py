"""One flipped bit of a name, number or hash, found again by the sums that the run keeps.

A round's digest says what the round was. Where it does not hold, every value it covers that is stored as a short row
(names, versions, members, times, the digest itself) is tried with each of its bits the other way round; the right one
makes the digest hold again. Compressed blocks are too long for that: their rounds fall back or lose their matches.
"""

import sqlite3
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from league.errors import LeagueError
from league.store import codec, table_sums
from league.store.digests import SIZE, round_digest, stored_digest
from league.store.reader import RunReader
from league.store.verify import UNREADABLE, check_round

Value = int | float | str | bytes
TRIES = 20_000
"""Values tried for one round, at the cost of a digest each; a name has at most 512."""


def flip_back(reader: RunReader) -> list[str]:
    """Put single flipped bits right; returns what was done."""
    done = _small_tables(reader)
    for number in [number for number, *_ in reader.round_times()][::-1]:
        if check_round(reader, number) is not None and _decodes(reader, number):
            found = _search(reader, number)
            if not found:  # more than one bit, or one that no search finds: it would cost as much for every round
                return done
            done += found
    return done


def _decodes(reader: RunReader, number: int) -> bool:
    """Whether a round's matches can be unpacked. Where they cannot, a bit of the block flipped."""
    row = reader.db.execute("SELECT block FROM rounds WHERE round = ?", (number,)).fetchone()
    try:
        codec.unpack_rows(row[0], "matches")
    except (*UNREADABLE, LeagueError):
        return False
    return True


def _small_tables(reader: RunReader) -> list[str]:
    """Tables that have a sum of their own: by that sum, or the sum by the table."""
    db, done = reader.db, []
    for table in table_sums.TABLES:
        if table_sums.is_whole(db, table):
            continue
        rows, wanted = table_sums.rows_of(db, table), table_sums.stored_sum(db, table) or ""
        if table_sums.bits_apart(wanted, table_sums.row_sum(rows)) == 1:
            continue  # the sum is what was damaged; the repair writes all of them anew
        found = table_sums.flipped_back(rows, wanted)
        if found is not None:
            columns = {"meta": "key, value", "pins": "version, why", "ladders": "id, name"}[table]
            gone, new = sorted(set(rows) - set(found)), sorted(set(found) - set(rows))
            for old, right in zip(gone, new, strict=True):
                first, second = columns.split(", ")
                where = " AND ".join(
                    f"{name} = {'CAST(? AS TEXT)' if isinstance(value, str) else '?'}"
                    for name, value in zip((first, second), old, strict=True)
                )
                raw = [each.encode("utf-8", "surrogateescape") if isinstance(each, str) else each for each in old]
                db.execute(f"UPDATE {table} SET {first} = ?, {second} = ? WHERE {where}", (*right, *raw))
            done.append(f"(a flipped bit of table {table} was put right)")
    return done


def _search(reader: RunReader, number: int) -> list[str]:
    """Try single flips of what a round's digest covers until it holds."""
    content = stored_digest(reader, number)[0]
    try:
        apart = (int.from_bytes(content, "big") ^ int.from_bytes(round_digest(reader, number), "big")).bit_count()
    except (*UNREADABLE, LeagueError):
        apart = 8 * SIZE
    if apart == 1:
        raw = reader.db.execute("SELECT digest FROM rounds WHERE round = ?", (number,)).fetchone()[0]
        whole = round_digest(reader, number) + raw[SIZE:]
        reader.db.execute("UPDATE rounds SET digest = ? WHERE round = ?", (whole, number))
        return [f"(a flipped bit of the digest of round {number} was put right)"]
    for tried, (cell, value) in enumerate(_candidates(reader.db, number)):
        if tried >= TRIES:
            break
        try:
            cell.write(reader.db, value)
        except (sqlite3.Error, OverflowError):
            continue
        reader.forget()
        if check_round(reader, number) is None:
            return [f"(a flipped bit of table {cell.table} was put right)"]
        cell.write(reader.db, cell.value)
        reader.forget()
    return []


@dataclass(frozen=True)
class Cell:
    """One value of the database: in a column of the row where `keys` have the values `row`."""

    table: str
    keys: tuple[str, ...]
    row: tuple[int, ...]
    column: str
    value: Value

    def write(self, db: sqlite3.Connection, value: Value) -> None:
        """Put another value into its place."""
        where = " AND ".join(f"{key} = ?" for key in self.keys)
        db.execute(f"UPDATE {self.table} SET {self.column} = ? WHERE {where}", (value, *self.row))


def _candidates(db: sqlite3.Connection, number: int) -> Iterator[tuple[Cell, Value]]:
    """Single flips of what a round's digest covers outside of its compressed block."""
    here = f"WHERE round = {number}"
    places: tuple[tuple[str, tuple[str, ...], tuple[str, ...], str], ...] = (
        ("agents", ("id",), ("name",), ""),
        ("versions", ("id",), ("step", "role", "reason", "blob", "optimizer", "agent"), here),
        ("rounds", ("round",), ("matches", "seconds", "at", "scalars"), here),
        ("parents", ("child", "position"), ("parent",), f"WHERE child IN (SELECT id FROM versions {here})"),
        ("slots", ("id",), ("relation", "task", "situation", "domain"), ""),
        ("scalar_names", ("id",), ("name",), ""),
        ("versions", ("id",), ("round",), ""),
    )
    for table, keys, columns, where in places:
        for column in columns:
            for *row, value in db.execute(f"SELECT {', '.join(keys)}, {column} FROM {table} {where}").fetchall():
                yield from ((Cell(table, keys, tuple(row), column, value), other) for other in _flips(value))


def _flips(value: Value | None) -> Iterator[Value]:
    if isinstance(value, bytes):
        for place in range(len(value)):
            for bit in range(8):
                yield value[:place] + bytes([value[place] ^ (1 << bit)]) + value[place + 1 :]
    elif isinstance(value, float):
        (raw,) = struct.unpack("<Q", struct.pack("<d", value))
        for bit in range(64):
            yield struct.unpack("<d", struct.pack("<Q", raw ^ (1 << bit)))[0]
    elif value is not None:
        yield from table_sums.one_bit_away(value)
