"""Ways to hurt a process at a chosen step of a commit, through the seam `league.store.fs`."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from league.store import fs

SEAM = ("fsync", "rename", "execute", "executemany", "write_file", "remove_tree")
"""Functions counted as steps."""


class Steps:
    """Counts steps of the store; `act(step, moment)` is called before and after each.

    Restore with `remove`.
    """

    def __init__(self, act: Callable[[int, str], None] | None = None):
        self.act = act
        self.trace: list[str] = []
        self._real: dict[str, Callable[..., Any]] = {name: getattr(fs, name) for name in SEAM}
        for name in SEAM:
            setattr(fs, name, self._wrap(name))

    def _wrap(self, name: str) -> Callable[..., Any]:
        real = self._real[name]

        def step(*arguments: Any, **named: Any) -> Any:
            number = len(self.trace)
            self.trace.append(f"{name} {_label(name, arguments)}")
            if self.act is not None:
                self.act(number, "before")
                if name == "write_file":
                    self._torn(number, *arguments)
            result = real(*arguments, **named)
            if self.act is not None:
                self.act(number, "after")
            return result

        return step

    def _torn(self, number: int, path: Path, data: bytes) -> None:
        """Offer the moment in which half the file is written."""

        def half() -> None:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.write(descriptor, data[: len(data) // 2])
            os.close(descriptor)

        if self.act is not None:
            self.half = half
            self.act(number, "half")

    def remove(self) -> None:
        for name, real in self._real.items():
            setattr(fs, name, real)


def _label(name: str, arguments: tuple) -> str:
    if name in ("execute", "executemany"):
        return " ".join(str(arguments[1]).split()[:3])
    if name == "fsync":
        return os.readlink(f"/proc/self/fd/{arguments[0]}")
    return " ".join(str(argument) for argument in arguments if isinstance(argument, Path))


def die() -> None:
    """What kill −9 does."""
    os.kill(os.getpid(), signal.SIGKILL)


def in_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked child; returns its exit status, negative for a signal.

    No database may be open.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def break_transaction() -> None:
    """The negative control: without BEGIN and COMMIT every statement is a transaction of its own."""
    real = fs.execute

    def execute(connection: Any, sql: str, parameters: Any = ()) -> Any:
        if sql in ("BEGIN IMMEDIATE", "COMMIT"):
            return None
        return real(connection, sql, parameters)

    fs.execute = execute  # type: ignore[assignment]
