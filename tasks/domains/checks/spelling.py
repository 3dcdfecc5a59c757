"""`spelling`: the answer letter by letter, capitals and full stop too; a few slips may be allowed.

Slips are counted by V. Levenshtein's distance (1966): letters to insert, delete or replace. With slips allowed two
different true words may lie within reach of each other ("cat", "car"); the check cannot know.
"""

import unicodedata
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tasks.domains.checks.check import LONGEST, ReplyCheck


def slips(one: str, other: str, most: int) -> int:
    """Levenshtein's distance of two texts, counted no further than `most` + 1."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        now = [row]
        for col, against in enumerate(other, 1):
            now.append(min(before[col] + 1, now[-1] + 1, before[col - 1] + (letter != against)))
        if min(now) > most:
            return most + 1
        before = now
    return min(before[-1], most + 1)


@dataclass(frozen=True)
class SpellingCheck(ReplyCheck):
    """The same letters."""

    mistakes: Annotated[int, Field(ge=0, le=10)] = 0
    """Letters that may be missing, wrong or too many."""

    @property
    def instruction(self) -> str:
        return "Answer the question. The answer is one line of text, and its spelling counts."

    def read(self, text: str) -> str | None:
        return unicodedata.normalize("NFC", text).strip() or None if len(text) <= LONGEST else None

    def right(self, given: str, true: str) -> bool:
        return slips(given, true, self.mistakes) <= self.mistakes
