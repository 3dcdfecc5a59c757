"""`code`: a program that passes the row's hidden tests, which run in the sandbox (league/sandbox).

    form: humaneval   columns `test` (defines `check(candidate)`) and `entry_point`; the answer is a whole program, or
                      the rest of the column `prompt`
    form: mbpp        column `test_list` (assertions); the question then names the function and shows the first one

A reply answers by a program, in a fenced block or by itself (`tasks/domains/programs/replies.py`). Tests are in a
problem's `hidden` text, which nobody is shown. A failure of the grader raises Unjudged: the match does not count.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from league.types import Problem
from tasks.domains.checks.check import ReplyCheck, Unusable, kind_of
from tasks.domains.programs.grading import hidden_of, judge, judge_together, passes, why
from tasks.domains.programs.replies import fenced, program_of, without_program
from tasks.domains.programs.rows import CodeRow, UnusableRow, code_row


@dataclass(frozen=True)
class CodeCheck(ReplyCheck):
    """A program that passes its tests."""

    form: Literal["humaneval", "mbpp"] = "humaneval"
    """Which columns hold the tests."""
    setup: str | None = None
    """A column with code that runs before the assertions of mbpp, if any."""
    own_ending: ClassVar[bool] = True

    @property
    def instruction(self) -> str:
        return "Write the Python function that is asked for. Reply with its code only, in a ```python block."

    def problems(self) -> list[str]:
        if self.setup is not None and self.form != "mbpp":
            return ["check.setup: only rows of mbpp have one; remove it, or set form: mbpp"]
        return []

    def columns(self) -> tuple[str, ...]:
        tests = ("test", "entry_point") if self.form == "humaneval" else ("test_list",)
        return tests if self.setup is None else (*tests, self.setup)

    def read(self, text: str) -> str | None:
        return program_of(text)

    def question(self, question: str, row: Mapping[str, Any]) -> str:
        return question if self.form == "humaneval" else self._row(row, None, question).question

    def accepted(self, answer: object, row: Mapping[str, Any]) -> str:
        if not isinstance(answer, str) or not answer.strip():
            raise Unusable("the answer is " + ("empty" if isinstance(answer, str) else kind_of(answer)))
        found = self._row(row, answer).program
        if found is None or program_of(fenced(found)) is None:
            raise Unusable("the answer is no program that can be read; expected the function, or the rest of `prompt`")
        return found.strip()

    def hidden(self, answer: str, row: Mapping[str, Any]) -> str:
        return hidden_of(self._row(row, answer).problem)

    def correct(self, problem: Problem, reply: str) -> bool:
        """Whether every test passes. Raises Unjudged where the grader failed."""
        return passes(judge(problem, reply))

    def expect(self, answers: Iterable[tuple[Problem, str]]) -> None:
        judge_together(answers)

    def why(self, problem: Problem, reply: str) -> str:
        return why(problem, reply)

    def worked(self, problem: Problem, explanation: str) -> str:
        body = without_program(explanation)
        return f"{body}\n{fenced(problem.answer)}" if body else fenced(problem.answer)

    def truth(self, problem: Problem) -> str:
        return f"A correct program is:\n\n{fenced(problem.answer)}"

    def _row(self, row: Mapping[str, Any], program: str | None, question: str = "…") -> CodeRow:
        """The row in its form. Raises Unusable."""
        tests: dict[str, Any] = {
            name: row.get(name) for name in ("test", "entry_point", "test_list") if name in self.columns()
        }
        if self.form == "humaneval":
            entry = row.get("entry_point")
            prompt = row.get("prompt")
            prompt = prompt if isinstance(prompt, str) and prompt.strip() else f"Write {entry}."
            made: dict[str, Any] = {**tests, "prompt": prompt, "canonical_solution": program}
        else:
            made = {**tests, "text": question, "code": program, "test_setup_code": row.get(self.setup or "")}
        digest = hashlib.sha256(json.dumps(tests, default=str, sort_keys=True).encode()).hexdigest()[:12]
        try:
            return code_row(made, f"row/{digest}")
        except UnusableRow as error:
            raise Unusable(str(error)) from error
