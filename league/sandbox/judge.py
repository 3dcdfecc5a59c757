"""The trusted side of one answer: it runs the dataset's own check.

In `check(candidate)` the candidate asks the answer's process.

Only this process knows the tests. The names a check uses from the prompt (`poly`, `encode_cyclic`, …) come from the
prompt itself, never from the answer. All calls of one check go to one process, so an answer may cache, and its state
ends with it; arguments are copies, so an answer that mutates them cannot touch what the check compares with.

Runs as a child of the pool: JSON lines in on stdin, JSON lines out on the original stdout. It is killed and replaced
when a check hangs in C on a value that an answer returned; its own memory and CPU time are bounded too.
"""

import builtins
import contextlib
import inspect
import json
import os
import random
import resource
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from league.sandbox import visible, wire
from league.sandbox.channel import DIED, Answer, Ended
from league.sandbox.trial import Trial
from league.sandbox.values import CodeProblem, Confinement, Grade, Limits, weaker
from league.sandbox.zygote_handle import ExitInfo, ZygoteHandle

RETRIES = 2
MAX_CODE = 1 << 20
JUDGE_MEMORY = 3 << 30
_EXCEPTIONS = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type)
    and issubclass(kind, Exception)
    and not issubclass(kind, (StopIteration, StopAsyncIteration))
}
"""Raised again in the check as they are.

Not StopIteration: to `all(map(candidate, cases))` it says that there are no more cases.
"""


class DatasetFault(Ended):
    """The problem's own code cannot judge any answer; trying again would not help."""

    def __init__(self, what: str):
        super().__init__("infra", f"the problem's {what}")


class AnswerError(Exception):
    """The answer raised an exception that is not a built-in one."""


class Run:
    """One answer against one check."""

    def __init__(self, answer: Answer, trial: Trial, every: bool):
        self.answer = answer
        self.trial = trial
        self.every = every
        self.held: Counter[int] = Counter()
        """How often each assertion held, by its number."""
        self.failed = 0
        self.returned = False
        """Whether the check came to its end."""
        self.first_failure: str | None = None
        self.over: Ended | None = None
        self.calls = 0

    def define(self, completion: str) -> None:
        """Send the code and have it defined. Raises Ended."""
        problem = self.trial.problem
        self.answer.start_clock()
        reply = self.answer.exchange(
            {
                "prompt": problem.prompt,
                "preamble": self.trial.preamble,
                "completion": completion,
                "entry_point": problem.entry_point,
            }
        )
        if "failed" in reply:
            raise Ended("fail", f"definition: {_named(reply['failed'])}")
        if reply.get("ready") is not True:
            raise Ended("fail", f"definition: {problem.entry_point} is not a function")

    def check(self) -> None:
        """Run the dataset's check; counts in `passed` and `failed` when `every`.

        Raises Ended, or what the check raises.

        Until the answer is first called it can have no part in what happens, so that is the dataset's fault and
        "infra".
        """

        def candidate(*args: Any, **kwargs: Any) -> Any:
            return self.call(args, kwargs)

        candidate.__name__ = candidate.__qualname__ = self.trial.problem.entry_point
        namespace: dict[str, Any] = {"__name__": "check", "__tally__": self._tally}
        try:
            exec(self.trial.definitions, namespace)
            namespace[self.trial.problem.entry_point] = candidate
            exec(self.trial.counted_test if self.every else self.trial.test, namespace)
            left = namespace["check"](candidate)
        except SystemExit as error:
            raise DatasetFault("own code exits instead of returning") from error
        except (Exception, Ended) as error:
            if self.calls:
                raise
            why = error.reason if isinstance(error, Ended) else _explain(error)
            raise DatasetFault(f"own code failed: {why}") from error
        if inspect.isawaitable(left) or inspect.isgenerator(left) or inspect.isasyncgen(left):
            if inspect.iscoroutine(left):
                left.close()
            raise DatasetFault("check is asynchronous or a generator: calling it runs nothing")
        if not self.calls:
            raise DatasetFault(f"check never calls {self.trial.problem.entry_point}")
        self.returned = True

    def count(self) -> tuple[int, int]:
        """(assertions that held, how many there were).

        Of a check that stopped on the way nobody knows how often its loops would have gone round: what was asserted
        more than once counts as not held, and what stopped it as one more.
        """
        seen = sum(self.held.values()) + self.failed
        if self.returned:
            return sum(self.held.values()), max(self.trial.asserts, seen + (self.over is not None and not self.failed))
        return sum(times == 1 for times in self.held.values()), max(self.trial.asserts, seen + 1)

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Ask the answer for one value. Raises Ended, or the built-in exception the answer raised."""
        if self.over is None:
            try:
                return self._call(args, kwargs)
            except Ended as ended:
                self.over = ended  # so that a check that catches everything cannot go on
        if self.every and self.over.verdict == "fail":
            raise AnswerError(self.over.reason)  # which an assertion counts as failed, and so does the next
        raise self.over

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.calls += 1
        try:
            request = {"call": self.calls, "args": wire.pack(args), "kwargs": wire.pack(kwargs)}
        except wire.NotPlain as error:
            raise Ended("infra", f"the check passes {error.what}, which is not plain data") from error
        reply = self.answer.exchange(request)
        if reply.get("returned") == self.calls and "value" in reply:
            try:
                return wire.unpack(reply["value"])
            except wire.Malformed as error:
                raise Ended("fail", f"the answer wrote to the grader's channel: {error}", "forged frame") from error
        if reply.get("odd") == self.calls:
            sign = "non-plain return value" if reply.get("kind") == "type" else None
            raise Ended("fail", f"returned {_clean(reply.get('what'))}", sign)
        if reply.get("raised") == self.calls:
            kind, text = _clean(reply.get("type")), _clean(reply.get("text"))
            if kind in ("SystemExit", "KeyboardInterrupt", "GeneratorExit"):
                raise Ended("fail", f"raised {kind}")
            if kind in _EXCEPTIONS:
                raise _rebuilt(kind, text)
            raise AnswerError(f"{kind}: {text}")
        raise Ended("fail", "the answer wrote to the grader's channel", "forged frame")

    def _tally(self, number: int, error: Exception | None) -> None:
        if error is None and self.over is None:
            self.held[number] += 1
            return
        self.failed += 1
        if self.first_failure is None and error is not None:
            self.first_failure = _explain(error)

    def shows_visible(self) -> bool:
        """Whether the answer satisfies every example of the prompt (and there is one)."""
        if not self.trial.examples:
            return False
        try:
            return all(visible.same(self._call(e.args, e.kwargs), e.want) for e in self.trial.examples)
        except (Ended, Exception):  # noqa: BLE001 - foreign code may raise anything
            return False


def _rebuilt(kind: str, text: str) -> Exception:
    try:
        return _EXCEPTIONS[kind](text)
    except TypeError:  # UnicodeDecodeError and its like need more arguments
        return AnswerError(f"{kind}: {text}")


def _named(error: object) -> str:
    return f"{_clean(error.get('type'))}: {_clean(error.get('text'))}" if type(error) is dict else "?"


def _explain(error: BaseException) -> str:
    text = _clean(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _clean(text: object) -> str:
    """Printable ASCII, at most 200 characters."""
    if type(text) is not str:
        return "?"
    return "".join(c if " " <= c <= "~" else " " if c in "\n\t\r" else "?" for c in text[:200]).strip()


# ------------------------------------------------------------------------------------------------- the judge
class Judge:
    def __init__(self, limits: Limits, at_most: Confinement):
        self.limits = limits
        self.zygote = ZygoteHandle(limits, at_most)
        self.trials: dict[str, Trial | str] = {}
        """By key; text says why a problem cannot be used."""
        self.level: Confinement = "posix"
        self._timing = False
        signal.signal(signal.SIGPROF, self._out_of_time)

    def _out_of_time(self, _number: int, _frame: object) -> None:
        if self._timing:
            raise Ended("fail", f"timeout: the check took more than {self.limits.check_cpu_s:g} s of CPU time")

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
            self.trials[key] = f"the problem's own code is not Python: {_clean(str(error))}"

    def grade(self, key: str, completion: str, every: bool) -> Grade:
        """Grade one answer; what the grader itself got wrong is tried again with a fresh zygote."""
        trial = self.trials[key]
        if isinstance(trial, str):
            return Grade("infra", trial, (), self.level)
        if len(completion) > MAX_CODE:
            reason = f"the code is longer than {MAX_CODE} characters"
            return Grade("fail", reason, (), self.level, total=trial.asserts if every else 0)
        for attempt in range(RETRIES + 1):
            try:
                grade = self._attempt(trial, completion, every)
            except DatasetFault as fault:
                return Grade("infra", fault.reason, (), self.level)
            except Ended as ended:
                grade = Grade("infra", ended.reason, (), self.level)
            if grade.verdict != "infra" or attempt == RETRIES:
                break
            self.zygote.stop()
        return grade

    def _attempt(self, trial: Trial, completion: str, every: bool) -> Grade:
        random.seed(0)
        answer = self.zygote.take()
        try:
            level = self.zygote.level(answer)
            if weaker(level, self.level):
                raise Ended("infra", f"confinement fell from {self.level} to {level}")
            run = Run(answer, trial, every)
            ended = self._contest(run, completion)
        finally:
            self._stop_clock()
            answer.close()
        wait = ended.reason == DIED or level in ("posix", "ns")
        info = self.zygote.reap(answer, wait)
        if isinstance(ended, DatasetFault):
            raise ended
        if ended.reason == DIED and info is not None:
            ended = _how_it_died(info, self.limits, level)
        signs = tuple(dict.fromkeys([*answer.signs, *([ended.sign] if ended.sign else [])]))
        return Grade(ended.verdict, ended.reason, signs, level, *(run.count() if every else (0, 0)))

    def _contest(self, run: Run, completion: str) -> Ended:
        try:
            with self._on_time():
                run.define(completion)
                run.check()
            ended = Ended("fail", run.first_failure or "an assertion failed") if run.failed else Ended("pass", "passed")
        except Ended as error:
            ended = error
        except (MemoryError, RecursionError) as error:
            ended = Ended("fail", f"the check could not handle the answer's values: {type(error).__name__}")
        except Exception as error:  # noqa: BLE001 - the check trips over what the answer returned or raised
            ended = Ended("fail", _explain(error))
        ended = run.over or ended
        if ended.verdict == "fail" and run.over is None and run.calls:
            try:
                with self._on_time():
                    if run.shows_visible():
                        ended.sign = ended.sign or "visible examples pass, hidden tests fail"
            except Ended:
                pass  # out of time: no sign
        return ended

    @contextlib.contextmanager
    def _on_time(self) -> Iterator[None]:
        """Bound this process's CPU time; the alarm repeats in case a check catches it."""
        self._timing = True
        signal.setitimer(signal.ITIMER_PROF, self.limits.check_cpu_s, 0.2)
        try:
            yield
        finally:
            self._stop_clock()

    def _stop_clock(self) -> None:
        self._timing = False
        signal.setitimer(signal.ITIMER_PROF, 0)


def _how_it_died(info: ExitInfo, limits: Limits, level: Confinement) -> Ended:
    if info.cpu > limits.cpu_s:
        return Ended("fail", f"timeout: more than {limits.cpu_s:g} s of CPU time")
    if os.WIFSIGNALED(info.status):
        name = signal.Signals(os.WTERMSIG(info.status)).name
        if name == "SIGKILL" and level != "posix":  # confined, it cannot have done that itself
            return Ended("infra", "something outside killed the answer (is the machine out of memory?)")
        sign = "denied: a system call of another architecture" if name == "SIGSYS" else None
        return Ended("fail", f"died by {name}", sign)
    return Ended("fail", f"exited with status {os.WEXITSTATUS(info.status)}")


def main() -> None:
    """Serve the pool: {"limits", "at_most"} first, then problems and jobs, one JSON object a line."""
    commands = os.fdopen(os.dup(0), "r", encoding="ascii")
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    start = json.loads(commands.readline())
    resource.setrlimit(resource.RLIMIT_AS, (JUDGE_MEMORY, JUDGE_MEMORY))
    judge = Judge(Limits(**start["limits"]), start["at_most"])

    def tell(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    try:
        tell({"level": judge.probe(), "notes": judge.zygote.notes})
        for line in commands:
            job = json.loads(line)
            if "problem" in job:
                judge.learn(job["key"], CodeProblem(**job["problem"]))
            else:
                grade = judge.grade(job["key"], job["completion"], job["every"])
                tell({"job": job["job"], "grade": asdict(grade)})
    except Ended as ended:
        tell({"refused": ended.reason, "notes": judge.zygote.notes})
    finally:
        judge.zygote.stop()


if __name__ == "__main__":
    main()
