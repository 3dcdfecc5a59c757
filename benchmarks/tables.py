"""How long a run of a million matches takes to become a DataFrame, and what plain SQL rows cost in bytes.

    python -m benchmarks.tables [--matches 1000000] [--rounds 15625]

The run is synthetic: two matches in three are contests of two live versions, one is a teaching match; every agent makes
a new version each round. Its rounds are written into a real store without digests, which no table reads.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

import league
from league.store import codec, match_rows
from league.store.run import RunStore

AGENTS = ("ada", "max", "adder", "speller")


def write_run(folder: Path, matches: int, rounds: int) -> None:
    """A store with this many matches, evenly over the rounds."""
    rng = random.Random(0)
    size = matches // rounds
    with RunStore.create(folder, "name: synthetic\n") as store:
        db = store.db
        db.execute("BEGIN")
        db.executemany("INSERT INTO agents VALUES (?,?)", [(key + 1, name) for key, name in enumerate(AGENTS)])
        db.execute("INSERT INTO slots VALUES (1, 'contest', 'contest', 'default', 'sums')")
        db.execute("INSERT INTO slots VALUES (2, 'teaching', 'teaching', 'default', 'sums')")
        db.execute("INSERT INTO scalar_names VALUES (1, 'reward/ada')")
        for number in range(rounds):
            first = 4 * number + 1
            rows = [_match(rng, number, place, first) for place in range(size)]
            scalars = codec.pack_scalars({"reward/ada": rng.random()}, {"reward/ada": 1})
            db.execute(
                "INSERT INTO rounds VALUES (?,?,?,?,?,?,?)",
                (number, 1.0, float(number), size, codec.pack_rows(rows), scalars, b""),
            )
            db.executemany(
                "INSERT INTO versions VALUES (?,?,?,?,?,NULL,NULL,?,NULL)",
                [(first + at, at + 1, number, "student", number, "update") for at in range(4)],
            )
        db.execute("COMMIT")


def fill(folder: Path) -> int:
    """Write the plain rows; returns the bytes by which the database grew."""
    with RunStore.open(folder) as store:  # fills what is missing, as for a run of an older version
        store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert match_rows.is_filled(store)
        names = "('match_rows', 'match_outcomes')"
        return int(store.db.execute(f"SELECT sum(pgsize) FROM dbstat WHERE name IN {names}").fetchone()[0])


def _match(rng: random.Random, number: int, place: int, first: int) -> list[object]:
    if place % 3 == 2:
        teacher, student = first + 2 + rng.randrange(2), first + rng.randrange(2)
        total = rng.randrange(-8, 9) / 16
        outcome = [2, teacher, student, 0, 0, 0, 16, total, total * total]
        seats = {"teacher": teacher, "student": student}
        return [f"{number}-teaching-{place}", "teaching", "train", "default", [1.0, 0.0, 0.0], seats, None, [outcome]]
    one, two = rng.sample(range(first, first + 4), 2)
    wins = rng.randrange(9)
    outcome = [1, one, two, wins, 0, 8 - wins, 8, 0.0, 0.0]
    seats = {"player-1": one, "player-2": two}
    return [f"{number}-contest-{place}", "contest", "train", "default", [1.0, 0.0, 0.0], seats, None, [outcome]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matches", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15_625)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        write_run(folder, chosen.matches, chosen.rounds)
        packed = (folder / "league.db").stat().st_size
        plain = fill(folder)
        run = league.open(folder)
        import pandas  # noqa: F401 (its import is not the table's time)

        found: dict[str, object] = {"matches": chosen.matches, "rounds": chosen.rounds}
        found |= {"bytes a match, packed": packed / chosen.matches, "bytes a match, plain rows": plain / chosen.matches}
        for name, read in (
            ("matches", run.matches),
            ("seats", run.seats),
            ("outcomes", run.outcomes),
            ("scalars", run.scalars),
            ("lineage", run.lineage),
            ("sql: matches_view", lambda: run.sql("SELECT * FROM matches_view")),
            ("sql: payoffs by outcome", lambda: run.sql("SELECT row, col, sum(wins) FROM outcomes_view GROUP BY 1, 2")),
            ("sql: scalars_view", lambda: run.sql("SELECT * FROM scalars_view")),
        ):
            wall, cpu = time.perf_counter(), time.process_time()
            rows = len(read())
            found[name] = {
                "rows": rows,
                "seconds": round(time.perf_counter() - wall, 2),
                "CPU seconds": round(time.process_time() - cpu, 2),
            }
        print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
