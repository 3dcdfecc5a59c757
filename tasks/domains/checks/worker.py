"""A function of somebody else's, called in a process of its own with limits on time and memory.

`Worker` is our side: it starts the process when it is first asked, sends one JSON line a question and waits at most
`seconds` for the verdict. A call that takes longer is ended with its process, and the next one starts a new one. The
process ends with ours, and by itself where a call hangs after we are gone.

This guards against functions that fail, hang or grow. It is no sandbox: what runs is code that its user trusts.
"""

import atexit
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import weakref
from dataclasses import asdict, dataclass

STARTING = 60.0
"""Seconds that the process may take until it has imported what it needs."""
MEMORY = 4 << 30
"""Bytes of address space."""


@dataclass(frozen=True)
class Asked:
    """One question to the function: a problem and a reply to it."""

    question: str
    answer: str
    reply: str
    settings: str = "{}"
    """JSON of what else the function takes, by keyword."""


class CallFailed(Exception):
    """The function raised, or gave no true or false; the message says what."""


class CallHung(Exception):
    """The function took longer than it may."""


class Worker:
    """Asks "package.module:function" for a verdict: function(question, answer, reply, **settings) → bool."""

    def __init__(self, path: str, seconds: float = 10.0):
        self._path, self._seconds = path, seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""

    def ask(self, asked: Asked) -> bool:
        """The function's verdict. Raises CallFailed or CallHung."""
        process = self._started()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(asdict(asked)).encode() + b"\n")
            process.stdin.flush()
        except OSError as error:
            self.end()
            raise CallFailed("its process ended") from error
        found = json.loads(self._line(self._seconds))
        if "failed" in found:
            raise CallFailed(str(found["failed"]))
        return bool(found["right"])

    def end(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            _end(self._process)
        self._process, self._buffer = None, b""

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _MAIN, json.dumps(sys.path), self._path, str(self._seconds)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            atexit.register(_end, self._process)
            weakref.finalize(self, _end, self._process)
            found = json.loads(self._line(STARTING))
            if "failed" in found:
                self.end()
                raise CallFailed(str(found["failed"]))
        return self._process

    def _line(self, seconds: float) -> bytes:
        """The next line of the process. Raises CallHung or CallFailed, having ended it."""
        assert self._process is not None and self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([pipe], [], [], seconds)
            more = os.read(pipe, 65536) if ready else b""
            if not more:
                self.end()
                if ready:
                    raise CallFailed("its process ended, perhaps for want of memory")
                raise CallHung(f"no verdict within {seconds:g} s")
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process and what it started."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                continue  # what was not sent is lost with who would have read it


_MAIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from tasks.domains.checks.worker import serve; serve(sys.argv[2], float(sys.argv[3]))"
)


def serve(path: str, seconds: float) -> None:
    """The other side: import the function, then answer lines until there are no more.

    What the function prints goes to the error stream. An alarm ends the process where a call outlasts its time and
    nobody is left to end it, even inside a C function.
    """
    import resource

    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        module, _, name = path.partition(":")
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # noqa: BLE001 (a module of the user's may raise anything)
        print(json.dumps({"failed": _words(error)}), file=out, flush=True)
        return
    print("{}", file=out, flush=True)
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_REAL, seconds + 5)
        try:
            asked = json.loads(line)
            settings = json.loads(asked.pop("settings"))
            found = function(**asked, **settings)
            verdict: dict[str, object] = {"right": found}
            if not isinstance(found, bool):
                verdict = {"failed": f"it gave {found!r:.80}; expected True or False"}
        except Exception as error:  # noqa: BLE001
            verdict = {"failed": _words(error)}
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps(verdict), file=out, flush=True)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:300]}"
