"""Folders in which something large is made before it is renamed into its place.

Each is held by a lock while it is in use. What a killed process left is held by nobody, and is swept by the next one
that works in the same place.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staging(place: Path, prefix: str) -> Iterator[Path]:
    """A new empty folder in `place`, removed at the end. Raises OSError where it cannot be made."""
    sweep_staging(place, prefix)
    folder, descriptor = _held(place, prefix)
    try:
        yield folder
    finally:
        os.close(descriptor)
        shutil.rmtree(folder, ignore_errors=True)


def _held(place: Path, prefix: str) -> tuple[Path, int]:
    """A new folder and the descriptor whose lock holds it.

    Who sweeps at the very moment between making and locking it takes it away: then there is another.
    """
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        except OSError:  # a file system without locks: nobody sweeps there either
            return folder, descriptor
        if folder.exists():
            return folder, descriptor
        os.close(descriptor)


def sweep_staging(place: Path, prefix: str) -> int:
    """Delete folders in `place` that begin with `prefix` and that no living process holds.

    Returns how many. A folder this process may not write is left alone.
    """
    swept = 0
    try:
        left = [entry.path for entry in os.scandir(place) if entry.name.startswith(prefix) and not entry.is_symlink()]
    except OSError:
        return 0
    for path in left:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
            swept += 1
        except OSError:
            continue  # in use
        finally:
            os.close(descriptor)
    return swept
