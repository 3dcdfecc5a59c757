"""`league verify --repair`: back to the newest kept round that is whole, saying what was dropped.

The damaged database stays beside the repaired one as `league.db.damaged-<time>`. A database whose pages are broken is
first copied row by row into a fresh one, as far as it can be read. Older rounds whose matches are damaged lose those
matches, and payoffs are summed again without them. When no kept round is whole, nothing is changed and RunFolderError
says so.
"""

import hashlib
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from league.errors import RunFolderError
from league.store import codec, fs, schema
from league.store.blobs import BlobStore
from league.store.commit import rebuild_payoffs, seal
from league.store.digests import rating_sum
from league.store.lock import RunLock
from league.store.opening import DATABASE, refuse_links, require_run
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

if TYPE_CHECKING:
    from sqlite_utils import Database


def repair(folder: Path, rate: Rate | None = None) -> VerifyReport:
    """Repair a run folder, under its lock; returns the new report, whose `dropped` says what was lost.

    Raises RunFolderError, with nothing changed, when it is in use or no kept round is whole.
    """
    folder = Path(folder)
    path = require_run(folder)
    refuse_links(folder)
    lock = RunLock(folder / "lock")
    try:
        before = verify(folder, rate)
        if before.sound:
            return before
        work = folder / f".{DATABASE}.repairing"
        dropped: list[str] = []
        try:
            _copy(path, work, dropped)
            _rebuild(folder, work, rate, dropped)
            _swap(folder, path, work, dropped)
        except schema.DAMAGE as error:
            raise RunFolderError(
                f"{folder} cannot be repaired: {error}; nothing was changed; restore it from a copy"
            ) from error
        finally:
            for leftover in folder.glob(f".{DATABASE}.repairing*"):
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
    """Copy every row that can be read and is possible into a fresh database."""
    db = schema.tables(target)
    target.execute("PRAGMA foreign_keys = OFF")
    with db.atomic():
        for name in db.table_names():
            table = db.table(name)
            insert = f"INSERT OR IGNORE INTO {name} VALUES ({','.join('?' * len(table.columns))})"
            for row in _readable_rows(source, name, table.pks):
                try:
                    target.execute(insert, row)
                except (sqlite3.IntegrityError, sqlite3.InterfaceError):
                    dropped.append(f"an impossible row of table {name}")
        while broken := target.execute("PRAGMA foreign_key_check").fetchall():
            for name, rowid, _, _ in broken:
                dropped.append(f"a row of table {name} that refers to a lost one")
                if rowid is None:  # a table without row ids: only those derived or listed again below
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


def _rebuild(folder: Path, work: Path, rate: Rate | None, dropped: list[str]) -> None:
    connection = connect(work)
    try:
        reader = RunReader(folder, connection)
        db = schema.tables(connection)
        with db.atomic():
            good = _newest_whole(reader)
            last = reader.latest_round()
            if good is None:
                raise RunFolderError(
                    f"{folder} cannot be repaired: none of the kept rounds {reader.kept_rounds()} is whole; "
                    "restore it from a copy"
                )
            _drop_rounds(reader, db, good, last or good, dropped)
            _drop_damaged_history(reader, db, dropped)
            _drop_damaged_extras(reader, db, dropped)
            _drop_lost_blobs(reader, db, dropped)
            rebuild_payoffs(reader)
            _repair_ratings(reader, db, rate, dropped)
            _repair_config(reader, db, folder)
    finally:
        connection.close()


def _newest_whole(reader: RunReader) -> int | None:
    """The newest kept round that is as committed, with every member's weights."""
    for number in reversed(reader.kept_rounds()):
        if not check_checkpoint(reader, number) and check_round(reader, number) is None:
            return number
    return None


def _drop_rounds(reader: RunReader, db: "Database", good: int, last: int, dropped: list[str]) -> None:
    for number in range(good + 1, last + 1):
        row = next(db.table("rounds").rows_where("round = ?", [number], select="matches"), None)
        dropped.append(f"round {number}" + (f" with its {row['matches']} matches" if row else ""))
    newer = "SELECT id FROM versions WHERE round > :good"
    after = {"good": good}
    db.table("payoffs").delete_where()
    for table in ("transcripts", "details", "figures", "ratings", "live", "checkpoints"):
        db.table(table).delete_where("round > :good", after)
    for table in ("ratings", "pins"):
        db.table(table).delete_where(f"version IN ({newer})", after)
    db.table("parents").delete_where(f"child IN ({newer}) OR parent IN ({newer})", after)
    for table in ("versions", "rounds"):
        db.table(table).delete_where("round > :good", after)
    db.execute("UPDATE versions SET retired = NULL WHERE retired > :good", after)
    reader.forget()


def _drop_damaged_history(reader: RunReader, db: "Database", dropped: list[str]) -> None:
    """Empty the matches of rounds that are not as committed; their scalars go too."""
    for number in [row["round"] for row in db.table("rounds").rows_where(order_by="round", select="round")]:
        if (problem := check_round(reader, number)) is not None:
            dropped.append(f"matches and scalars of {problem}")
            db.table("rounds").update(number, {"matches": 0, "block": codec.pack_rows([]), "scalars": b""})
            db.table("details").delete_where("round = ?", [number])
            seal(reader, number)


def _drop_damaged_extras(reader: RunReader, db: "Database", dropped: list[str]) -> None:
    for name, label in (("details", "round"), ("figures", "round"), ("transcripts", "match")):
        table = db.table(name)
        for row in list(table.rows_where(select=f"{label}, block")):
            try:
                codec.unpack_json(row["block"], name)
            except RunFolderError:
                dropped.append(f"{name} of {label} {row[label]}")
                table.delete_where(f"{label} = ?", [row[label]])
    for number in [n for n in reader.kept_rounds() if check_checkpoint(reader, n)]:
        dropped.append(f"round {number} as a round to fall back to")
        db.table("live").delete_where("round = ?", [number])
        db.table("checkpoints").delete_where("round = ?", [number])


def _drop_lost_blobs(reader: RunReader, db: "Database", dropped: list[str]) -> None:
    """The list of blobs becomes what is on the disk, whole; pins of lost weights go."""
    whole = [sha for sha in reader.blobs.hashes() if not reader.blobs.problem(sha)]
    known = {row["sha"].hex() for row in db.table("blobs").rows}
    versions = db.table("versions").rows_where(select="blob, optimizer")
    named = {raw.hex() for row in versions for raw in row.values() if raw is not None}
    db.table("blobs").delete_where()
    db.table("blobs").insert_all(
        {"sha": bytes.fromhex(sha), "bytes": reader.blobs.size(sha)} for sha in whole if sha in named
    )
    for sha in sorted(known - set(whole)):
        dropped.append(f"blob {sha[:12]}…")
    listed = "SELECT sha FROM blobs"
    lost = f"version IN (SELECT id FROM versions WHERE blob NOT IN ({listed}) OR optimizer NOT IN ({listed}))"
    dropped += [f"a version pinned for '{row['why']}'" for row in db.table("pins").rows_where(lost)]
    db.table("pins").delete_where(lost)


def _repair_ratings(reader: RunReader, db: "Database", rate: Rate | None, dropped: list[str]) -> None:
    if not check_rating_rows(reader) and (rate is None or not check_ratings(reader, rate, VerifyReport("", None))):
        return
    dropped.append("ratings" + ("" if rate is None else " (computed again from the matches)"))
    latest = reader.latest_round()
    db.table("ratings").delete_where()
    if rate is not None and latest is not None:
        for rating in rate(reader.outcomes()):
            _insert_rating(reader, db, latest, rating)


def _insert_rating(reader: RunReader, db: "Database", number: int, rating: Rating) -> None:
    ladders, name = db.table("ladders"), rating.ladder
    ladders.insert({"name": name}, ignore=True)
    ladder = next(ladders.rows_where("name = ?", [name], select="id"))["id"]
    version = reader.version_id(rating.version)
    assert version is not None, "rated from the stored outcomes"
    mu, sigma = float(rating.mu), float(rating.sigma)
    row = {"ladder": ladder, "version": version, "round": number, "mu": mu, "sigma": sigma, "games": rating.games}
    crc = rating_sum(ladder=ladder, version=version, number=number, mu=mu, sigma=sigma, games=rating.games)
    db.table("ratings").insert(row | {"crc": crc}, replace=True)


def _repair_config(reader: RunReader, db: "Database", folder: Path) -> None:
    """Put config.yaml back as the database has it, when the database's own copy is sound."""
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
        db.table("meta").update("config", {"value": text})
    try:
        fs.replace_file(folder / "config.yaml", text.encode())
    except OSError as error:
        raise RunFolderError(
            f"{folder} cannot be repaired: config.yaml: {error.strerror}; nothing was changed; move it away"
        ) from error


def _swap(folder: Path, path: Path, work: Path, dropped: list[str]) -> None:
    """Put the repaired database in place; keep the damaged one."""
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
