"""`math`: the same mathematical object: 1/2 is 0.5, {1, 2} is {2, 1}.

math-verify (Hugging Face, Apache-2.0) parses LaTeX and plain expressions and compares them with sympy. That may take
long, grow or raise, and may not run in a thread: so each comparison happens in a process of its own with limits. What a
reply brings it to (no verdict in time, an error) counts as wrong. Only the answer line is read, as everywhere;
`\\boxed{…}` in it is opened.
"""

import importlib.util
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from league.types import Problem
from tasks.domains.answers import WRAPPING, agreed_answer
from tasks.domains.checks.check import LONGEST, ReplyCheck, Unusable, plain_text, shown
from tasks.domains.checks.worker import Asked, CallFailed, CallHung, Worker

PATH = "tasks.domains.checks.math_expression:same_value"


@dataclass(frozen=True)
class MathCheck(ReplyCheck):
    """The same value or set."""

    decimals: Annotated[int, Field(ge=1, le=15)] = 6
    """Digits after the point to which decimals are compared."""
    seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    """The most that one comparison may take."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_worker", Worker(PATH, self.seconds))

    @property
    def instruction(self) -> str:
        return "Solve the problem. The answer is one mathematical expression."

    def problems(self) -> list[str]:
        if importlib.util.find_spec("math_verify") is None:
            return ["check: `math` needs math-verify; install it with `pip install llm-league[math]`"]
        return []

    def read(self, text: str) -> str | None:
        if len(text) > LONGEST:
            return None
        text = text.strip(WRAPPING.replace("$", ""))
        return text.removesuffix(".").strip() or None

    def accepted(self, answer: object, row: Mapping[str, Any]) -> str:
        text = plain_text(answer)
        if self.read(text) is None:
            raise Unusable(f"the answer {shown(text)} cannot be read as a mathematical expression")
        return text

    def correct(self, problem: Problem, reply: str) -> bool:
        given, true = agreed_answer(reply, self.read), self.read(problem.answer)
        if given is None or true is None:
            return False
        if given == true:
            return True
        worker: Worker = self.__dict__["_worker"]
        try:
            return worker.ask(Asked("", true, given, json.dumps({"decimals": self.decimals})))
        except (CallFailed, CallHung):
            return False


def same_value(*, question: str, answer: str, reply: str, decimals: int) -> bool:
    """Whether two expressions mean the same.

    Runs in the worker's process, which has time limits of its own.
    """
    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns at each call that its own limits are off
    true, given = (parse(f"${text.strip('$')}$", parsing_timeout=None) for text in (answer, reply))
    return bool(true and given and verify(true, given, float_rounding=decimals, timeout_seconds=None))
