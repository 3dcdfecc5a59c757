"""One writer per run folder, by flock; the file says who holds it. Readers never touch the lock.

The lock belongs to the open file, which a forked child would share and so keep after its parent died: children close
it.
"""

import fcntl
import json
import os
import socket
from pathlib import Path

from league.errors import RunFolderError
from league.store import fs


class RunInUse(RunFolderError):
    """Another process writes this run."""


def _started(pid: int) -> str | None:
    """The kernel's start time of a process, None when there is no such process.

    It tells a recycled pid.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


class RunLock:
    """Held from construction until `release` or the end of the process, however it ends."""

    def __init__(self, path: Path):
        """Raises RunInUse where another process has it, RunFolderError where there can be no lock."""
        self.path = path
        self._descriptor = -1
        try:
            self._take()
        except OSError as error:  # a full disk, a read-only folder, a link, a file system without locks
            self._close()
            raise RunFolderError(
                f"{path.parent} cannot be locked for writing: {path.name}: {error.strerror}; "
                "it needs room, a folder you may write to, and a lock that is a plain file or not there"
            ) from error
        self._pid = os.getpid()
        os.register_at_fork(after_in_child=self._close)

    def _take(self) -> None:
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._close()
            owner, folder = read_owner(self.path), self.path.parent
            who = f"process {owner['pid']} on {owner['host']}" if owner else "another process"
            raise RunInUse(
                f"{folder} is in use by {who}; a run folder has one writer (stop it with `league stop {folder}`)"
            ) from None
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": _started(os.getpid())})
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def require_place(self) -> None:
        """Raises RunFolderError where the folder is no longer at its path: moved, renamed or deleted.

        Another run may stand there by now, and what this process writes by path would go into it.
        """
        try:
            if os.path.samestat(os.stat(self.path, follow_symlinks=False), os.fstat(self._descriptor)):
                return
        except OSError:
            pass  # nothing there, or nothing that may be looked at
        folder, new = self.path.parent, self._moved_to()
        if new is None:
            raise RunFolderError(
                f"{folder} or its lock was moved or deleted while process {os.getpid()} was writing the run; what was "
                "committed is where the folder is now, and `league resume` continues it there"
            )
        raise RunFolderError(
            f"{folder} was moved to {new} while process {os.getpid()} was writing the run; nothing that was "
            f"committed is lost, and `league resume {new}` continues it"
        )

    def _moved_to(self) -> Path | None:
        """Where the folder of the open lock file is now; None where it is gone, or nobody says."""
        try:
            path = Path(os.readlink(f"/proc/self/fd/{self._descriptor}"))
            moved = path.name == self.path.name and os.path.samestat(os.stat(path), os.fstat(self._descriptor))
        except OSError:
            return None
        return path.parent if moved and path.parent != self.path.parent.absolute() else None

    def release(self) -> None:
        if self._descriptor >= 0 and os.getpid() == self._pid:
            os.ftruncate(self._descriptor, 0)
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_owner(path: Path) -> dict | None:
    """{"pid", "host", "started"} as the last writer left it, or None."""
    try:
        owner = json.loads(fs.read_file(path))
    except (OSError, ValueError, RecursionError):
        return None
    return (
        owner
        if isinstance(owner, dict) and {"pid", "host", "started"} <= owner.keys() and isinstance(owner["pid"], int)
        else None
    )


def owner_alive(path: Path) -> bool:
    """Whether the process named in the lock file still runs on this machine.

    False for other machines.
    """
    owner = read_owner(path)
    if owner is None or owner["host"] != socket.gethostname():
        return False
    return _started(owner["pid"]) == owner["started"]
