"""What a large data set costs: seconds to index it, memory, and seconds to draw problems.

    python -m benchmarks.data_sets --rows 1000000 --characters 1000 --folder DIR

Makes `DIR/ROWSxCHARACTERS.jsonl` (questions of 45 random words, no two alike) where it is not there, then measures in
a process of its own, so that the peak memory is that of reading. Set LEAGUE_CACHE to an empty folder to measure a first
index; run it twice for one from the cache.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

DRAWN = 2000


def write_rows(path: Path, rows: int, characters: int) -> None:
    """JSON lines of about `characters` bytes each."""
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(20_000)]
    with path.open("w", encoding="utf-8") as out:
        for _ in range(rows):
            question = " ".join(rng.choices(words, k=45))
            solution = " ".join(rng.choices(words, k=max(1, (characters - 300) // 7)))
            row = {"question": question, "answer": rng.randint(1, 999), "solution": solution}
            out.write(json.dumps(row) + "\n")


def measure(path: Path) -> None:
    """Index, draw from both ends of the training split, and say what it took."""
    from tasks.domains import make_domain

    began, cpu = time.perf_counter(), time.process_time()
    domain = make_domain("dataset", 1, {"path": str(path), "check": "number", "solution": "solution"}, alias="big")
    size = domain.size_hint("train", 10**9)
    print(domain.about)
    print(f"index: {time.perf_counter() - began:.2f} s, {time.process_time() - cpu:.2f} CPU-seconds")
    began = time.perf_counter()
    for index in range(DRAWN):
        domain.problem("train", index)
        domain.problem("train", size - 1 - index)
    print(f"{2 * DRAWN} problems: {time.perf_counter() - began:.2f} s; the check fails on {len(domain.trial())}")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--characters", type=int, default=700)
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure is not None:
        measure(chosen.measure)
        return
    path = chosen.folder / f"{chosen.rows}x{chosen.characters}.jsonl"
    if not path.exists():
        write_rows(path, chosen.rows, chosen.characters)
    subprocess.run([sys.executable, "-m", "benchmarks.data_sets", "--measure", path], check=True)


if __name__ == "__main__":
    main()
