"""Read a payoff matrix from a CSV file: first row and first column are names, cells are payoffs.

No pandas, because `league analyze` must answer quickly. Understands a byte-order mark, quoted names and cells, comma,
semicolon or tab between cells (also as `sep=;`), decimal commas, percents, comment lines, blank lines, trailing empty
columns, one half of a table, and rows in another order than the columns. It never guesses a value: what is missing,
contradictory or can be read in two ways raises DataError with its place and the remedy.

What files leave open is `csv_table`'s, cells are `csv_cells`', names `csv_names`', lists of matches `match_list`'s.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from league.errors import DataError
from league.payoffs.csv_cells import BLANK, Numbers, counts_of, numbers_of
from league.payoffs.csv_names import clean_names, unmatched
from league.payoffs.csv_table import MAX_NAMES, Table, read_text, the_one_reading
from league.payoffs.match_list import looks_like_matches, parse_matches
from league.payoffs.matrix import FloatArray, PayoffMatrix, from_counts, from_margin, from_probabilities

Mode = Literal["probability", "antisymmetric", "counts", "wins", "matches"]
ROUNDED = (1e-5, 0.01)
"""A last decimal of this size: pairs may miss the sum 1 by it, both cells having been rounded.

Coarser tables must fit exactly; finer ones have the tolerance of `from_probabilities`.
"""


def read_matrix(path: str | Path, mode: Mode, encoding: str = "utf-8") -> PayoffMatrix:
    """Read `path`.

    Cells by mode: win probability in [0, 1]; margin in [−1, 1]; counts `w:l` or `w:d:l` (blank: never played); wins of
    row against column. Or a list of matches.

    Raises DataError (file, row and column in the message).
    """
    path = Path(path)
    text = read_text(path, encoding)
    try:
        return parse_matrix(text, mode)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def parse_matrix(text: str, mode: Mode) -> PayoffMatrix:
    """Like `read_matrix`, from text."""
    if mode not in get_args(Mode):
        raise DataError(f"unknown cell mode '{mode}'; expected {', '.join(get_args(Mode))}")
    if mode == "matches":
        return parse_matches(text.removeprefix("\ufeff"))
    return the_one_reading(text.removeprefix("\ufeff"), lambda table: _matrix(table, mode))


def _matrix(table: Table, mode: Mode) -> PayoffMatrix:
    names, cells = _square(table)
    if mode == "counts":
        return from_counts(names, *_count_cells(names, cells))
    numbers = numbers_of(names, cells)
    if mode == "wins":
        return from_counts(names, _wins(names, numbers))
    values_NN = _completed(names, cells, numbers, mode)
    if mode == "antisymmetric":
        return from_margin(names, values_NN)
    if np.nanmax(values_NN, initial=0.0) > 1 and np.isfinite(values_NN).all():
        raise DataError(_beyond_one(names, values_NN, numbers))
    rounded = ROUNDED[0] <= numbers.unit <= ROUNDED[1] * 1.001
    if not rounded:
        return from_probabilities(names, values_NN)
    matrix = from_probabilities(names, values_NN, numbers.unit * 1.001)
    worst = float(np.abs(values_NN + values_NN.T - 1).max())
    if worst <= numbers.unit / 2:
        return matrix
    note = (
        f"the cells are rounded: pairs add up to 1 within {worst:.2g} only, and each was given half of what is missing"
    )
    return replace(matrix, notes=(note,))


# ---------------------------------------------------------------------------------------------------- the square
def _square(table: Table) -> tuple[list[str], list[list[str]]]:
    """Names, and cells [N][N] in the order of the columns."""
    named = max((place for place, cell in enumerate(table.rows[0]) if cell), default=0)
    if max(named, len(table.rows) - 1) > MAX_NAMES:
        raise DataError(
            f"{named} named columns and {len(table.rows) - 1} rows; at most {MAX_NAMES} names can be analysed: leave "
            "some out"
        )
    rows = _trim(table.rows, named + 1)
    if len(rows[0]) < 2:
        raise DataError(
            "no agents: expected a first row of names (after one corner cell) and one row per agent, with commas, "
            "semicolons or tabs between cells: write them so"
        )
    _require_names(rows)
    columns, labels = clean_names("column", rows[0][1:]), clean_names("row", [row[0] for row in rows[1:]])
    if len(columns) != len(labels):
        odd = sorted({*columns} ^ {*labels})[:1]
        hint = f"; '{odd[0]}' has only one of them (its cells may stay blank where one half is given)" if odd else ""
        raise DataError(
            f"the matrix is not square: {len(labels)} named rows and {len(columns)} named columns; give every agent a "
            f"row and a column{hint}"
        )
    if {*columns} != {*labels}:
        hint = " (are the names of the rows missing?)" if all(_is_number(label) for label in labels) else ""
        raise DataError(unmatched(columns, labels) + hint)
    by_name = {label: row[1:] for label, row in zip(labels, rows[1:], strict=True)}
    return columns, [by_name[name] for name in columns]


def _trim(rows: list[list[str]], named: int) -> list[list[str]]:
    """Drop empty cells past the first `named` columns, fill short rows.

    A value past the named columns is an error.
    """
    out = []
    for number, row in enumerate(rows, start=1):
        extra = [cell for cell in row[named:] if cell]
        if extra:
            raise DataError(
                f"row {number} ('{row[0]}') has more cells than there are names in the first row: '{extra[0]}' "
                "(a comma within a name or a number needs quotes around the cell): take it out, or name its column"
            )
        out.append(row[:named] + [""] * (named - len(row)))
    return out


def _require_names(rows: list[list[str]]) -> None:
    if looks_like_matches(rows[0]) and {*rows[0][1:]} != {row[0] for row in rows[1:]}:
        raise DataError("this is a list of matches, one a line; read it with --matches")
    if _is_number(rows[0][0]) and all(_is_number(cell) for cell in rows[0][1:]):
        raise DataError("the names are missing: write them into the first row and the first column; found numbers")


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


# ----------------------------------------------------------------------------------------------------- the values
def _completed(names: Sequence[str], cells: Sequence[Sequence[str]], numbers: Numbers, mode: Mode) -> FloatArray:
    """Values (N, N), with the diagonal and, where one half of the table is blank, that half."""
    size, whole, neutral = len(names), 1.0 if mode == "probability" else 0.0, 0.5 if mode == "probability" else 0.0
    values_NN = np.array([[np.nan if value is None else value for value in row] for row in numbers.values])
    blank_NN = np.array([[cell in BLANK for cell in row] for row in cells])
    apart_NN = ~np.eye(size, dtype=bool)
    if size > 1 and bool((blank_NN ^ blank_NN.T)[apart_NN].all()):
        values_NN = np.where(blank_NN & apart_NN, whole - values_NN.T, values_NN)
    for i in range(size):
        if numbers.values[i][i] is None:
            values_NN[i, i] = neutral
    missing = np.argwhere(np.isnan(values_NN))
    if len(missing):
        i, j = missing[0]
        half = "; leave all of one half blank, or none" if blank_NN[i, j] and not blank_NN[j, i] else ""
        raise DataError(
            f"row '{names[i]}', column '{names[j]}' has no value ('{cells[i][j]}'); pairs that never met can only be "
            f"given with --counts{half}"
        )
    return values_NN


def _beyond_one(names: Sequence[str], values_NN: FloatArray, numbers: Numbers) -> str:
    """What values above 1 may be, and the remedy."""
    i, j = np.argwhere(values_NN > 1)[0]
    sums_NN = (values_NN + values_NN.T)[~np.eye(len(names), dtype=bool)]
    if len(sums_NN) and np.abs(sums_NN - 100).max() <= 1:
        hint = "; these are percents: write them with %, or divide by 100"
    elif numbers.whole:
        hint = "; whole numbers of wins need --wins"
    else:
        hint = "; no probability is above 1: correct the cell"
    return f"expected a number in [0, 1]; found {values_NN[i, j]:g} in row '{names[i]}', column '{names[j]}'{hint}"


def _wins(names: Sequence[str], numbers: Numbers) -> FloatArray:
    """Wins (N, N) of row against column.

    A pair that never met has two blank cells; one alone is an error.
    """
    size = len(names)
    wins_NN = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            value, other = numbers.values[i][j], numbers.values[j][i]
            if i == j or (value is None and other is None):
                continue
            where = f"row '{names[i]}', column '{names[j]}'"
            if value is None:
                raise DataError(f"{where} is blank, its opposite is not; write the wins of both sides (0 for none)")
            if value < 0 or not float(value).is_integer() or value >= 1e12 or numbers.unit < 1 and not numbers.whole:
                raise DataError(
                    f"{where}: expected a whole number of wins; found {value:g} (half points for draws? give them "
                    "with --counts as w:d:l)"
                )
            wins_NN[i, j] = value
    return wins_NN


def _count_cells(names: Sequence[str], cells: Sequence[Sequence[str]]) -> tuple[FloatArray, FloatArray]:
    """wins (N, N) of row against column and draws (N, N).

    One blank side of a pair is filled from the other.
    """
    size = len(names)
    wins_NN, draws_NN = np.zeros((size, size)), np.zeros((size, size))
    for i in range(size):
        for j in range(i + 1, size):
            upper = counts_of(cells[i][j], f"row '{names[i]}', column '{names[j]}'")
            lower = counts_of(cells[j][i], f"row '{names[j]}', column '{names[i]}'")
            if upper and lower and upper != lower[::-1]:
                raise DataError(
                    f"the two cells of '{names[i]}' and '{names[j]}' disagree: '{cells[i][j]}' and '{cells[j][i]}'; "
                    "correct one of them (it must be the other reversed, wins and losses swapped), or leave it blank"
                )
            won, drawn, lost = upper or (lower[::-1] if lower else (0, 0, 0))
            wins_NN[i, j], wins_NN[j, i] = won, lost
            draws_NN[i, j] = draws_NN[j, i] = drawn
    return wins_NN, draws_NN
