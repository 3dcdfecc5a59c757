"""A data set as a domain: questions and answers from files or the hub, judged by a check.

Rows stay where they lie (`tasks/domains/rows/`): an index knows the place of each, and a row is read when its problem
is drawn. Everything is checked before a run begins: every row can be used, and the check accepts the true answer on
the rows that are tried. A split is finite: tasks that walk past its end begin again at its first problem.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from dataclasses import field as stored
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field as Bounded

from league.errors import ConfigError, DataError, Foreign, ModelUnavailable
from league.types import Problem, Split
from tasks.domains.answers import Form, agreed_answer
from tasks.domains.checks import ReplyCheck, Unusable
from tasks.domains.checks.rubric import Judge, RubricCheck
from tasks.domains.domain import Domain, without_control_tokens
from tasks.domains.rows.fields import MESSAGES
from tasks.domains.rows.files import DataFile, files_of, hub_files
from tasks.domains.rows.index import SPLITS, Index, IndexPlan, IndexReport, left_out, open_index
from tasks.domains.rows.readers import column_names
from tasks.domains.rows.reading import RowReading

TRIED = 64
"""Problems of a split on which the check is tried before a run begins."""
WITHOUT_ANSWER = ("", "I do not know.", "Answer:", "Answer: ?")
"""Replies on which a check must not fail either: agents give such ones."""
KEPT = 256
"""Problems kept as text; the others are read again."""
SETTINGS = {
    "judged_by": "check",
    "own_solution": "solution",
    "own_instruction": "instruction",
    "own_field": "field",
}
"""Fields whose setting has a name that `Domain` uses otherwise."""
JUDGED = "judged"
"""What the name of a domain must hold whose results are a model's opinion."""


@dataclass(frozen=True, eq=False)
class DataSet(Domain):
    """Problems from rows. Needs `path` or `hub`."""

    _: KW_ONLY
    path: str | None = None
    """A file (.jsonl, .csv, .tsv, .parquet), or a folder of them."""
    hub: str | None = None
    """A data set's id on the hub, or a folder in the layout of its Parquet copy."""
    subset: str | None = None
    """Of a hub's data set that has several."""
    question: str | None = None
    """A column or a template. Without it: the column `question`, or what comes before a chat's last reply."""
    answer: str | None = None
    """A column or a template. Without it: the column `answer`, or a chat's last reply."""
    own_solution: str | None = None
    """The setting `solution`, a column or a template: a worked solution, from which warm-ups learn."""
    messages: str = MESSAGES
    """The column that holds a chat."""
    judged_by: str | dict[str, Any] = "exact"
    """The setting `check`: how replies are judged."""
    split: str | None = None
    """The column that says each row's split."""
    validation_share: Annotated[float, Bounded(ge=0, lt=1)] = 0.1
    """Of the questions, where neither files nor a column give a validation split."""
    test_share: Annotated[float, Bounded(ge=0, lt=1)] = 0.1
    """Of the questions, where neither files nor a column give a test split."""
    near_duplicates: Annotated[float, Bounded(gt=0, le=1)] = 0.8
    """Similarity from which questions are kept on one side; 1 keeps only the same ones together."""
    bad_rows: Literal["refuse", "skip"] = "refuse"
    """Whether rows that cannot be used are an error or are left out."""
    max_tokens: Annotated[int, Bounded(ge=1)] = 256
    """The token cap of one answer, worked solution included."""
    own_instruction: str | None = None
    """The setting `instruction`: one sentence that says what to do and how the answer must look."""
    own_field: str = "data"
    """The setting `field`: where the domain belongs in tables."""
    _kept: dict[tuple[Split, int], Problem] = stored(default_factory=dict, init=False, repr=False)
    levels: ClassVar[int] = 1

    # --------------------------------------------------------------------------------------- what a kind must say
    def problem(self, split: Split, index: int) -> Problem:
        key = split, index
        if key not in self._kept:
            size = self.report.sizes[split]
            if not 0 <= index < size:
                raise DataError(
                    f"domain '{self.name}' has {size} {split} problems ({self._sizes}); problem {index} does not exist"
                )
            row = self._index.row(split, index)
            try:
                question, answer, solution = self._settled.problem_of(row)
                hidden = self.judge.hidden(answer, row)
            except Unusable as error:
                raise DataError(f"{self._where}: the file was changed while it was in use ({error})") from error
            found = Problem(self.name, split, index, question, answer, hidden=hidden)
            if solution is not None:
                found = replace(found, solution=self.worked(found, solution))
            if len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = found
        return self._kept[key]

    def size_hint(self, split: Split, wanted: int) -> int:
        return min(wanted, self.report.sizes[split])

    @property
    def instruction(self) -> str:
        return self.own_instruction or self.judge.instruction

    @property
    def form(self) -> Form:
        """Only a name: the check reads answers."""
        return "text"

    @property
    def field(self) -> str:
        return self.own_field

    @property
    def open_answers(self) -> bool:
        return self.report.answers > 2

    @property
    def has_answer_line(self) -> bool:
        return not self.judge.own_ending

    @property
    def system(self) -> str:
        return self.instruction if self.judge.own_ending else super().system

    def extract(self, text: str) -> str | None:
        return self.judge.read(text) if self.judge.own_ending else agreed_answer(text, self.judge.read)

    def correct(self, problem: Problem, text: str) -> bool:
        return self.judge.correct(problem, text)

    def expect(self, answers: Iterable[tuple[Problem, str]]) -> None:
        self.judge.expect(answers)

    def why(self, problem: Problem, text: str) -> str:
        return self.judge.why(problem, text) or super().why(problem, text)

    def truth(self, problem: Problem) -> str:
        return self.judge.truth(problem)

    def worked(self, problem: Problem, explanation: str) -> str:
        if not self.judge.own_ending:
            return super().worked(problem, explanation)
        return self.judge.worked(problem, without_control_tokens(explanation))

    def solution(self, problem: Problem) -> str:
        return problem.solution or self.worked(problem, "")

    # -------------------------------------------------------------------------------------- before a run begins
    def check(self) -> list[str]:
        if bool(self.path) == bool(self.hub):
            return ["path: a data set needs either `path` (a file or a folder) or `hub` (its id)"]
        try:
            judge = self.judge
        except ConfigError as error:
            return list(error.problems)
        problems = []
        if self.validation_share + self.test_share >= 1:
            problems.append("test_share: with validation_share it takes all questions; leave some for training")
        if judge.is_judged and JUDGED not in self.name and self.name != "dataset":
            problems.append(
                f"check: a model's verdict is an opinion, and its results must say so; give the domain '{self.name}' "
                f"a name with '{JUDGED}' in it"
            )
        if self.subset is not None and self.hub is None:
            problems.append("subset: only a data set of the hub has one; remove it")
        if self.path is not None:
            try:
                problems += self._reading.problems(self._columns)
            except DataError as error:
                problems.append(f"path: {error}")
        return problems

    def trial(self) -> list[str]:
        """The check on the true answers of the first problems of every split: each must pass.

        On replies without an answer it must only not fail.
        """
        judge = self.judge
        for split in SPLITS:
            for index in range(self.size_hint(split, TRIED) if not judge.is_judged else 0):
                problem = self.problem(split, index)
                replies = {"answer": self.worked(problem, "")}
                if problem.solution is not None:
                    replies["solution"] = problem.solution
                for what, reply in replies.items():
                    with Foreign(f"{self._where}: the check fails on {problem.key}"):
                        right = judge.correct(problem, reply)
                    if not right:
                        return [
                            f"{self._where}, {split} problem {index} ({problem.question[:60]!r}): the check "
                            f"'{self._check_name}' does not accept the row's own {what} {reply[-60:]!r}; repair the "
                            "row, or choose another check"
                        ]
                if index == 0:
                    with Foreign(f"{self._where}: the check fails on {problem.key}"):
                        for reply in WITHOUT_ANSWER:
                            judge.correct(problem, reply)
        return []

    def too_few(self, split: Split, wanted: int, found: int) -> str:
        remedy = {
            "train": "warm-ups take the first ones: ask for fewer (warmup.expert.problems, or another role's), or take "
            "smaller shares by validation_share and test_share",
            "validation": "ask for fewer (evaluation.problems, or --problems), or take a larger validation_share",
            "test": "ask for fewer (evaluation.final_problems, or --problems), or take a larger test_share",
        }
        return f"{wanted} {split} problems are asked for, the data has {found} ({self._sizes}); {remedy[split]}"

    @property
    def is_judged(self) -> bool:
        return self.judge.is_judged

    @property
    def data_digest(self) -> str:
        return self.report.digest

    @property
    def about(self) -> str:
        left = ", ".join(left_out(self.report))
        report = self.report
        largest = f"; {report.largest_group} nearly the same kept together at most" if report.largest_group > 1 else ""
        return f"{self._where}: {self._sizes} of {report.rows} rows{f'; left out: {left}' if left else ''}{largest}"

    def judge_by(self, judge: Judge) -> None:
        """Give a rubric the model that judges; other checks need none."""
        if isinstance(self.judge, RubricCheck):
            self.judge.judge_by(judge)

    # -------------------------------------------------------------------------------------------------- its parts
    @property
    def judge(self) -> ReplyCheck:
        """How replies are judged. Raises ConfigError."""
        return self._reading.check

    @property
    def report(self) -> IndexReport:
        """What the data comes to."""
        return self._index.report

    @property
    def _check_name(self) -> str:
        return self.judged_by if isinstance(self.judged_by, str) else str(self.judged_by.get("kind"))

    @property
    def _where(self) -> str:
        return str(self.path or self.hub)

    @property
    def _sizes(self) -> str:
        return ", ".join(f"{size} {split}" for split, size in self.report.sizes.items())

    @cached_property
    def _files(self) -> tuple[DataFile, ...]:
        return tuple(hub_files(self.hub, self.subset) if self.hub is not None else files_of(Path(str(self.path))))

    @cached_property
    def _columns(self) -> tuple[str, ...]:
        return column_names(self._files[0].path)

    @cached_property
    def _reading(self) -> RowReading:
        return RowReading(
            json.dumps(self.judged_by, sort_keys=True),
            question=self.question,
            answer=self.answer,
            solution=self.own_solution,
            messages=self.messages,
            split=self.split,
        )

    @cached_property
    def _settled(self) -> RowReading:
        return self._reading.settled(self._columns)

    @cached_property
    def _index(self) -> Index:
        if problems := self._reading.problems(self._columns):
            raise DataError(f"{self._where}: {'; '.join(problems)}")
        return _index_of(
            self._files,
            tuple(file.stamp for file in self._files),
            self._settled,
            (self.validation_share, self.test_share, self.near_duplicates),
            self.bad_rows == "skip",
        )


@lru_cache(maxsize=16)
def _index_of(
    files: tuple[DataFile, ...],
    stamps: Sequence[tuple[str, int, int, int]],
    reading: RowReading,
    shares: tuple[float, float, float],
    skip_bad: bool,
) -> Index:
    """One index for all domains of a process that read the same files, as they are now, in one way."""
    validation, test, threshold = shares
    plan = IndexPlan(
        files=files,
        take=reading.take,
        settings=repr(reading),
        shares=(validation, test),
        threshold=threshold,
        skip_bad=skip_bad,
        columns=reading.columns(column_names(files[0].path)),
    )
    return open_index(plan, _cache())


def _cache() -> Path | None:
    """Where indexes are kept; None where there is no home folder."""
    from league.model.folder import cache_root

    try:
        return cache_root() / "data"
    except ModelUnavailable:
        return None
