"""Throw random and spoilt input at every command of the program, and look for what must not be.

    python -m tests.chaos.doors [--inputs 20000] [--seed 1] [--number N] [--keep FOLDER] [--messages FILE]

Must not be: exit code 70 (an internal error), an exception that reaches nobody, a process that dies, an error without
a word, and more than ten seconds. Every input runs in one process, with a folder and a home of its own and without a
network. A second process watches, for what hangs outside of Python. `--number` gives one input again, with all it
prints. Prints one JSON summary by command.
"""

import argparse
import contextlib
import io
import json
import os
import re
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .door_material import Shelf

LIMIT = 10.0
"""Seconds of computing that an input may take."""
WAIT = 60.0
"""Seconds by the clock that it may take: more, because a machine may be busy with something else."""
PATIENCE = 5.0
"""Seconds beyond WAIT after which a process that does not even take a signal is killed."""
EXPECTED = (0, 1, 2)
"""Done; a check found something, or training stopped; the user's error."""
CHILDREN_OF = 2000
"""Inputs after which a fresh process takes over, so that nothing piles up."""


@dataclass(frozen=True)
class Result:
    """What became of one input."""

    number: int
    command: str
    code: int
    seconds: float
    cpu: float
    words: str
    told: str
    fault: str
    """What must not be; empty where all is well."""
    message: str
    """The last line of what was printed as an error."""


class TimeUp(BaseException):
    """The alarm went off; nothing in the program catches it."""


def run_one(command_line: Callable[[], None], words: Sequence[str], limit: float = LIMIT) -> tuple[int, str, str, str]:
    """(exit code, what was printed, what was printed as errors, what must not be) of one command line."""
    out, err = _Captured(), _Captured()
    before, argv = [*sys.path], sys.argv
    sys.argv = ["league", *words]
    code, fault = 0, ""
    alarms = {signal.SIGPROF: (signal.ITIMER_PROF, limit), signal.SIGALRM: (signal.ITIMER_REAL, limit + WAIT - LIMIT)}
    old = {number: signal.signal(number, _time_up) for number in alarms}
    for timer, seconds in alarms.values():
        signal.setitimer(timer, seconds)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            command_line()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except TimeUp:
        code, fault = -1, f"more than {limit:.0f} s"
    except BaseException as error:  # noqa: BLE001 (what this looks for)
        code, fault = -2, f"uncaught {type(error).__name__}: {error}"
    finally:
        for number, (timer, _) in alarms.items():
            signal.setitimer(timer, 0)
            signal.signal(number, old[number])
        sys.path[:], sys.argv = before, argv
    said = err.text()
    if not fault and code not in EXPECTED:
        fault = f"exit code {code}"
    if not fault and "Traceback (most recent" in said + out.text():
        fault = "a traceback"
    if not fault and code == 2 and not said.strip():
        fault = "no word of what is wrong"
    return code, out.text(), said, fault


class _Captured(io.TextIOWrapper):
    """A stream like a terminal's in UTF-8, whose text can be read afterwards, also when it was closed."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, encoding="utf-8", write_through=True)

    def close(self) -> None: ...

    def text(self) -> str:
        self.flush()
        return self._bytes.getvalue().decode("utf-8", "replace")


def _time_up(*_: object) -> None:
    raise TimeUp


@contextlib.contextmanager
def elsewhere(folder: Path) -> Iterator[Path]:
    """A new empty folder as the current one and as the home; gone afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    here = folder / "home" / "work" / "cwd"  # what is put two folders up stays inside
    here.mkdir(parents=True)
    before, state = Path.cwd(), {name: os.environ.get(name) for name in ("HOME", "LEAGUE_STATE", "TMPDIR")}
    os.environ |= {"HOME": str(folder), "LEAGUE_STATE": str(folder / "state"), "TMPDIR": str(folder)}
    tempfile.tempdir = str(folder)
    os.chdir(here)
    try:
        yield here
    finally:
        os.chdir(before)
        tempfile.tempdir = None
        for name, value in state.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


def try_input(shelf: "Shelf", seed: int, number: int, place: Path, *, show: bool = False) -> Result:
    """Draw an input, run it, and say what became of it."""
    from league.cli import main as command_line

    from .door_inputs import draw

    with elsewhere(place) as here:
        try:
            given = draw(shelf, seed, number, here)
        except (ValueError, TypeError, LookupError, zlib.error) as error:  # one spoiling met what another had left
            return Result(number, "(not made)", 0, 0.0, 0.0, "", repr(error)[:200], "", "")
        began, cpu = time.monotonic(), time.process_time()
        code, out, err, fault = run_one(command_line, given.words)
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
        if show:
            print(json.dumps([given.words, given.told, code, fault], ensure_ascii=False), out, err, sep="\n")
        if code == 70 and (found := re.search(r"details are in\s+(\S+)", err)):
            trace = Path(found[1]).read_text(encoding="utf-8")
            fault += ": " + " ← ".join([err.strip().splitlines()[0][:150], *_places(trace)])
            if show:
                print(trace)
        last = err.strip().splitlines()[-1] if err.strip() else ""
        return Result(
            number=number,
            command=given.command if given.command in shelf.parameters else "(another)",
            code=code,
            seconds=seconds,
            cpu=cpu,
            words=" ".join(word[:60] for word in given.words).encode("utf-8", "backslashreplace").decode(),
            told=given.told[:200],
            fault=fault,
            message=(err.strip() if code == 2 and len(err) < 600 else last)[:600],
        )


def _places(trace: str) -> list[str]:
    """Our own lines in a traceback, the last first."""
    found = re.findall(r'File ".*?/((?:league|tasks)/[^"]+)", line (\d+)', trace)
    return [f"{file}:{line}" for file, line in reversed(found)][:3]


# --------------------------------------------------------------------------------------------------- two processes
def watch(shelf: "Shelf", seed: int, numbers: Sequence[int], place: Path) -> Iterator[Result]:
    """The results of these inputs, each run in a child that is killed when it hangs, and replaced when it dies."""
    left = list(numbers)
    while left:
        batch, left = left[:CHILDREN_OF], left[CHILDREN_OF:]
        done = 0
        for result in _one_child(shelf, seed, batch, place):
            done += 1
            yield result
        left = batch[done:] + left


def _one_child(shelf: "Shelf", seed: int, numbers: Sequence[int], place: Path) -> Iterator[Result]:
    """Results until the child is through, or dies: then the last one is the fault of the input that did it."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setsid()
            os.close(read)
            for number in numbers:
                line = json.dumps(asdict(try_input(shelf, seed, number, place))) + "\n"
                os.write(write, line.encode("utf-8", "backslashreplace"))
            code = 0
        except BaseException:  # noqa: BLE001 (the child ends here, whatever it is)
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(write)
    kept, index = b"", 0
    try:
        while index < len(numbers):
            if not select.select([read], [], [], WAIT + PATIENCE)[0]:
                yield _died(numbers[index], "hangs outside of Python")
                return
            found = os.read(read, 1 << 16)
            if not found:
                yield _died(numbers[index], "the process died")
                return
            *lines, kept = (kept + found).split(b"\n")
            for line in lines:
                index += 1
                yield Result(**json.loads(line))
    finally:
        os.close(read)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _died(number: int, fault: str) -> Result:
    return Result(number, "?", -3, WAIT + PATIENCE, 0.0, "", "", fault, "")


# --------------------------------------------------------------------------------------------------------- summary
def summary(results: Sequence[Result]) -> dict[str, object]:
    """By command: inputs, exit codes, the slowest; and all faults."""
    by_command: dict[str, object] = {}
    for command in sorted({result.command for result in results}):
        own = [result for result in results if result.command == command]
        codes = Counter(str(result.code) for result in own)
        slowest = max(own, key=lambda result: result.seconds)
        by_command[command] = {
            "inputs": len(own),
            "exit codes": dict(sorted(codes.items())),
            "slowest": [round(slowest.seconds, 2), slowest.number],
            "cpu": round(sum(result.cpu for result in own), 1),
        }
    faults = [asdict(result) for result in results if result.fault]
    return {
        "inputs": len(results),
        "exit 70": sum(result.code == 70 for result in results),
        "hangs": sum(result.code in (-1, -3) for result in results),
        "other faults": sum(bool(result.fault) and result.code not in (70, -1, -3) for result in results),
        "cpu": round(sum(result.cpu for result in results)),
        "commands": by_command,
        "faults": [{key: fault[key] for key in ("number", "words", "told", "fault")} for fault in faults],
    }


def offline() -> None:
    """No input reaches a hub or a package index."""
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "PIP_NO_INDEX": "1",
        "UV_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "100",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--number", type=int, help="give this input alone, and show what it prints")
    parser.add_argument("--keep", type=Path, help="folder for what inputs are made of; used again when it is there")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop then, however many inputs were given")
    parser.add_argument("--messages", type=Path, help="file for the distinct messages of refused inputs")
    asked = parser.parse_args()
    offline()
    from .door_material import make

    with tempfile.TemporaryDirectory(prefix="doors-") as scratch:
        shelf = make((asked.keep or Path(scratch) / "shelf").absolute(), models=True)
        place = Path(scratch) / "input"
        if asked.number is not None:
            try_input(shelf, asked.seed, asked.number, place, show=True)
            return 0
        numbers = range(asked.first, asked.first + asked.inputs)
        results = []
        until = time.monotonic() + 60 * asked.minutes
        for result in watch(shelf, asked.seed, numbers, place):
            results.append(result)
            if time.monotonic() > until:
                break
            if result.fault:
                print(
                    result.number, result.words[:100], "|", result.told, "|", result.fault, file=sys.stderr, flush=True
                )
    found = summary(results)
    if asked.messages is not None:
        asked.messages.write_text("\n".join(messages(results)), encoding="utf-8")
    print(json.dumps(found, ensure_ascii=False, indent=1))
    return 1 if found["faults"] else 0


def messages(results: Sequence[Result]) -> list[str]:
    """The distinct messages, each with its first input; numbers and quoted parts do not make one distinct."""
    kinds: dict[str, Result] = {}
    for result in results:
        if result.code == 2:
            kinds.setdefault(re.sub(r"'[^']*'|\d+|/\S+", "_", result.message), result)
    return sorted(f"{each.command} {each.number}: {each.message!r}" for each in kinds.values())


if __name__ == "__main__":
    sys.exit(main())
