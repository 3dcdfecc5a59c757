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
from benchmarks.pays.cells import Cell, Cells
from league.reporting.queries.spending import spending
from league.store.reader import RunReader

ROOT = Path(__file__).parents[2]
PROBLEMS = 50
"""Test problems a domain of every exam."""


def league(*words: str | Path) -> str:
    """Run a command of the program in one thread; its output. Raises CalledProcessError with the output shown."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "league", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
        done.check_returncode()
    return done.stdout


def train(config: arms.Config, work: Path) -> Path:
    """Train a run to its end: begun, resumed, or already there. Returns its folder."""
    folder = Path(config["runs"]) / config["name"]
    finished = folder / "finished"
    if finished.exists():
        return folder
    if (folder / "config.yaml").exists():
        league("resume", folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        place = work / "configs" / f"{config['name']}.yaml"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        league("train", place)
    finished.touch()
    return folder


def begin(seed: int, work: Path, *, general: bool) -> Path:
    """The adapters that every arm of a seed starts from: PEFT folders by agent."""
    place = work / "start" / str(seed)
    made = [arms.start(seed, work / "runs")] + ([arms.pooled(seed, work / "runs")] if general else [])
    for config in made:
        wanted = [agent for agent in config["agents"] if not (place / agent).exists()]
        if wanted:
            folder, fresh = train(config, work), work / "start" / f".{config['name']}"
            shutil.rmtree(fresh, ignore_errors=True)
            league("export", folder, *(f"--agent={agent}" for agent in wanted), "--out", fresh)
            place.mkdir(parents=True, exist_ok=True)
            for agent in wanted:
                os.rename(fresh / agent, place / agent)
    return place


def exam_of_adapters(seed: int, adapters: Mapping[str, Path], asked: Mapping[str, Sequence[str]]) -> dict[str, dict]:
    """Right answers (a string of 0 and 1) of PEFT folders by name and domain, in the domains that each is `asked`."""
    from league.backends.local import LocalBackend
    from league.evaluation.exams import hold_exam
    from league.model.bank import AdapterBank
    from league.model.base import BaseModel
    from league.model.fetch import locate_model
    from league.model.peft_io import import_peft
    from league.types import Version
    from tasks.domains import make_domain

    bank = AdapterBank(BaseModel.load(locate_model(), threads=1))
    backend = LocalBackend(bank.base, bank)
    for name, folder in adapters.items():
        import_peft(bank, Version(name, 0), folder, trainable=False)
    found: dict[str, dict] = {name: {} for name in adapters}
    for alias, kind in arms.DOMAINS.items():
        who = [Version(name, 0) for name in adapters if alias in asked[name]]
        domain = make_domain(kind, 1, {}, seed=seed, alias=alias)
        sat, _ = hold_exam(
            who,
            {alias: domain},
            split="test",
            problems=range(PROBLEMS),
            backend=backend,
            players={},
            number=0,
        ) if who else ([], None)  # fmt: skip
        for each in sat:
            found[each.version.agent][alias] = "".join("01"[right] for right in each.correct)
    return found


def measure_starts(regime: str, seed: int, work: Path, cells: Cells) -> None:
    """The arms without training: the start, the experts each in its own domain, the adapter on everything."""
    wanted = [arm for arm in ("start", "experts", "pooled") if (regime, arm, seed) not in cells]
    if not wanted:
        return
    place = work / "start" / str(seed)
    asked: dict[str, Sequence[str]] = {}
    if "start" in wanted and regime == "private":
        asked["student"] = list(arms.DOMAINS)
    if "pooled" in wanted or regime == "public":
        asked["generalist"] = list(arms.DOMAINS)
    if "experts" in wanted:
        asked |= {domain: [domain] for domain in arms.DOMAINS}
    found = exam_of_adapters(seed, {name: place / name for name in asked}, asked)
    rows = {
        "start": found.get("student" if regime == "private" else "generalist", {}),
        "experts": {domain: found.get(domain, {}).get(domain, "") for domain in arms.DOMAINS},
        "pooled": found.get("generalist", {}),
    }
    for arm in wanted:
        cells.add(Cell(regime, arm, seed, rows[arm], {}, 0))


def run_arm(regime: str, arm: str, seed: int, *, work: Path, cells: Cells, budget: int) -> None:
    """Train one arm, examine its student, and keep both."""
    if (regime, arm, seed) in cells:
        return
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    folder = train(arms.arm(regime, arm, seed, work=work, budget=budget), work)
    found = json.loads(league("evaluate", folder, "student", "--split", "test", "--problems", str(PROBLEMS), "--json"))
    right = {row["domain"]: row["correct"] for row in found["results"]}
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cells.add(Cell(regime, arm, seed, right, spent(folder), budget, round(seconds, 1)))
    print(f"{regime} {arm} {seed}: {cells_line(right)} ({time.time() - started:.0f} s)", flush=True)


def spent(folder: Path) -> dict[str, float]:
    """What a run took, by its own accounting: tokens by kind, FLOPs, solutions, verifier calls."""
    with RunReader.read(folder) as reader:
        found = asdict(spending(reader.state()))
    return {name: float(value) for name, value in found.items() if isinstance(value, (int, float))}


def cells_line(right: Mapping[str, str]) -> str:
    shares = {domain: bits.count("1") / len(bits) for domain, bits in right.items()}
    return f"{sum(shares.values()) / len(shares):.3f}  " + " ".join(f"{d} {s:.2f}" for d, s in shares.items())
