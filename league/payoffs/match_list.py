"""Win counts from a list of matches: a CSV file with one match a line, and named columns.

Two columns name the players, one says who won: by a player's name, a word for a draw, or a score of the first player
against the second (`1-0`, `1/2-1/2`, `3:1`). Other columns are left alone.
"""

import re
from collections.abc import Sequence

import numpy as np

from league.errors import DataError
from league.payoffs.csv_names import clean_name
from league.payoffs.csv_table import MAX_NAMES, Table, the_one_reading
from league.payoffs.matrix import PayoffMatrix, from_counts

PLAYERS = (
    ("player_a", "player_b"),
    ("player_1", "player_2"),
    ("player1", "player2"),
    ("a", "b"),
    ("first", "second"),
    ("white", "black"),
    ("home", "away"),
    ("row", "column"),
)
RESULTS = ("winner", "result", "score")
DRAWS = frozenset({"draw", "drawn", "tie", "tied", "remis", "½", "1/2", "1/2-1/2", "½-½", "0.5-0.5", "="})
HOW = "expected columns named player_a, player_b and winner (a player's name, or draw)"
_SCORE = re.compile(r"(\d{1,9})\s*[-–:]\s*(\d{1,9})", re.ASCII)


def parse_matches(text: str) -> PayoffMatrix:
    """The counted matrix of a match list, names in the order of their first match. Raises DataError."""
    return the_one_reading(text, _counted)


def looks_like_matches(header: Sequence[str]) -> bool:
    """Whether a first row names the columns of a match list."""
    named = {cell.strip().lower() for cell in header}
    return any({*pair} <= named for pair in PLAYERS) and bool(named & {*RESULTS})


def _counted(table: Table) -> PayoffMatrix:
    header, *lines = table.rows
    first, second, result = _columns(header)
    most = 1 + max(first, second, result)
    numbers: dict[str, int] = {}
    games: list[tuple[int, int, int]] = []
    for number, row in enumerate(lines, start=1):
        if len(row) < most:
            raise DataError(
                f"match {number} has {len(row)} cells; expected at least {most}: add the others, or take the line out"
            )
        if any(row[len(header) :]):
            raise DataError(
                f"match {number} has more cells than there are names in the first row (a comma within a name needs "
                "quotes around the cell): take what is too much out"
            )
        players = [_player(number, row[place]) for place in (first, second)]
        if players[0] == players[1]:
            raise DataError(f"match {number}: '{players[0]}' plays itself; take the line out")
        left, right = (numbers.setdefault(name, len(numbers)) for name in players)
        games.append((left, right, _outcome(number, row[result], players)))
        if len(numbers) > MAX_NAMES:
            raise DataError(f"more than {MAX_NAMES:,} players; analyse a part of the matches")
    if not games:
        raise DataError("no match is listed: write one a line, below the names of the columns")
    wins_NN, draws_NN = np.zeros((2, len(numbers), len(numbers)))
    for left, right, outcome in games:
        if outcome == 0:
            draws_NN[left, right] += 1
            draws_NN[right, left] += 1
        elif outcome > 0:
            wins_NN[left, right] += 1
        else:
            wins_NN[right, left] += 1
    return from_counts(list(numbers), wins_NN, draws_NN)


def _columns(header: Sequence[str]) -> tuple[int, int, int]:
    """Places of the two players and of the result."""
    named: dict[str, int] = {}
    for place, cell in enumerate(header):
        name = cell.lower()
        if name and name in named and (name in RESULTS or any(name in pair for pair in PLAYERS)):
            raise DataError(f"two columns are named '{cell}'; {HOW}: rename one of them")
        named[name] = place
    pairs = [pair for pair in PLAYERS if {*pair} <= named.keys()]
    results = [name for name in RESULTS if name in named]
    if len(pairs) != 1 or not results:
        found = ", ".join(header[:12]) or "nothing"
        what = "two pairs of players" if len(pairs) > 1 else f"the first row has {found}"
        raise DataError(f"{what}; {HOW}: rename them")
    if results[:2] == ["result", "score"]:
        raise DataError("columns 'result' and 'score' both say how a match ended; leave one of them out")
    return named[pairs[0][0]], named[pairs[0][1]], named[results[0]]


def _player(number: int, cell: str) -> str:
    try:
        name = clean_name(cell)
    except DataError as error:
        raise DataError(f"match {number}: a player {error}") from None
    if not name:
        raise DataError(f"match {number}: a player has no name: write it, or take the line out")
    return name


def _outcome(number: int, cell: str, players: Sequence[str]) -> int:
    """1: the first player won, −1: the second, 0: a draw."""
    said, meanings = clean_name(cell), set[int]()
    if said in players:
        meanings.add(1 if said == players[0] else -1)
    if said.lower() in DRAWS:
        meanings.add(0)
    score = _SCORE.fullmatch(said)
    if score:
        fields = score.groups()
        if any(len(field) > 1 and field.startswith("0") for field in fields):
            raise DataError(
                f"match {number}: '{cell}' looks like a date or time that a spreadsheet made of a score; write the "
                "score without leading zeros, as text, or the winner's name"
            )
        left, right = map(int, fields)
        meanings.add((left > right) - (left < right))
    if len(meanings) != 1:
        why = "means two things" if meanings else f"is neither '{players[0]}' nor '{players[1]}', no draw and no score"
        raise DataError(f"match {number}: the result '{cell}' {why}; write the winner's name, or draw")
    return meanings.pop()
