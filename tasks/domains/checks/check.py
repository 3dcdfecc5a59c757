"""A check: whether a reply to a data set's problem is right, and which answers it accepts as true.

`ReplyCheck` is the base of all of them; its fields are the settings that a config may give. Most read the answer line
(`Answer: …`) of a reply by `read` and compare it with the true one. A check is a function of problem and reply: the
same two always get the same verdict. `rubric` alone asks a model, and says so.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from league.types import Problem
from tasks.domains.answers import agreed_answer

LONGEST = 500
"""Characters of an answer that is read from one line."""


class Unusable(ValueError):
    """A row's question or answer that cannot be used, in words: "the answer is empty"."""


class ReplyCheck(ABC):
    """Whether a reply is right. A kind is a frozen dataclass under it."""

    own_ending: ClassVar[bool] = False
    """True where a reply need not end in an answer line, so that nobody is asked for one."""
    is_judged: ClassVar[bool] = False
    """True where a model decides, so that a result is an opinion."""

    @property
    @abstractmethod
    def instruction(self) -> str:
        """One sentence that says what to do and how the answer must look."""

    @abstractmethod
    def read(self, text: str) -> str | None:
        """An answer in its one spelling; None where it is not exactly one answer."""

    def problems(self) -> list[str]:
        """What is wrong between the settings, each `key: what (remedy)`."""
        return []

    def columns(self) -> tuple[str, ...]:
        """Columns of a row that the check reads besides question and answer."""
        return ()

    def question(self, question: str, row: Mapping[str, Any]) -> str:
        """The question as it is asked."""
        return question

    def accepted(self, answer: object, row: Mapping[str, Any]) -> str:
        """The true answer of a row, as text that the check accepts. Raises Unusable."""
        text = plain_text(answer)
        if self.read(text) is None:
            raise Unusable(f"the answer {shown(text)} cannot be read as {self.instruction.rpartition('is ')[2]}")
        return text

    def right(self, given: str, true: str) -> bool:
        """Whether two answers, each in its one spelling, are the same."""
        return given == true

    def correct(self, problem: Problem, reply: str) -> bool:
        """Whether a reply is right. The answer of `problem` is what `accepted` gave for its row."""
        given, true = agreed_answer(reply, self.read), self.read(problem.answer)
        return given is not None and true is not None and self.right(given, true)


def plain_text(answer: object) -> str:
    """An answer of one line as text: a text, a number, or true and false.

    Raises Unusable for anything else.
    """
    if isinstance(answer, bool):
        return str(answer).lower()
    if isinstance(answer, float):
        if answer != answer or answer in (float("inf"), float("-inf")):
            raise Unusable(f"the answer is {answer}, which is no number")
        return str(int(answer)) if answer.is_integer() and abs(answer) < 1e15 else repr(answer)
    if isinstance(answer, int):
        return str(answer)
    if not isinstance(answer, str):
        raise Unusable(f"the answer is {kind_of(answer)}; expected a text or a number (make it one by a template)")
    text = answer.strip()
    if not text:
        raise Unusable("the answer is empty")
    if "\n" in text or "\r" in text:
        raise Unusable(f"the answer {shown(text)} has several lines; expected one (cut it by a template)")
    if len(text) > LONGEST:
        raise Unusable(f"the answer has {len(text)} characters, at most {LONGEST} are read; cut it by a template")
    return text


def sound(text: str, what: str) -> str:
    """The text, if it can be written as UTF-8.

    Raises Unusable for half a surrogate pair, which JSON lets pass.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unusable(f"the {what} holds half a surrogate pair at character {error.start}") from error
    return text


def kind_of(value: object) -> str:
    """The type of a row's value, in words."""
    names = {type(None): "missing", bool: "true or false", int: "a number", float: "a number", str: "a text"}
    names |= {list: "a list", dict: "an object", bytes: "bytes"}
    return names.get(type(value), f"a {type(value).__name__}")


def shown(text: str) -> str:
    """The beginning of a text, quoted."""
    return repr(text if len(text) <= 60 else text[:57] + "…")
