"""A question, an answer and a solution from a row: by column, by template, or from a chat.

A text with `{{` or `{%` is a template over the row's columns; any other is a column's name. A chat row has a list of
messages, each with `role` and `content`: templates may use `prompt` (what comes before the last reply, without a
system message) and `reply` (the last message of the assistant). Templates run in Jinja's sandbox and see nothing but
the row; an unknown column is an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from league.errors import nearest
from tasks.domains.checks.check import Unusable, kind_of
from tasks.domains.rows.readers import Row

MESSAGES = "messages"
CHAT = ("prompt", "reply")
"""What a chat row offers to templates besides its columns."""


def _something(value: object) -> object:
    """What a template shows. Nothing (null) is no text."""
    if value is None:
        raise Unusable("it shows a value that is missing (null)")
    return value


_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, finalize=_something
)


@dataclass(frozen=True)
class Field:
    """Where one value of a row comes from."""

    name: str
    """The setting: "question"."""
    source: str
    """A column, or a template."""

    @property
    def is_template(self) -> bool:
        return "{{" in self.source or "{%" in self.source

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns it names. Raises Unusable for a template that cannot be read or names none."""
        if not self.is_template:
            return (self.source,)
        try:
            found = sorted(meta.find_undeclared_variables(_ENVIRONMENT.parse(self.source)))
        except TemplateError as error:
            raise Unusable(f"{self.name}: the template cannot be read: {error}") from error
        if not found:
            raise Unusable(f"{self.name}: the template names no column, so every row would have the same {self.name}")
        return tuple(found)

    def problems(self, there: Sequence[str]) -> list[str]:
        """What is wrong with it, given the columns of a row."""
        try:
            return [
                f"{self.name}: the data has no column '{column}'{nearest(column, list(there))}"
                for column in self.columns
                if column not in there
            ]
        except Unusable as error:
            return [str(error)]

    def value(self, row: Row) -> Any:
        """The value of a row. Raises Unusable where it is missing or its template fails."""
        if not self.is_template:
            if self.source not in row:
                raise Unusable(f"the column '{self.source}' is missing")
            return row[self.source]
        try:
            return self._template.render(row)
        except Unusable as error:
            raise Unusable(f"{self.name}: {error}") from error
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            if missing := [column for column in self.columns if column not in row]:
                raise Unusable(f"the column '{missing[0]}' is missing") from error
            raise Unusable(f"{self.name}: its template fails ({type(error).__name__}: {error})") from error

    def text(self, row: Row) -> str:
        """The value as a text that is not empty. Raises Unusable."""
        found = self.value(row)
        if not isinstance(found, str):
            raise Unusable(f"the {self.name} is {kind_of(found)}; expected a text (make it one by a template)")
        if not found.strip():
            raise Unusable(f"the {self.name} is empty")
        return found.strip()

    @cached_property
    def _template(self) -> Template:
        return _ENVIRONMENT.from_string(self.source)


def with_chat(row: Row, column: str) -> Row:
    """The row with `prompt` and `reply` of its messages. Raises Unusable where they are no conversation."""
    messages = row.get(column)
    if not isinstance(messages, list) or not messages:
        raise Unusable(f"'{column}' is {kind_of(messages)}; expected a list of messages")
    turns = []
    for message in messages:
        if not isinstance(message, Mapping) or not all(
            isinstance(message.get(key), str) for key in ("role", "content")
        ):
            raise Unusable(f"'{column}' holds something without the texts `role` and `content`")
        if message["role"] not in ("system", "user", "assistant"):
            raise Unusable(f"'{column}' holds the role '{message['role']}'; expected system, user or assistant")
        if message["role"] != "system":
            turns.append((message["role"], message["content"].strip()))
    if len(turns) < 2 or turns[-1][0] != "assistant" or turns[-2][0] != "user":
        raise Unusable(f"'{column}' must end with a message of the user and a reply of the assistant")
    before = turns[:-1]
    names = {"user": "User", "assistant": "Assistant"}
    prompt = before[0][1] if len(before) == 1 else "\n\n".join(f"{names[role]}: {text}" for role, text in before)
    return {"prompt": prompt, "reply": turns[-1][1], **row}
