"""Trains the runs of a sweep, so many at a time, each in a process of its own.

A run that exists is resumed, any other one is started. A first signal asks every child to finish its round and starts
no more; a second one asks them to stop at once; a third kills them. Children have a session of their own, so a Ctrl-C
of the terminal reaches only the sweep, which passes it on once.
"""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from league.store.opening import DATABASE
from league.sweeps.plan import SweepPlan, SweepRun
from league.sweeps.standing import RunProgress, progress_of, write_sweep

PROGRAM = (sys.executable, "-m", "league")
LOOK_EVERY = 0.2
"""Seconds between two looks at the children."""
ENDINGS = ("error:", "stopped:", "internal error:")
"""How the last words of a failed process begin."""


@dataclass
class _Child:
    """A run that is being trained."""

    run: SweepRun
    process: "subprocess.Popen[bytes]"
    began: float
    asked: int = 0
    """Signals it was sent."""


@dataclass
class Sweeper:
    """Use `run_all` once."""

    plan: SweepPlan
    jobs: int
    say: Callable[[str], None]
    """Hears one line when a run begins and one when it ends."""
    failed: dict[str, str]
    """Run's label → why it failed; kept in the sweep's file as it changes."""
    signals: int = 0
    _children: list[_Child] = field(default_factory=list)
    _done: int = 0

    def run_all(self, wanted: Iterable[SweepRun]) -> None:
        """Train these runs, whatever becomes of the others. Ends early after a signal."""
        waiting = deque(wanted)
        total = len(waiting)
        before = {number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while self._children or (waiting and not self.signals):
                while waiting and not self.signals and len(self._children) < self.jobs:
                    self._begin(waiting.popleft(), total)
                self._pass_on_signals()
                for child in [child for child in self._children if child.process.poll() is not None]:
                    self._children.remove(child)
                    self._end(child, total)
                time.sleep(LOOK_EVERY if self._children else 0.0)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for child in self._children:  # only where this process fails itself
                child.process.terminate()

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self.signals += 1
        words = {1: "the runs finish their round; again to stop them now", 2: "stopping the runs now"}
        with suppress(OSError):  # a print could be inside another one
            os.write(2, f"\n{words.get(self.signals, 'killing the runs')}\n".encode())

    def _pass_on_signals(self) -> None:
        for child in self._children:
            while child.asked < min(self.signals, 3):
                child.asked += 1
                with suppress(ProcessLookupError):
                    os.killpg(child.process.pid, signal.SIGKILL if child.asked == 3 else signal.SIGTERM)

    def _begin(self, run: SweepRun, total: int) -> None:
        run.folder.parent.mkdir(parents=True, exist_ok=True)
        if run.label in self.failed:
            del self.failed[run.label]
            write_sweep(self.plan, self.failed)
        exists = (run.folder / DATABASE).is_file()
        arguments = ["resume", str(run.folder)] if exists else ["train", str(self.plan.config), *run.overrides]
        with log_of(run).open("ab") as log:
            process = subprocess.Popen(
                [*PROGRAM, *arguments, "--quiet"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"OMP_NUM_THREADS": str(threads_each(self.jobs, os.environ))},
                start_new_session=True,
            )
        self._children.append(_Child(run, process, time.monotonic()))
        self._done += 1
        self.say(f"[{self._done}/{total}] {run.label}: {'goes on' if exists else 'begins'}")

    def _end(self, child: _Child, total: int) -> None:
        run, code = child.run, child.process.returncode
        now = progress_of(run, {})
        took = f"{time.monotonic() - child.began:.0f} s"
        if code == 0 and now.standing == "finished":
            self.say(f"{run.label}: finished with round {now.round} ({took})")
        elif child.asked or code == 0:
            self.say(f"{run.label}: stopped, {_safe(now)}")
        else:
            self.failed[run.label] = last_words(log_of(run), code)
            write_sweep(self.plan, self.failed)
            self.say(f"{run.label}: failed ({took}): {self.failed[run.label]}")


def threads_each(jobs: int, environment: Mapping[str, str]) -> int:
    """CPU threads of one process, so that `jobs` of them take no more than the cores this process may use.

    A smaller OMP_NUM_THREADS of the user's own holds.
    """
    share = max(1, len(os.sched_getaffinity(0)) // jobs)
    own = environment.get("OMP_NUM_THREADS", "")
    return min(share, int(own)) if own.isdecimal() and int(own) > 0 else share


def log_of(run: SweepRun) -> Path:
    """Where what its process prints is appended."""
    return run.folder.with_name(f"{run.folder.name}.log")


def last_words(log: Path, code: int) -> str:
    """Why a process failed, in one line: its error message, or how it ended."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    begins = next((at for at in reversed(range(len(lines))) if lines[at].startswith(ENDINGS)), None)
    if begins is not None:
        return " ".join(" ".join(lines[begins:]).split())[:500]
    if code < 0:
        out_of_memory = "; was there memory left?" if -code == signal.SIGKILL else ""
        return f"killed by signal {-code}{out_of_memory}"
    return f"exit code {code}" + (f": {lines[-1][:300]}" if lines else "")


def _safe(now: RunProgress) -> str:
    return "nothing of it is kept yet" if now.round is None else f"round {now.round} is safe"
