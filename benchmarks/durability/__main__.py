"""Durability in figures: sizes, memory, latencies and start-up of the store.

Each command prints one JSON line.

python -m benchmarks.durability long 10000     rounds of 64 matches: sizes, memory slope, commit latency, resume time
python -m benchmarks.durability readers 300    commit latency alone and with four readers
python -m benchmarks.durability payoffs        1,000 agents, 1M matches: one agent's row, the whole matrix
python -m benchmarks.durability weights        seconds to store the adapters and optimizers of a real round
"""

import argparse
import json
import multiprocessing
import multiprocessing.sharedctypes
import multiprocessing.synchronize
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from league.store.records import Retention, RoundRecord
from league.store.run import RunStore
from league.types import Match, MatchResult, Outcome, Version, VersionRow
from tests.chaos.scripted import Script, play_round
from tests.helpers.payoff_cells import cell_matrix

LEAGUE = Script(
    agents=8, matches=64, width=64, snapshot_every=50, snapshots=8, transcripts=0, scalars=60, retention=Retention()
)


def timed_rounds(store: RunStore, rounds: int, script: Script) -> list[float]:
    """Seconds of each commit alone (blobs and the making of the round excluded)."""
    seconds: list[float] = []
    real = store.commit

    def commit(record: RoundRecord) -> None:
        started = time.perf_counter()
        real(record)
        seconds.append(time.perf_counter() - started)

    store.commit = commit  # type: ignore[method-assign]
    for _ in range(rounds):
        play_round(store, script)
    store.commit = real  # type: ignore[method-assign]
    return seconds


def quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "median_ms": round(1000 * statistics.median(ordered), 2),
        "p95_ms": round(1000 * ordered[int(0.95 * len(ordered))], 2),
    }


def resident() -> int:
    """Bytes of memory in use by this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def run_long(scratch: Path, rounds: int) -> dict[str, object]:
    store = RunStore.create(scratch / "run", "name: long\n", LEAGUE.retention)
    step, memory, seconds = max(1, rounds // 100), [], []
    started = time.process_time()
    for done in range(0, rounds, step):
        seconds += timed_rounds(store, step, LEAGUE)
        memory.append((done + step, resident()))
    warm = np.array(memory[len(memory) // 5 :])
    slope = np.polyfit(warm[:, 0], warm[:, 1], 1)[0]
    pages = {row[0]: row[1] for row in _sizes(store)}
    store.close()
    size = (scratch / "run" / "league.db").stat().st_size
    blobs = sum(file.stat().st_size for file in (scratch / "run" / "blobs").rglob("*") if file.is_file())
    reopen = time.perf_counter()
    store = RunStore.open(scratch / "run", LEAGUE.retention)
    store.state(), store.live()
    opened = time.perf_counter()
    count = sum(1 for _ in store.outcomes())
    read = time.perf_counter()
    store.close()
    return {
        "rounds": rounds,
        "matches": rounds * LEAGUE.matches,
        "cpu_seconds": round(time.process_time() - started, 1),
        "database_MB": round(size / 1e6, 2),
        "tables_MB": pages,
        "blobs_MB": round(blobs / 1e6, 2),
        "memory_slope_bytes_per_round": round(float(slope), 1),
        "memory_MB": [round(value / 1e6, 1) for _, value in memory[:: len(memory) // 5]],
        "commit_first_tenth": quantiles(seconds[: rounds // 10]),
        "commit_last_tenth": quantiles(seconds[-(rounds // 10) :]),
        "open_state_and_members_s": round(opened - reopen, 4),
        "all_outcomes_s": round(read - opened, 2),
        "outcomes": count,
        "status_process_s": _process_seconds(
            f"from league.store.reader import RunReader as R; r = R.read({str(scratch / 'run')!r}); r.live(); r.state()"
        ),
        "import_process_s": _process_seconds("pass"),
    }


def _sizes(store: RunStore) -> list[tuple[str, float]]:
    """MB of the rows' own bytes in the large tables (dbstat is not compiled into every SQLite)."""
    rows = []
    for name, column in (("rounds: matches", "block"), ("rounds: scalars", "scalars")):
        rows.append((name, round(store.db.execute(f"SELECT sum(length({column})) FROM rounds").fetchone()[0] / 1e6, 2)))
    rows.append(("details", round(store.db.execute("SELECT sum(length(block)) FROM details").fetchone()[0] / 1e6, 2)))
    for name in ("versions", "ratings", "payoffs"):
        rows.append((f"{name}: rows", store.db.execute(f"SELECT count(*) FROM {name}").fetchone()[0]))
    return rows


def _process_seconds(code: str) -> float:
    """Median wall seconds of a fresh interpreter running `code`."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append(time.perf_counter() - started)
    return round(statistics.median(times), 3)


def read_until(
    folder: str, stop: "multiprocessing.synchronize.Event", count: "multiprocessing.sharedctypes.Synchronized[int]"
) -> None:
    """A reader: opens, asks what status and payoffs ask, closes, again and again, ten times a second."""
    while not stop.is_set():
        with RunStore.read(Path(folder)) as reader:
            reader.state(), reader.live(), reader.ratings(), reader.payoffs("contest", "duel"), reader.round_scalars()
        with count.get_lock():
            count.value += 1
        time.sleep(0.1)


def run_readers(scratch: Path, rounds: int) -> dict[str, object]:
    """Blocks of rounds alone and with four readers, interleaved.

    The machine's other load falls on both.
    """
    store = RunStore.create(scratch / "run", "name: readers\n", LEAGUE.retention)
    timed_rounds(store, 50, LEAGUE)
    alone: list[float] = []
    watched: list[float] = []
    reads = multiprocessing.Value("i", 0)
    for _ in range(5):
        alone += timed_rounds(store, rounds // 5, LEAGUE)
        stop = multiprocessing.Event()
        readers = [multiprocessing.Process(target=read_until, args=(str(store.folder), stop, reads)) for _ in range(4)]
        for reader in readers:
            reader.start()
        watched += timed_rounds(store, rounds // 5, LEAGUE)
        stop.set()
        for reader in readers:
            reader.join()
    log = (store.folder / "league.db-wal").stat().st_size  # it grows while a stuck reader holds it back
    store.close()
    return {
        "rounds": rounds,
        "alone": quantiles(alone),
        "four_readers": quantiles(watched),
        "reads": reads.value,
        "log_MB": round(log / 1e6, 2),
    }


def random_contests(
    rng: np.random.Generator, versions: list[Version], number: int, matches: int
) -> tuple[MatchResult, ...]:
    """The matches of round `number`: three games each between two versions drawn at random."""
    pairs = rng.integers(0, len(versions), (matches, 2)).tolist()
    wins = rng.integers(0, 4, matches).tolist()
    results = []
    for index, ((a, b), won) in enumerate(zip(pairs, wins, strict=True)):
        seats = {"one": versions[a], "two": versions[b]}
        match = Match(id=f"r{number}m{index}", task="duel", round=number, seats=seats, problems=(), seed=index)
        outcome = Outcome(
            relation="contest",
            task="duel",
            situation="default",
            domain="",
            row=versions[a],
            col=versions[b],
            wins=won,
            draws=0,
            losses=3 - won,
            n=3,
        )
        results.append(MatchResult(match, {}, (outcome,), None))
    return tuple(results)


def run_payoffs(scratch: Path, agents: int = 1000, matches: int = 1_000_000) -> dict[str, object]:
    """Fill a league of frozen agents with random contests, then read."""
    store = RunStore.create(scratch / "run", "name: payoffs\n", Retention(detail_rounds=0))
    rng, per_round = np.random.default_rng(0), 10_000
    versions = [Version(f"agent-{index}", 0) for index in range(agents)]
    rows = tuple(
        VersionRow(version=version, role="scripted", round=0, blob=None, optimizer=None, parents=(), reason="created")
        for version in versions
    )
    live, commits = {version.agent: version for version in versions}, []
    for number in range(matches // per_round):
        results = random_contests(rng, versions, number, per_round)
        started = time.perf_counter()
        store.commit(
            RoundRecord(
                round=number,
                versions=rows if number == 0 else (),
                matches=results,
                ratings=(),
                scalars={},
                live=live,
                state={},
            )
        )
        commits.append(time.perf_counter() - started)
    store.close()
    reader = RunStore.read(scratch / "run")
    row_seconds, matrix_seconds = [], []
    for index in range(50):
        started = time.perf_counter()
        reader.payoff_row(versions[index], "contest", "duel")
        row_seconds.append(time.perf_counter() - started)
    for _ in range(3):
        started = time.perf_counter()
        cells = reader.payoffs("contest", "duel")
        wins_matrix = cell_matrix(cells, cells.wins)
        matrix_seconds.append(time.perf_counter() - started)
    started = time.perf_counter()
    sums = reader.recompute_payoffs()
    recompute = time.perf_counter() - started
    assert sums == reader.stored_payoffs() and wins_matrix.shape == (agents, agents)
    return {
        "agents": agents,
        "matches": matches,
        "cells": len(sums),
        "one_agents_row": quantiles(row_seconds),
        "whole_matrix_s": round(statistics.median(matrix_seconds), 2),
        "recompute_all_s": round(recompute, 1),
        "commit_of_10000_matches_s": round(statistics.median(commits), 2),
        "database_MB": round((scratch / "run" / "league.db").stat().st_size / 1e6, 1),
    }


def run_weights(scratch: Path, agents: int = 5, parameters: int = 2_442_240) -> dict[str, object]:
    """Adapters (fp32) and both AdamW moments of `agents` rank-8 adapters.

    On all linear layers of SmolLM2-135M.
    """
    store = RunStore.create(scratch / "run", "name: weights\n")
    rng = np.random.default_rng(0)
    write, commit = [], []
    for number in range(4):
        arrays = [rng.normal(size=parameters).astype(np.float32) for _ in range(agents)]
        started = time.perf_counter()
        rows = []
        for index, array in enumerate(arrays):
            blob = store.blobs.write_blob({"w": array}, {})
            optimizer = store.blobs.write_blob({"m": array + 1, "v": array + 2}, {})
            rows.append(
                VersionRow(
                    version=Version(f"agent-{index}", number),
                    role="student",
                    round=number,
                    blob=blob,
                    optimizer=optimizer,
                    parents=(),
                    reason="update",
                )
            )
        write.append(time.perf_counter() - started)
        started = time.perf_counter()
        store.commit(
            RoundRecord(
                round=number,
                versions=tuple(rows),
                matches=(),
                ratings=(),
                scalars={},
                live={row.version.agent: row.version for row in rows},
                state={},
            )
        )
        store.collect_garbage()
        commit.append(time.perf_counter() - started)
    store.close()
    return {
        "MB": round(agents * parameters * 12 / 1e6),
        "blobs_s": round(statistics.median(write), 2),
        "commit_s": round(statistics.median(commit), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["long", "readers", "payoffs", "weights"])
    parser.add_argument("amount", type=int, nargs="?", default=0, help="rounds; of long and readers")
    asked = parser.parse_args()
    kind, amount = asked.kind, asked.amount
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        runs = {
            "long": lambda: run_long(folder, amount or 10_000),
            "readers": lambda: run_readers(folder, amount or 300),
            "payoffs": lambda: run_payoffs(folder),
            "weights": lambda: run_weights(folder),
        }
        print(json.dumps({kind: runs[kind]()}))


if __name__ == "__main__":
    main()
