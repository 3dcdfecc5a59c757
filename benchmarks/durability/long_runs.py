"""Long runs through the program itself, one JSON line each.

Memory slope, sizes, resume time, and what durability takes of a round.

python -m benchmarks.durability.long_runs scripted 10000 [MATCHES]
    a league of eight scripted agents: matchmaking, ratings, TensorBoard and all
python -m benchmarks.durability.long_runs real 1800
    a tiny real-torch league: AdamW, sampling, PFSP, snapshots, exams
python -m benchmarks.durability.long_runs real 1800 bare
    the same without TensorBoard, whose pictures come and go by 30 MB: the league's own memory

Warm-up is the first fifth of the rounds, and at least as many as single outcomes are kept for: until then a league
grows by design. What else fills only slowly and then stays is SQLite's pages (2 MB) and encoded prompts (10 MB), and
two tables that are filled here in round 0, the tokenizer's words and the interpreter's table of names. The slope is
given twice: by least squares, which every reading moves, and as the median over all pairs of readings (Theil 1950,
Sen 1968), which a single step does not.

Sizes of a league whose agents all learn (eight new versions a round) are `benchmarks.durability long`'s. CPU-seconds
are of this process.
"""

import argparse
import gc
import json
import math
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.stats import theilslopes

from league.config import Config, parse_config
from league.loop import train
from league.model.base import BaseModel
from league.model.memory import release_freed_memory
from league.payoffs.view import HISTORY
from league.preflight.checks import prepare
from league.round.report import LiveReport
from league.round.values import RoundReport
from league.runtime.assembly import restore, retention_of
from league.runtime.league import League
from league.store.commit import TRIM_EVERY
from league.store.run import RunStore
from tests.chaos.tiny import write

LEAN = (
    "tasks.contest.matches=2", "tasks.contest.settings.answers=3", "tasks.teaching.matches=1", "evaluation.every=20",
    "evaluation.held_out_student=false", "league.transcripts_per_round=1",
)  # fmt: skip
"""Half the CPU a round of the league that is killed hundreds of times (`tests.chaos.tiny`).

Every mechanism is still in play.
"""


def warm_up(rounds: int) -> int:
    """Rounds left out of the slope."""
    full = HISTORY + TRIM_EVERY
    return max(rounds // 5, full if full < 0.8 * rounds else 0)


SCRIPTED = """\
name: long
seed: 1
runs: {runs}
agents:
{agents}
tasks:
  game: {{kind: matrix_game, matches: {matches}, matchmaking: {{pfsp: 1.0}}, settings: {{game: rock-paper-scissors}}}}
league: {{rounds: {rounds}, transcripts_per_round: 0}}
"""


def resident() -> int:
    """Bytes of memory in use by this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class Meter(LiveReport):
    """The usual audience, and readings of memory."""

    def __init__(self, folder: Path, rounds: int, bare: bool):
        super().__init__(folder, rounds, quiet=True)
        self.bare = bare
        self.step = max(1, rounds // 100)
        self.readings: list[tuple[int, int]] = []
        self.clock: dict[str, float] = {}

    def round(self, league: League, report: RoundReport) -> None:
        if not self.bare:
            super().round(league, report)
        if report.round == 0:
            fill(league.bank.base if league.bank is not None else None)
        if report.round % self.step == 0 and report.round < report.rounds:  # the last round draws figures
            gc.collect()
            release_freed_memory()
            self.readings.append((report.round, resident()))
            print(json.dumps({"round": report.round, "MB": round(resident() / 1e6, 2)}), file=sys.stderr, flush=True)
        self.clock = dict(report.state.clock)


def fill(base: BaseModel | None) -> None:
    """Let two tables grow now that would grow later, once, and be taken for a leak.

    The tokenizer remembers 10,000 words. CPython's table of interned strings keeps the place of a name that died
    until all places are used; with the libraries loaded it has 174,762, most of them taken, and a league that lasts
    uses up the rest: then it is made anew with twice as many, 3.8 MB more.
    """
    for number in range(60_000):
        sys.intern(f"filler{number}")
    if base is None:
        return
    for first in range(0, 12_000, 100):
        base.tokenizer.encode(" ".join(f"word{number}" for number in range(first, first + 100)))


def size(folder: Path) -> float:
    """MB of all files."""
    return round(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6, 2)


def measure(config: Config, bare: bool) -> dict[str, object]:
    started = time.process_time()
    rounds = config.league.rounds
    with Meter(config.folder, rounds, bare) as meter:
        train(prepare(config), meter)
    spent = time.process_time() - started
    first = warm_up(rounds)
    warm = np.array([reading for reading in meter.readings if reading[0] > first])
    cold = np.array([reading for reading in meter.readings if rounds // 20 < reading[0] <= first])
    total = sum(meter.clock.values())
    return {
        "rounds": rounds,
        "matches_a_round": sum(task.matches for task in config.tasks.values()),
        "cpu_seconds": round(spent, 1),
        "warm_up_rounds": first,
        "slope_bytes_per_round": round(slope(warm), 1),
        "slope_median": round(median_slope(warm), 1),
        "slope_last_half": round(slope(warm[len(warm) // 2 :]), 1),
        "slope_in_warm_up": round(slope(cold), 1),
        "memory_MB": [round(value / 1e6, 2) for _, value in meter.readings[:: max(1, len(meter.readings) // 10)]],
        "database_MB": round((config.folder / "league.db").stat().st_size / 1e6, 2),
        "tensorboard_MB": size(config.folder / "tb"),
        "blobs_MB": size(config.folder / "blobs"),
        "wall_share": {phase: round(seconds / total, 4) for phase, seconds in sorted(meter.clock.items())},
        "resume_cpu_s": resume_seconds(config),
    }


def slope(readings: np.ndarray) -> float:
    """Bytes a round, least squares over (round, bytes)."""
    return float(np.polyfit(readings[:, 0], readings[:, 1], 1)[0])


def median_slope(readings: np.ndarray) -> float:
    """Bytes a round, the median over all pairs of readings."""
    return float(theilslopes(readings[:, 1], readings[:, 0])[0])


def resume_seconds(config: Config) -> dict[str, float]:
    """CPU-seconds until a resumed run could play.

    Opening the store, the model, and everything the league knows.
    """
    prepared = prepare(config, new_run=False)
    started = time.process_time()
    store = RunStore.open(config.folder, retention_of(config))
    opened = time.process_time()
    _, state = restore(prepared, store)
    done = time.process_time()
    cells = state.view.size
    store.close()
    return {"open": round(opened - started, 3), "restore": round(done - opened, 3), "payoff_cells": float(cells)}


def scripted(scratch: Path, rounds: int, matches: int) -> Config:
    angles = [2 * math.pi * index / 8 for index in range(8)]
    says = [
        {word: round(1 + math.cos(a + shift), 3) for word, shift in (("rock", 0), ("paper", 2.1), ("scissors", 4.2))}
        for a in angles
    ]
    agents = "\n".join(
        f"  player-{index}: {{role: scripted, says: {json.dumps(mix)}}}" for index, mix in enumerate(says)
    )
    return parse_config(SCRIPTED.format(runs=scratch, agents=agents, matches=matches, rounds=rounds), "long run")


def real(scratch: Path, rounds: int) -> Config:
    text = write(scratch, brief=True).read_text()
    return parse_config(text, "long run", [f"league.rounds={rounds}", f"runs={scratch / 'runs'}", *LEAN])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["scripted", "real"])
    parser.add_argument("rounds", type=int)
    parser.add_argument("more", nargs="*", help="matches a round (scripted), and the word bare")
    asked = parser.parse_args()
    kind, rounds, bare = asked.kind, asked.rounds, asked.more[-1:] == ["bare"]
    counts = [word for word in asked.more if word.isdecimal()]
    if len(asked.more) != len(counts) + bare or len(counts) > (kind == "scripted"):
        parser.error(f"unexpected {asked.more}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config = (
            scripted(folder, rounds, int(counts[0]) if counts else 64) if kind == "scripted" else real(folder, rounds)
        )
        print(json.dumps({kind: measure(config, bare)}))


if __name__ == "__main__":
    main()
