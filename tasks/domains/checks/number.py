"""`number`: a whole number, a decimal or a fraction, right within a tolerance.

Numbers are compared exactly, as fractions: |given − true| ≤ max(absolute, relative · |true|). Units are no part of a
number ("19 legs" is none), and neither is a percent sign: whether 50% is 50 or 0.5 would be a guess.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated

from pydantic import Field

from tasks.domains.answers import WRAPPING
from tasks.domains.checks.check import LONGEST, ReplyCheck

_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3}){1,12}(?:\.[0-9]{0,40})?")
_FRACTION = re.compile(r"[+-]?[0-9]{1,40} ?/ ?[0-9]{1,40}")


def number_of(text: str) -> Fraction | None:
    """The one number that a text is, exactly; None for anything else."""
    if len(text) > LONGEST:
        return None
    text = text.strip(WRAPPING).replace("−", "-")
    if text.endswith("."):
        text = text[:-1].strip(WRAPPING)
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    try:
        return Fraction(text.replace(" ", "")) if _DECIMAL.fullmatch(text) or _FRACTION.fullmatch(text) else None
    except ZeroDivisionError:
        return None


@dataclass(frozen=True)
class NumberCheck(ReplyCheck):
    """The same number, within a tolerance."""

    absolute: Annotated[float, Field(ge=0)] = 0.0
    """How far off an answer may be."""
    relative: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """How far off it may be, as a share of the true answer."""

    @property
    def instruction(self) -> str:
        return "Solve the problem. The answer is one number without a unit."

    def read(self, text: str) -> str | None:
        found = number_of(text)
        return None if found is None else str(found)

    def right(self, given: str, true: str) -> bool:
        target = Fraction(true)
        return abs(Fraction(given) - target) <= max(Fraction(self.absolute), Fraction(self.relative) * abs(target))
