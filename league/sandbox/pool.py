"""The public face: grade many answers on several judges at once, in order, whatever the answers do.

A judge that dies or hangs is killed with everything below it and replaced; its answer is tried again on the new one,
or settled where trying again would not help.
"""

import select
import sys
import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from league.errors import LeagueError, UserError
from league.sandbox.judge_handle import START_S, Failure, JudgeHandle, Ticket, gone
from league.sandbox.values import LEVELS, STARVED, Confinement, Grade, Job, Limits

__all__ = ["Grader", "GraderBroken", "Job", "Unconfined"]
ATTEMPTS = 3
_TICK_S = 0.25


class Unconfined(UserError):
    """The system offers too little confinement for model-written code."""


class GraderBroken(LeagueError):
    """No judge can be kept alive: a fault of the machine or of this package, never of an answer."""


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
        self._judges: list[JudgeHandle] = []
        self._failed_starts = 0
        """Judges that did not start, one after the other."""

    def __enter__(self) -> "Grader":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Have one judge ready, and learn how well answers are confined here."""
        if sys.platform != "linux":
            raise Unconfined(
                f"grading model-written code needs Linux, found {sys.platform}; run it in a Linux container or machine"
            )
        with _Closing(self):
            while not any(judge.ready for judge in self._judges):
                self._staff(1)
                self._listen(deque(), [])

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
        waiting = deque(Ticket(index, job) for index, job in enumerate(jobs))
        with _Closing(self):
            while waiting or any(judge.ticket is not None for judge in self._judges):
                busy = sum(judge.ticket is not None for judge in self._judges)
                self._staff(min(self.workers, busy + len(waiting)))
                for judge in list(self._judges):
                    if judge.ready and judge.ticket is None and waiting:
                        try:
                            judge.give(waiting.popleft())
                        except BrokenPipeError:
                            self._dead(judge, waiting, grades)
                self._listen(waiting, grades)
        return [grade for grade in grades if grade is not None]

    # ------------------------------------------------------------------------------------------------ inside
    def _staff(self, count: int) -> None:
        """Have at least `count` judges, started or starting."""
        for _ in range(count - len(self._judges)):
            self._judges.append(JudgeHandle(self.limits, self.at_most))

    def _listen(self, waiting: deque[Ticket], grades: list[Grade | None]) -> None:
        """Wait for the judges' next words, and end those that are out of time."""
        poller = select.poll()
        by_descriptor = {judge.stdout.fileno(): judge for judge in self._judges}
        for descriptor in by_descriptor:
            poller.register(descriptor, select.POLLIN)
        now = time.monotonic()
        nearest = min([_TICK_S, *(judge.deadline - now for judge in self._judges if judge.ticket is not None)])
        for descriptor, _ in poller.poll(1000 * max(0.0, nearest) + 1):
            self._hear(by_descriptor[descriptor], waiting, grades)
        for judge in list(self._judges):
            if not judge.ready and time.monotonic() > judge.deadline:
                self._not_started(judge, f"a judge did not start within {START_S:g} s")
            elif failure := judge.failure():
                judge.kill()
                self._settle(judge, failure, waiting, grades)

    def _hear(self, judge: JudgeHandle, waiting: deque[Ticket], grades: list[Grade | None]) -> None:
        messages = judge.read()
        if messages is None:
            self._dead(judge, waiting, grades)
            return
        for message in messages:
            if not judge.ready:
                self._welcome(judge, message)
            elif judge.ticket is None or message.get("job") != judge.ticket.index:
                continue
            elif "stage" in message:
                judge.enter(message["stage"])
            else:
                data = message["grade"]
                grades[judge.ticket.index] = Grade(**{**data, "signs": tuple(data["signs"])})
                judge.ticket = None
                if message["last"]:
                    self._judges.remove(judge)
                    judge.kill()

    def _welcome(self, judge: JudgeHandle, hello: dict[str, Any]) -> None:
        """Take in a judge's first word. Raises Unconfined."""
        if "refused" in hello:
            self._not_started(judge, f"a judge could not start: {hello['refused']} {hello['notes']}")
            return
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
        judge.ready = True
        self._failed_starts = 0

    def _not_started(self, judge: JudgeHandle, why: str) -> None:
        """Raises GraderBroken when it was not the first."""
        if judge in self._judges:
            self._judges.remove(judge)
        judge.kill()
        self._failed_starts += 1
        if self._failed_starts >= ATTEMPTS:
            raise GraderBroken(why)

    def _dead(self, judge: JudgeHandle, waiting: deque[Ticket], grades: list[Grade | None]) -> None:
        if not judge.ready:
            self._not_started(judge, "a judge ended while starting")
            return
        death = judge.kill()
        self._settle(judge, gone(judge.stage, death), waiting, grades)

    def _settle(self, judge: JudgeHandle, failure: Failure, waiting: deque[Ticket], grades: list[Grade | None]) -> None:
        """Have the answer of a judge that is no more tried again, or give it its verdict."""
        self._judges.remove(judge)
        ticket = judge.ticket
        if ticket is None:
            return
        ticket.starved += failure.starved
        if failure.again and ticket.attempts < ATTEMPTS:
            waiting.appendleft(ticket)
            return
        if ticket.starved == ATTEMPTS:
            grades[ticket.index] = Grade("fail", STARVED, (), self.level or "posix")
            return
        reason = f"{failure.reason} ({ATTEMPTS} times)" if failure.again else failure.reason
        grades[ticket.index] = Grade(failure.verdict, reason, (), self.level or "posix")


class _Closing:
    """Closes a grader when something is raised, so that no judge is left with an answer of the past."""

    def __init__(self, grader: Grader):
        self.grader = grader

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.grader.close()
