"""Kill at every step of a round's commit and garbage collection.

Then resume, and compare with a run never disturbed.
"""

import argparse
import json
import shutil
import signal
import tempfile
from pathlib import Path

from league.errors import LeagueError
from league.store.digests import run_digest
from league.store.verify import verify

from .faults import Steps, break_transaction, die, in_child
from .scripted import Script, rate, run_to


def explore(
    scratch: Path, base_rounds: int = 5, more: int = 3, stride: int = 1, broken: bool = False
) -> dict[str, object]:
    """Try every (stride-th) crash point of round `base_rounds`.

    Returns counts and the failures found.

    `broken` breaks the transaction on purpose in the round that crashes: failures are then expected.
    """
    script, total = Script(), base_rounds + more
    base, whole = scratch / "base", scratch / "whole"
    run_to(base, base_rounds, script)
    run_to(whole, total, script)
    expected = run_digest(whole)
    steps, failures, tried = _count_steps(scratch, base, base_rounds, script), [], 0
    for number in range(0, len(steps), stride):
        moments = ("before", "half", "after") if steps[number].startswith("write_file") else ("before", "after")
        for moment in moments:
            tried += 1
            problem = _one(
                scratch / "try",
                base,
                base_rounds=base_rounds,
                total=total,
                script=script,
                point=(number, moment),
                expected=expected,
                broken=broken,
            )
            if problem is not None:
                failures.append(f"{moment} step {number} ({steps[number][:60]}): {problem}")
    return {"steps": len(steps), "tried": tried, "failures": failures}


def _count_steps(scratch: Path, base: Path, base_rounds: int, script: Script) -> list[str]:
    folder = scratch / "count"
    shutil.copytree(base, folder)
    steps = Steps()
    try:
        run_to(folder, base_rounds + 1, script)
    finally:
        steps.remove()
    return steps.trace


def _one(
    folder: Path,
    base: Path,
    *,
    base_rounds: int,
    total: int,
    script: Script,
    point: tuple[int, str],
    expected: str,
    broken: bool,
) -> str | None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder)

    def crash() -> None:
        if broken:
            break_transaction()

        def act(number: int, moment: str) -> None:
            if (number, moment) == point:
                if moment == "half":
                    steps.half()
                die()

        steps = Steps(act)
        run_to(folder, base_rounds + 1, script)

    if (status := in_child(crash)) != -signal.SIGKILL:
        return f"the child was not killed at the point (status {status})"
    report = verify(folder, rate)
    if not report.sound:
        return f"after the crash: {report.problems[0]}"
    if report.round not in (base_rounds - 1, base_rounds):
        return f"after the crash the newest round is {report.round}"
    try:
        if in_child(lambda: run_to(folder, total, script)) != 0:
            return "resume failed"
        report = verify(folder, rate)
        if not report.sound:
            return f"after resuming: {report.problems[0]}"
        return None if run_digest(folder) == expected else "after resuming the run differs from the undisturbed one"
    except LeagueError as error:
        return f"resume failed: {error}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stride", type=int, help="every so many steps")
    parser.add_argument("broken", nargs="?", choices=["broken"], help="with the transaction broken on purpose")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(explore(Path(scratch), stride=asked.stride, broken=asked.broken is not None)))


if __name__ == "__main__":
    main()
