"""The kill loop.

SIGKILL at random moments, resume, until the run is done; then compare with a run never disturbed.

Works on the scripted league and on `league train` and `league resume` of a real one, both in children of this
process.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from league.store.digests import run_digest
from league.store.reader import RunReader
from league.store.verify import Rate, verify

from .scripted import Script, rate, run_to


@dataclass
class Kills:
    """What a kill loop saw."""

    kills: int = 0
    starts: int = 0
    finished: int = 0
    rounds_lost: int = 0
    """Committed rounds that were gone afterwards: must be 0."""
    struck: Counter[str] = field(default_factory=Counter)
    """What the league was doing when it was killed, by its own sign of life."""
    failures: list[str] = field(default_factory=list)


def newest(folder: Path) -> int:
    if not (folder / "league.db").exists():
        return -1
    with RunReader.read(folder) as reader:
        latest = reader.latest_round()
        return -1 if latest is None else latest


def doing(folder: Path, pid: int) -> str:
    """The phase that this process had last announced."""
    try:
        beat = json.loads((folder / "heartbeat.json").read_text())
    except (OSError, ValueError):
        return "opening"
    return str(beat["phase"]) if beat["pid"] == pid else "opening"


class Child:
    """A running attempt: a group of processes that can be killed at once."""

    def __init__(self, work: Callable[[], None]):
        self.pid = os.fork()
        if self.pid == 0:
            _run_and_exit(work)
        with suppress(PermissionError, ProcessLookupError):  # the child has done so, or is gone
            os.setpgid(self.pid, self.pid)

    def wait(self, seconds: float | None) -> int | None:
        """Exit status, or None after that time."""
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            if until is not None and time.monotonic() > until:
                return None
            time.sleep(0.005)

    def kill(self) -> None:
        os.killpg(self.pid, signal.SIGKILL)
        self.wait(None)


def _run_and_exit(work: Callable[[], None]) -> None:
    code = 1
    try:
        os.setpgid(0, 0)
        work()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0) if isinstance(end.code, int | None) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def kill_loop(
    start: Callable[[], Child],
    folder: Path,
    *,
    last: int,
    kills: int,
    wait: Callable[[], float],
    check: Rate | None,
    log: Kills,
) -> None:
    """Start, kill after `wait()` seconds, verify; until round `last` is committed.

    Afterwards one undisturbed start ends the run.
    """
    while log.kills < kills and newest(folder) < last:
        before = newest(folder)
        child = start()
        log.starts += 1
        status = child.wait(wait())
        if status is None:
            child.kill()
            log.kills += 1
            log.struck[doing(folder, child.pid)] += 1
        elif status != 0:
            log.failures.append(f"a start ended with status {status}")
            return
        if (folder / "league.db").exists():
            report = verify(folder, check)
            log.failures += report.problems
            log.rounds_lost += max(0, before - newest(folder))
        if log.failures:
            return
    if (status := start().wait(None)) != 0:
        log.failures.append(f"the last start ended with status {status}")
    log.finished += 1


def scripted_kills(scratch: Path, kills: int, seed: int) -> dict[str, object]:
    """Kill the scripted league until `kills` are reached, over as many runs of 40 rounds as that takes.

    A start is a fork: a fresh interpreter would spend most of its short life on imports, and be killed there.
    """
    rounds, rng, log = 40, random.Random(seed), Kills()
    run_to(scratch / "whole", rounds, Script())
    expected, number = run_digest(scratch / "whole"), 0
    while log.kills < kills and not log.failures:
        folder = scratch / f"run{number}"
        number += 1

        def start(folder: Path = folder) -> Child:
            return Child(lambda: run_to(folder, rounds, Script()))

        kill_loop(start, folder, last=rounds - 1, kills=kills, wait=lambda: rng.uniform(0.0, 0.3), check=rate, log=log)
        report = verify(folder, rate)
        if not report.sound or run_digest(folder) != expected:
            log.failures.append(f"{folder.name} differs from the undisturbed run: {report.problems[:1]}")
    return {
        "kills": log.kills,
        "runs": log.finished,
        "rounds": log.finished * rounds,
        "rounds lost": log.rounds_lost,
        "failures": log.failures,
    }


def real_kills(
    config: Path, scratch: Path, *, rounds: int, kills: int, span: tuple[float, float], seed: int
) -> dict[str, object]:
    """Kill `league train` / `league resume` on a real-torch league.

    `span`: seconds a start lives, drawn uniformly.

    The slow imports are done once, here; every start is a fork of this process that runs the command line from its
    beginning.
    """
    import league.loop
    import league.round.report  # noqa: F401  (imported for its cost, not its names)
    from league.cli import main as command_line

    rng, log = random.Random(seed), Kills()

    def command(*words: str) -> Callable[[], None]:
        def work() -> None:
            sys.argv = ["league", *words, "--quiet"]
            command_line()

        return work

    def train(name: str) -> Callable[[], None]:
        return command("train", str(config), f"name={name}", f"runs={scratch}", f"league.rounds={rounds}")

    began = time.monotonic()
    assert Child(train("whole")).wait(None) == 0, "the undisturbed run failed"
    whole_seconds = time.monotonic() - began
    expected, number = run_digest(scratch / "whole"), 0
    while log.kills < kills and not log.failures:
        folder = scratch / f"killed-{number}"

        def start(folder: Path = folder) -> Child:
            return Child(command("resume", str(folder)) if (folder / "league.db").exists() else train(folder.name))

        kill_loop(start, folder, last=rounds, kills=kills, wait=lambda: rng.uniform(*span), check=None, log=log)
        if not log.failures and run_digest(folder) != expected:
            log.failures.append(f"{folder.name} differs from the undisturbed run")
        number += 1
        print(json.dumps({"run": number, "kills": log.kills, "failures": log.failures}), file=sys.stderr, flush=True)
    return {
        "kills": log.kills,
        "starts": log.starts,
        "runs": log.finished,
        "rounds lost": log.rounds_lost,
        "struck in": dict(log.struck.most_common()),
        "undisturbed seconds": round(whole_seconds, 1),
        "failures": log.failures,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(required=True, dest="kind")
    kinds.add_parser("scripted").add_argument("kills", type=int)
    real = kinds.add_parser("real")
    real.add_argument("config", type=Path)
    real.add_argument("folder", type=Path)
    real.add_argument("rounds", type=int)
    real.add_argument("kills", type=int)
    real.add_argument("shortest", type=float, help="seconds that a start lives")
    real.add_argument("longest", type=float)
    asked = parser.parse_args()
    if asked.kind == "real":
        asked.folder.mkdir(parents=True, exist_ok=True)
        span = (asked.shortest, asked.longest)
        found = real_kills(asked.config, asked.folder, rounds=asked.rounds, kills=asked.kills, span=span, seed=1)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(scripted_kills(Path(scratch), asked.kills, 1)))


if __name__ == "__main__":
    main()
