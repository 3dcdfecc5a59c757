"""The run folder and its one writer.

runs/<name>/  config.yaml  versions.txt  league.db  blobs/  events.jsonl  heartbeat.json  lock  journal/  pin-*.json
              agents-*.json (requests that no round has taken up yet)
              warm-up.json (until the first commit), and, written by others: tb/, exports/
"""

import hashlib
import json
import os
import secrets
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from league import __version__
from league.errors import LeagueError, RunFolderError
from league.store import config_history, fs, pin_requests, schema, table_sums
from league.store.commit import RoundWriter
from league.store.environment import describe, differences
from league.store.garbage import collect
from league.store.journal import ReplyJournal
from league.store.lock import RunInUse, RunLock
from league.store.opening import DATABASE, check_names, refuse_links, require_run, run_around
from league.store.reader import RunReader
from league.store.records import Collected, Retention, RoundRecord
from league.store.warmup_progress import WarmupProgress
from league.types import Version

__all__ = ["Retention", "RoundRecord", "RunReader", "RunStore", "request_stop"]


class RunStore(RunReader):
    """The writer of one run: everything `RunReader` answers, and `commit`.

    At most one per folder exists at a time.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection, lock: RunLock, retention: Retention):
        super().__init__(folder, connection)
        self.retention = retention
        self._lock = lock
        self.journal = ReplyJournal(folder / "journal", self._under_way)
        self.warmup = WarmupProgress(folder, self.blobs, self._listed_blobs)
        self._beating = threading.Lock()
        self._beat: dict[str, object] = {}

    @classmethod
    def create(cls, folder: Path, config_yaml: str, retention: Retention | None = None) -> "RunStore":
        """Make a new run folder, whole or not at all.

        Raises RunFolderError when something is in the way.
        """
        folder = Path(folder)
        if folder.is_symlink() or folder.is_file():
            raise RunFolderError(
                f"{folder} is a {'link' if folder.is_symlink() else 'file'}; a run needs a new folder (choose "
                f"another name)"
            )
        if folder.is_dir() and any(folder.iterdir()):
            what = "already holds a run" if (folder / DATABASE).exists() else "is not empty"
            raise RunFolderError(f"{folder} {what}; `league resume {folder}` continues a run, or choose another name")
        if around := run_around(folder.parent):
            raise RunFolderError(f"{folder} would lie in the run {around}; choose a folder outside of it")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        except OSError as error:
            raise RunFolderError(f"cannot create a run in {folder.parent}: {error.strerror}") from error
        try:
            staging.chmod(0o755)
            _furnish(staging, config_yaml)
            fs.rename(staging, folder)
        except (OSError, sqlite3.OperationalError) as error:
            fs.remove_tree(staging)
            raise RunFolderError(
                f"cannot create run folder {folder}: {error} (is there room, and is the name still free?)"
            ) from error
        except BaseException:
            fs.remove_tree(staging)
            raise
        fs.fsync_folder(folder.parent)
        return cls.open(folder, retention)

    @classmethod
    def open(cls, folder: Path, retention: Retention | None = None) -> "RunStore":
        """Take the run for writing: lock, migrate, sweep.

        Migrating makes a backup first; what an interrupted write left is swept away.

        Raises RunFolderError when it is in use, newer than this code, damaged or no run.
        """
        folder = Path(folder)
        path = require_run(folder)
        retention = retention or Retention()
        if retention.rounds < 2:
            raise LeagueError(
                f"Retention.rounds is {retention.rounds}; at least 2 rounds are kept, to have one to fall back to"
            )
        refuse_links(folder)
        lock = RunLock(folder / "lock")
        try:
            connection = connect(path)
        except BaseException:
            lock.release()
            raise
        try:
            with _disk(folder):
                schema.migrate(connection, path)
                if problems := schema.check_objects(connection):
                    raise RunFolderError(f"{folder}: {problems[0]} (run `league verify {folder} --repair`)")
                check_names(connection, path)
                if not table_sums.all_there(connection):
                    with schema.atomic(connection):
                        table_sums.add_sums(connection)
                store = cls(folder, connection, lock, retention)
                store.blobs.sweep()
                fs.sweep(folder)
            return store
        except BaseException:
            connection.close()
            lock.release()
            raise

    @classmethod
    def read(cls, folder: Path) -> RunReader:
        """A reader: no lock, nothing written, works beside a live writer and on a read-only folder."""
        return RunReader.read(folder)

    def close(self) -> None:
        super().close()
        self._lock.release()

    # -------------------------------------------------------------------------------------------- the commit
    def commit(self, record: RoundRecord) -> None:
        """Make the round exist: one transaction, on the disk when this returns.

        On any error nothing has changed.
        """
        self._lock.require_place()
        latest = self.latest_round()
        if record.round != (0 if latest is None else latest + 1) and not (latest is None and record.round == 1):
            raise LeagueError(f"round {record.round} cannot follow round {latest}")
        writer = RoundWriter(self, self.retention)  # a fresh one: the ids it caches must not outlive a rollback
        fs.execute(self.db, "BEGIN IMMEDIATE")
        try:
            writer.write(record)
            fs.execute(self.db, "COMMIT")
        except sqlite3.OperationalError as error:
            self._roll_back()
            raise RunFolderError(
                f"round {record.round} could not be stored in {self.folder}: {error}; nothing of it was kept "
                f"({fs.remedy(self.folder)})"
            ) from error
        except sqlite3.IntegrityError as error:
            self._roll_back()
            raise LeagueError(
                f"the record of round {record.round} contradicts what is stored: {error}; nothing of it was kept"
            ) from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")
        self.forget()

    def collect_garbage(self) -> Collected:
        """Delete blobs that no kept round, pin or state refers to. Only ever after a commit.

        Pins that other processes asked for are set first, so nothing they name is deleted.
        """
        self._lock.require_place()  # another run's blobs would be nothing that this one refers to
        self._grant_pins()
        with _disk(self.folder):
            self.journal.trim(self._under_way() - max(2, self.retention.rounds))
            self.warmup.forget()
            return collect(self.db, self.blobs, with_transcripts=self.retention.adapters_of_transcripts)

    def adopt_config(self, text: str) -> None:
        """The run goes on with this configuration, which a person may have edited.

        From here on it is the one to compare with.
        """
        self._forget_lost_configs()
        if text == self.config_text():
            return
        before, latest = self.config_text(), self.latest_round()
        self.event("config changed", round=latest, changes=differences(before, text))
        new = {"config": text, "config_sha256": hashlib.sha256(text.encode()).hexdigest()}
        with _disk(self.folder), schema.atomic(self.db), table_sums.changing(self.db, "meta"):
            if latest is not None:
                config_history.keep(self.db, latest, before)
            fs.executemany(self.db, "INSERT OR REPLACE INTO meta (key, value) VALUES (?,?)", sorted(new.items()))

    def change_config(self, text: str, file: str | None = None) -> None:
        """The run goes on with this configuration, which config.yaml holds from now on.

        The file comes first: a process that is killed in between leaves what looks like a person's edit, and the next
        one adopts it. `file`: what config.yaml is to hold where a person edited it for the next process already.
        """
        temporary = self.folder / f".config.yaml.{os.getpid()}.tmp"
        with _disk(self.folder):
            temporary.unlink(missing_ok=True)
            fs.write_file(temporary, (text if file is None else file).encode())
            fs.rename(temporary, self.folder / "config.yaml")
            fs.fsync_folder(self.folder)
        self.adopt_config(text)

    def _listed_blobs(self) -> set[str]:
        """Hashes of the blobs that committed rounds named."""
        return {row[0].hex() for row in self.db.execute("SELECT sha FROM blobs")}

    def _forget_lost_configs(self) -> None:
        """After a fall back to an earlier round, earlier configurations count up to that one."""
        latest = self.latest_round()
        if config_history.behind(self.db, latest):
            with _disk(self.folder), schema.atomic(self.db), table_sums.changing(self.db, "meta"):
                config_history.fall_back(self.db, latest)

    def _under_way(self) -> int:
        latest = self.latest_round()
        return 0 if latest is None else latest + 1

    def pin(self, version: Version, why: str) -> None:
        """Keep a version's blobs whatever happens; `why` says what for ("export").

        Raises RunFolderError when they are gone already, LeagueError for a version that is not stored.
        """
        row = self.version_row(version)
        if any(sha is not None and not self.blobs.has(sha) for sha in (row.blob, row.optimizer)):
            raise RunFolderError(
                f"{version} cannot be kept: its weights are gone (only the last {self.retention.rounds} rounds' "
                f"stay by themselves)"
            )
        with _disk(self.folder), schema.atomic(self.db), table_sums.changing(self.db, "pins"):
            fs.execute(self.db, "INSERT OR IGNORE INTO pins VALUES (?,?)", (self.version_id(version), why))

    def unpin(self, version: Version) -> tuple[str, ...]:
        """Let a version go: its weights stay only while the run itself needs them.

        Returns what it was pinned for. Raises LeagueError for a version that is not stored.
        """
        self.version_row(version)
        reasons = tuple(why for pinned, why in self.pins() if pinned == version)
        with _disk(self.folder), schema.atomic(self.db), table_sums.changing(self.db, "pins"):
            fs.execute(self.db, "DELETE FROM pins WHERE version = ?", (self.version_id(version),))
        return reasons

    def _grant_pins(self) -> None:
        """Set and take away the pins that other processes asked for.

        What cannot be pinned any more is an event.
        """
        for request in pin_requests.waiting(self.folder):
            for version in request.versions:
                try:
                    if request.off:
                        self.unpin(version)
                    else:
                        self.pin(version, request.why)
                    self.event("unpinned" if request.off else "pinned", version=str(version), why=request.why)
                except LeagueError as error:
                    self.event("not pinned", version=str(version), why=request.why, error=str(error))
            with _disk(self.folder):
                request.path.unlink(missing_ok=True)

    # ------------------------------------------------------------------------------------------ signs of life
    def beat(self, number: int, phase: str, detail: str = "") -> None:
        """Say that the writer has come to a phase of a round, and to what `detail` says within it."""
        now = time.time()
        self._write_beat(
            {"pid": os.getpid(), "round": number, "phase": phase, "detail": detail, "since": now, "at": now}
        )

    def beat_again(self) -> None:
        """Say that the writer is alive, where it last said it was.

        Any thread may. Silent before the first `beat`.
        """
        with self._beating:
            last = dict(self._beat)
        if last:
            self._write_beat(last | {"at": time.time()}, only_if=last)

    def _write_beat(self, beat: dict[str, object], only_if: dict[str, object] | None = None) -> None:
        """Write it, unless another than `only_if` has been written meanwhile."""
        self._lock.require_place()
        with self._beating, _disk(self.folder):
            if only_if is None or only_if == self._beat:
                fs.replace_file(self.folder / "heartbeat.json", json.dumps(beat).encode())
                self._beat = beat

    def event(self, kind: str, **fields: object) -> None:
        """Append one line to events.jsonl, for machines.

        A line torn by a crash is closed by the next one.
        """
        line = json.dumps({"at": round(time.time(), 3), "event": kind, **fields}, default=str, ensure_ascii=True)
        with _disk(self.folder):
            descriptor = os.open(
                self.folder / "events.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644
            )
            try:
                size = os.fstat(descriptor).st_size
                torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
                os.write(descriptor, ("\n" * torn + line + "\n").encode())
            finally:
                os.close(descriptor)

    def clear_stop(self) -> None:
        """Forget a wish to stop: the start of `resume`."""
        withdraw_stop(self.folder)


def request_stop(folder: Path, reason: str = "stop requested", wish: str = "stop") -> None:
    """Ask the writer to finish its round and end ("stop") or wait ("pause").

    This needs no lock; `reason` goes into the writer's log.
    """
    require_run(Path(folder))
    if wish not in ("stop", "pause"):
        raise LeagueError(f"unknown wish {wish!r}; expected 'stop' or 'pause'")
    try:
        fs.replace_file(Path(folder) / "stop", json.dumps({"wish": wish, "reason": reason[:500]}).encode())
    except OSError as error:
        raise RunFolderError(f"cannot leave a request in {folder}: {error.strerror}") from error


def withdraw_stop(folder: Path) -> None:
    """Take the wish back, if there is one."""
    require_run(Path(folder))
    try:
        (Path(folder) / "stop").unlink(missing_ok=True)
    except OSError as error:
        raise RunFolderError(
            f"cannot take the request in {folder} back: stop: {error.strerror} (remove it by hand)"
        ) from error


def keep_versions(folder: Path, versions: Sequence[Version], why: str) -> bool:
    """Pin versions of a run from outside, so that no later round of it deletes their weights.

    True when they are pinned, False when the writer of a live run was asked to.

    A run without a writer is locked for the moment it takes. While another process writes it, a request is left in the
    folder, and that process sets the pins before it next collects garbage (after its next commit at the latest; what
    is live now is kept at least so long). Raises RunFolderError where the folder cannot be written.
    """
    try:
        store = RunStore.open(folder)
    except RunInUse:
        pin_requests.leave_request(folder, versions, why)
        return False
    with store:
        for version in versions:
            store.pin(version, why)
    return True


def let_go(folder: Path, versions: Sequence[Version]) -> bool:
    """Take the pins of versions away from outside; whether it is done, or asked of a live run.

    As with `keep_versions`, the writer of a live run does it before it next collects garbage.
    """
    try:
        store = RunStore.open(folder)
    except RunInUse:
        pin_requests.leave_request(folder, versions, "asked for", off=True)
        return False
    with store:
        for version in versions:
            store.unpin(version)
    return True


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Say in words that the disk is full or fails, or that the folder is gone."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        raise RunFolderError(f"{folder} cannot be written: {error} ({fs.remedy(folder)})") from error


def _furnish(staging: Path, config_yaml: str) -> None:
    fs.write_file(staging / "config.yaml", config_yaml.encode())
    fs.write_file(
        staging / "versions.txt", "".join(f"{name}: {value}\n" for name, value in describe().items()).encode()
    )
    fs.write_file(staging / "events.jsonl", b"")
    (staging / "blobs").mkdir()
    connection = connect(staging / DATABASE)
    try:
        schema.migrate(connection, staging / DATABASE)
        meta = {
            "config": config_yaml,
            "config_sha256": hashlib.sha256(config_yaml.encode()).hexdigest(),
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "id": secrets.token_hex(16),
            "league": __version__,
        }
        with schema.tables(connection).atomic():
            fs.executemany(connection, "INSERT INTO meta VALUES (?,?)", sorted(meta.items()))
            table_sums.add_sums(connection)
    finally:
        connection.close()
    fs.fsync_folder(staging)


def connect(path: Path) -> sqlite3.Connection:
    """The one read-write connection of a run. WAL; every commit waits for the disk."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA page_size = 8192")  # of a new database: a round's row fills a third of it
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise RunFolderError(f"{path.parent} does not support SQLite's write-ahead log; use a local disk")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_size_limit = 16000000")
    except schema.DAMAGE as error:
        connection.close()
        raise RunFolderError(
            f"{path} cannot be opened for writing: {error} (run `league verify {path.parent} --repair`)"
        ) from error
    return connection
