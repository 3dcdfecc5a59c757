"""The database's schema and its migrations.

A migration is a function of a `sqlite_utils.Database`. `PRAGMA user_version` counts those applied: a reader compares
that one number, where sqlite-utils' own `Migrations` would keep a table of names and times in every run. Before
migrating, the file is copied to `league.db.v<N>.bak`; a database newer than this code is refused. NaN would become
NULL silently in SQLite, so every number is NOT NULL and bounded: CHECKs, and tables without row ids, which
`Database.create_table` does not offer, so the first schema is a script.

Matches are kept as one compressed block a round (about 20 bytes a match instead of 150), with database ids of
versions and slots inside; `league verify` checks those references, as SQLite checks the foreign keys of the tables.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from league.errors import RunFolderError
from league.store import fs, sql_views

if TYPE_CHECKING:
    from sqlite_utils import Database

DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What reading a damaged database raises; the second when SQLite's own message quotes the damage."""


class NewerSchema(RunFolderError):
    """A database that newer code wrote."""


_FINITE = "CHECK({0} BETWEEN -1e300 AND 1e300)"
_NAME = "CHECK(length(name) BETWEEN 1 AND 64 AND name NOT GLOB '*[^a-z0-9_-]*' AND name NOT GLOB '[_-]*')"

V1 = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rounds (
    round INTEGER PRIMARY KEY CHECK(round >= 0),
    seconds REAL NOT NULL CHECK(seconds BETWEEN 0 AND 1e300),
    at REAL NOT NULL,
    matches INTEGER NOT NULL CHECK(matches >= 0),
    block BLOB NOT NULL,
    scalars BLOB NOT NULL,
    digest BLOB NOT NULL
);
CREATE TABLE agents (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE {_NAME}
);
CREATE TABLE versions (
    id INTEGER PRIMARY KEY,
    agent INTEGER NOT NULL REFERENCES agents,
    step INTEGER NOT NULL CHECK(step >= 0),
    role TEXT NOT NULL,
    round INTEGER NOT NULL REFERENCES rounds,
    blob BLOB CHECK(length(blob) = 32),
    optimizer BLOB CHECK(length(optimizer) = 32),
    reason TEXT NOT NULL,
    retired INTEGER CHECK(retired >= 0),
    UNIQUE (agent, step)
);
CREATE INDEX versions_by_round ON versions (round);
CREATE TABLE parents (
    child INTEGER NOT NULL REFERENCES versions,
    position INTEGER NOT NULL,
    parent INTEGER NOT NULL REFERENCES versions,
    PRIMARY KEY (child, position)
) WITHOUT ROWID;
CREATE TABLE checkpoints (
    round INTEGER PRIMARY KEY REFERENCES rounds,
    state BLOB NOT NULL,
    digest BLOB NOT NULL
);
CREATE TABLE live (
    round INTEGER NOT NULL REFERENCES checkpoints,
    agent INTEGER NOT NULL REFERENCES agents,
    version INTEGER NOT NULL REFERENCES versions,
    PRIMARY KEY (round, agent)
) WITHOUT ROWID;
CREATE TABLE pins (
    version INTEGER NOT NULL REFERENCES versions,
    why TEXT NOT NULL,
    PRIMARY KEY (version, why)
) WITHOUT ROWID;
CREATE TABLE blobs (sha BLOB PRIMARY KEY CHECK(length(sha) = 32), bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE slots (
    id INTEGER PRIMARY KEY,
    relation TEXT NOT NULL CHECK(relation IN ('contest', 'teaching', 'cooperation')),
    task TEXT NOT NULL,
    situation TEXT NOT NULL,
    domain TEXT NOT NULL,
    UNIQUE (relation, task, situation, domain)
);
CREATE TABLE payoffs (
    slot INTEGER NOT NULL REFERENCES slots,
    row INTEGER NOT NULL REFERENCES versions,
    col INTEGER NOT NULL REFERENCES versions,
    wins INTEGER NOT NULL CHECK(wins >= 0),
    draws INTEGER NOT NULL CHECK(draws >= 0),
    losses INTEGER NOT NULL CHECK(losses >= 0),
    n INTEGER NOT NULL CHECK(n >= 0),
    total REAL NOT NULL {_FINITE.format("total")},
    total_sq REAL NOT NULL CHECK(total_sq BETWEEN 0 AND 1e300),
    PRIMARY KEY (slot, row, col)
) WITHOUT ROWID;
CREATE INDEX payoffs_by_col ON payoffs (slot, col, row);
CREATE TABLE ladders (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE ratings (
    ladder INTEGER NOT NULL REFERENCES ladders,
    version INTEGER NOT NULL REFERENCES versions,
    round INTEGER NOT NULL REFERENCES rounds,
    mu REAL NOT NULL {_FINITE.format("mu")},
    sigma REAL NOT NULL CHECK(sigma BETWEEN 0 AND 1e300),
    games INTEGER NOT NULL CHECK(games >= 0),
    crc INTEGER NOT NULL,
    PRIMARY KEY (ladder, version, round)
) WITHOUT ROWID;
CREATE TABLE scalar_names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE details (round INTEGER PRIMARY KEY REFERENCES rounds, block BLOB NOT NULL);
CREATE TABLE figures (round INTEGER PRIMARY KEY REFERENCES rounds, block BLOB NOT NULL);
CREATE TABLE transcripts (
    id INTEGER PRIMARY KEY,
    round INTEGER NOT NULL REFERENCES rounds,
    match TEXT NOT NULL UNIQUE,
    bytes INTEGER NOT NULL,
    block BLOB NOT NULL
);
CREATE INDEX transcripts_by_round ON transcripts (round, bytes);
"""


def create_tables(db: "Database") -> None:
    """Schema 1: every table and index of a new database."""
    db.executescript(V1)


def add_sql_views(db: "Database") -> None:
    """Schema 2: what plain SQL reads. The writer fills it (`match_rows.fill_missing`)."""
    db.executescript(sql_views.V2)


MIGRATIONS: "list[Callable[[Database], None]]" = [create_tables, add_sql_views]
"""Migration i takes a database from user_version i to i + 1. Released ones never change."""
SCRIPTS: "Mapping[Callable[[Database], None], str]" = {create_tables: V1, add_sql_views: sql_views.V2}
"""Migrations that are no more than a script: a new database needs no sqlite-utils for them."""
ONLY_DERIVED = (add_sql_views,)
"""Migrations that add only what is computed from the rest: a reader does without."""


def tables(connection: sqlite3.Connection) -> "Database":
    """The same connection as a `sqlite_utils.Database`.

    For migrations, repair and what a writer does between rounds.

    Imported here, because sqlite-utils imports pandas (0.3 s), which commands that only read a run must not pay.
    A write is one transaction by itself, or part of `atomic()`. Two of its ways are not for a run: `upsert`, which
    makes and drops a trial table in the file, and `pk=` or `ignore=` on a table without row ids, which it looks for.
    """
    from sqlite_utils import Database

    return Database(connection, recursive_triggers=False, execute_plugins=False)


@contextmanager
def atomic(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction of a writer: all of it, or on any error nothing."""
    fs.execute(connection, "BEGIN IMMEDIATE")
    try:
        yield
        fs.execute(connection, "COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def objects(connection: sqlite3.Connection) -> dict[tuple[str, str], tuple[str, str | None]]:
    """(type, name) → (table, SQL) of every table, index, view and trigger, as the database has them."""
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
    return {(kind, name): (table, sql) for kind, name, table, sql in rows}


@cache
def own_objects(count: int) -> dict[tuple[str, str], tuple[str, str | None]]:
    """`objects` of a new database after `count` migrations."""
    with closing(fresh(":memory:", count)) as connection:
        return objects(connection)


def fresh(place: str | Path, count: int) -> sqlite3.Connection:
    """An empty database after `count` migrations. Those that are SCRIPTS need no sqlite-utils."""
    connection = sqlite3.connect(place, isolation_level=None)
    connection.execute("PRAGMA page_size = 8192")
    for migration in MIGRATIONS[:count]:
        if (script := SCRIPTS.get(migration)) is not None:
            connection.executescript(script)
        else:
            migration(tables(connection))
    connection.execute(f"PRAGMA user_version = {count}")
    return connection


def check_objects(connection: sqlite3.Connection) -> list[str]:
    """What differs from the tables, indexes and views of the database's own schema.

    SQLite's own statistics do not count.
    """
    try:
        count = user_version(connection)
        found, own = objects(connection), own_objects(count if 0 < count < len(MIGRATIONS) else len(MIGRATIONS))
    except DAMAGE as error:
        return [f"database: its schema cannot be read: {error}"]
    lost = [f"{kind} {name}" for (kind, name) in own if found.get((kind, name)) != own[kind, name]]
    more = [
        f"{kind} {name}" for (kind, name) in found if (kind, name) not in own and not name.startswith("sqlite_stat")
    ]
    return [f"database: {each} is not as this code makes it" for each in lost] + [
        f"database: {each} is none of this code's" for each in more if not lost
    ]


def user_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """The database's version; refuses one written by newer code."""
    found, own = user_version(connection), len(MIGRATIONS)
    if found != own and objects(connection) == own_objects(own):  # no other schema is the same as ours
        raise RunFolderError(
            f"{path} says that its schema is {found}, but it is {own}: damaged (run `league verify {path.parent} "
            "--repair`)"
        )
    if found > own:
        raise NewerSchema(
            f"{path} has schema {found}, newer than this code's {own}; use the newer `league` that wrote it"
        )
    return found


def is_readable(connection: sqlite3.Connection) -> bool:
    """Whether readers can use an older database as it is: what it lacks is only derived."""
    return all(migration in ONLY_DERIVED for migration in MIGRATIONS[user_version(connection) :])


def migrate(connection: sqlite3.Connection, path: Path) -> Path | None:
    """Bring the database up to date, all steps in one transaction.

    Returns the path of the backup, None where nothing was to be done or there was no data. Raises RunFolderError, with
    the database unchanged, when the result would be unsound.
    """
    found = check_version(connection, path)
    if found == len(MIGRATIONS):
        return None
    backup = _back_up(connection, path, found) if found else None
    connection.execute("PRAGMA foreign_keys = OFF")
    db = tables(connection)
    with db.atomic():
        for migration in MIGRATIONS[found:]:
            migration(db)
        if broken := connection.execute("PRAGMA foreign_key_check").fetchone():
            raise RunFolderError(
                f"{path}: migrating broke a foreign key of table {broken[0]}; the database is unchanged"
            )
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("PRAGMA foreign_keys = ON")
    return backup


def _back_up(connection: sqlite3.Connection, path: Path, version: int) -> Path:
    backup = path.with_name(f"{path.name}.v{version}.bak")
    temporary = backup.with_name(f".{backup.name}.tmp")
    temporary.unlink(missing_ok=True)
    copy = sqlite3.connect(temporary)
    try:
        connection.backup(copy)
        if copy.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise RunFolderError(f"{path} fails SQLite's quick_check; not migrated (run `league verify {path.parent}`)")
    finally:
        copy.close()
    fs.rename(temporary, backup)
    fs.fsync_folder(path.parent)
    return backup
