"""Flip bits in every table and index of a database, in every kind of page, and in the copies beside it.

A flip is found, or proven harmless: every row of every table reads as before. What is found is repaired: to the same
digest, or back to a whole round, or refused in words.

python -m tests.chaos.pages FLIPS [SEED] [-v]     so many flips for each kind of page of each table
"""

import argparse
import json
import random
import sqlite3
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from league.errors import LeagueError, RunFolderError
from league.store.digests import future_digest
from league.store.repair import repair
from league.store.run import RunStore
from league.store.verify import verify
from league.types import Version

from .damage import flip, fresh_copy
from .scripted import Script, rate, run_to

PAGE = 8192
SCRIPT = Script(agents=4, matches=8, transcripts=6, scalars=40)
ROUNDS = 30


@dataclass
class Found:
    """What became of the flips in one kind of place."""

    flips: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def make(folder: Path) -> None:
    """A run with every kind of page: interior ones, overflow, free ones. Two versions are pinned."""
    run_to(folder, ROUNDS, SCRIPT)
    with RunStore.open(folder, SCRIPT.retention) as store:
        for agent, version in store.live().items():
            if agent in ("agent-0", "agent-1"):
                store.pin(Version(agent, version.step), "export")
        store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def places(database: Path) -> dict[str, list[int]]:
    """ "TABLE KIND" → numbers of its pages, from 1. Free pages are "free"; page 1 is told in its two halves."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT name, pagetype, pageno FROM dbstat WHERE pageno > 1").fetchall()
        (count,) = connection.execute("PRAGMA page_count").fetchone()
    found: dict[str, list[int]] = {}
    for name, kind, number in rows:
        found.setdefault(f"{name} {kind}", []).append(number)
    used = {number for _, _, number in rows}
    if free := sorted(set(range(2, count + 1)) - used):
        found["free"] = free
    return found


def contents(folder: Path) -> list[tuple[str, list[tuple]]]:
    """Every row of every table, sorted; compressed blocks by what they hold.

    The last bits of a compressed stream only fill its last byte, and some codes of it stand for nothing.
    """
    with closing(sqlite3.connect(f"file:{folder / 'league.db'}?mode=ro", uri=True)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
        rows = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    return [(name, sorted((tuple(map(unpacked, row)) for row in found), key=repr)) for name, found in rows.items()]


def unpacked(value: object) -> object:
    """What a compressed block holds; anything else as it is."""
    try:
        return zlib.decompress(value) if isinstance(value, bytes) else value
    except zlib.error:
        return value


def offsets(raw: bytes, pages: list[int], count: int, rng: random.Random) -> list[int]:
    """Places in these pages: three of four among bytes that are not zero, for most of a small table's page is empty."""
    found = []
    for _ in range(count):
        start = (rng.choice(pages) - 1) * PAGE
        used = [start + place for place, byte in enumerate(raw[start : start + PAGE]) if byte]
        found.append(rng.choice(used) if used and rng.random() < 0.75 else start + rng.randrange(PAGE))
    return found


def flip_everywhere(scratch: Path, count: int, seed: int, every: int = 1) -> Iterator[tuple[str, Found]]:
    """(place, what became of `count` flips there) for every kind of place, or each of so many."""
    base, rng = scratch / "base", random.Random(seed)
    make(base)
    before, expected, raw = contents(base), future_digest(base), (base / "league.db").read_bytes()
    assert verify(base, rate).sound
    tried = {place: offsets(raw, pages, count, rng) for place, pages in places(base / "league.db").items()}
    tried["header"] = [rng.randrange(100) for _ in range(count)]
    tried["schema"] = [rng.choice([at for at in range(100, PAGE) if raw[at]]) for _ in range(count)]
    tried["config.yaml"] = [rng.randrange((base / "config.yaml").stat().st_size) for _ in range(count)]
    for place, found in list(tried.items())[::every]:
        here = Found()
        file = "config.yaml" if place == "config.yaml" else "league.db"
        for offset in found:
            folder, bit = fresh_copy(base, scratch / "try"), rng.randrange(8)
            flip(folder / file, offset, bit)
            result = judge(folder, before, expected)
            here.flips += 1
            here.outcomes[result] += 1
            if result.startswith(("MISSED", "UNSOUND", "STUCK")):
                here.wrong.append(f"{file} byte {offset} bit {bit}: {result}")
        yield place, here


def judge(folder: Path, before: list[tuple[str, list[tuple]]], expected: str) -> str:
    """What became of one flip."""
    report = verify(folder, rate)
    if report.sound:
        return "harmless" if contents(folder) == before and report.digest == expected else "MISSED"
    try:
        after = repair(folder, rate)
    except RunFolderError as error:
        return f"refused: {str(error).partition(':')[2][:60]}" if "-v" in sys.argv else "refused in words"
    if not after.sound:
        return f"UNSOUND: {after.problems[0]}"
    whole = after.digest == expected
    try:
        run_to(folder, (after.round or 0) + 2, SCRIPT)
    except (LeagueError, sqlite3.Error, KeyError) as error:
        return f"STUCK: {error}"
    if not verify(folder).sound:
        return f"UNSOUND after going on: {verify(folder).problems[0]}"
    return "restored" if whole else "fell back" if after.round != ROUNDS - 1 else "lost some history"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flips", type=int)
    parser.add_argument("seed", type=int, nargs="?", default=1)
    parser.add_argument("-v", action="store_true", help="say why a repair was refused")
    asked = parser.parse_args()
    began, total, results = time.process_time(), Counter[str](), []
    with tempfile.TemporaryDirectory() as scratch:
        for place, found in flip_everywhere(Path(scratch), asked.flips, asked.seed):
            print(json.dumps({place: found.flips, **found.outcomes, "wrong": found.wrong}), flush=True)
            total += found.outcomes
            results.append(found)
    wrong, flips = (sum(len(found.wrong) for found in results), sum(found.flips for found in results))
    print(json.dumps({"places": len(results), "flips": flips, **total, "wrong": wrong}))
    print(f"{time.process_time() - began:.0f} CPU-seconds", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
