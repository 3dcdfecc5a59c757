"""One answer against one check: the candidate of `check(candidate)` asks the answer's process.

The dataset is at fault ("infra") only for what happens before the first call, and for what its text alone says. From
the first call on the answer has a part in all that happens, so whatever goes wrong then is its failure: else it could
choose not to be judged.

Leaves out the process of the answer (`channel`) and the limits of the judge (`judge`).
"""

import builtins
import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

from league.sandbox import visible, wire
from league.sandbox.channel import Answer, Ended
from league.sandbox.trial import Trial
from league.sandbox.values import ODD_VALUE

Stage = Literal["preparing", "defining", "checking", "asking"]
"""Where the judge is with an answer.

preparing  it waits for a confined process
defining   the answer's code runs
checking   the dataset's code runs and has not called the answer yet
asking     it has
"""
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

    def __init__(self, answer: Answer, trial: Trial, every: bool, report: Callable[[Stage], None]):
        self.answer = answer
        self.report = report
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

    def define(self, completion: str, program: bool) -> None:
        """Send the code and have it defined. Raises Ended."""
        problem = self.trial.problem
        reply = self.answer.exchange(
            {
                "prompt": problem.prompt,
                "preamble": self.trial.preamble,
                "completion": completion,
                "program": program,
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
        """

        def candidate(*args: Any, **kwargs: Any) -> Any:
            return self.call(args, kwargs)

        candidate.__name__ = candidate.__qualname__ = self.trial.problem.entry_point
        namespace: dict[str, Any] = {"__name__": "check", "__tally__": self._tally}
        if self.trial.exits:
            raise DatasetFault("own code exits instead of returning")
        try:
            exec(self.trial.definitions, namespace)
            namespace[self.trial.problem.entry_point] = candidate
            exec(self.trial.counted_test if self.every else self.trial.test, namespace)
            left = namespace["check"](candidate)
        except (Exception, Ended) as error:
            if self.calls:
                raise
            why = error.reason if isinstance(error, Ended) else explain(error)
            raise DatasetFault(f"own code failed: {why}") from error
        except BaseException as error:
            if self.calls:
                raise Ended("fail", f"the check ended with {type(error).__name__} on the answer's values") from error
            raise DatasetFault("own code exits instead of returning") from error
        if inspect.isawaitable(left) or inspect.isgenerator(left) or inspect.isasyncgen(left):
            if inspect.iscoroutine(left):
                left.close()
            if self.calls:
                raise Ended("fail", "the check returned something that nobody runs, after it had called the answer")
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
        if self.calls == 1:
            self.report("asking")
        try:
            request = {"call": self.calls, "args": wire.pack(args), "kwargs": wire.pack(kwargs)}
        except wire.NotPlain as error:
            if self.calls == 1:
                raise DatasetFault(f"check passes {error.what}, which is not plain data") from error
            raise Ended("fail", f"the check made {error.what} of the answer's values and passed it on") from error
        reply = self.answer.exchange(request)
        if reply.get("returned") == self.calls and "value" in reply:
            try:
                return wire.unpack(reply["value"])
            except wire.Malformed as error:
                raise Ended("fail", f"the answer wrote to the grader's channel: {error}", "forged frame") from error
        if reply.get("odd") == self.calls:
            sign = ODD_VALUE if reply.get("kind") == "type" else None
            raise Ended("fail", f"returned {printable(reply.get('what'))}", sign)
        if reply.get("raised") == self.calls:
            kind, text = printable(reply.get("type")), printable(reply.get("text"))
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
            self.first_failure = explain(error)

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
    return f"{printable(error.get('type'))}: {printable(error.get('text'))}" if type(error) is dict else "?"


def explain(error: BaseException) -> str:
    """One line of printable text for an exception of foreign code."""
    try:
        text = printable(str(error))
    except Exception:  # noqa: BLE001 - it may hold a value that has no text, such as an integer of many digits
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def printable(text: object) -> str:
    """Printable ASCII, at most 200 characters."""
    if type(text) is not str:
        return "?"
    return "".join(c if " " <= c <= "~" else " " if c in "\n\t\r" else "?" for c in text[:200]).strip()
