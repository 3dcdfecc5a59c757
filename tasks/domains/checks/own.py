"""A check of the user's own: `check: package.module:function`.

The function takes `question`, `answer` and `reply` by keyword and returns True or False. It runs in a process of its
own (`worker`). Where it raises or hangs, the run ends with an error that names the problem: whether a reply is right
must not be guessed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from league.errors import DataError
from league.types import Problem
from tasks.domains.checks.check import ReplyCheck, Unusable, kind_of, shown
from tasks.domains.checks.exact import tidy
from tasks.domains.checks.worker import Asked, CallFailed, CallHung, Worker


@dataclass(frozen=True)
class OwnCheck(ReplyCheck):
    """What a function says."""

    function: str
    """Its dotted path."""
    seconds: Annotated[float, Field(gt=0, le=600)] = 10.0
    """The most that one call may take."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What else the function takes, by keyword."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_worker", Worker(self.function, self.seconds))

    @property
    def instruction(self) -> str:
        return "Answer the question."

    def read(self, text: str) -> str | None:
        return tidy(text)

    def accepted(self, answer: object, row: Mapping[str, Any]) -> str:
        """Any text: what it means is the function's."""
        text = str(answer) if isinstance(answer, (str, int, float)) else json.dumps(answer)
        if answer is None or not text.strip():
            raise Unusable("the answer is " + (kind_of(answer) if answer is None else "empty"))
        return text

    def correct(self, problem: Problem, reply: str) -> bool:
        worker: Worker = self.__dict__["_worker"]
        try:
            return worker.ask(Asked(problem.question, problem.answer, reply, json.dumps(self.settings)))
        except (CallFailed, CallHung) as error:
            raise DataError(
                f"the check '{self.function}' fails on {problem.key}, {shown(problem.question)}, with the reply "
                f"{shown(reply)}: {error}; make it return True or False for every reply"
            ) from error
