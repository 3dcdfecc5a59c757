"""Cells of payoff files as numbers: what is not plainly one reading is refused with the remedy.

Numbers with a point or a comma (not both kinds in one file), percents (all cells or none), and counts `w:l` or `w:d:l`.
A spreadsheet that takes `70:30` for a time writes `70:30:00` and `7:5` as `07:05`, which would read as other counts:
counts with a leading zero are refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from league.errors import DataError

BLANK = {"", "-", "–", "—"}
MISSING = BLANK | {"nan", "na", "n/a", "none", "null", "#n/a"}
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)
_DATE = re.compile(
    r"\d{1,4}[-/.]\d{1,2}([-/.]\d{1,4})?|\d{1,2}[-. ]?[A-Za-z]{3,9}[-. ]?(\d{2,4})?|[A-Za-z]{3,9}[-. ]\d{1,4}"
)
_DASHED = re.compile(r"\s*\d+\s*[-–/]\s*\d+(\s*[-–/]\s*\d+)?\s*", re.ASCII)
_SPACES = dict.fromkeys(map(ord, "\u00a0\u202f\u2009 "), None) | {0x2212: "-"}
"""Spaces within a number, and the typographer's minus."""


@dataclass(frozen=True)
class Numbers:
    """Cells of a table as numbers; None where a cell is blank or says that nothing is known."""

    values: list[list[float | None]]
    unit: float
    """What the last decimal that is written counts: 0.01 for a table with two."""
    whole: bool
    """Whether every number is written without decimals."""


def numbers_of(names: Sequence[str], cells: Sequence[Sequence[str]]) -> Numbers:
    """Read all cells alike. Raises DataError with the row and column of what does not fit."""
    marks: dict[str, str] = {}
    percents: dict[bool, str] = {}
    digits, values = 0, []
    for i, row in enumerate(cells):
        numbers: list[float | None] = []
        for j, cell in enumerate(row):
            if cell.lower() in MISSING:
                numbers.append(None)
                continue
            where = f"row '{names[i]}', column '{names[j]}'"
            text = cell.translate(_SPACES)
            percent = text.endswith("%")
            text = text.removesuffix("%")
            if not _NUMBER.fullmatch(text):
                raise DataError(
                    f"{where}: expected a number; found '{cell}'{_hint(cell) or '; write it as a number, such as 0.62'}"
                )
            mark = next((char for char in text if char in ".,"), "")
            if mark:
                marks.setdefault(mark, where)
                digits = max(digits, len(re.split(r"[eE]", text.split(mark, 1)[1])[0]))
            if float(text.replace(",", ".")) != 0 or percent:
                percents.setdefault(percent, where)
            numbers.append(float(text.replace(",", ".")) / (100 if percent else 1))
        values.append(numbers)
    if len(marks) == 2:
        raise DataError(f"{marks[',']} has a decimal comma, {marks['.']} a decimal point; use one of them in all cells")
    if len(percents) == 2:
        raise DataError(f"{percents[True]} is a percent, {percents[False]} is none; write all cells in one way")
    unit = 10.0**-digits / (100 if True in percents else 1)
    return Numbers(values, unit, not marks and True not in percents)


def counts_of(cell: str, where: str) -> tuple[int, int, int] | None:
    """(wins, draws, losses) of a cell `w:l` or `w:d:l`; None where it is blank."""
    if cell.lower() in MISSING:
        return None
    fields = [field.strip() for field in cell.split(":")]
    if len(fields) not in (2, 3) or not all(field.isascii() and field.isdigit() for field in fields):
        raise DataError(
            f"{where}: expected counts w:l or w:d:l (whole numbers, 0 or more); found '{cell}'"
            f"{_hint(cell) or '; write it so, or leave the cell blank where the pair never met'}"
        )
    padded = [field for field in fields if len(field) > 1 and field.startswith("0")]
    if padded:
        raise DataError(
            f"{where}: '{cell}' looks like a time that a spreadsheet made of counts ('{padded[0]}' begins with 0); "
            "format the cells as text before the counts are typed, or write them without leading zeros"
        )
    if any(len(field) > 12 for field in fields):
        raise DataError(
            f"{where}: counts beyond 10¹² are not believable; found '{cell}'; write how many games were won"
        )
    wins, *draws, losses = map(int, fields)
    return wins, draws[0] if draws else 0, losses


def _hint(cell: str) -> str:
    """What such a cell may be, and what to do."""
    if re.fullmatch(r"\d+:\d+(:\d+)?", cell.strip(), re.ASCII):
        return "; cells like w:l need --counts"
    if _DASHED.fullmatch(cell) or _DATE.fullmatch(cell.strip()):
        return "; write counts as w:l or w:d:l, with colons (and as text: a spreadsheet makes dates of others)"
    if re.fullmatch(r"\d+(\.0*)?", cell.strip(), re.ASCII):
        return "; whole numbers of wins need --wins"
    return ""
