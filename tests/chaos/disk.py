"""A disk that fills up in the middle of rounds.

A small tmpfs where mounts are allowed, else a limit on file sizes.

Each time the run must end with one clear error, stay sound, and go on bit-identically once there is room.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from league.errors import RunFolderError
from league.store.digests import run_digest
from league.store.verify import verify

from .faults import in_child
from .scripted import Script, rate, run_to

ROUNDS = 12
FULL = 7
"""Exit status of a child that met a full disk and said so."""


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[bool]:
    """Mount a tmpfs on `folder`; False where that is not allowed."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder], capture_output=True, check=False
    )
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)


def fill_disk(scratch: Path, sizes: range) -> dict[str, object]:
    """Runs on disks of growing size until one fits the whole run.

    Says how many filled up, and what was wrong.
    """
    run_to(scratch / "whole", ROUNDS, Script())
    expected, failures, filled, at = run_digest(scratch / "whole"), [], 0, []
    disk = scratch / "disk"
    for kilobytes in sizes:
        with small_disk(disk, kilobytes) as mounted:
            if not mounted:
                return {"skipped": "mounting a tmpfs is not allowed here"}
            status = in_child(lambda: _until_full(disk / "run"))
            if status == 0:
                break
            filled += 1
            problem, reached = _after(disk / "run", status, expected, lambda: _grow(disk))
            at.append(reached)
            if problem is not None:
                failures.append(f"{kilobytes} kB: {problem}")
    return {"filled": filled, "rounds reached": at, "failures": failures}


def limit_files(scratch: Path, sizes: range) -> dict[str, object]:
    """The same by RLIMIT_FSIZE: no file may grow beyond so many bytes."""
    run_to(scratch / "lwhole", ROUNDS, Script())
    expected, failures, filled, at = run_digest(scratch / "lwhole"), [], 0, []
    folder = scratch / "limited"
    for size in sizes:
        shutil.rmtree(folder, ignore_errors=True)
        status = in_child(lambda size=size: _until_full(folder, size))  # type: ignore[misc]
        if status == 0:
            break
        filled += 1
        problem, reached = _after(folder, status, expected, lambda: None)
        at.append(reached)
        if problem is not None:
            failures.append(f"{size} bytes: {problem}")
    return {"filled": filled, "rounds reached": at, "failures": failures}


def _until_full(folder: Path, file_limit: int | None = None) -> None:
    if file_limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    try:
        run_to(folder, ROUNDS, Script())
    except RunFolderError:
        os._exit(FULL)


def _after(folder: Path, status: int, expected: str, grow: Callable[[], None]) -> tuple[str | None, int | None]:
    if status != FULL:
        return f"a full disk ended the process with status {status} instead of a clear error", None
    if not (folder / "league.db").exists():
        grow()
        leftovers = list(folder.parent.glob(f".{folder.name}.*"))
        return (f"a run that could not be created left {leftovers[0].name}" if leftovers else None), None
    grow()
    report = verify(folder, rate)
    if not report.sound:
        return report.problems[0], report.round
    if in_child(lambda: run_to(folder, ROUNDS, Script())) != 0:
        return "the run does not go on with room again", report.round
    return (None if run_digest(folder) == expected else "the run differs from one that had room"), report.round


def _grow(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", type=int, help="kB between the sizes that are tried")
    step = parser.parse_args().step
    with tempfile.TemporaryDirectory() as scratch:
        small = fill_disk(Path(scratch), range(100, 2000, step))
        print(
            json.dumps(
                {"tmpfs": small, "file size limit": limit_files(Path(scratch), range(4096, 1_000_000, step * 512))}
            )
        )


if __name__ == "__main__":
    main()
