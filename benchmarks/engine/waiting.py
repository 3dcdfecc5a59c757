"""How OpenMP's threads wait, under several settings of the environment.

Timed are a rollout and an update with two threads, alone and beside busy loops.

    python -m benchmarks.engine.waiting                     # SmolLM2-135M, six minutes
    python -m benchmarks.engine.waiting --busy 2 --settings default league

Each setting has a fresh process, since libgomp reads its environment when it is loaded (here before league is, so
that all is said outright): `default` is libgomp's own, `league` what league/__init__.py sets, `passive`
OMP_WAIT_POLICY=passive, a number GOMP_SPINCOUNT. Medians of four: seconds of wall time of a rollout (8 agents, 32
rows of 16 tokens) and an update (8 agents, 8 rows of 64 + 64 tokens), and CPU-seconds of both. Says nothing about
other OpenMP libraries, which do not read it.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from statistics import median

from benchmarks.engine.setup import load, prompts_for, samples_for
from league import SPINS
from league.backends.local import LocalBackend
from league.learning.objective import Objective
from league.learning.update import update
from league.model.fetch import DEFAULT_MODEL
from league.types import Hyper, Request, Sampling

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def environment(setting: str) -> dict[str, str]:
    bare = {name: value for name, value in os.environ.items() if name not in NAMES}
    if setting == "passive":
        return bare | {"OMP_WAIT_POLICY": "passive"}
    return bare | {"GOMP_SPINCOUNT": {"default": "300000", "league": str(SPINS)}.get(setting, setting)}


def measure(args: argparse.Namespace) -> dict[str, float]:
    base, bank = load(args)
    backend = LocalBackend(base, bank)
    requests = [
        Request(v, m, 4, Sampling(max_tokens=16), seed=i) for i, (v, m) in enumerate(prompts_for(8, 8, 64, 128))
    ]
    samples = samples_for(base, dict(rows=8, group=1, prompt=64, completion=64))
    hyper = {sample.agent: Hyper(1e-5) for sample in samples}
    backend.generate(requests)
    taken = []
    for _ in range(4):
        cpu, start = time.process_time(), time.perf_counter()
        backend.generate(requests)
        middle = time.perf_counter()
        update(base, bank, samples, hyper, Objective())
        taken.append((middle - start, time.perf_counter() - middle, time.process_time() - cpu))
    return dict(
        zip(
            ("rollout_s", "update_s", "cpu_s"),
            (round(median(column), 2) for column in zip(*taken, strict=True)),
            strict=True,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 2], help="busy loops beside it")
    parser.add_argument("--settings", nargs="+", default=["default", "league", "passive"])
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args)))
        return
    own = [
        sys.executable,
        "-m",
        "benchmarks.engine.waiting",
        "--measure",
        "--model",
        args.model,
        "--threads",
        str(args.threads),
    ]
    for busy in args.busy:
        loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            for setting in args.settings:
                ran = subprocess.run(own, env=environment(setting), check=True, capture_output=True, text=True)
                print(f"beside {busy} busy loops, {setting}: {ran.stdout.splitlines()[-1]}", flush=True)
        finally:
            for loop in loops:
                loop.kill()
                loop.wait()


if __name__ == "__main__":
    main()
