"""Every step by which a commit reaches the disk; their order is the durability argument.

The rest of the store calls these through the module (`fs.rename(...)`), never `os` or the connection directly, so a
test can count the steps of a commit, kill the process before or after each one, or make one of them fail.
"""

import errno
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path


def write_file(path: Path, data: bytes) -> None:
    """Create `path` (it must not exist, nor be a link), write all of `data` and fsync it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        fsync(descriptor)
    finally:
        os.close(descriptor)


def read_file(path: Path) -> bytes:
    """The bytes of a plain file.

    Raises OSError for anything else: a pipe in a stranger's run is not waited for.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is no plain file", str(path))
        return file.read()


def append(descriptor: int, data: bytes) -> None:
    """Write all of `data` at the end of an open file and fsync it."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    fsync(descriptor)


def fsync(descriptor: int) -> None:
    """Wait until the file's bytes are on the disk."""
    os.fsync(descriptor)


def fsync_folder(folder: Path) -> None:
    """Make the names in `folder` durable: a rename is only safe after this."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(source: Path, target: Path) -> None:
    """Atomic within one file system. Refuses a non-empty folder as target (OSError)."""
    os.rename(source, target)


def remove_tree(folder: Path) -> None:
    """Delete a folder; a link is unlinked, never followed."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink(missing_ok=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def execute(connection: sqlite3.Connection, sql: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
    """One SQL statement."""
    return connection.execute(sql, parameters)


def executemany(connection: sqlite3.Connection, sql: str, rows: Iterable[Sequence[object]]) -> None:
    """One SQL statement for many rows."""
    connection.executemany(sql, rows)


def replace_file(path: Path, data: bytes) -> None:
    """Swap in new content whole: readers see the old file or the new one.

    Not fsynced: for heartbeats, not for truth.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remedy(run: Path) -> str:
    """What to do about a run folder that could not be written."""
    if not run.exists():
        return "it was moved, renamed or deleted meanwhile; `league resume` continues it where it is now"
    return f"free space or repair the disk, then `league resume {run}`"


def sweep(folder: Path) -> None:
    """Delete what `replace_file` left where a process was killed in it.

    Only the one writer of a folder calls this.
    """
    for path in folder.glob(".*.tmp"):
        if path.name.split(".")[-2].isdigit():
            path.unlink(missing_ok=True)
