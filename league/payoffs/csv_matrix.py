"""Read a payoff matrix from a CSV file: first row and first column are names, cells are payoffs.

No pandas, because `league analyze` must answer quickly. Understands a byte-order mark, quoted names, comma, semicolon
or tab between cells, a decimal comma where the separator is not the comma, blank lines and trailing empty columns.
Rows may come in another order than the columns. It never guesses a value: what is missing or contradictory raises
DataError with its place.
"""

import csv
import io
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np

from league.errors import DataError
from league.payoffs.matrix import FloatArray, PayoffMatrix, from_counts, from_margin, from_probabilities

Mode = Literal["probability", "antisymmetric", "counts"]
MAX_NAMES = 5000
"""More names than this are a file of another kind; a table of them would have 25 million cells."""
MISSING = {"", "nan", "na", "n/a", "-", "none", "null"}


def read_matrix(path: str | Path, mode: Mode) -> PayoffMatrix:
    """Read `path`.

    Cells by mode: win probability in [0, 1]; margin in [−1, 1]; `w:l` or `w:d:l` (blank: never played).

    Raises DataError (file, row and column in the message).
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a readable UTF-8 text file; {error}") from error
    try:
        return parse_matrix(text, mode)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def parse_matrix(text: str, mode: Mode) -> PayoffMatrix:
    """Like `read_matrix`, from text."""
    if mode not in ("probability", "antisymmetric", "counts"):
        raise DataError(f"unknown cell mode '{mode}'; expected probability, antisymmetric or counts")
    names, cells, decimal_comma = _table(text)
    if mode == "counts":
        wins_NN, draws_NN = _count_cells(names, cells)
        return from_counts(names, wins_NN, draws_NN)
    neutral = 0.5 if mode == "probability" else 0.0
    values_NN = np.empty((len(names), len(names)))
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            if i == j and cell.lower() in MISSING:
                values_NN[i, j] = neutral
            else:
                values_NN[i, j] = _number(cell, names[i], names[j], decimal_comma)
    return from_probabilities(names, values_NN) if mode == "probability" else from_margin(names, values_NN)


def _table(text: str) -> tuple[list[str], list[list[str]], bool]:
    """Names, cells [N][N] in the order of the columns, and whether a comma may be a decimal mark.

    Cells are stripped text.
    """
    if "\x00" in text:
        raise DataError("expected a text file; found zero bytes")
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise DataError("the file is empty; expected a first row of names and one row per agent")
    separator = max(",;\t", key=lambda mark: lines[0].count(mark))
    try:
        rows = [
            [cell.strip() for cell in row]
            for row in csv.reader(io.StringIO("\n".join(lines)), delimiter=separator, strict=True)
        ]
    except csv.Error as error:
        raise DataError(f"not a readable CSV table: {error}") from error
    rows = [row for row in rows if any(row)]
    if max(_named(rows), len(rows) - 1) > MAX_NAMES:
        raise DataError(
            f"{_named(rows)} named columns and {max(0, len(rows) - 1)} rows; at most {MAX_NAMES} names can be analysed"
        )
    rows = _trim(rows)
    if not rows or len(rows[0]) < 2:
        raise DataError("no agents: expected a first row of names (after one corner cell) and one row per agent")
    columns, labels = rows[0][1:], [row[0] for row in rows[1:]]
    _check_names(rows[0][0], columns, labels)
    by_name = {row[0]: row[1:] for row in rows[1:]}
    return columns, [by_name[name] for name in columns], separator != ","


def _named(rows: list[list[str]]) -> int:
    """Number of named columns: the last non-empty cell of the first row."""
    return max((i for i, cell in enumerate(rows[0]) if cell), default=0) if rows else 0


def _trim(rows: list[list[str]]) -> list[list[str]]:
    """Drop empty cells past the named columns, fill short rows.

    A value past the named columns is an error.
    """
    named = 1 + _named(rows)
    out = []
    for number, row in enumerate(rows, start=1):
        extra = [cell for cell in row[named:] if cell]
        if extra:
            raise DataError(
                f"row {number} ('{row[0]}') has more cells than there are names in the first row: '{extra[0]}'"
            )
        out.append(row[:named] + [""] * (named - len(row)))
    return out


def _check_names(corner: str, columns: list[str], labels: list[str]) -> None:
    if _is_number(corner) and all(_is_number(cell) for cell in columns):
        raise DataError("the names are missing: expected names in the first row and first column; found numbers")
    for kind, names in (("column", columns), ("row", labels)):
        if "" in names:
            raise DataError(f"{kind} {names.index('') + 1} has no name")
        times = Counter(names)
        for name in names:
            if control := [char for char in name if unicodedata.category(char) == "Cc"]:
                raise DataError(
                    f"{kind} {names.index(name) + 1} has the control character U+{ord(control[0]):04X} in its name: "
                    "take it out"
                )
            if times[name] > 1:
                raise DataError(
                    f"names must be unique; {kind} '{name}' appears {times[name]} times: rename one of them"
                )
    if len(columns) != len(labels):
        raise DataError(f"the matrix is not square: {len(labels)} named rows and {len(columns)} named columns")
    if set(columns) != set(labels):
        odd = sorted(set(columns) ^ set(labels))[0]
        hint = " (are the names of the rows missing?)" if all(_is_number(label) for label in labels) else ""
        raise DataError(f"rows and columns must carry the same names; '{odd}' is in only one of them{hint}")


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _number(cell: str, row: str, column: str, decimal_comma: bool) -> float:
    where = f"row '{row}', column '{column}'"
    if cell.lower() in MISSING:
        raise DataError(f"{where} has no value ('{cell}'); pairs that never met can only be given with --counts")
    try:
        return float(cell.replace(",", ".") if decimal_comma else cell)
    except ValueError:
        hint = "; cells like w:l need --counts" if ":" in cell else ""
        raise DataError(f"{where}: expected a number; found '{cell}'{hint}") from None


def _count_cells(names: list[str], cells: list[list[str]]) -> tuple[FloatArray, FloatArray]:
    """wins (N, N) of row against column and draws (N, N).

    One blank side of a pair is filled from the other.
    """
    size = len(names)
    wins_NN, draws_NN = np.zeros((size, size)), np.zeros((size, size))
    for i in range(size):
        for j in range(i + 1, size):
            upper = _count(cells[i][j], names[i], names[j])
            lower = _count(cells[j][i], names[j], names[i])
            if upper and lower and upper != lower[::-1]:
                raise DataError(
                    f"the two cells of '{names[i]}' and '{names[j]}' disagree: '{cells[i][j]}' and '{cells[j][i]}'; "
                    "one must be the other reversed (wins and losses swapped), or blank"
                )
            won, drawn, lost = upper or (lower[::-1] if lower else (0, 0, 0))
            wins_NN[i, j], wins_NN[j, i] = won, lost
            draws_NN[i, j] = draws_NN[j, i] = drawn
    return wins_NN, draws_NN


def _count(cell: str, row: str, column: str) -> tuple[int, ...] | None:
    if cell.lower() in MISSING:
        return None
    parts = cell.split(":")
    digits = [part.strip() for part in parts]
    if len(parts) not in (2, 3) or not all(part.isascii() and part.isdigit() for part in digits):
        raise DataError(
            f"row '{row}', column '{column}': expected counts w:l or w:d:l (whole numbers, 0 or more); found '{cell}'"
        )
    if any(len(part) > 12 for part in digits):
        raise DataError(f"row '{row}', column '{column}': counts beyond 10¹² are not believable; found '{cell}'")
    values = tuple(int(part) for part in digits)
    return values if len(values) == 3 else (values[0], 0, values[1])
