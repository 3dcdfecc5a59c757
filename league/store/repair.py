"""`league verify --repair`: back to the newest kept round that is whole, saying what was dropped.

The damaged database stays beside the mended one as `league.db.damaged-<time>`. A database whose pages are broken is
first copied row by row into a fresh one, as far as it can be read. Older rounds whose matches are damaged lose those
matches, and payoffs are summed again without them. When no kept round is whole, nothing is changed and RunFolderError
says so.
"""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from league.errors import RunFolderError
from league.store import codec, fs, schema
from league.store.blobs import BlobStore
from league.store.commit import rebuild_payoffs, seal
from league.store.lock import RunLock
from league.store.opening import DATABASE, require_run
from league.store.reader import RunReader
from league.store.records import VerifyReport
from league.store.run import connect
from league.store.verify import (
    Rate,
    check_checkpoint,
    check_rating_rows,
    check_ratings,
    check_round,
    check_structure,
    verify,
)
from league.types import Rating

TABLES = (
    *(
        "meta",
        "rounds",
        "agents",
        "versions",
        "parents",
        "checkpoints",
        "live",
        "pins",
        "blobs",
        "slots",
        "payoffs",
        "ladders",
    ),
    *("ratings", "scalar_names", "details", "figures", "transcripts"),
)


def repair(folder: Path, rate: Rate | None = None) -> VerifyReport:
    """Mend a run folder; takes its lock. Returns the report of the mended folder, `dropped` telling
    what was lost."""
    folder = Path(folder)
    path = require_run(folder)
    lock = RunLock(folder / "lock")
    try:
        before = verify(folder, rate)
        if before.sound:
            return before
        work = folder / f".{DATABASE}.mending"
        dropped: list[str] = []
        try:
            _copy(path, work, dropped)
            _mend(folder, work, rate, dropped)
            _swap(folder, path, work, dropped)
        except schema.DAMAGE as error:
            raise RunFolderError(
                f"{folder} cannot be repaired: {error}; nothing was changed; restore it from a copy"
            ) from error
        finally:
            for leftover in folder.glob(f".{DATABASE}.mending*"):
                leftover.unlink()
    finally:
        lock.release()
    after = verify(folder, rate)
    after.dropped = dropped
    return after


def _copy(path: Path, work: Path, dropped: list[str]) -> None:
    """A copy to work on: by pages when SQLite finds them sound, else row by row."""
    try:
        source = sqlite3.connect(f"file:{path.absolute()}?mode=ro", uri=True, isolation_level=None)
        sound = not check_structure(source)
    except schema.DAMAGE as error:
        raise RunFolderError(f"{path} cannot be read at all: {error}; restore {path.parent} from a copy") from error
    target = connect(work)
    try:
        if sound:
            source.backup(target)
        else:
            schema.migrate(target, work)
            _salvage(source, target, dropped)
    except schema.DAMAGE as error:
        raise RunFolderError(f"{path} cannot be read: {error}; restore {path.parent} from a copy") from error
    finally:
        source.close()
        target.close()


def _salvage(source: sqlite3.Connection, target: sqlite3.Connection, dropped: list[str]) -> None:
    target.execute("PRAGMA foreign_keys = OFF")
    target.execute("BEGIN")
    for table in TABLES:
        width = len(target.execute(f"PRAGMA table_info({table})").fetchall())
        insert = f"INSERT OR IGNORE INTO {table} VALUES ({','.join('?' * width)})"
        for row in _readable_rows(source, target, table):
            try:
                target.execute(insert, row)
            except (sqlite3.IntegrityError, sqlite3.InterfaceError):
                dropped.append(f"an impossible row of table {table}")
    while broken := target.execute("PRAGMA foreign_key_check").fetchall():
        for table, rowid, _, _ in broken:
            dropped.append(f"a row of table {table} that refers to a lost one")
            if rowid is None:  # a table without row ids: only those derived or listed again below
                target.execute(f"DELETE FROM {table}")
            else:
                target.execute(f"DELETE FROM {table} WHERE rowid = ?", (rowid,))
    target.execute("COMMIT")
    target.execute("PRAGMA foreign_keys = ON")


def _readable_rows(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> Iterator[tuple]:
    """Rows from the front until a broken page, then from the back until one."""
    keys = [row[1] for row in target.execute(f"PRAGMA table_info({table})") if row[5]]
    for direction in ("", " DESC"):
        order = ", ".join(f"{key}{direction}" for key in keys)
        try:
            yield from source.execute(f"SELECT * FROM {table} NOT INDEXED ORDER BY {order}")
            return
        except schema.DAMAGE:
            continue


def _mend(folder: Path, work: Path, rate: Rate | None, dropped: list[str]) -> None:
    connection = connect(work)
    try:
        reader = RunReader(folder, connection)
        connection.execute("BEGIN IMMEDIATE")
        good = _newest_whole(reader)
        last = reader.latest_round()
        if good is None:
            raise RunFolderError(
                f"{folder} cannot be repaired: none of the kept rounds {reader.kept_rounds()} is whole; restore it from a copy"
            )
        _drop_rounds(reader, good, last or good, dropped)
        _drop_damaged_history(reader, dropped)
        _drop_damaged_extras(reader, dropped)
        _drop_lost_blobs(reader, dropped)
        rebuild_payoffs(reader)
        _mend_ratings(reader, rate, dropped)
        _mend_config(reader, folder)
        connection.execute("COMMIT")
    finally:
        connection.close()


def _newest_whole(reader: RunReader) -> int | None:
    """The newest kept round that is as committed, with every member's weights."""
    for number in reversed(reader.kept_rounds()):
        if not check_checkpoint(reader, number) and check_round(reader, number) is None:
            return number
    return None


def _drop_rounds(reader: RunReader, good: int, last: int, dropped: list[str]) -> None:
    db = reader.db
    for number in range(good + 1, last + 1):
        row = db.execute("SELECT matches FROM rounds WHERE round = ?", (number,)).fetchone()
        dropped.append(f"round {number}" + (f" with its {row[0]} matches" if row else ""))
    newer = "SELECT id FROM versions WHERE round > ?1"
    db.execute("DELETE FROM payoffs")
    for table in ("transcripts", "details", "figures", "ratings", "live", "checkpoints"):
        db.execute(f"DELETE FROM {table} WHERE round > ?", (good,))
    db.execute(f"DELETE FROM ratings WHERE version IN ({newer})", (good,))
    db.execute(f"DELETE FROM pins WHERE version IN ({newer})", (good,))
    db.execute(f"DELETE FROM parents WHERE child IN ({newer}) OR parent IN ({newer})", (good,))
    db.execute("DELETE FROM versions WHERE round > ?", (good,))
    db.execute("DELETE FROM rounds WHERE round > ?", (good,))
    db.execute("UPDATE versions SET retired = NULL WHERE retired > ?", (good,))
    reader.forget()


def _drop_damaged_history(reader: RunReader, dropped: list[str]) -> None:
    """Empty the matches of rounds that are not as committed; their scalars go too."""
    for (number,) in reader.db.execute("SELECT round FROM rounds ORDER BY round").fetchall():
        if (problem := check_round(reader, number)) is not None:
            dropped.append(f"matches and scalars of {problem}")
            empty = (codec.pack_rows([]), number)
            reader.db.execute("UPDATE rounds SET matches = 0, block = ?, scalars = x'' WHERE round = ?", empty)
            reader.db.execute("DELETE FROM details WHERE round = ?", (number,))
            seal(reader, number)


def _drop_damaged_extras(reader: RunReader, dropped: list[str]) -> None:
    for table, label in (("details", "round"), ("figures", "round"), ("transcripts", "match")):
        for key, block in reader.db.execute(f"SELECT {label}, block FROM {table}").fetchall():
            try:
                codec.unpack_json(block, table)
            except RunFolderError:
                dropped.append(f"{table} of {label} {key}")
                reader.db.execute(f"DELETE FROM {table} WHERE {label} = ?", (key,))
    for number in [n for n in reader.kept_rounds() if check_checkpoint(reader, n)]:
        dropped.append(f"round {number} as a round to fall back to")
        reader.db.execute("DELETE FROM live WHERE round = ?", (number,))
        reader.db.execute("DELETE FROM checkpoints WHERE round = ?", (number,))


def _drop_lost_blobs(reader: RunReader, dropped: list[str]) -> None:
    """The list of blobs becomes what is on the disk, whole; pins of lost weights go."""
    db = reader.db
    whole = [sha for sha in reader.blobs.hashes() if not reader.blobs.problem(sha)]
    known = {row[0].hex() for row in db.execute("SELECT sha FROM blobs")}
    named = {raw.hex() for row in db.execute("SELECT blob, optimizer FROM versions") for raw in row if raw is not None}
    db.execute("DELETE FROM blobs")
    db.executemany(
        "INSERT INTO blobs VALUES (?,?)",
        [(bytes.fromhex(sha), reader.blobs.size(sha)) for sha in whole if sha in named],
    )
    for sha in sorted(known - set(whole)):
        dropped.append(f"blob {sha[:12]}…")
    lost = (
        "SELECT id FROM versions WHERE blob NOT IN (SELECT sha FROM blobs) OR optimizer NOT IN (SELECT sha FROM blobs)"
    )
    for (why,) in db.execute(f"DELETE FROM pins WHERE version IN ({lost}) RETURNING why").fetchall():
        dropped.append(f"a version pinned for '{why}'")


def _mend_ratings(reader: RunReader, rate: Rate | None, dropped: list[str]) -> None:
    if not check_rating_rows(reader) and (rate is None or not check_ratings(reader, rate, VerifyReport("", None))):
        return
    dropped.append("ratings" + ("" if rate is None else " (computed again from the matches)"))
    latest = reader.latest_round()
    reader.db.execute("DELETE FROM ratings")
    if rate is not None and latest is not None:
        for rating in rate(reader.outcomes()):
            _insert_rating(reader, latest, rating)


def _insert_rating(reader: RunReader, number: int, rating: Rating) -> None:
    from league.store.digests import rating_sum

    reader.db.execute("INSERT OR IGNORE INTO ladders (name) VALUES (?)", (rating.ladder,))
    ladder_id = reader.db.execute("SELECT id FROM ladders WHERE name = ?", (rating.ladder,)).fetchone()[0]
    query = "SELECT v.id FROM versions v JOIN agents a ON a.id = v.agent WHERE a.name = ? AND v.step = ?"
    key = reader.db.execute(query, (rating.version.agent, rating.version.step)).fetchone()[0]
    row = (ladder_id, key, number, float(rating.mu), float(rating.sigma), rating.games)
    reader.db.execute("INSERT OR REPLACE INTO ratings VALUES (?,?,?,?,?,?,?)", (*row, rating_sum(*row)))


def _mend_config(reader: RunReader, folder: Path) -> None:
    """config.yaml follows the database, when the database's own copy is sound."""
    import hashlib

    text = reader.config_text()
    if hashlib.sha256(text.encode()).hexdigest() != reader.meta("config_sha256"):
        try:
            text = (folder / "config.yaml").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            text = ""
        if hashlib.sha256(text.encode()).hexdigest() != reader.meta("config_sha256"):
            raise RunFolderError(
                f"{folder}: both copies of the configuration are damaged; restore config.yaml from a copy"
            )
        reader.db.execute("UPDATE meta SET value = ? WHERE key = 'config'", (text,))
    try:
        fs.replace_file(folder / "config.yaml", text.encode())
    except OSError as error:
        raise RunFolderError(
            f"{folder} cannot be repaired: config.yaml: {error.strerror}; nothing was changed; move it away"
        ) from error


def _swap(folder: Path, path: Path, work: Path, dropped: list[str]) -> None:
    """Put the mended database in place; keep the damaged one."""
    check = sqlite3.connect(work, isolation_level=None)
    check.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    check.execute("PRAGMA journal_mode = DELETE")
    check.close()
    aside = folder / f"{DATABASE}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{time.time_ns() % 1000:03d}"
    for suffix in ("", "-wal"):
        file = path.with_name(path.name + suffix)
        if file.exists():
            shutil.copy2(file, aside.with_name(aside.name + suffix))
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    fs.rename(work, path)
    fs.fsync_folder(folder)
    BlobStore(folder / "blobs").sweep()
    dropped.append(f"(the damaged database is kept as {aside.name})")
