"""What can happen to a run folder: damage, other versions, and hands that change what stands in it."""

import json
import random
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import yaml

from league.errors import LeagueError
from league.store.digests import checkpoint_digest, sealed_digest
from league.store.reader import RunReader
from league.store.verify import UNREADABLE

from .spoiling import ODD_TEXTS, odd_file, odd_value, spoil, spoil_text

FILES = ("league.db", "config.yaml", "versions.txt", "lock", "heartbeat.json", "stop", "warm-up.json", "events.jsonl")
FOLDERS = ("blobs", "journal", "tb", "pin-1.json", ".", "exports")
BLOCKS = {
    "checkpoints": "state",
    "rounds": "block",
    "details": "block",
    "figures": "block",
    "transcripts": "block",
}
"""Table → its column of compressed JSON."""


def spoil_run(rng: random.Random, folder: Path) -> str:
    """One to three changes to a run folder; returns them in words."""
    told = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        change = rng.choices(list(CHANGES), list(CHANGES.values()))[0]
        with suppress(sqlite3.Error, OSError, ValueError, yaml.YAMLError):  # spoilt too much to be spoilt further
            told.append(change(rng, folder))
    return "; ".join(told)


def swap_file(rng: random.Random, folder: Path) -> str:
    """A file or folder of the run is gone, or something else."""
    name = rng.choice([*FILES, *FILES[1:], *FOLDERS[:-1]])
    place = folder / name
    if name == ".":
        for each in folder.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        return "all gone"
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
    if name == "stop" and rng.random() < 0.5:
        place.write_text(
            json.dumps(rng.choice([{"wish": odd_value(rng)}, {"wish": "stop", "reason": odd_value(rng)}, 7]))
        )
        return "an odd wish to stop"
    return f"{name}: {odd_file(rng, place)}"


def spoil_json_file(rng: random.Random, folder: Path) -> str:
    """One of the JSON files beside the database has another shape."""
    name = rng.choice(["heartbeat.json", "lock", "warm-up.json", "stop"])
    beat = {"pid": 1, "at": 1.0, "round": 1, "phase": "generate", "detail": "", "since": 1.0}
    owner = {"pid": 1, "host": rng.choice(["here", ""]), "started": "1"}
    data: dict[str, object] = {"x": beat if name == "heartbeat.json" else owner if name == "lock" else {"waves": []}}
    spoil(rng, data)
    (folder / name).write_text(json.dumps(data.get("x", data)))
    return f"{name}: another shape"


def flip(rng: random.Random, folder: Path) -> str:
    """Bits flip in the database, the config or a blob."""
    files = [folder / "league.db"] * 3 + [folder / "config.yaml", *sorted(folder.glob("blobs/*/*"))[:4]]
    file = rng.choice(files)
    if not file.is_file():
        return f"{file.name} is gone"
    raw = bytearray(file.read_bytes())
    for _ in range(rng.choice([1, 1, 2, 30])):
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    if rng.random() < 0.15:
        del raw[rng.randrange(len(raw)) :]
    file.write_bytes(raw)
    return f"{file.name}: bits"


def change_cell(rng: random.Random, folder: Path) -> str:
    """One value, or a row, or a table of the database is another."""
    with closing(_open(folder)) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        table = rng.choice(tables)
        change = rng.randrange(10)
        if change == 0:
            db.execute(f"DROP TABLE {table}")
            return f"{table} dropped"
        if change == 1:
            db.execute(f"DELETE FROM {table}")
            return f"{table} emptied"
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        count = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        if not count:
            return f"{table} is empty"
        column, at = rng.choice(columns), rng.randrange(count)
        row = db.execute(f"SELECT {column} FROM {table} LIMIT 1 OFFSET ?", (at,)).fetchone()
        if change == 2:
            db.execute(f"DELETE FROM {table} WHERE {column} IS ?", row)
            return f"{table}: rows with {column} {str(row[0])[:30]!r} deleted"
        value = rng.choice([None, -1, 0, 1, 99, 2**63 - 1, 0.5, 1e308, b"", b"\xff\x00", zlib.compress(b"{}"), "", "x"])
        value = rng.choice([value, rng.choice(ODD_TEXTS).replace("\ud800", "")])
        db.execute(f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {column} IS ?", (value, *row))
        return f"{table}.{column}: {str(row[0])[:30]!r} is now {str(value)[:30]!r}"


def change_block(rng: random.Random, folder: Path) -> str:
    """The JSON of a block has another shape. Half the time its sums fit again: a hand did it, or another program."""
    table, column = rng.choice([*BLOCKS.items(), ("checkpoints", "state"), ("checkpoints", "state")])
    sealed = rng.random() < 0.5
    with closing(_open(folder)) as db:
        found = db.execute(f"SELECT rowid, {column} FROM {table} ORDER BY rowid DESC LIMIT 1").fetchone()
        if found is None:
            return f"{table} is empty"
        data = {"x": json.loads(zlib.decompress(found[1]))}
        told = spoil(rng, data)
        text = json.dumps(data.get("x", data)).encode()
        db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (zlib.compress(text), found[0]))
        if sealed:
            _seal(folder, db)
    return f"{table}: {told}{', sealed' if sealed else ''}"


def _seal(folder: Path, db: sqlite3.Connection) -> None:
    """Make the digests fit what the database holds now, as far as it can be read."""
    reader = RunReader(folder, db)
    for number in reader.kept_rounds():
        with suppress(LeagueError, *UNREADABLE):
            db.execute("UPDATE checkpoints SET digest = ? WHERE round = ?", (checkpoint_digest(reader, number), number))
        with suppress(LeagueError, *UNREADABLE):
            db.execute("UPDATE rounds SET digest = ? WHERE round = ?", (sealed_digest(reader, number), number))


def change_schema(rng: random.Random, folder: Path) -> str:
    """Another version's schema, or something else in it."""
    statement = rng.choice(
        [
            *(f"PRAGMA user_version = {number}" for number in (0, 2, 99, -1, -7)),
            "CREATE TABLE more (x)",
            "CREATE VIEW seen AS SELECT * FROM agents",
            "CREATE TRIGGER t AFTER INSERT ON rounds BEGIN DELETE FROM agents; END",
            "ALTER TABLE agents RENAME COLUMN name TO title",
            "ALTER TABLE versions ADD COLUMN extra",
            "DROP INDEX payoffs_by_col",
        ]
    )
    with closing(_open(folder)) as db:
        db.execute(statement)
    return statement


def change_config(rng: random.Random, folder: Path) -> str:
    """config.yaml was edited, or damaged."""
    from .door_inputs import bound

    path = folder / "config.yaml"
    if not path.is_file():
        return "no config.yaml"
    text = path.read_text(encoding="utf-8")
    if rng.random() < 0.4:
        path.write_text(spoil_text(rng, text), encoding="utf-8")
        return "config.yaml: text"
    data = yaml.safe_load(text)
    told = spoil(rng, data)
    path.write_text(yaml.safe_dump(bound(data), allow_unicode=True), encoding="utf-8")
    return f"config.yaml: {told}"


def _open(folder: Path) -> sqlite3.Connection:
    if not (folder / "league.db").is_file():
        raise FileNotFoundError(folder / "league.db")
    db = sqlite3.connect(folder / "league.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = DELETE")
    db.execute("PRAGMA ignore_check_constraints = ON")
    db.execute("PRAGMA synchronous = OFF")
    return db


CHANGES: dict[Callable[[random.Random, Path], str], float] = {
    swap_file: 3,
    spoil_json_file: 1,
    flip: 3,
    change_cell: 4,
    change_block: 5,
    change_schema: 1,
    change_config: 3,
}
"""Change → how often it is drawn."""
