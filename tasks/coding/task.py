"""Coding together: one agent writes a helper function `aux`, the other the main function.

The arrangements, turns and feedback are in `tasks/multiturn/task.py`, the reward in `tasks/coding/levels.py`. A single
coder writes both functions. Foreign code runs only in the grader (league/sandbox). Only a failure of the grader itself
carries no gradient; what an answer does is rewarded: an attack earns 0, and its group learns from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import ClassVar

from league.errors import nearest
from league.registry import INJECTED
from league.sandbox.values import CodeGrader, Job
from league.seeds import generator
from league.types import Episode, Problem, Split, TreePath
from tasks.coding.feedback import checks
from tasks.coding.levels import HELPER, MAXIMUM, CodeLevels, own_helper, shape_of
from tasks.coding.problems import SOURCES, code_problem, problems_of
from tasks.coding.prompts import CODER, HELP, MAIN, demonstration, first_prompt, review
from tasks.multiturn.paths import leaves, newest, turn_ends
from tasks.multiturn.task import Judgement, MultiTurnTask
from tasks.task import Demonstration


@dataclass(frozen=True)
class Coding(MultiTurnTask[CodeLevels]):
    """Settings of a coding match. Match.problems are the functions to write, one decision tree each.

    With `credit="own"` the helper's writer earns its function's form (1.9 at most), the main writer its function run
    alone (2.1 at most).
    """

    pair: ClassVar[tuple[str, str]] = (HELP, MAIN)
    solo: ClassVar[str] = CODER
    first_stage: ClassVar[str] = "help"

    source: str = "local-1"
    grader: CodeGrader | None = field(default=None, compare=False, metadata=INJECTED)
    """Injected with `with_grader`; without one the process's own is used. Never from a config."""

    def check(self) -> list[str]:
        problems = super().check()
        if self.source not in SOURCES:
            problems.append(f"source: '{self.source}' is unknown{nearest(self.source, list(SOURCES))}")
        if self.turns == 1 and self.arrangement == "discussion":
            problems.append("arrangement: 'discussion' needs turns of at least 2, found 1")
        return problems

    def with_grader(self, grader: CodeGrader) -> "Coding":
        """The same task, its code run by `grader` and not by the process's own; used by tests only."""
        return replace(self, grader=grader)

    def source_problems(self) -> Mapping[Split, Sequence[Problem]]:
        return problems_of(self.source)

    def demonstrations(self, count: int, seed: int, seats: Sequence[str]) -> list[Demonstration]:
        """`count` worked answers from the train split, for `seats` in turn.

        None where the source has no helper in its solutions.
        """
        answers = [found for problem in problems_of(self.source)["train"] if (found := self._worked(problem, seats))]
        order = generator(seed, "demonstrations", self.source).permutation(len(answers))
        shown = [answers[place] for place in order]
        return [found[place % len(found)] for place in range(count) if shown and (found := shown[place % len(shown)])]

    def _worked(self, problem: Problem, seats: Sequence[str]) -> list[Demonstration]:
        found = demonstration(problem, shows_helper=self.arrangement == "sequential")
        return [found[seat] for seat in seats if seat in found]

    # ------------------------------------------------------------------------------------------------ prompts
    def first_prompt(self, problem: Problem, path: TreePath, seat: str) -> str:
        helper = newest(path, HELP) if seat == MAIN and self.arrangement == "sequential" else None
        return first_prompt(problem, seat, helper.reply if helper else None)

    def editor_prompt(self, problem: Problem, path: TreePath) -> str:
        return review(problem, self._replies(path))

    def request(self, seat: str) -> str:
        what = {HELP: f"`{HELPER}`", MAIN: "your function", CODER: "both functions"}[seat]
        return f"Write {what} again, better. Only write code."

    # ------------------------------------------------------------------------------------------------ scoring
    def _replies(self, path: TreePath) -> tuple[str, str]:
        """The helper's and the main writer's newest replies; a single coder's counts as both."""
        first, second = (CODER, CODER) if self.arrangement == "single" else self.pair
        helper, main = newest(path, first), newest(path, second)
        return (helper.reply if helper else "", main.reply if main else "")

    def judge(self, ends: Sequence[tuple[Problem, TreePath]], for_feedback: bool) -> list[Judgement[CodeLevels]]:
        replies = [self._replies(path) for _, path in ends]
        problems = [problem for problem, _ in ends]
        together = self._grade(problems, replies)
        if self.credit == "joint" or for_feedback:
            return [self._judgement(levels, None, pair) for levels, pair in zip(together, replies, strict=True)]
        alone = self._grade(problems, [("", main) for _, main in replies])
        return [self._judgement(*found) for found in zip(together, alone, replies, strict=True)]

    def verifier_calls(self, episode: Episode) -> int:
        """Programs to run: one at each end of a turn, two where main is graded without its helper as well."""
        return sum(1 for _ in turn_ends(episode)) * (1 if self.credit == "joint" else 2)

    def _judgement(
        self, levels: CodeLevels, alone: CodeLevels | None, replies: tuple[str, str]
    ) -> Judgement[CodeLevels]:
        """`alone`: the main function run without its partner's helper, where each is rewarded for itself.

        Then an attack is the helper's where main alone makes none; main earns 0 for it in either case, or it could
        attack only beside a helper.
        """
        earned = dict.fromkeys(self.writers(), levels.earned)
        if alone is not None:
            helper_attacks = levels.attack and not alone.attack
            earned = {
                HELP: 0.0 if helper_attacks else own_helper(replies[0]),
                MAIN: 0.0 if levels.attack else alone.earned,
            }
        runs = [levels] if alone is None else [levels, alone]
        return Judgement(
            scores=levels,
            joint=levels.earned,
            earned=earned,
            checks=tuple(checks(levels)),
            perfect=levels.earned == MAXIMUM,
            counts=not levels.infra,
            unlearned="play" if any(run.infra for run in runs) else "nothing",
        )

    def _grade(self, problems: Sequence[Problem], replies: Sequence[tuple[str, str]]) -> list[CodeLevels]:
        """Levels of each pair of replies; all programs are graded in one batch."""
        tested = [code_problem(problem) for problem in problems]
        shapes = [shape_of(*pair, problem.entry_point) for problem, pair in zip(tested, replies, strict=True)]
        jobs = [
            Job(problem, shape.program, every=True)
            for problem, shape in zip(tested, shapes, strict=True)
            if shape.parses
        ]
        grades = iter(self._grader().grade(jobs) if jobs else [])
        return [CodeLevels(shape, next(grades) if shape.parses else None) for shape in shapes]

    def _grader(self) -> CodeGrader:
        if self.grader is not None:
            return self.grader
        from league.sandbox.shared import shared_grader

        return shared_grader()

    def metrics(self, episode: Episode, judged: Mapping[int, Judgement[CodeLevels]]) -> dict[str, float]:
        """Means in [0, 1] over last turns, except `return/turn-t`.

        What the grader could not judge is left out of all but `infra`.
        """
        last = [judged[node.id].scores for node in leaves(episode) if node.id in judged]
        fair = [levels for levels in last if not levels.infra]
        found = {"infra": fmean(levels.infra for levels in last)}
        if not fair:
            return found
        found |= {
            "structure": fmean(levels.structure for levels in fair),
            "syntax": fmean(levels.syntax for levels in fair) / 0.5,
            "tests": fmean(levels.tests for levels in fair),
            "cooperation": fmean(levels.cooperation for levels in fair) / 1.5,
            "return": fmean(levels.total for levels in fair) / MAXIMUM,
            "solved": fmean(levels.solved for levels in fair),
            "suspect": fmean(levels.suspect for levels in fair),
        }
        totals = {node: judgement.scores.total for node, judgement in judged.items()}
        return found | self.returns_by_turn(episode, totals, MAXIMUM)
