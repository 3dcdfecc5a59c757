"""A copy of a damaged database that can be read: what a repair works on.

The first page of the file holds SQLite's header and the schema, and both are known: a new database of this code has
the same. Where other pages are broken, every row that can be read is copied into a fresh database.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from league.errors import RunFolderError
from league.store import schema, sql_views
from league.store.page_bits import PAGE, put_structure_right
from league.store.run import connect

COUNTERS = ((24, 40), (92, 100))
"""Bytes of the header that differ from run to run: counters, and the list of free pages."""
SHALLOW = ("CHECK constraint failed", "NULL value in", "missing from index", "wrong # of entries", "non-unique entry")
"""What SQLite says of rows in sound pages."""


def copy_pages(path: Path, work: Path, dropped: list[str]) -> bool:
    """Copy the database at `path` to `work` by pages, with what can be put right in them.

    False, and nothing left, where pages are damaged beyond that. Single rows may still be impossible.
    """
    if _copied(path, work):
        return True
    mended = _beside(path, work)
    try:
        if not _schema_is_ours(path):
            for count in range(1, len(schema.MIGRATIONS) + 1):
                _put_first_page_back(mended, count)
                if _copied(mended, work):
                    dropped.append("(the schema or the header was damaged; it is this code's again)")
                    return True
        if put_structure_right(_in_one_file(mended), _sound_pages) and _copied(mended, work):
            dropped.append("(a flipped bit of a page was put right)")
            return True
        return False
    finally:
        _remove(mended)


def copy_rows(path: Path, work: Path, dropped: list[str]) -> None:
    """Copy every row that can be read into a fresh database. Raises RunFolderError where none can."""
    mended = _beside(path, work)
    try:
        if not _schema_is_ours(path):
            _put_first_page_back(mended, 1)  # all that counts is in tables of the first schema, which come first
        _row_by_row(mended, work, dropped)
    except schema.DAMAGE as error:
        raise RunFolderError(
            f"{path} cannot be read at all: {error}; nothing was changed; restore {path.parent} from a copy"
        ) from error
    finally:
        _remove(mended)


def _beside(path: Path, work: Path) -> Path:
    """A copy of the database's files as they are, to be changed."""
    copy = work.with_name(work.name + ".source")
    for suffix in ("", "-wal"):
        if path.with_name(path.name + suffix).exists():
            shutil.copyfile(path.with_name(path.name + suffix), copy.with_name(copy.name + suffix))
    return copy


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _copied(source: Path, work: Path) -> bool:
    """Copy a database by pages, where its pages and its schema are sound; else False, and nothing is left."""
    try:
        with closing(_open(source)) as found:
            if not _sound_pages(found) or not _ours(found):
                return False
            with closing(connect(work)) as target:
                found.backup(target)
        return True
    except (*schema.DAMAGE, RunFolderError):
        _remove(work)
        return False


def _sound_pages(connection: sqlite3.Connection) -> bool:
    """Whether SQLite finds nothing wrong with pages, whatever it says of rows."""
    lines = [row[0] for row in connection.execute("PRAGMA integrity_check(1000)")]
    return lines == ["ok"] or all(any(shallow in line for shallow in SHALLOW) for line in lines)


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path.absolute()}?mode=ro", uri=True, isolation_level=None)


def _schema_is_ours(path: Path) -> bool:
    try:
        with closing(_open(path)) as found:
            return _ours(found)
    except schema.DAMAGE:
        return False


def _ours(connection: sqlite3.Connection) -> bool:
    return not schema.check_objects(connection) and 0 < schema.user_version(connection) <= len(schema.MIGRATIONS)


def _put_first_page_back(path: Path, count: int) -> None:
    """Overwrite the first page of a database, log included, by that of a new one, but for its counters.

    It is right for a database that was made with `count` migrations, not for one that was migrated later.
    """
    new = path.with_name(path.name + ".new")
    schema.fresh(new, count).close()
    with closing(sqlite3.connect(new)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    page = bytearray(new.read_bytes()[:PAGE])
    new.unlink()
    raw = _in_one_file(path).read_bytes()
    for start, end in COUNTERS:
        page[start:end] = raw[start:end]
    page[28:32] = (len(raw) // PAGE).to_bytes(4, "big")
    page[92:96] = page[24:28]
    path.write_bytes(bytes(page) + raw[PAGE:])


def _in_one_file(path: Path) -> Path:
    """The same database with nothing left in its write-ahead log."""
    log = path.with_name(path.name + "-wal")
    if log.exists():
        path.write_bytes(_with_log(path.read_bytes(), log.read_bytes()))
        log.unlink()
    return path


def _with_log(raw: bytes, log: bytes) -> bytes:
    """The database's bytes with the committed pages of its write-ahead log in their places.

    Frames of an earlier generation of the log bear another salt and are left out, as SQLite does.
    """
    pages: dict[int, bytes] = {}
    waiting: dict[int, bytes] = {}
    salt, size = log[16:24], len(raw) // PAGE
    for at in range(32, len(log) - PAGE - 23, PAGE + 24):
        number, commit = int.from_bytes(log[at : at + 4], "big"), int.from_bytes(log[at + 4 : at + 8], "big")
        if log[at + 8 : at + 16] != salt or not number:
            break
        waiting[number] = log[at + 24 : at + 24 + PAGE]
        if commit:
            pages |= waiting
            waiting, size = {}, commit
    found = bytearray(raw[: size * PAGE].ljust(size * PAGE, b"\0"))
    for number, page in pages.items():
        if number <= size:
            found[(number - 1) * PAGE : number * PAGE] = page
    return bytes(found)


def _row_by_row(path: Path, work: Path, dropped: list[str]) -> None:
    with closing(_open(path)) as source, closing(connect(work)) as target:
        schema.migrate(target, work)
        db = schema.tables(target)
        target.execute("PRAGMA foreign_keys = OFF")
        with db.atomic():
            for name in [each for each in db.table_names() if each not in sql_views.TABLES]:
                table = db.table(name)
                insert = f"INSERT OR IGNORE INTO {name} VALUES ({','.join('?' * len(table.columns))})"
                for row in _readable_rows(source, name, table.pks):
                    try:
                        target.execute(insert, row)
                    except (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError):
                        dropped.append(f"an impossible row of table {name}")
            while broken := target.execute("PRAGMA foreign_key_check").fetchall():
                for name, rowid, _, _ in broken:
                    dropped.append(f"a row of table {name} that refers to a lost one")
                    if rowid is None:  # a table without row ids: only those derived or listed again by the repair
                        db.table(name).delete_where()
                    else:
                        db.table(name).delete_where("rowid = ?", [rowid])
        target.execute("PRAGMA foreign_keys = ON")


def _readable_rows(source: sqlite3.Connection, table: str, keys: list[str]) -> Iterator[tuple]:
    """Rows from the front until a broken page, then from the back until one."""
    for direction in ("", " DESC"):
        order = ", ".join(f"{key}{direction}" for key in keys)
        try:
            yield from source.execute(f"SELECT * FROM {table} NOT INDEXED ORDER BY {order}")
            return
        except schema.DAMAGE:
            continue
