"""Sums over the small tables that no round's digest covers, kept in the table `meta`.

`meta` itself (who the run is; its configuration has a sum of its own there), the pins, and the names of ladders. Runs
of older versions have no sums until a writer opens them. A sum is a sha256 over the table's rows; where one bit
flipped, the row is found again by trying every bit.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from league.store import fs

SUM = "sum/"
TABLES = {
    "meta": f"SELECT key, value FROM meta WHERE key NOT LIKE '{SUM}%' AND key <> 'config' ORDER BY key",
    "pins": "SELECT version, why FROM pins ORDER BY version, why",
    "ladders": "SELECT id, name FROM ladders ORDER BY id",
}
Row = tuple[int | str, ...]


def rows_of(connection: sqlite3.Connection, table: str) -> list[Row]:
    """The rows of a table, in the order of their keys."""
    return connection.execute(TABLES[table]).fetchall()


def row_sum(rows: list[Row]) -> str:
    """sha256 of rows, in hex."""
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def stored_sum(connection: sqlite3.Connection, table: str) -> str | None:
    """What the table's sum was when it was last written; None in a run of an older version."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (SUM + table,)).fetchone()
    return None if row is None else str(row[0])


def is_whole(connection: sqlite3.Connection, table: str) -> bool:
    """Whether a table is as it was written, as far as anybody can tell."""
    return stored_sum(connection, table) in (None, row_sum(rows_of(connection, table)))


def all_there(connection: sqlite3.Connection) -> bool:
    """Whether every table has its sum."""
    return all(stored_sum(connection, table) is not None for table in TABLES)


def add_sums(connection: sqlite3.Connection, *, anew: bool = False) -> None:
    """Store the sums that are missing; `anew`: all of them."""
    for table in TABLES:
        if anew or stored_sum(connection, table) is None:
            value = row_sum(rows_of(connection, table))
            fs.execute(connection, "INSERT OR REPLACE INTO meta (key, value) VALUES (?,?)", (SUM + table, value))


@contextmanager
def changing(connection: sqlite3.Connection, table: str) -> Iterator[None]:
    """Around a change of a table: its sum follows, but never covers up damage that was there before."""
    whole = is_whole(connection, table)
    yield
    if whole:
        value = row_sum(rows_of(connection, table))
        if value != stored_sum(connection, table):
            fs.execute(connection, "INSERT OR REPLACE INTO meta (key, value) VALUES (?,?)", (SUM + table, value))


def flipped_back(rows: list[Row], wanted: str) -> list[Row] | None:
    """The rows whose sum is `wanted`, one flipped bit away from these; None where there are none."""
    for place, row in enumerate(rows):
        for column, value in enumerate(row):
            for other in one_bit_away(value):
                tried = [*rows[:place], (*row[:column], other, *row[column + 1 :]), *rows[place + 1 :]]
                if row_sum(tried) == wanted:
                    return tried
    return None


def one_bit_away(value: int | str) -> Iterator[int | str]:
    """Every value that is one flipped bit away: of a whole number below 2^48, or of a text."""
    if isinstance(value, int):
        yield from (value ^ (1 << bit) for bit in range(48))
        return
    raw = value.encode("utf-8", "surrogateescape")
    for place in range(len(raw)):
        for bit in range(8):
            other = raw[:place] + bytes([raw[place] ^ (1 << bit)]) + raw[place + 1 :]
            try:
                yield other.decode("utf-8")
            except UnicodeDecodeError:
                continue


def bits_apart(one: str, other: str) -> int:
    """In how many bits two texts differ; a large number where their lengths do."""
    first, second = one.encode("utf-8", "surrogateescape"), other.encode("utf-8", "surrogateescape")
    if len(first) != len(second):
        return 8 * max(len(first), len(second))
    return sum((a ^ b).bit_count() for a, b in zip(first, second, strict=True))
