"""The league's side of an environment's process: one request, one answer, in time.

An answer that does not come in time ends the process; the next request starts a new one. A process serves every task
with the same environment, arguments and interpreter, and ends with the program.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from league.errors import LeagueError, UserError
from tasks.line_process import LineProcess

WORKER = Path(__file__).with_name("worker.py")
ENDS_IN_A_ROW = 3
"""How often a process may hang or die without an answer between, before it is not started again."""
Answer = Mapping[str, Any]
"""What the worker says, as JSON gives it."""


class EnvironmentFailed(LeagueError):
    """The environment raised, hung, died, or gave no reward; the message says which."""


@dataclass(frozen=True)
class Loaded:
    """What makes two tasks share a process."""

    environment: str
    args: str
    """As JSON."""
    python: str
    """The interpreter; "" is this one."""
    load_seconds: float = 600.0


class EnvironmentProcess:
    """A process with one loaded environment, started when it is first asked."""

    def __init__(self, loaded: Loaded):
        self.loaded = loaded
        self.rows: Mapping[str, int] = {}
        self._process: LineProcess | None = None
        self._ends = 0

    def started(self) -> None:
        """Start and load where that has not been done.

        Raises UserError where the environment cannot be loaded or is refused.
        """
        if self._process is not None and self._process.exit_code is None:
            return
        self._process = LineProcess(
            [self.loaded.python or sys.executable, "-P", str(WORKER)],
            env=os.environ | {"VF_LOG_LEVEL": os.environ.get("VF_LOG_LEVEL", "ERROR")},
            quiet=True,
        )
        folders = [folder for folder in sys.path if folder] if not self.loaded.python else _own_folders()
        request = {"do": "load", "environment": self.loaded.environment, "args": json.loads(self.loaded.args)}
        try:
            answer = self._exchange({**request, "folders": folders}, self.loaded.load_seconds)
        except EnvironmentFailed as failed:
            raise UserError(f"environment '{self.loaded.environment}' cannot be loaded: {failed}") from failed
        if (reason := answer.get("failed") or answer.get("refused")) is not None:
            self.close()
            verb = "cannot be played" if "refused" in answer else "cannot be loaded"
            raise UserError(f"environment '{self.loaded.environment}' {verb}: {reason}")
        self.rows = answer["rows"]

    def ask(self, request: Mapping[str, object], seconds: float) -> Answer:
        """The answer to a request.

        Raises EnvironmentFailed, at once where the process has hung or died ENDS_IN_A_ROW times in a row, and UserError
        where it cannot start again.
        """
        if self._ends >= ENDS_IN_A_ROW:
            raise EnvironmentFailed(f"it has hung or died {self._ends} times in a row, so it is not asked any more")
        self.started()
        answer = self._exchange(request, seconds)
        self._ends = 0
        if (reason := answer.get("failed") or answer.get("refused")) is not None:
            raise EnvironmentFailed(str(reason))
        return answer

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _exchange(self, request: Mapping[str, object], seconds: float) -> Answer:
        process = self._process
        assert process is not None
        try:
            process.send(json.dumps(request).encode())
            answer = json.loads(process.receive(seconds))
        except TimeoutError:
            self._ends += 1
            self.close()
            raise EnvironmentFailed(f"it gives no answer within {seconds:g} seconds") from None
        except (OSError, EOFError, ValueError) as error:
            self._ends += 1
            self.close()
            raise EnvironmentFailed(f"its process ends (exit code {process.exit_code}): {error}") from error
        if not isinstance(answer, dict):
            raise EnvironmentFailed(f"its process answers {type(answer).__name__}")
        return answer


def _own_folders() -> list[str]:
    """Where a user's own modules may lie: no packages, which are for this interpreter only."""
    return [
        folder
        for folder in sys.path
        if folder and "site-packages" not in folder and not folder.startswith(sys.base_prefix)
    ]


@cache
def process_of(loaded: Loaded) -> EnvironmentProcess:
    """The process that serves these settings; one for all tasks that share them."""
    return EnvironmentProcess(loaded)
