"""`league verify --repair`: back to the newest kept round that is whole, saying what was dropped.

The damaged database stays beside the repaired one as `league.db.damaged-<time>`. What can be had again is: the schema
from this code, the configuration from whichever copy is whole, what is computed from the matches, and a name, number
or hash in which one bit flipped (`flipped_bits.py`). Older rounds whose matches are damaged lose those matches, and
payoffs are summed again without them. When no kept round is whole, nothing is changed and RunFolderError says so.
"""

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from league.errors import RunFolderError
from league.store import codec, fs, match_rows, schema, sql_views, table_sums
from league.store.blobs import BlobStore
from league.store.commit import rebuild_payoffs, seal, seal_leavers
from league.store.digests import KEPT, rating_sum
from league.store.flipped_bits import flip_back
from league.store.lock import RunLock
from league.store.opening import DATABASE, refuse_links, require_run
from league.store.reader import RunReader
from league.store.records import VerifyReport
from league.store.repair_meta import repair_meta
from league.store.run import connect
from league.store.salvage import copy_pages, copy_rows
from league.store.verify import (
    UNREADABLE,
    Rate,
    check_checkpoint,
    check_parts,
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
            _readable_copy(folder, path, work, dropped)
            _rebuild(folder, work, rate, dropped)
            _swap(folder, path, work, dropped)
        except UNREADABLE as error:
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


def _readable_copy(folder: Path, path: Path, work: Path, dropped: list[str]) -> None:
    """A sound copy of the database, without flipped bits that can be found."""
    if copy_pages(path, work, dropped):
        done = _without_flips(folder, work)
        if done is not None:
            dropped += done
            return
        for leftover in folder.glob(f"{work.name}*"):
            leftover.unlink()
    copy_rows(path, work, dropped)
    dropped += _without_flips(folder, work) or []


def _without_flips(folder: Path, work: Path) -> list[str] | None:
    """Put flipped bits right in the copy; what was done, or None where the copy is not sound after it."""
    with closing(connect(work)) as connection:
        connection.text_factory = _any_text
        connection.execute("PRAGMA ignore_check_constraints = ON")
        try:
            connection.execute("REINDEX")  # else a value whose index entry has the other bit cannot be changed
            with schema.atomic(connection):
                done = flip_back(RunReader(folder, connection))
        except schema.DAMAGE:
            return None
        return None if check_structure(connection) else done


def _any_text(raw: bytes) -> str:
    """Text as it is, damaged or not."""
    return raw.decode("utf-8", "surrogateescape")


def _rebuild(folder: Path, work: Path, rate: Rate | None, dropped: list[str]) -> None:
    connection = connect(work)
    try:
        schema.migrate(connection, work)
        connection.text_factory = _any_text
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
            match_rows.rebuild(reader)
            _repair_ratings(reader, db, rate, dropped)
            _repair_leavers(reader, dropped)
            db.execute("UPDATE transcripts SET bytes = length(block)")
            repair_meta(reader.db, folder, dropped)
            dropped += [
                f"(the table {t} was changed, and is taken as it is)"
                for t in table_sums.TABLES
                if not table_sums.is_whole(reader.db, t)
            ]
            table_sums.add_sums(reader.db, anew=True)
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
    for table in (*sql_views.TABLES, "transcripts", "details", "figures", "ratings", "live", "checkpoints"):
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
    """Details, figures and transcripts that are damaged, and kept rounds that are not whole."""
    for name, label in (("details", "round"), ("figures", "round"), ("transcripts", "match")):
        table = db.table(name)
        for row in list(table.rows_where(select=f"{label}, block")):
            try:
                codec.unpack_json(row["block"], name)
            except RunFolderError:
                dropped.append(f"{name} of {label} {row[label]}")
                table.delete_where(f"{label} = ?", [row[label]])
    for number in [number for number, *_ in reader.round_times()]:
        for part in check_parts(reader, number):
            if part in KEPT:
                found = next(db.query(f"SELECT count(*) AS n FROM {part} WHERE round = ?", [number]))["n"]
                dropped += [f"{part} of round {number}"] if found else []
                db.table(part).delete_where("round = ?", [number])
                seal(reader, number)
    for number in [n for n in reader.kept_rounds() if check_checkpoint(reader, n)]:
        dropped.append(f"round {number} as a round to fall back to")
        db.table("live").delete_where("round = ?", [number])
        db.table("checkpoints").delete_where("round = ?", [number])


def _repair_leavers(reader: RunReader, dropped: list[str]) -> None:
    """Who left when, where that is not what was committed: from the next versions and the members.

    Nothing says when the last version of a member left: the stored round is taken, between its first and the newest.
    """
    wrong = [number for number, *_ in reader.round_times() if "leavers" in check_parts(reader, number)]
    if not wrong:
        return
    latest, live = reader.latest_round() or 0, set(reader.live().values())
    query = (
        "SELECT v.id, (SELECT min(w.round) FROM versions w WHERE w.agent = v.agent AND w.step > v.step), v.round, "
        "v.retired FROM versions v"
    )
    unknown, changed = [], False
    for key, followed, first, retired in reader.db.execute(query).fetchall():
        named = reader.version_name(key)
        left = None if named in live else followed
        if named not in live and followed is None:
            left = latest if retired is None else max(first, min(retired, latest))
            if left != retired or left in wrong:
                unknown.append(f"{named} in round {left}")
        elif left != retired:
            changed = True
        reader.db.execute("UPDATE versions SET retired = ? WHERE id = ?", (left, key))
    if changed:
        dropped.append("when versions left (taken from the versions that followed them)")
    if unknown:
        dropped.append(f"when versions left that none followed (a guess from what is stored: {', '.join(unknown)})")
    if not changed and not unknown:
        dropped.append("(a sum over who left when was damaged; it was computed again)")
    for number, *_ in reader.round_times():
        seal_leavers(reader, number)


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
