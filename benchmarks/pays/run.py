"""Carrying the experiment out: shared starts, trained arms, exams. Whatever is done already is not done again."""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import yaml

from benchmarks.pays import arms
from benchmarks.pays.cells import Cell
from benchmarks.pays.exams import ExamRoom
from benchmarks.pays.merge import measure_merge
from benchmarks.pays.place import Place
from benchmarks.pays.regimes import PRIVATE, Regime
from league.reporting.queries.spending import spending
from league.store.reader import RunReader

ROOT = Path(__file__).parents[2]


def league(*words: str | Path) -> str:
    """Run a command of the program in one thread; its output. Raises CalledProcessError with the output shown."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "league", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
        done.check_returncode()
    return done.stdout


def train(config: arms.Config, place: Place) -> Path:
    """Train a run to its end: begun, resumed, or already there. Returns its folder."""
    folder = Path(config["runs"]) / config["name"]
    finished = folder / "finished"
    if finished.exists():
        return folder
    if (folder / "config.yaml").exists():
        league("resume", folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        file = place.work / "configs" / f"{config['name']}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        config["model"]["name"] = place.model
        file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        league("train", file)
    finished.touch()
    return folder


def begin(regime: Regime, seed: int, place: Place) -> None:
    """Make the adapters that every arm of a seed starts from, as PEFT folders by agent."""
    make(arms.start(_owner(regime.start, regime), seed, place.work / "runs"), regime.start, seed, place)
    make_general(regime, seed, place)


def make_general(regime: Regime, seed: int, place: Place) -> None:
    """Make the adapter on all the data that the regime begins with."""
    make(arms.pooled(_owner(regime.general, regime), seed, place.work / "runs"), regime.general, seed, place)


def _owner(folder: str, regime: Regime) -> Regime:
    """The regime whose data the adapters in a folder have learned."""
    return PRIVATE if folder == PRIVATE.start else regime


def make(config: arms.Config, folder: str, seed: int, place: Place) -> None:
    """Train the agents of a run, and put those that are missing into `folder` of the work."""
    target = place.work / folder / str(seed)
    wanted = [agent for agent in config["agents"] if not (target / agent).exists()]
    if not wanted:
        return
    run, fresh = train(config, place), place.work / folder / f".{config['name']}"
    shutil.rmtree(fresh, ignore_errors=True)
    league("export", run, *(f"--agent={agent}" for agent in wanted), "--out", fresh)
    target.mkdir(parents=True, exist_ok=True)
    for agent in wanted:
        os.rename(fresh / agent, target / agent)


def measure_starts(regime: Regime, seed: int, place: Place) -> None:
    """The arms without training: the start, the experts each in its own domain, the adapter on everything."""
    known = ("start", "experts", "pooled") if regime.begins == "student" else ("start", "experts")
    wanted = [arm for arm in known if (regime.name, arm, seed) not in place.cells]
    if not wanted:
        return
    asked = {regime.begins: list(regime.domains)} if "start" in wanted else {}
    if "pooled" in wanted:
        asked["generalist"] = list(regime.domains)
    if "experts" in wanted:
        asked |= {domain: [domain] for domain in regime.domains}
    room = ExamRoom(place.model, seed)
    for name in asked:
        room.bring(name, regime.adapter(name, seed, place.work))
    found = room.examine(asked, regime.domains, place.problems)
    rows = {
        "start": found.get(regime.begins, {}),
        "experts": {domain: found.get(domain, {}).get(domain, "") for domain in regime.domains},
        "pooled": found.get("generalist", {}),
    }
    runs = place.work / "runs"
    made = {
        "experts": arms.start(_owner(regime.start, regime), seed, runs),
        "pooled": arms.pooled(_owner(regime.general, regime), seed, runs),
    }
    for arm in wanted:
        place.cells.add(Cell(regime.name, arm, seed, rows[arm], _spent_on(made[arm]) if arm in made else {}, 0))


def _spent_on(config: arms.Config) -> dict[str, float]:
    """What making adapters took, their warm-up included; nothing where their run is not there any more."""
    folder = Path(config["runs"]) / config["name"]
    return spent(folder) if folder.exists() else {}


def run_seed(regime: Regime, seed: int, names: Sequence[str], place: Place) -> None:
    """The starts of a seed and their exams, then its trained arms."""
    begin(regime, seed, place)
    measure_starts(regime, seed, place)
    measure_merge(regime, seed, place)
    for arm in names:
        run_arm(regime, arm, seed, place)


def run_arm(regime: Regime, arm: str, seed: int, place: Place) -> None:
    """Train one arm, examine its student, and keep both."""
    if (regime.name, arm, seed) in place.cells:
        return
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    folder = train(arms.arm(regime, arm, seed, work=place.work, budget=place.budget), place)
    asked = "--split", "test", "--problems", str(place.problems), "--json"
    right = {
        row["domain"]: row["correct"] for row in json.loads(league("evaluate", folder, "student", *asked))["results"]
    }
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    place.cells.add(Cell(regime.name, arm, seed, right, spent(folder), place.budget, round(seconds, 1)))
    print(f"{regime.name} {arm} {seed}: {cells_line(right)} ({time.time() - started:.0f} s)", flush=True)


def spent(folder: Path) -> dict[str, float]:
    """What a run took, by its own accounting: tokens by kind, FLOPs, solutions, verifier calls."""
    with RunReader.read(folder) as reader:
        found = asdict(spending(reader.state()))
    return {name: float(value) for name, value in found.items() if isinstance(value, (int, float))}


def cells_line(right: Mapping[str, str]) -> str:
    shares = {domain: bits.count("1") / len(bits) for domain, bits in right.items()}
    return f"{sum(shares.values()) / len(shares):.3f}  " + " ".join(f"{d} {s:.2f}" for d, s in shares.items())
