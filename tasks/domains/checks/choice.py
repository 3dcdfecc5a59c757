"""`choice`: one of the options that a question offers.

With `options` every question has the same ones (yes, no) and the answer is the option. With `choices` a column of the
row lists them: they are written under the question as A, B, C …, and the answer is the letter. In the row the true
answer may be its letter or label, its text, or its place from 0.
"""

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.domains.checks.check import ReplyCheck, Unusable, kind_of, plain_text, shown
from tasks.domains.checks.exact import tidy

LETTERS = string.ascii_uppercase
_LETTER = re.compile(r"\(?([A-Za-z])\)?\.?")


@dataclass(frozen=True)
class ChoiceCheck(ReplyCheck):
    """The same option."""

    options: tuple[str, ...] = ()
    """The options of every question."""
    choices: str | None = None
    """The column that lists a row's options: a list, or an object with the lists `text` and `label`."""

    @property
    def instruction(self) -> str:
        if self.choices is not None:
            return "Choose the right option. The answer is its letter."
        return f"Answer the question. The answer is one of {', '.join(self.options)}."

    def problems(self) -> list[str]:
        if (self.choices is None) == (not self.options):
            return ["check: `choice` needs either `options` (a list for all questions) or `choices` (a column)"]
        read = [self._option(option) for option in self.options]
        if self.options and (len(read) < 2 or None in read or len(set(read)) < len(read)):
            return ["check.options: expected at least two options that differ"]
        return []

    def columns(self) -> tuple[str, ...]:
        return () if self.choices is None else (self.choices,)

    def question(self, question: str, row: Mapping[str, Any]) -> str:
        if self.choices is None:
            return question
        texts, _ = self._listed(row)
        return "\n".join([question, *(f"{letter}. {text}" for letter, text in zip(LETTERS, texts, strict=False))])

    def accepted(self, answer: object, row: Mapping[str, Any]) -> str:
        if self.choices is None:
            text = plain_text(answer)
            if self.read(text) is None:
                raise Unusable(f"the answer {shown(text)} is none of the options {', '.join(self.options)}")
            return text
        texts, labels = self._listed(row)
        if isinstance(answer, int) and not isinstance(answer, bool):
            if 0 <= answer < len(texts):
                return LETTERS[answer]
            raise Unusable(f"the answer is place {answer} of {len(texts)} options; places count from 0")
        text = plain_text(answer)
        if texts.count(text) > 1 and text not in labels:
            raise Unusable(f"the answer {shown(text)} is {texts.count(text)} of its options; they must differ")
        for names in (labels, texts, list(LETTERS[: len(texts)])):
            if names.count(text) == 1:
                return LETTERS[names.index(text)]
        raise Unusable(f"the answer {shown(text)} is none of its {len(texts)} options, nor the letter of one")

    def read(self, text: str) -> str | None:
        if self.choices is None:
            found = self._option(text)
            return found if found in map(self._option, self.options) else None
        tidied = tidy(text)
        letter = _LETTER.fullmatch(tidied) if tidied else None
        return letter[1].upper() if letter else None

    def _option(self, text: str) -> str | None:
        found = tidy(text)
        return found.casefold() if found else None

    def _listed(self, row: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """(texts, labels) of a row's options; no labels where it has none."""
        found: Any = row.get(str(self.choices))
        labels: object = []
        if isinstance(found, dict):
            found, labels = found.get("text"), found.get("label") or []
        if not isinstance(found, list) or not isinstance(labels, list):
            raise Unusable(f"the options in '{self.choices}' are {kind_of(found)}; expected a list of texts")
        if not 2 <= len(found) <= len(LETTERS):
            raise Unusable(f"'{self.choices}' lists {len(found)} options; expected 2 to {len(LETTERS)}")
        return [plain_text(each) for each in found], [str(each) for each in labels]
