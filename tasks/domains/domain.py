"""A domain: a family of problems, with its level and seed. How they are asked, read and judged.

`Domain` is the one base of every domain, shipped or a user's own. `GeneratedDomain` (`tasks/domains/generated.py`)
makes problems by reasoning-gym; a user's own gives `problem` and `size_hint`.

Right means that the one answer the reply commits to equals the true one exactly. reasoning-gym's own scorers give
credit for near misses in several families; none is used.
"""

import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from league.errors import DataError
from league.registry import INJECTED
from league.seeds import generator
from league.types import Message, Problem, Split
from tasks.domains.answers import Form, extract, normalise, without_answer
from tasks.domains.checks.rubric import Judge

_CONTROL = re.compile(r"<(?=[^\s\d=])")
"""Where a control token of a chat template could begin.

An explanation is text and must not open a turn of its own. A space is put after it. Nothing is removed, because what
is left after a removal can form a token again.
"""


def without_control_tokens(text: str) -> str:
    """The text with whatever could be read as a control token broken by a space."""
    return _CONTROL.sub("< ", text)


SIMILAR_POOL = 128
"""`similar` draws from the block of this many neighbouring indices that holds the problem.

It is cheap, and new problems have new neighbours.
"""


@dataclasses.dataclass(frozen=True, eq=False)
class Domain(ABC):
    """Problems of one family at one level. Deterministic in (name, level, settings, seed).

    A kind is a frozen dataclass under `Domain` whose further fields are its settings. The properties may be plain
    class attributes in a user's own (`max_tokens = 32`).
    """

    name: str
    """The domain's name in its run."""
    level: int = dataclasses.field(default=1, metadata=INJECTED)
    """Difficulty, from 1 to `levels`."""
    seed: int = dataclasses.field(default=0, metadata=INJECTED)
    """The run's seed."""

    levels: ClassVar[int] = 1
    """How many levels of difficulty a user's own kind has."""

    # ------------------------------------------------------------------------------------- what a kind must say
    @abstractmethod
    def problem(self, split: Split, index: int) -> Problem:
        """Problem `index` (from 0) of a split; no two indices share a question.

        Raises DataError where there are not so many.
        """

    @abstractmethod
    def size_hint(self, split: Split, wanted: int) -> int:
        """How many problems the split has, counting no further than `wanted`."""

    @property
    @abstractmethod
    def instruction(self) -> str:
        """One sentence that says what to do and how the answer must look."""

    @property
    @abstractmethod
    def form(self) -> Form:
        """The shape of an answer, by which `extract` and `correct` read it."""

    @property
    @abstractmethod
    def max_tokens(self) -> int:
        """The token cap of one answer, worked solution included."""

    # --------------------------------------------------------------------------------------- what it may change
    @property
    def field(self) -> str:
        """The field it belongs to in tables: "arithmetic", "logic"."""
        return "other"

    @property
    def open_answers(self) -> bool:
        """False where answers are so few (yes or no) that asking for another one would give it away."""
        return True

    @property
    def system(self) -> str:
        """What an agent is told before the question."""
        return f"{self.instruction} Work it out briefly, then write the last line as\nAnswer: <answer>"

    def check(self) -> list[str]:
        """Problems between its settings, each `key: what is wrong (remedy)`."""
        return []

    def trial(self) -> list[str]:
        """What goes wrong when it is tried, before a run begins; called where its settings have no problems."""
        return []

    def too_few(self, split: Split, wanted: int, found: int) -> str:
        """What to say where a split has fewer problems than a run asks for."""
        return (
            f"{wanted} distinct {split} problems are asked for, level {self.level} has {found}; raise the level, widen "
            "the settings or ask for fewer"
        )

    @property
    def is_judged(self) -> bool:
        """Whether a model decides what is right, so that results are its opinion."""
        return False

    @property
    def data_digest(self) -> str | None:
        """What changes with the data that it rests on; None where there is none."""
        return None

    @property
    def about(self) -> str | None:
        """A line on its data for whoever starts a run; None where there is nothing to say."""
        return None

    def judge_by(self, judge: Judge) -> None:
        """Take the model that judges replies; a domain whose check asks none has no use for it."""
        return None

    def similar(self, problem: Problem, k: int) -> tuple[Problem, ...]:
        """k other problems of the same split and difficulty, none with the answer of `problem`.

        Where answers are few (yes or no), another answer would always be the opposite one and give itself away: there
        the answers are drawn freely. Deterministic in the problem. Raises DataError when the split has not enough
        others.
        """
        end = self.size_hint(problem.split, (problem.index // SIMILAR_POOL + 1) * SIMILAR_POOL)
        start = max(0, end - SIMILAR_POOL)
        order = start + generator(
            "similar", self.name, self.level, self.seed, problem.split, problem.index
        ).permutation(end - start)
        chosen: list[Problem] = []
        for index in order:
            if len(chosen) == k:
                break
            other = self.problem(problem.split, int(index))
            if other.question != problem.question and (other.answer != problem.answer or not self.open_answers):
                chosen.append(other)
        if len(chosen) < k:
            raise DataError(
                f"domain '{self.name}' at level {self.level}: {k} problems similar to {problem.key} with other answers "
                f"asked for, {len(chosen)} found: ask for fewer, raise the level or widen the settings"
            )
        return tuple(chosen)

    def prompt(self, problem: Problem, examples: Sequence[tuple[Problem, str]] = ()) -> tuple[Message, ...]:
        """How an agent is asked: the instruction, worked examples as earlier turns, the question.

        Each example is (problem, explanation): the true answer always stands at its end, whatever the explanation
        claims.
        """
        messages = [Message("system", self.system)]
        for shown, explanation in examples:
            messages.append(Message("user", shown.question))
            messages.append(Message("assistant", self.worked(shown, explanation)))
        messages.append(Message("user", problem.question))
        return tuple(messages)

    def worked(self, problem: Problem, explanation: str) -> str:
        """An explanation and the true answer; its own answer lines go, control tokens are broken."""
        body = without_answer(without_control_tokens(explanation))
        return f"{body}\nAnswer: {problem.answer}" if body else f"Answer: {problem.answer}"

    def extract(self, text: str) -> str | None:
        """The final answer of a reply in its one spelling; None when missing or contradictory."""
        return extract(text, self.form)

    def correct(self, problem: Problem, text: str) -> bool:
        """Whether the reply commits to exactly the true answer."""
        given = self.extract(text)
        return given is not None and given == normalise(problem.answer, self.form)

    def solution(self, problem: Problem) -> str:
        """The worked solution, or the bare answer line where there is none."""
        return problem.solution or f"Answer: {problem.answer}"
