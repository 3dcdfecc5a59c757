"""One flipped bit of a page's structure, found again by SQLite's own check.

A page says where its cells are and how long each is, and SQLite accounts for every byte of it. So where a bit of these
places flipped, trying each of them the other way round makes the check pass again.
"""

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

PAGE = 8192
"""Bytes of a page. `run.connect` sets it for every new database."""
SECONDS = 60.0
"""How long is searched. A try costs a check of the whole database."""
INTERIOR, LEAF = (2, 5), (10, 13)
"""First bytes of pages that lead to other pages, and of those that hold the rest."""
CELL_HEAD = 24
"""Bytes at the start of a cell that may say how long it is, and what is in it."""
_NUMBER = re.compile(r"[Pp]age (\d+)")


def put_structure_right(path: Path, sound: Callable[[sqlite3.Connection], bool]) -> bool:
    """Flip the one bit of the database's file after which it is `sound`.

    False, and nothing changed, where there is none.
    """
    raw, until = path.read_bytes(), time.monotonic() + SECONDS
    for place in _places(path, raw):
        for bit in range(8):
            _put(path, place, raw[place] ^ (1 << bit))
            try:
                with closing(sqlite3.connect(f"file:{path.absolute()}?mode=ro", uri=True)) as connection:
                    if sound(connection):
                        return True
            except (sqlite3.DatabaseError, UnicodeDecodeError):
                pass
        _put(path, place, raw[place])
        if time.monotonic() > until:
            return False
    return False


def _put(path: Path, place: int, byte: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes([byte]))


def _places(path: Path, raw: bytes) -> Iterator[int]:
    """Offsets in the file: headers of pages, then lists of cells and heads of cells of odd ones."""
    suspicious = _named(path, raw)
    leaves = [number for number in range(2, len(raw) // PAGE + 1) if raw[(number - 1) * PAGE] in LEAF]
    for number in dict.fromkeys([*suspicious, *leaves]):
        yield from range((number - 1) * PAGE, (number - 1) * PAGE + 12)
    for number in suspicious:
        start = (number - 1) * PAGE
        page = raw[start : start + PAGE]
        head = 12 if page[0] in INTERIOR else 8
        count = min(int.from_bytes(page[3:5], "big"), (PAGE - head) // 2)
        pointers = [int.from_bytes(page[head + 2 * i : head + 2 * i + 2], "big") for i in range(count)]
        heads = [pointer + at for pointer in pointers for at in range(CELL_HEAD) if pointer + at < PAGE]
        free = int.from_bytes(page[1:3], "big")
        for place in dict.fromkeys((*range(head, head + 2 * count), *range(free, min(free + 4, PAGE)), *heads)):
            yield start + place


def _named(path: Path, raw: bytes) -> list[int]:
    """Pages to look at, the most suspicious first.

    Those that the check complains of, those of no kind that there is, then all that lead to
    others. The check may end in an error, before or after its first lines.
    """
    lines: list[str] = []
    try:
        with closing(sqlite3.connect(f"file:{path.absolute()}?mode=ro", uri=True)) as connection:
            for row in connection.execute("PRAGMA integrity_check(100)"):
                lines.append(str(row[0]))
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        pass
    told = [int(number) for line in lines if "never used" not in line for number in _NUMBER.findall(line)]
    kinds = {number: raw[(number - 1) * PAGE] for number in range(2, len(raw) // PAGE + 1)}
    odd = [number for number, kind in kinds.items() if kind and kind not in (*INTERIOR, *LEAF)]
    inner = [number for number, kind in kinds.items() if kind in INTERIOR]
    return [number for number in dict.fromkeys([*told, *odd, *inner]) if number in kinds]
