"""A CSV file's bytes as rows of cells, in every way that they can be read.

What a file leaves open (which mark separates cells, whether a line that begins with # is a comment) is not decided
here: each way is a `Table`, the likeliest first, and who knows what a table should hold takes the one that fits. Files
of spreadsheets may say their separator in a first line `sep=;`.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from league.errors import LONG_NAME, DataError

SEPARATORS = ",;\t"
MAX_NAMES = 5_000
"""More names than this are a file of another kind; a table of them would have 25 million cells."""
MOST_BYTES = 500_000_000
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_SAID = re.compile(r'"?sep=(.)"?[,;\t]*', re.IGNORECASE)
_BREAK = re.compile(r"\r\n|\r|\n")


T = TypeVar("T")


@dataclass(frozen=True)
class Table:
    """Rows of stripped cells, as many as each line has; no row is empty."""

    rows: list[list[str]]
    separator: str


def read_text(path: Path, encoding: str) -> str:
    """A text file. Raises DataError where it is none in `encoding`, with the remedy."""
    try:
        "".encode(encoding)  # what is no encoding of texts, such as hex, is a LookupError as well
        codec = codecs.lookup(encoding).name
    except (LookupError, ValueError):  # ValueError: a zero byte in the name, or a codec that refuses everything
        raise DataError(f"--encoding: {encoding[:LONG_NAME]!r} is unknown; try utf-8, cp1252 or utf-16") from None
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path}: has more than {MOST_BYTES // 10**6} MB; expected a payoff matrix")
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        why = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{str(path)[:LONG_NAME]}: cannot be read ({why}); expected a CSV file") from error
    if codec == "utf-8":
        codec = "utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    try:
        return data.decode(codec)
    except (UnicodeError, ValueError) as error:
        at = error.start if isinstance(error, UnicodeDecodeError) else 0
        line, page = 1 + data[:at].count(b"\n"), "utf-16-le" if b"\0" in data else "cp1252"
        raise DataError(
            f"{path}: is no {codec.removesuffix('-sig')} text (byte 0x{data[at]:02X} in line {line}); "
            f"save it as 'CSV UTF-8', or say its code page, e.g. --encoding {page}"
        ) from error


def tables_of(text: str) -> Iterator[Table]:
    """Every way to read the text that is CSV at all, the likeliest first.

    Raises DataError where there is none.
    """
    if "\x00" in text:
        raise DataError("expected a text file; found zero bytes (saved as UTF-16? say --encoding utf-16-le)")
    lines = [line for line in _BREAK.split(text) if line.strip()]
    said = _SAID.fullmatch(lines[0].strip(" ")) if lines else None
    if said:
        lines = lines[1:]
        if said.group(1) not in f"{SEPARATORS}|":
            raise DataError(
                f"the first line says that {said.group(1)!r} separates cells: write one of , ; | or a tab there "
                "and between the cells"
            )
    if not lines:
        raise DataError("the file is empty; write a first row of names and one row per agent")
    plain = [line for line in lines if not line.lstrip().startswith("#")]
    ways = [lines] if len(plain) in (0, len(lines)) else [plain, lines]
    failure: DataError | None = None
    found = False
    for way in ways:
        for separator in said.group(1) if said else _separators(way[0]):
            try:
                yield Table(_rows(way, separator), separator)
                found = True
            except DataError as error:
                failure = failure or error
    if not found and failure is not None:
        raise failure


def the_one_reading(text: str, build: Callable[[Table], T]) -> T:
    """What `build` makes of the one way to read the text that it takes.

    Where it takes none, the error of the likeliest way; where it takes two and they differ, a DataError.
    """
    made: list[tuple[Table, T]] = []
    failure: DataError | None = None
    for table in tables_of(text):
        try:
            made.append((table, build(table)))
        except DataError as error:
            failure = failure or error
    if not made:
        raise failure or DataError("no agents: expected a first row of names and one row per agent")
    first, value = made[0]
    for other, _ in made[1:]:
        if other.rows != first.rows:
            raise DataError(
                f"can be read in two ways, with {_named(first)} and with {_named(other)}; "
                "say which by a first line such as sep=; and take comments out"
            )
    return value


def _named(table: Table) -> str:
    mark = {"\t": "a tab", ",": "a comma", ";": "a semicolon"}.get(table.separator, repr(table.separator))
    return f"{mark} between {len(table.rows[0])} cells of the first row"


def _separators(header: str) -> list[str]:
    """The marks outside quotes in the header, the most frequent first.

    A comma where there is none.
    """
    bare = _QUOTED.sub("", header)
    return sorted((mark for mark in SEPARATORS if mark in bare), key=lambda mark: -bare.count(mark)) or [","]


def _rows(lines: list[str], separator: str) -> list[list[str]]:
    try:
        read = csv.reader(io.StringIO("\n".join(lines)), delimiter=separator, strict=True, skipinitialspace=True)
        rows = [[cell.strip() for cell in row] for row in read]
    except csv.Error as error:
        raise DataError(
            f"not a readable CSV table ({error}): close every quote, and write a quote within quotes twice"
        ) from error
    rows = [row for row in rows if any(row)]
    if not rows:
        raise DataError("no agents: expected a first row of names and one row per agent; write them so")
    return rows
