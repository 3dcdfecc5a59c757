"""Payoff files as programs and people write them, then spoilt as programs and people spoil them.

    python -m tests.helpers.csv_dialects [--inputs 20000] [--seed 0]

Each input is a random matrix written in a random dialect, with up to three changes that leave its meaning to a human
eye or destroy it: quotes that go, cells that a spreadsheet takes for times, marks that change in some cells. Whatever
comes, the reader must give the matrix that was written, or refuse; another matrix is the fault this looks for.
"""

import argparse
import contextlib
import random
import re
import time
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from league.errors import DataError
from league.payoffs.csv_matrix import Mode, parse_matrix

NAMES = ("José", "Bo Li", "Moss, A", 'c "d"', "0.5", "7:5", "a;b", "#1", "draw", "Ünal", "x", "y", "zoë", "a", "b")
Cells = list[list[str]]


@dataclass
class Written:
    """A matrix and the file it became."""

    mode: Mode
    names: list[str]
    values: np.ndarray
    """Margins (N, N), or counts (3, N, N): wins, draws, and games."""
    text: str


@dataclass
class Tally:
    same: int = 0
    refused: int = 0
    garbled: int = 0
    """Inputs with characters at random: what they mean is not known, but nothing else than a refusal may come out."""
    slowest: float = 0.0
    other: list[str] = field(default_factory=list)


def write(rng: random.Random) -> Written:
    """A random matrix in a random dialect."""
    size = rng.randint(2, 5)
    names = rng.sample(NAMES, size)
    mode: Mode = rng.choice(["probability", "antisymmetric", "counts", "wins"])
    separator = rng.choice([",", ";", "\t"])
    upper = np.array([[rng.randint(0, 100) for _ in names] for _ in names])
    half = rng.random() < 0.3 and mode != "wins"
    if mode in ("counts", "wins"):
        draws = np.array([[rng.randint(0, 30) if mode == "counts" else 0 for _ in names] for _ in names])
        cells, values = _counted(rng, upper, draws, mode, half)
    else:
        cells, values = _exact(rng, upper, mode, half, separator)
    for change in rng.sample(CHANGES, rng.randint(0, 3)):
        change(rng, names, cells)
    shown = [names, *([name, *row] for name, row in zip(names, cells, strict=True))]
    shown[0] = [rng.choice(["", "name", "#"]), *shown[0]]
    lines = [separator.join(_quoted(rng, cell, separator) for cell in row) for row in shown]
    text = rng.choice(["\n", "\r\n", "\r"]).join(lines)
    for change in rng.sample(TEXT_CHANGES, rng.randint(0, 2)):
        text = change(rng, text, separator)
    clean = [" ".join(unicodedata.normalize("NFC", name).replace("\u200b", "").split()) for name in names]
    return Written(mode, clean, values, text)


def _counted(
    rng: random.Random, wins: np.ndarray, draws: np.ndarray, mode: Mode, half: bool
) -> tuple[Cells, np.ndarray]:
    size = len(wins)
    wins, draws = wins * (1 - np.eye(size, dtype=int)), np.triu(draws, 1) + np.triu(draws, 1).T
    with_draws = rng.random() < 0.5
    if not with_draws:
        draws = draws * 0

    def cell(i: int, j: int) -> str:
        if i == j or (half and i > j):
            return ""
        if mode == "wins":
            return str(wins[i, j])
        return f"{wins[i, j]}:{draws[i, j]}:{wins[j, i]}" if with_draws else f"{wins[i, j]}:{wins[j, i]}"

    return [[cell(i, j) for j in range(size)] for i in range(size)], np.stack([wins, draws])


def _exact(rng: random.Random, upper: np.ndarray, mode: Mode, half: bool, separator: str) -> tuple[Cells, np.ndarray]:
    size = len(upper)
    margin = np.triu(upper - 50, 1) / 50
    margin = margin - margin.T
    mark = "," if rng.random() < (0.2 if separator == "," else 0.5) else "."
    percent = rng.random() < 0.3

    def cell(i: int, j: int) -> str:
        if half and (i > j or (i == j and rng.random() < 0.5)):
            return ""
        value = (1 + margin[i, j]) / 2 if mode == "probability" else margin[i, j]
        text = f"{100 * value:.0f}%" if percent else f"{value:.2f}"
        return text.replace(".", mark)

    return [[cell(i, j) for j in range(size)] for i in range(size)], margin


def _quoted(rng: random.Random, cell: str, separator: str) -> str:
    if any(mark in cell for mark in f'{separator}"\n') or rng.random() < 0.1:
        return '"' + cell.replace('"', '""') + '"'
    return cell


# --------------------------------------------------------------------------------------------------- what happens
def _some(change: Callable[[str], str]) -> Callable[[random.Random, list[str], Cells], None]:
    """The change in every cell, or in some."""

    def work(rng: random.Random, names: list[str], cells: Cells) -> None:
        share = rng.choice([0.3, 1.0])
        for row in cells:
            row[:] = [change(cell) if cell and rng.random() < share else cell for cell in row]

    return work


def _as_time(cell: str) -> str:
    """What a spreadsheet makes of 7:5, or of 70:30."""
    parts = cell.split(":")
    return cell if len(parts) != 2 else f"{parts[0]}:{int(parts[1]):02d}:00"


def _padded(cell: str) -> str:
    parts = cell.split(":")
    return cell if len(parts) == 1 else ":".join(f"{int(part):02d}" for part in parts)


def _swapped(cell: str) -> str:
    return cell.translate(str.maketrans(".,", ",."))


def _respelt(rng: random.Random, names: list[str], cells: Cells) -> None:
    """Names in another normal form, or with spaces that are none; rows and columns alike are written from it."""
    names[:] = [
        rng.choice([unicodedata.normalize("NFD", name), f"{name}\u00a0", f"\u200b{name}", name]) for name in names
    ]


CHANGES: list[Callable[[random.Random, list[str], Cells], None]] = [
    _some(_as_time),
    _some(_padded),
    _some(_swapped),
    _some(lambda cell: f" {cell} "),
    _some(lambda cell: cell.replace("%", "")),
    _some(lambda cell: cell.rstrip("0") if "." in cell or "," in cell else cell),
    _some(lambda cell: cell.replace("-", "\u2212")),
    _some(lambda cell: cell.replace(":", "-")),
    _respelt,
]  # fmt: skip
TEXT_CHANGES: list[Callable[[random.Random, str, str], str]] = [
    lambda rng, text, separator: f"sep={separator}\r\n{text}",
    lambda rng, text, separator: "\ufeff" + text,
    lambda rng, text, separator: f"# a comment{rng.choice(['', ', with a comma', '; and more'])}\n{text}",
    lambda rng, text, separator: text + rng.choice(["\n", "\n\n,,,\n", "\n \n"]),
    lambda rng, text, separator: text.replace('"', ""),
    lambda rng, text, separator: text.replace(separator, rng.choice([",", ";", "\t", f"{separator} "])),
]  # fmt: skip


def bare(names: Iterable[str]) -> list[str]:
    """Names without what the changes of the text do to them, too: quotes, separators, spaces."""
    return [re.sub(r"[\s\",;]", "", name) for name in names]


def garbled(rng: random.Random, text: str) -> str:
    """A few characters gone, doubled or replaced by odd ones."""
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(text) + 1)
        put = rng.choice(
            ["", "", text[at : at + 1] * 2, *',;\t"%:-#=.0 \n\r\x00\x07\u200b\u2028é٣∞', "1e999", "nan", "\U0001f98a"]
        )
        text = text[:at] + put + text[at + 1 :]
    return text


def _only_refused(text: str, mode: Mode) -> int:
    for each in (mode, "matches"):
        with contextlib.suppress(DataError):
            parse_matrix(text, each)  # type: ignore[arg-type]
    return 1


def fuzz(inputs: int, seed: int) -> Tally:
    """Write, spoil and read so many files."""
    tally = Tally()
    for number in range(inputs):
        rng = random.Random(f"{seed}/{number}")
        written = write(rng)
        if number % 5 == 4:
            tally.garbled += _only_refused(garbled(rng, written.text), written.mode)
            continue
        began = time.process_time()
        try:
            found = parse_matrix(written.text, written.mode)
        except DataError:
            tally.refused += 1
            continue
        finally:
            tally.slowest = max(tally.slowest, time.process_time() - began)
        if found.counts is not None:
            equal = np.array_equal(np.stack([found.counts.wins, found.counts.draws]), written.values)
        else:
            equal = np.allclose(found.margin, written.values, atol=1e-9)
        if equal and bare(found.names) == bare(written.names):
            tally.same += 1
        else:
            tally.other.append(f"{written.mode}\n{written.text!r}\n{found}")
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    tally = fuzz(asked.inputs, asked.seed)
    print(
        f"{asked.inputs} files: {tally.same} read as written, {tally.refused} refused, {len(tally.other)} read as "
        f"another matrix, {tally.garbled} garbled without a crash; slowest {tally.slowest:.2f} s"
    )
    for text in tally.other[:5]:
        print(text)


if __name__ == "__main__":
    main()
