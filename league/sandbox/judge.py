"""The trusted side of one answer: it runs the dataset's own check.

In `check(candidate)` the candidate asks the answer's process.

Only this process knows the tests. The names a check uses from the prompt (`poly`, `encode_cyclic`, …) come from the
prompt itself, never from the answer. All calls of one check go to one process, so an answer may cache, and its state
ends with it; arguments are copies, so an answer that mutates them cannot touch what the check compares with.

Runs as a child of the pool: JSON lines in on stdin, JSON lines out on the original stdout. It says when it comes to
each stage of an answer, so that the pool knows who is to blame when it has to end it: a check may hang in C on a value
that an answer returned. Its own memory and CPU time are bounded too.
"""

import contextlib
import json
import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

from league.sandbox import kernel
from league.sandbox.channel import DIED, Answer, Ended
from league.sandbox.check import DatasetFault, Run, Stage, explain, printable
from league.sandbox.trial import Trial
from league.sandbox.values import HIDDEN_TESTS_FAIL, STARVED, CodeProblem, Confinement, Grade, Limits, weaker
from league.sandbox.zygote_handle import ExitInfo, ZygoteHandle

RETRIES = 2
MAX_CODE = 1 << 20
JUDGE_MEMORY = 3 << 30
USED_UP = 1 << 29
"""A judge that has held this much memory, in bytes, ends after its verdict.

What one answer made it hold must not count against another.
"""
OUT_OF_MEMORY = "killed: the machine ran out of memory"
_OWN_MB = 32
"""What an answer's process holds before it runs any code, about."""


def _peak_memory() -> int:
    """The most memory this process has held, in bytes.

    Not `ru_maxrss`, which begins with what the parent held when it forked: a trainer holds gigabytes.
    """
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


class Judge:
    def __init__(self, limits: Limits, at_most: Confinement):
        self.limits = limits
        self.zygote = ZygoteHandle(limits, at_most)
        self.trials: dict[str, Trial | str] = {}
        """By key; text says why a problem cannot be used."""
        self.level: Confinement = "posix"
        self._timing = False
        self._late: Ended | None = None
        """Set when the CPU time of the check at hand has run out, for it may catch everything."""
        self._checking_since = 0.0
        self._oom_kills = kernel.oom_kills()

    def _out_of_time(self, _number: int, _frame: object) -> None:
        if self._timing:
            self._late = Ended("fail", f"timeout: the check took more than {self.limits.check_cpu_s:g} s of CPU time")
            raise self._late

    def probe(self) -> Confinement:
        """Confine one empty answer and say how well. Raises Ended("infra")."""
        answer = self.zygote.take()
        self.level = self.zygote.level(answer)
        self.zygote.notes += answer.layers.get("notes", [])
        answer.close()
        self.zygote.reap(answer)
        return self.level

    def learn(self, key: str, problem: CodeProblem) -> None:
        try:
            self.trials[key] = Trial(problem)
        except (SyntaxError, ValueError) as error:
            self.trials[key] = f"the problem's own code is not Python: {printable(str(error))}"

    def grade(self, job: dict[str, Any], tell: Callable[[Stage], None]) -> Grade:
        """Grade one answer; what the grader itself got wrong is tried again with a fresh zygote."""
        trial = self.trials[job["key"]]
        if isinstance(trial, str):
            return Grade("infra", trial, (), self.level)
        if len(job["completion"]) > MAX_CODE:
            reason = f"the code is longer than {MAX_CODE} characters"
            return Grade("fail", reason, (), self.level, total=trial.asserts if job["every"] else 0)
        starved = 0
        for attempt in range(RETRIES + 1):
            try:
                tell("preparing")
                grade = self._attempt(trial, job, tell)
            except DatasetFault as fault:
                return Grade("infra", fault.reason, (), self.level)
            except Ended as ended:
                grade = Grade("infra", ended.reason, (), self.level)
            starved += grade.reason == OUT_OF_MEMORY
            if grade.verdict != "infra" or attempt == RETRIES:
                break
            self.zygote.stop()
        return Grade("fail", STARVED, grade.signs, self.level) if starved == RETRIES + 1 else grade

    def _attempt(self, trial: Trial, job: dict[str, Any], tell: Callable[[Stage], None]) -> Grade:
        random.seed(0)
        answer = self.zygote.take()
        try:
            level = self.zygote.level(answer)
            if weaker(level, self.level):
                raise Ended("infra", f"confinement fell from {self.level} to {level}")
            run = Run(answer, trial, job["every"], partial(self._enter, answer, tell))
            ended = self._contest(run, job)
        finally:
            self._stop_clock()
            answer.close()
        if isinstance(ended, DatasetFault):
            self._reap(answer, wait=False)
            raise ended
        info = self._reap(answer, wait=ended.reason == DIED or level in ("posix", "ns"))
        if ended.reason == DIED:
            if info is None:
                gone = "the grader's parent process is gone, and the answer with it"
                raise Ended("infra", OUT_OF_MEMORY if self._memory_ran_out() else gone)
            ended = _how_it_died(info, self.limits, level, self._memory_ran_out())
        signs = tuple(dict.fromkeys([*answer.signs, *([ended.sign] if ended.sign else [])]))
        return Grade(ended.verdict, ended.reason, signs, level, *(run.count() if job["every"] else (0, 0)))

    def _reap(self, answer: Answer, wait: bool) -> ExitInfo | None:
        """Have the answer's process buried.

        If that fails its verdict stands, and the next answer gets a fresh zygote.
        """
        try:
            return self.zygote.reap(answer, wait)
        except Ended:
            self.zygote.stop()
            return None

    def _enter(self, answer: Answer, tell: Callable[[Stage], None], stage: Stage) -> None:
        """Note a stage. What the dataset does before its first call is not on the answer's clock."""
        if stage == "defining":
            answer.start_clock()
        elif stage == "checking":
            self._checking_since = time.monotonic()
        elif stage == "asking":
            answer.deadline += time.monotonic() - self._checking_since
        tell(stage)

    def _contest(self, run: Run, job: dict[str, Any]) -> Ended:
        self._late = None
        try:
            run.report("defining")
            with self._on_time():
                run.define(job["completion"], job["program"])
            run.report("checking")
            with self._on_time():
                run.check()
            run.answer.check_clocks()
            ended = Ended("fail", run.first_failure or "an assertion failed") if run.failed else Ended("pass", "passed")
        except Ended as error:
            ended = error
        except (MemoryError, RecursionError) as error:
            ended = Ended("fail", f"the check could not handle the answer's values: {type(error).__name__}")
        except Exception as error:  # noqa: BLE001 - the check trips over what the answer returned or raised
            ended = Ended("fail", explain(error))
        ended = run.over or (self._late if run.calls else None) or ended
        if ended.verdict == "fail" and ended is not self._late and run.over is None and run.calls:
            try:
                with self._on_time():
                    if run.shows_visible():
                        ended.sign = ended.sign or HIDDEN_TESTS_FAIL
            except Ended:
                pass  # out of time: no sign
        return ended

    @contextlib.contextmanager
    def _on_time(self) -> Iterator[None]:
        """Bound this process's CPU time; the alarm repeats in case a check catches it.

        Its wall time the pool bounds, from outside: a check may wait in the kernel, or use an alarm of its own.
        """
        self._timing = True
        signal.signal(signal.SIGPROF, self._out_of_time)  # each time, for a check may set its own
        signal.setitimer(signal.ITIMER_PROF, self.limits.check_cpu_s, 0.2)
        try:
            yield
        finally:
            self._stop_clock()

    def _stop_clock(self) -> None:
        self._timing = False
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _memory_ran_out(self) -> bool:
        """Whether the kernel has killed any process for its memory since we looked last."""
        before, self._oom_kills = self._oom_kills, kernel.oom_kills()
        return self._oom_kills != before


def _how_it_died(info: ExitInfo, limits: Limits, level: Confinement, memory_ran_out: bool) -> Ended:
    """The verdict on an answer whose process has died, from what the kernel says about its end.

    A confined answer cannot send SIGKILL, but it can fill the memory of a machine that has less than it may use: who
    held more than half of its own when some process was killed for memory has failed, and so has who is killed for it
    at every try.
    """
    if info.cpu > limits.cpu_s:
        return Ended("fail", f"timeout: more than {limits.cpu_s:g} s of CPU time")
    if os.WIFSIGNALED(info.status):
        name = signal.Signals(os.WTERMSIG(info.status)).name
        if name == "SIGKILL" and level != "posix":
            if memory_ran_out and info.memory > (_OWN_MB + limits.memory_mb / 2) * 2**20:
                return Ended("fail", "killed: the machine ran out of memory, and the answer held much of it")
            return Ended("infra", OUT_OF_MEMORY if memory_ran_out else "something outside killed the answer")
        sign = "denied: a system call of another architecture" if name == "SIGSYS" else None
        return Ended("fail", f"died by {name}", sign)
    return Ended("fail", f"exited with status {os.WEXITSTATUS(info.status)}")


def main() -> None:
    """Serve the pool: {"limits", "at_most"} first, then problems and jobs, one JSON object a line."""
    commands = os.fdopen(os.dup(0), "r", encoding="ascii")
    replies = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    start = json.loads(commands.readline())
    resource.setrlimit(resource.RLIMIT_AS, (JUDGE_MEMORY, JUDGE_MEMORY))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("300")  # an answer's value may fill the memory: rather this process than the league's
    judge = Judge(Limits(**start["limits"]), start["at_most"])

    def tell(message: dict[str, Any]) -> None:
        os.write(replies, json.dumps(message).encode("ascii") + b"\n")  # at once: an alarm never leaves half a line

    try:
        tell({"level": judge.probe(), "notes": judge.zygote.notes})
        for line in commands:
            job = json.loads(line)
            if "problem" in job:
                judge.learn(job["key"], CodeProblem(**job["problem"]))
                continue
            number = job["job"]
            grade = judge.grade(job, lambda stage, number=number: tell({"job": number, "stage": stage}))  # type: ignore[misc]
            used_up = _peak_memory() > USED_UP
            tell({"job": number, "grade": asdict(grade), "last": used_up})
            if used_up:
                break
    except Ended as ended:
        tell({"refused": ended.reason, "notes": judge.zygote.notes})
    finally:
        judge.zygote.stop()


if __name__ == "__main__":
    main()
