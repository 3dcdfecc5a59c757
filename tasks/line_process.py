"""A child process that answers lines with lines: somebody else's code, held to limits.

Whoever asks waits for a given time at most. A process that hangs is ended with all that it has started, and no child
outlives the object or the program.
"""

import os
import select
import signal
import subprocess
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress

LONGEST_ANSWER = 64 << 20
"""Bytes of an answer at most."""


class LineProcess:
    """Starts `command` in a session of its own: Ctrl-C is for the league, which ends its round first."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str] | None = None, quiet: bool = False):
        """`quiet`: what it writes on its error stream is dropped."""
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            start_new_session=True,
            env=env,
        )
        self._rest = b""
        self._finalizer = weakref.finalize(self, _end, self._process)

    @property
    def exit_code(self) -> int | None:
        """None while it lives; -N where signal N has ended it."""
        return self._process.poll()

    def send(self, line: bytes) -> None:
        """Write a line, without its end. Raises OSError where nobody reads any more."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()

    def receive(self, seconds: float) -> bytes:
        """The next line, without its end.

        Raises TimeoutError after `seconds`, EOFError where the process has closed its output, and ValueError for a line
        that is too long.
        """
        assert self._process.stdout is not None
        source, deadline = self._process.stdout.fileno(), time.monotonic() + seconds
        while b"\n" not in self._rest:
            ready, _, _ = select.select([source], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            piece = os.read(source, 1 << 16)
            if not piece:
                raise EOFError("its output has closed")
            self._rest += piece
            if len(self._rest) > LONGEST_ANSWER:
                raise ValueError(f"an answer of more than {LONGEST_ANSWER} bytes")
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def close(self) -> None:
        """End the process and what it started, whatever they are doing."""
        self._finalizer()


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):  # what it has not read is lost with it
                stream.close()
