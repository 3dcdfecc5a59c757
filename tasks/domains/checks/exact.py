"""`exact`: the answer as it stands, but for blanks, markup around it and, by default, capitals."""

import unicodedata
from dataclasses import dataclass

from tasks.domains.answers import WRAPPING
from tasks.domains.checks.check import LONGEST, ReplyCheck


def tidy(text: str) -> str | None:
    """A text without markup around it, a closing full stop and doubled blanks; None when nothing is left.

    Unicode is composed (NFC), so that an accent is one character however it was typed.
    """
    if len(text) > LONGEST:
        return None
    text = text.strip(WRAPPING)
    if text.endswith("."):
        text = text[:-1].strip(WRAPPING)
    return " ".join(unicodedata.normalize("NFC", text).split()) or None


@dataclass(frozen=True)
class ExactCheck(ReplyCheck):
    """The same text."""

    case: bool = False
    """Whether capitals count."""

    @property
    def instruction(self) -> str:
        return "Answer the question. The answer is one line of text."

    def read(self, text: str) -> str | None:
        found = tidy(text)
        return found if found is None or self.case else found.casefold()
