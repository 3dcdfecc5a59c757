"""A function of somebody else's, called in a process of its own with limits on time and memory.

`Worker` is our side: it starts the process when it is first asked, sends one JSON line a question and waits at most
`seconds` for the verdict. A call that takes longer is ended with its process, and the next one starts a new one. The
process ends with ours, and by itself where a call hangs after we are gone.

This guards against functions that fail, hang or grow. It is no sandbox: what runs is code that its user trusts.
"""

import importlib
import json
import os
import signal
import sys
from dataclasses import asdict, dataclass

from tasks.line_process import LineProcess

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
        self._process: LineProcess | None = None

    def ask(self, asked: Asked) -> bool:
        """The function's verdict. Raises CallFailed or CallHung."""
        process = self._started()
        found = self._exchange(process, self._seconds, json.dumps(asdict(asked)).encode())
        if "failed" in found:
            raise CallFailed(str(found["failed"]))
        return bool(found["right"])

    def end(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.close()
        self._process = None

    def _started(self) -> LineProcess:
        if self._process is None:
            command = [sys.executable, "-c", _MAIN, json.dumps(sys.path), self._path, str(self._seconds)]
            self._process = LineProcess(command)
            found = self._exchange(self._process, STARTING)
            if "failed" in found:
                self.end()
                raise CallFailed(str(found["failed"]))
        return self._process

    def _exchange(self, process: LineProcess, seconds: float, line: bytes | None = None) -> dict[str, object]:
        """What the process says next, to `line` where there is one.

        Raises CallHung or CallFailed, having ended it.
        """
        try:
            if line is not None:
                process.send(line)
            found: dict[str, object] = json.loads(process.receive(seconds))
        except TimeoutError:
            self.end()
            raise CallHung(f"no verdict within {seconds:g} s") from None
        except (OSError, EOFError, ValueError) as error:
            self.end()
            raise CallFailed("its process ended, perhaps for want of memory") from error
        return found


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
