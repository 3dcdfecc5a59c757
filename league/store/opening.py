"""Finding a run's database and opening it without writing.

The run may be live, its folder read-only, its schema that of an older version of this code.
"""

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from league.errors import RunFolderError
from league.store import schema
from league.types import is_name

DATABASE = "league.db"
OWN = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", "blobs", "journal", "tb")
"""What a writer opens by name. None of it may be a link, which could lead out of the run folder."""


def require_run(folder: Path) -> Path:
    """Path of the database, or RunFolderError with what is wrong."""
    try:
        exists, whole = folder.exists(), (folder / DATABASE).is_file()
    except (OSError, ValueError) as error:  # no permission, a name too long, a zero byte in it
        raise RunFolderError(
            f"cannot look into {str(folder)[:200]!r}: {error}; expected a run folder you may read"
        ) from error
    if not exists:
        raise RunFolderError(
            f"no run folder at {folder}; expected the folder that `league train` printed (usually runs/<name>)"
        )
    if not whole:
        raise RunFolderError(f"{folder} is not a run folder: it holds no {DATABASE}")
    return folder / DATABASE


def run_around(place: Path) -> Path | None:
    """The run that a path is or would lie in, links followed; None outside of runs.

    Nothing but the run itself writes there: another folder in it would be taken for its own. Raises OSError or
    ValueError for a path that cannot be looked at.
    """
    whole = place.resolve()
    return next((folder for folder in (whole, *whole.parents) if (folder / DATABASE).exists()), None)


def refuse_links(folder: Path) -> None:
    """Raises RunFolderError where a writer would be led out of the run folder."""
    for name in OWN:
        if (folder / name).is_symlink():
            raise RunFolderError(
                f"{folder / name} is a link; a run is never written through one: put what it leads to in its place"
            )


def check_names(connection: sqlite3.Connection, path: Path) -> None:
    """Raises RunFolderError for a database with a name or a step that no league gives.

    Names become names of folders and keys, and a database may come from a stranger.
    """
    for (name,) in connection.execute("SELECT name FROM agents"):
        if not is_name(name):
            raise RunFolderError(
                f"{path} names an agent {str(name)[:80]!r}; expected lower-case letters, digits, '-' and '_' (changed "
                f"by hand, or damaged: `league verify {path.parent} --repair`)"
            )
    odd = (
        "typeof(step) <> 'integer' OR typeof(blob) NOT IN ('blob', 'null') OR typeof(optimizer) NOT IN ('blob', 'null')"
    )
    row = connection.execute(f"SELECT id FROM versions WHERE {odd} LIMIT 1").fetchone()
    if row is not None:
        raise RunFolderError(
            f"{path} has no step or hash in version {row[0]!r} (changed by hand, or damaged: "
            f"`league verify {path.parent} --repair`)"
        )


def open_read_only(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """A connection that never writes, and the folder of its private copy, if it needed one.

    In a read-only folder even SQLite's index file cannot be made: then the file is read as immutable, or as a private
    copy when a write-ahead log lies beside it.
    """
    address = f"file:{quote(str(path.absolute()))}"
    try:
        connection = _connect(f"{address}?mode=ro")
        return connection, None
    except sqlite3.OperationalError as error:
        if not _holds_sqlite(path):
            raise RunFolderError(f"{path} cannot be opened as a database: {error}") from error
    except schema.DAMAGE as error:
        raise RunFolderError(f"{path} is damaged: {error} (run `league verify {path.parent} --repair`)") from error
    log = path.with_name(path.name + "-wal")
    if not log.exists() or log.stat().st_size == 0:
        return _connect(f"{address}?mode=ro&immutable=1"), None
    scratch = Path(tempfile.mkdtemp(prefix="league-read-"))
    for source in (path, log):
        shutil.copyfile(source, scratch / source.name)
    return _connect(f"file:{quote(str(scratch / path.name))}?mode=ro"), scratch


def migrated_copy(connection: sqlite3.Connection, scratch: Path | None) -> tuple[sqlite3.Connection, Path]:
    """A private copy of an older database, brought up to date.

    The run itself is migrated by its next writer.
    """
    scratch = scratch or Path(tempfile.mkdtemp(prefix="league-read-"))
    copy = sqlite3.connect(scratch / "migrated.db", isolation_level=None)
    try:
        connection.backup(copy)
        connection.close()
        schema.migrate(copy, scratch / "migrated.db")
    except BaseException:
        copy.close()
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return copy, scratch


def _connect(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=30)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")  # nothing in a stranger's schema may call what acts
        with closing(connection.execute("SELECT count(*) FROM sqlite_master")) as probe:
            probe.fetchone()
    except schema.DAMAGE:
        connection.close()
        raise
    return connection


def _holds_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\x00"
    except OSError:
        return False
