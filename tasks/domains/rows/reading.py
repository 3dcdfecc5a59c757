"""The settings that say how a row becomes a problem's question, answer and solution."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tasks.domains.answers import agreed_answer
from tasks.domains.checks import ReplyCheck, Unusable, make_check
from tasks.domains.checks.check import sound
from tasks.domains.rows.fields import CHAT, MESSAGES, Field, with_chat
from tasks.domains.rows.files import split_named
from tasks.domains.rows.index import Taken
from tasks.domains.rows.readers import Row


@dataclass(frozen=True)
class RowReading:
    """Which values of a row are what. All of it is text, so that two data sets can be compared by it."""

    check_json: str
    """The setting `check` as JSON."""
    question: str | None = None
    answer: str | None = None
    solution: str | None = None
    messages: str = MESSAGES
    split: str | None = None
    chat: tuple[str, ...] = ()
    """What of `CHAT` comes from the messages: what no column is called. Empty until it is settled."""

    @cached_property
    def check(self) -> ReplyCheck:
        """Raises ConfigError for settings that are no check."""
        return make_check(json.loads(self.check_json))

    def settled(self, columns: Sequence[str]) -> "RowReading":
        """The same with its defaults replaced by what rows with these columns have."""
        chat = tuple(name for name in CHAT if self.messages in columns and name not in columns)
        return replace(
            self,
            question=self.question or ("prompt" if chat and "question" not in columns else "question"),
            answer=self.answer or ("reply" if chat and "answer" not in columns else "answer"),
            chat=chat,
        )

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields it names, once it is settled."""
        named = {"question": self.question, "answer": self.answer, "solution": self.solution, "split": self.split}
        return tuple(Field(name, source) for name, source in named.items() if source is not None)

    def problems(self, columns: Sequence[str]) -> list[str]:
        """What is wrong with it for rows with these columns, each `key: what`."""
        settled = self.settled(columns)
        there = [*columns, *settled.chat]
        found = [line for field in settled.fields for line in field.problems(there)]
        for column in self.check.columns():
            found += Field("check", column).problems(there)
        return found

    def columns(self, there: Sequence[str]) -> tuple[str, ...]:
        """The columns it needs of those that are there."""
        settled = self.settled(there)
        needed = {name for field in settled.fields for name in field.columns} | {*self.check.columns()}
        if needed & {*settled.chat}:
            needed.add(self.messages)
        return tuple(sorted(needed & {*there}))

    # ------------------------------------------------------------------------------------------------- one row
    def take(self, row: Row) -> Taken:
        """What the index needs of a row. Raises Unusable."""
        row = self._whole(row)
        question, answer, kind = self._asked(row)
        split = None
        if self.split is not None:
            said = self._fields["split"].value(row)
            split = split_named(said) if isinstance(said, str) else None
            if split is None:
                raise Unusable(f"the split is {said!r:.60}; expected train, validation or test")
        if self.solution is not None:
            sound(self._fields["solution"].text(row), "solution")
        elif self._replies:
            sound(row["reply"], "reply")
        return Taken(question, answer, kind, split)

    def problem_of(self, row: Row) -> tuple[str, str, str | None]:
        """(question, accepted answer, solution or None). Raises Unusable."""
        row = self._whole(row)
        question, answer, _ = self._asked(row)
        if self.solution is not None:
            return question, answer, self._fields["solution"].text(row)
        if self._replies and row["reply"] != answer:
            return question, answer, row["reply"]
        return question, answer, None

    def _asked(self, row: Row) -> tuple[str, str, str]:
        """(question, accepted answer, the type of the answer in the row)."""
        question = sound(self.check.question(self._fields["question"].text(row), row), "question")
        value = self._fields["answer"].value(row)
        if self._replies and isinstance(value, str):
            value = agreed_answer(value, self.check.read) or value
        return question, sound(self.check.accepted(value, row), "answer"), _sort(value)

    def _whole(self, row: Row) -> Row:
        """A chat's row with its prompt and reply, where a field needs them."""
        return with_chat(row, self.messages) if self._needs_chat else row

    @cached_property
    def _fields(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields}

    @cached_property
    def _needs_chat(self) -> bool:
        return any({*field.columns} & {*self.chat} for field in self.fields)

    @cached_property
    def _replies(self) -> bool:
        """Whether the answer is a chat's whole last reply."""
        return self.answer == "reply" and "reply" in self.chat


def _sort(value: Any) -> str:
    """The type of an answer, in words, where a column should have one type only."""
    if isinstance(value, bool):
        return "true or false"
    return "a number" if isinstance(value, (int, float)) else "a list" if isinstance(value, list) else "a text"
