"""The public face: grade many answers on several judges at once, in order, whatever the answers do.

A judge that dies or hangs is killed with everything below it and replaced; its answer is tried again on the new one.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from league.errors import LeagueError, UserError
from league.sandbox.values import LEVELS, CodeProblem, Confinement, Grade, Job, Limits

_ROOT = str(Path(__file__).resolve().parents[2])
_BOOT = f"import sys; sys.path.insert(0, {_ROOT!r}); from league.sandbox.judge import main; main()"
__all__ = ["Grader", "GraderBroken", "Job", "Unconfined"]
ATTEMPTS = 3
_START_S = 180.0
_SLACK_S = 10.0
_TICK_S = 0.25


class Unconfined(UserError):
    """The system offers too little confinement for model-written code."""


class GraderBroken(LeagueError):
    """No judge can be kept alive: a fault of the machine or of this package, never of an answer."""


@dataclass
class _Ticket:
    index: int
    job: Job
    attempts: int = 0


class _Judge:
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
        self.known: set[CodeProblem] = set()
        self.buffer = b""
        self.ticket: _Ticket | None = None
        self.deadline = time.monotonic() + _START_S
        self.cpu_at_start = 0.0
        self.limits = limits
        with contextlib.suppress(BrokenPipeError):  # already dead: whoever waits for its first word will notice
            self.tell({"limits": asdict(limits), "at_most": at_most})

    def tell(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode("ascii") + b"\n")
        self.process.stdin.flush()

    def give(self, ticket: _Ticket) -> None:
        """Raises BrokenPipeError when the judge is dead."""
        job = ticket.job
        self.ticket = ticket
        ticket.attempts += 1
        key = repr(job.problem.task_id)
        if job.problem not in self.known:
            self.tell({"problem": asdict(job.problem), "key": key})
            self.known = {problem for problem in self.known if problem.task_id != job.problem.task_id} | {job.problem}
        self.cpu_at_start = self.cpu_seconds()
        self.deadline = time.monotonic() + 3 * (self.limits.wall_s + self.limits.check_cpu_s) + _SLACK_S
        self.tell({"job": ticket.index, "key": key, "completion": job.completion, "every": job.every})

    def read(self) -> list[dict[str, Any]] | None:
        """The messages that arrived, or None when the judge is gone."""
        assert self.process.stdout is not None
        raw = os.read(self.process.stdout.fileno(), 1 << 16)
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
        """Whether the check itself is stuck in C on values the answer returned.

        Its alarm cannot reach it there.
        """
        return self.cpu_seconds() - self.cpu_at_start > 2 * self.limits.check_cpu_s + 1

    def kill(self) -> None:
        """The zygote and its answers die with their judge."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def dismiss(self) -> None:
        """Let an idle judge end its zygote and itself; kill a busy one."""
        assert self.process.stdin is not None
        if self.ticket is not None:
            self.kill()
        else:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()

    def close(self) -> None:
        """Wait until a dismissed judge is gone."""
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Grader:
    """Grades model-written code. Use as a context manager, or call `close`.

    `at_most` caps the confinement. Raises Unconfined from `start` when Landlock and seccomp cannot both be had, nor
    namespaces with one of them, unless `allow_unconfined`.
    """

    def __init__(
        self, workers: int = 1, limits: Limits = Limits(), allow_unconfined: bool = False, at_most: Confinement = "full"
    ):
        if workers < 1:
            raise UserError(f"workers must be at least 1, found {workers}")
        if at_most not in LEVELS:
            raise UserError(f"confinement must be one of {', '.join(LEVELS)}; found {at_most!r}")
        self.workers = workers
        self.limits = limits
        self.allow_unconfined = allow_unconfined
        self.at_most = at_most
        self.level: Confinement | None = None
        """The weakest confinement of the judges, known once `start` has run."""
        self.notes: list[str] = []
        self._judges: list[_Judge] = []

    def __enter__(self) -> "Grader":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start one judge and learn how well answers are confined here."""
        if self._judges:
            return
        if sys.platform != "linux":
            raise Unconfined(
                f"grading model-written code needs Linux, found {sys.platform}; run it in a Linux container or machine"
            )
        self._launch(1)

    def close(self) -> None:
        judges, self._judges = self._judges, []
        for judge in judges:
            judge.dismiss()
        for judge in judges:
            judge.close()

    def grade(self, jobs: Sequence[Job]) -> list[Grade]:
        """One grade per job, in order. Raises GraderBroken when judges cannot be kept alive."""
        self.start()
        grades: list[Grade | None] = [None] * len(jobs)
        waiting = deque(_Ticket(index, job) for index, job in enumerate(jobs))
        self._launch(min(self.workers, len(jobs)) - len(self._judges))
        try:
            with selectors.DefaultSelector() as selector:
                for judge in list(self._judges):
                    self._register(selector, judge)
                self._drive(selector, waiting, grades)
        except BaseException:
            self.close()
            raise
        return [grade for grade in grades if grade is not None]

    # ------------------------------------------------------------------------------------------------ inside
    def _launch(self, count: int) -> list[_Judge]:
        """Start `count` judges beside one another and wait until all are ready.

        One that dies while starting is replaced.
        """
        ready: list[_Judge] = []
        starting: list[_Judge] = []
        try:
            for attempt in range(ATTEMPTS):
                starting = [_Judge(self.limits, self.at_most) for _ in range(count - len(ready))]
                for judge in list(starting):
                    try:
                        self._welcome(judge)
                        ready.append(judge)
                    except GraderBroken:
                        judge.kill()
                        if attempt == ATTEMPTS - 1:
                            raise
        except BaseException:
            for judge in {*ready, *starting}:
                judge.kill()
            raise
        self._judges += ready
        return ready

    def _welcome(self, judge: _Judge) -> None:
        hello = self._hello(judge)
        level: Confinement = hello["level"]
        if level == "posix" and not self.allow_unconfined:
            why = "; ".join(hello["notes"]) or f"confinement was capped at {self.at_most}"
            raise Unconfined(
                "model-written code cannot be confined here: expected Landlock and seccomp (Linux 5.13 or "
                "later), or namespaces with one "
                f"of them; found neither ({why}). Use such a machine, or accept the risk with --allow-unconfined"
            )
        if self.level is None or LEVELS.index(level) < LEVELS.index(self.level):
            self.level, self.notes = level, hello["notes"]

    def _hello(self, judge: _Judge) -> dict[str, Any]:
        with selectors.DefaultSelector() as selector:
            assert judge.process.stdout is not None
            selector.register(judge.process.stdout, selectors.EVENT_READ)
            while selector.select(max(0.0, judge.deadline - time.monotonic())):
                messages = judge.read()
                if messages is None:
                    raise GraderBroken(f"a judge ended while starting (exit status {judge.process.wait()})")
                if messages:
                    if "refused" in messages[0]:
                        raise GraderBroken(f"a judge could not start: {messages[0]['refused']} {messages[0]['notes']}")
                    return messages[0]
        raise GraderBroken(f"a judge did not start within {_START_S:g} s")

    def _register(self, selector: selectors.BaseSelector, judge: _Judge) -> None:
        assert judge.process.stdout is not None
        selector.register(judge.process.stdout, selectors.EVENT_READ, judge)

    def _drive(self, selector: selectors.BaseSelector, waiting: deque[_Ticket], grades: list[Grade | None]) -> None:
        while waiting or any(judge.ticket is not None for judge in self._judges):
            for judge in list(self._judges):
                if judge.ticket is None and waiting:
                    try:
                        judge.give(waiting.popleft())
                    except BrokenPipeError:
                        self._replace(selector, judge, waiting, grades)
            for key, _ in selector.select(_TICK_S):
                self._collect(selector, key.data, waiting, grades)
            for judge in list(self._judges):
                if judge.ticket is not None and (time.monotonic() > judge.deadline or judge.hangs()):
                    self._replace(selector, judge, waiting, grades)

    def _collect(
        self, selector: selectors.BaseSelector, judge: _Judge, waiting: deque[_Ticket], grades: list[Grade | None]
    ) -> None:
        messages = judge.read()
        if messages is None:
            self._replace(selector, judge, waiting, grades)
            return
        for message in messages:
            if judge.ticket is not None and message.get("job") == judge.ticket.index:
                data = message["grade"]
                grades[judge.ticket.index] = Grade(**{**data, "signs": tuple(data["signs"])})
                judge.ticket = None

    def _replace(
        self, selector: selectors.BaseSelector, judge: _Judge, waiting: deque[_Ticket], grades: list[Grade | None]
    ) -> None:
        """Kill a judge that died or hangs, start another, and try its answer again or settle it."""
        ticket = judge.ticket
        hangs = judge.hangs()
        assert judge.process.stdout is not None
        selector.unregister(judge.process.stdout)
        judge.kill()
        self._judges.remove(judge)
        if ticket is not None:
            if hangs:
                reason = "timeout: the check hung on the answer's values"
                grades[ticket.index] = Grade("fail", reason, (), self.level or "posix")
            elif ticket.attempts < ATTEMPTS:
                waiting.appendleft(ticket)
            else:
                grades[ticket.index] = Grade("infra", f"the judge died {ATTEMPTS} times", (), self.level or "posix")
        for fresh in self._launch(1):
            self._register(selector, fresh)
