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
CELL_HEAD = 24
"""Bytes at the start of a cell that may say how long it is, and what is in it."""
_NUMBER = re.compile(r"[Pp]age (\d+)")


def put_structure_right(path: Path, sound: Callable[[sqlite3.Connection], bool]) -> bool:
    """Flip the one bit of the database's file after which it is `sound`; False, and nothing changed, without one."""
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
    """Offsets in the file: of each page that the check names, its header, its list of cells, the heads of its cells."""
    seen: set[int] = set()
    for number in _named(path):
        start = (number - 1) * PAGE
        page = raw[start : start + PAGE]
        if len(page) < PAGE or number == 1:
            continue
        head = 12 if page[0] in (2, 5) or page[0] & 0x08 == 0 else 8
        count = min(int.from_bytes(page[3:5], "big"), (PAGE - head) // 2)
        pointers = [int.from_bytes(page[head + 2 * i : head + 2 * i + 2], "big") for i in range(count)]
        heads = [pointer + at for pointer in pointers for at in range(CELL_HEAD) if pointer + at < PAGE]
        free = int.from_bytes(page[1:3], "big")
        for place in (*range(12), *range(head, head + 2 * count), *range(free, min(free + 4, PAGE)), *heads):
            if start + place not in seen:
                seen.add(start + place)
                yield start + place


def _named(path: Path) -> list[int]:
    """Pages that the check complains of."""
    try:
        with closing(sqlite3.connect(f"file:{path.absolute()}?mode=ro", uri=True)) as connection:
            lines = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(100)")]
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return []
    return list(dict.fromkeys(int(number) for line in lines for number in _NUMBER.findall(line) if int(number) < 2**31))
