"""The pool's handle on one judge process: starts it, and says what its end means for its answer.

A judge keeps the limits of its answers itself. Here they are kept from outside, for a judge that cannot: one that is
stuck in C, or gone. Leaves out the order of the answers and how many judges there are (`pool`).
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from league.sandbox import kernel
from league.sandbox.check import Stage
from league.sandbox.values import CodeProblem, Confinement, Job, Limits, Verdict

_ROOT = str(Path(__file__).resolve().parents[2])
_BOOT = f"import sys; sys.path.insert(0, {_ROOT!r}); from league.sandbox.judge import main; main()"
START_S = 180.0
_GRACE_S = 0.3
"""How much later than the judge itself the pool ends an answer."""
_MUCH_MEMORY = 1 << 30
"""A judge holds about 30 MB, and some hundred with numpy; what is beyond came from an answer's values."""
_SOME_MEMORY = 1 << 28
"""What counts as much where the kernel has killed for memory meanwhile, as on a small machine."""
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass
class Ticket:
    """One job and its place among the others."""

    index: int
    job: Job
    attempts: int = 0
    starved: int = 0
    """How many of them ended for want of memory."""


@dataclass(frozen=True)
class Failure:
    """What the end of a judge means for its answer.

    It is a verdict where trying `again` would not help.
    """

    verdict: Verdict
    reason: str
    again: bool
    starved: bool = False
    """Whether the kernel killed it when the machine ran out of memory; nobody else can say why that was."""


@dataclass(frozen=True)
class Death:
    """How a judge ended: its exit status, negative for a signal, and its peak memory in bytes.

    The memory is 0 where it was less than the league itself holds, and so cannot be told.
    """

    status: int
    memory: int
    memory_ran_out: bool = False
    """Whether the kernel has killed a process for memory since the judge got its answer."""


def late(stage: Stage, limits: Limits, spinning: bool) -> Failure:
    """What it means that a judge came to no verdict in time; `spinning` by the CPU time of the check."""
    if stage == "preparing":
        return Failure("infra", f"no process for the answer within {START_S:g} s", True)
    if stage == "checking":
        return Failure("infra", "the problem's own code hung before it called the answer", False)
    if spinning:
        return Failure("fail", "timeout: the check hung on the answer's values", False)
    return Failure("fail", f"timeout: more than {limits.wall_s:g} s", False)


def gone(stage: Stage, death: Death) -> Failure:
    """What it means that a judge died.

    An answer can crash its judge, or fill its memory, by its values; it cannot send it a signal. So a judge that died
    in any other way while an answer had a part in it died of the answer.
    """
    much = _SOME_MEMORY if death.memory_ran_out else _MUCH_MEMORY
    killed = -death.status in _FROM_OUTSIDE and death.memory < much
    if stage in ("preparing", "checking") or killed:
        return Failure("infra", "the judge died", True, starved=killed and death.memory_ran_out)
    return Failure("fail", "the check broke down on the answer's values: the judge died", False)


class JudgeHandle:
    """A judge process seen from the pool."""

    def __init__(self, limits: Limits, at_most: Confinement):
        environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-B", "-c", _BOOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.known: set[CodeProblem] = set()
        self.buffer = b""
        self.ready = False
        self.ticket: Ticket | None = None
        self.stage: Stage = "preparing"
        self.deadline = time.monotonic() + START_S
        self._answers_time = limits.wall_s
        self.cpu_at_start = 0.0
        self._oom_kills = 0
        self._began_with = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        """In KiB. A process's peak begins with what its parent held when it was forked."""
        self.limits = limits
        with contextlib.suppress(BrokenPipeError):  # already dead: whoever waits for its first word will notice
            self.tell({"limits": asdict(limits), "at_most": at_most})

    def tell(self, message: dict[str, Any]) -> None:
        self.stdin.write(json.dumps(message).encode("ascii") + b"\n")
        self.stdin.flush()

    def give(self, ticket: Ticket) -> None:
        """Raises BrokenPipeError when the judge is dead."""
        job = ticket.job
        self.ticket = ticket
        ticket.attempts += 1
        self.enter("preparing")
        key = repr(job.problem.task_id)
        if job.problem not in self.known:
            self.tell({"problem": asdict(job.problem), "key": key})
            self.known = {problem for problem in self.known if problem.task_id != job.problem.task_id} | {job.problem}
        self.cpu_at_start = self.cpu_seconds()
        self._oom_kills = kernel.oom_kills()
        answer = {"completion": job.completion, "every": job.every, "program": job.program}
        self.tell({"job": ticket.index, "key": key, **answer})

    def enter(self, stage: Stage) -> None:
        """Note what the judge says it does now, and set the time by which it must be done.

        Definition and calls share one clock. What the dataset does before its first call has a clock of its own.
        """
        now = time.monotonic()
        if stage == "preparing":
            self.deadline = now + START_S
        elif stage == "defining":
            self._answers_time = self.limits.wall_s + _GRACE_S
            self.deadline = now + self._answers_time
        elif stage == "checking":
            self._answers_time = self.deadline - now
            self.deadline = now + self.limits.wall_s + _GRACE_S
        else:
            self.deadline = now + self._answers_time
        self.stage = stage

    def read(self) -> list[dict[str, Any]] | None:
        """The messages that arrived, or None when the judge is gone."""
        raw = os.read(self.stdout.fileno(), 1 << 16)
        if not raw:
            return None
        *lines, self.buffer = (self.buffer + raw).split(b"\n")
        return [json.loads(line) for line in lines]

    def cpu_seconds(self) -> float:
        try:
            return time.clock_gettime((~self.process.pid << 3) | 2)
        except OSError:
            return 0.0

    def hangs(self) -> bool:
        """Whether the check itself is stuck in C, by its CPU time.

        The judge's own alarm cannot reach it there.
        """
        return self.cpu_seconds() - self.cpu_at_start > 2 * self.limits.check_cpu_s + 1

    def failure(self) -> Failure | None:
        """What the answer at hand gets when its judge must be ended now, or None while it need not."""
        if self.ticket is None:
            return None
        spinning = self.hangs()
        return late(self.stage, self.limits, spinning) if spinning or time.monotonic() > self.deadline else None

    def kill(self) -> Death:
        """End the judge, if it has not ended, with its zygote and its answers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        death = self._bury()
        for pipe in (self.stdin, self.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        return death

    def _bury(self) -> Death:
        if self.process.returncode is not None:
            return Death(self.process.returncode, 0)
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        own = usage.ru_maxrss if usage.ru_maxrss > self._began_with else 0
        return Death(self.process.returncode, own * 1024, kernel.oom_kills() != self._oom_kills)

    def dismiss(self) -> None:
        """Let an idle judge end its zygote and itself; kill any other."""
        if self.ticket is not None or not self.ready:
            self.kill()
        else:
            with contextlib.suppress(BrokenPipeError):
                self.stdin.close()

    def close(self) -> None:
        """Wait until a dismissed judge is gone."""
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
        self.stdout.close()
