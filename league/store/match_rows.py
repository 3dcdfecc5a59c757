"""Matches as plain rows beside the rounds' compressed blocks: filled, compared, filled again.

The blocks are the truth. A row here says of a match what its block says, with versions by name.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from league.errors import LeagueError
from league.store import codec, fs, schema, sql_views
from league.store.reader import RunReader

MatchRow = tuple[int, int, str, str, str, str, float, float, float, str, str | None]
"""round, place, match, task, purpose, situation, three weights of its reward mix, seats, void.

`seats` is JSON: seat → version. `void` says why it does not count.
"""
OutcomeRow = tuple[int | float, ...]
"""round, place, number, slot, row, col, wins, draws, losses, n, total, total_sq; by database ids."""
Table = Literal["match_rows", "match_outcomes"]
MATCH = {"round": "i8", "place": "i8", "match": "O", "task": "O", "purpose": "O", "situation": "O"} | {
    "individual": "f8", "team": "f8", "competitive": "f8", "seats": "O", "void": "O"
}  # fmt: skip
OUTCOME = dict.fromkeys(
    ("round", "place", "number", "slot", "row", "col", "wins", "draws", "losses", "n"), "i8"
) | {"total": "f8", "total_sq": "f8"}  # fmt: skip
COLUMNS: Mapping[Table, Mapping[str, str]] = {"match_rows": MATCH, "match_outcomes": OUTCOME}
"""Column → its numpy type, in the order of the tables."""
ROUNDS_A_READ = 256
_ROWS = "SELECT * FROM match_rows WHERE round = ? ORDER BY place"
_OUTCOMES = "SELECT * FROM match_outcomes WHERE round = ? ORDER BY place, number"
_UNFILLED = (
    "SELECT round FROM rounds r WHERE matches > 0 AND NOT EXISTS (SELECT 1 FROM match_rows m WHERE m.round = r.round)"
)


def rows_of_block(reader: RunReader, number: int) -> tuple[list[MatchRow], list[OutcomeRow]]:
    """The rows that a round's block stands for. Raises RunFolderError when it cannot be decoded."""
    block = reader.db.execute("SELECT block FROM rounds WHERE round = ?", (number,)).fetchone()[0]
    matches: list[MatchRow] = []
    outcomes: list[OutcomeRow] = []
    for place, row in enumerate(codec.unpack_rows(block, f"matches of round {number}")):
        name, task, purpose, situation, (own, team, lead), seats, void, found = row
        cast = json.dumps({seat: str(reader.version_name(key)) for seat, key in seats.items()}, separators=(",", ":"))
        matches.append((number, place, name, task, purpose, situation, own, team, lead, cast, _storable(void)))
        for index, (slot, first, second, *sums) in enumerate(found):
            wins, draws, losses, n, total, total_sq = sums
            outcomes.append((number, place, index, slot, first, second, wins, draws, losses, n, total, total_sq))
    return matches, outcomes


def fill_round(reader: RunReader, number: int) -> None:
    """Write a round's rows, inside a transaction of the caller."""
    _insert(reader, *rows_of_block(reader, number))


def fill_missing(reader: RunReader) -> None:
    """Fill rounds that older versions of this code committed, in a transaction of the caller.

    A round that cannot be decoded stays without rows: `league verify` says what is wrong with it.
    """
    for (number,) in reader.db.execute(_UNFILLED).fetchall():
        try:
            rows = rows_of_block(reader, number)
        except (LeagueError, ValueError, TypeError, LookupError, AttributeError, OverflowError):
            continue
        _insert(reader, *rows)


def is_filled(reader: RunReader) -> bool:
    """Whether every round that has matches has rows."""
    return reader.db.execute(f"{_UNFILLED} LIMIT 1").fetchone() is None


def is_plain(reader: RunReader) -> bool:
    """Whether all matches can be read as plain rows: the run has them, and none is missing."""
    return schema.user_version(reader.db) >= 2 and is_filled(reader)


def read_rows(
    reader: RunReader, table: Table, names: Sequence[str], since: int, until: int | None
) -> Iterator[list[tuple[Any, ...]]]:
    """These columns of the rows of rounds since…until (inclusive), in playing order.

    Some hundred rounds at a time, each part one short read. From the blocks where a run has no plain rows yet. Raises
    RunFolderError where a block cannot be decoded.
    """
    latest = reader.latest_round()
    last = -1 if latest is None else latest if until is None else min(until, latest)
    plain = is_plain(reader)
    order = "round, place" if table == "match_rows" else "round, place, number"
    query = f"SELECT {', '.join(names)} FROM {table} WHERE round BETWEEN ? AND ? ORDER BY {order}"
    for start in range(max(0, since), last + 1, ROUNDS_A_READ):
        span = start, min(last, start + ROUNDS_A_READ - 1)
        if plain:
            yield reader.db.execute(query, span).fetchall()
        else:
            numbers = reader.db.execute("SELECT round FROM rounds WHERE round BETWEEN ? AND ? ORDER BY round", span)
            for (number,) in numbers.fetchall():
                rows = rows_of_block(reader, number)[sql_views.TABLES.index(table)]
                places = [list(COLUMNS[table]).index(name) for name in names]
                yield [tuple(row[place] for place in places) for row in rows]


def rebuild(reader: RunReader) -> None:
    """Drop all rows and fill them from the blocks, in a transaction of the caller."""
    for table in sql_views.TABLES:
        fs.execute(reader.db, f"DELETE FROM {table}")
    fill_missing(reader)


def check_rows(reader: RunReader) -> list[str]:
    """What differs from the blocks. A database of the first schema has no rows."""
    if schema.user_version(reader.db) < 2:
        return []
    problems = [f"round {number}: its plain match rows do not follow from its matches" for number in _wrong(reader)]
    query = " UNION ".join(f"SELECT round FROM {table}" for table in sql_views.TABLES)
    stray = reader.db.execute(f"SELECT 1 FROM ({query}) WHERE round NOT IN (SELECT round FROM rounds)").fetchone()
    return problems[:5] + ["database: plain match rows of a round that is not there"] * (stray is not None)


def _wrong(reader: RunReader) -> Iterator[int]:
    for (number,) in reader.db.execute("SELECT round FROM rounds ORDER BY round").fetchall():
        matches, outcomes = rows_of_block(reader, number)
        stored = reader.db.execute(_ROWS, (number,)).fetchall(), reader.db.execute(_OUTCOMES, (number,)).fetchall()
        if stored != (matches, outcomes):
            yield number


def _storable(text: str | None) -> str | None:
    """SQLite takes no half of a surrogate pair, which what a server said may hold."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()


def _insert(reader: RunReader, matches: list[MatchRow], outcomes: list[OutcomeRow]) -> None:
    fs.executemany(reader.db, f"INSERT INTO match_rows VALUES ({_marks(11)})", matches)
    fs.executemany(reader.db, f"INSERT INTO match_outcomes VALUES ({_marks(12)})", outcomes)


def _marks(columns: int) -> str:
    return ",".join("?" * columns)
