"""Flip bytes in every kind of blob and anywhere in the database.

A flip is either noticed or changes nothing that counts.
"""

import argparse
import json
import random
import shutil
import sqlite3
import tempfile
from collections import Counter
from pathlib import Path

from league.errors import LeagueError, RunFolderError
from league.store.digests import run_digest
from league.store.repair import repair
from league.store.verify import verify

from .scripted import Script, rate, run_to


def flip(path: Path, offset: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ (1 << bit)]))


def blob_files(folder: Path) -> list[tuple[str, Path]]:
    """(kind, file) for one adapter and one optimizer of the newest round, tensors and metadata of each."""
    found = []
    for blob in sorted((folder / "blobs").iterdir()):
        kind = json.loads((blob / "meta.json").read_text())["kind"]
        found += [(f"{kind} {file.name}", file) for file in sorted(blob.iterdir())]
    return found


def flip_blobs(scratch: Path, seed: int, per_file: int) -> dict[str, object]:
    """Flip bits of every file of every blob.

    Verify must notice each, and repair must end sound or refuse in words.
    """
    base = scratch / "base"
    run_to(base, 7, Script())
    rng, kinds, missed, repaired = random.Random(seed), Counter[str](), [], Counter[str]()
    for kind, file in blob_files(base):
        size = file.stat().st_size
        for offset in {0, size - 1, *(rng.randrange(size) for _ in range(per_file))}:
            folder = fresh_copy(base, scratch / "try")
            flip(folder / file.relative_to(base), offset, rng.randrange(8))
            kinds[kind] += 1
            if verify(folder, rate).sound:
                missed.append(f"{kind} at {offset}")
            repaired[_repair(folder)] += 1
    return {"flips": dict(kinds), "missed": missed, "repairs": dict(repaired)}


def flip_database(scratch: Path, seed: int, count: int) -> dict[str, object]:
    """Flip bits all over league.db. Sound afterwards must mean: the same run."""
    base = scratch / "dbase"
    run_to(base, 12, Script())
    expected, size = run_digest(base), (base / "league.db").stat().st_size
    rng, outcome, wrong, repaired = random.Random(seed), Counter[str](), [], Counter[str]()
    for _ in range(count):
        offset, bit = rng.randrange(size), rng.randrange(8)
        folder = fresh_copy(base, scratch / "dtry")
        flip(folder / "league.db", offset, bit)
        try:
            sound = verify(folder, rate).sound
        except RunFolderError:
            outcome["refused"] += 1
            continue
        if sound and run_digest(folder) != expected:
            wrong.append(f"byte {offset} bit {bit}: called sound, but the run is another")
        outcome["harmless" if sound else "noticed"] += 1
        if not sound:
            repaired[_repair(folder)] += 1
    return {"bytes": size, "outcomes": dict(outcome), "wrong": wrong, "repairs": dict(repaired)}


def _repair(folder: Path) -> str:
    """What `--repair` came to; a repaired run must also go on."""
    try:
        report = repair(folder, rate)
    except RunFolderError:
        return "refused in words"
    if not report.sound:
        return f"UNSOUND: {report.problems[0]}"
    try:
        run_to(folder, (report.round or 0) + 3, Script())
    except (LeagueError, sqlite3.Error, KeyError) as error:
        return f"DOES NOT GO ON: {error}"
    # Without `rate`: the scripted league's state goes on from the ratings before damaged matches were dropped.
    return "repaired" if verify(folder).sound else "UNSOUND after going on"


def fresh_copy(base: Path, folder: Path) -> Path:
    """A copy of a run in place of whatever was there."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("per_file", type=int, help="flips in each file of each blob")
    parser.add_argument("count", type=int, help="flips in the database")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        blobs = flip_blobs(Path(scratch), 1, asked.per_file)
        print(json.dumps({"blobs": blobs, "database": flip_database(Path(scratch), 2, asked.count)}))


if __name__ == "__main__":
    main()
