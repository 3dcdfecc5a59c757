"""A domain: a kind with level, settings and seed bound. How its problems are asked, read and
judged.

Right means that the one answer the reply commits to equals the true one exactly. reasoning-gym's own scorers give
credit for near misses in several families; none is used.
"""

import re
from collections.abc import Mapping, Sequence

from league.errors import DataError
from league.seeds import generator
from league.types import Message, Problem, Split
from tasks.domains.answers import extract, normalise, without_answer
from tasks.domains.kind import DomainKind
from tasks.domains.stream import Stream

_CONTROL = re.compile(r"<(?=[^\s\d=])")
"""Where a control token of a chat template could begin. A space is put after it rather than
anything removed, because what is left after a removal can form a token again: an explanation is text and must not
open a turn of its own."""

SIMILAR_POOL = 128
"""`similar` draws from the block of so many neighbouring indices that holds the problem: cheap, and
new problems have new neighbours."""


class Domain:
    """Problems of one kind at one level. Deterministic in (name, level, settings, seed); keeps what
    it has drawn."""

    def __init__(self, kind: DomainKind, level: int, settings: Mapping[str, int], seed: int, name: str | None = None):
        self.kind = kind
        self.name = name or kind.name
        self.field = kind.field
        self.level = level
        self.max_tokens = kind.levels[level - 1].max_tokens
        self._seed = seed
        self._stream = Stream(kind, level, {**kind.levels[level - 1].settings, **settings}, seed)

    def problem(self, split: Split, index: int) -> Problem:
        """Problem `index` (from 0) of a split; no two indices share a question. Raises DataError
        where there are not so many."""
        found = self._stream.get(split, index)
        solution = f"{found.steps}\nAnswer: {found.answer}" if found.steps else None
        return Problem(self.name, split, index, found.question, found.answer, solution)

    def size_hint(self, split: Split, wanted: int) -> int:
        """How many problems the split has, counting no further than `wanted`."""
        return self._stream.available(split, wanted)

    def similar(self, problem: Problem, k: int) -> tuple[Problem, ...]:
        """k different problems of the same split and difficulty, none with the answer of `problem`
        (nor its question).

        Where answers are few (yes or no), another answer would always be the opposite one and give itself away: there
        the answers are drawn freely. Deterministic in the problem. Raises DataError when the split has not enough
        others.
        """
        end = self._stream.available(problem.split, (problem.index // SIMILAR_POOL + 1) * SIMILAR_POOL)
        start = max(0, end - SIMILAR_POOL)
        order = start + generator(
            "similar", self.name, self.level, self._seed, problem.split, problem.index
        ).permutation(end - start)
        chosen: list[Problem] = []
        for index in order:
            if len(chosen) == k:
                break
            other = self.problem(problem.split, int(index))
            if other.question != problem.question and (other.answer != problem.answer or not self.kind.open_answers):
                chosen.append(other)
        if len(chosen) < k:
            raise DataError(
                f"domain '{self.name}' at level {self.level}: {k} problems similar to {problem.key} with other answers asked for, "
                f"{len(chosen)} found: ask for fewer, raise the level or widen the settings"
            )
        return tuple(chosen)

    def prompt(self, problem: Problem, examples: Sequence[tuple[Problem, str]] = ()) -> tuple[Message, ...]:
        """How an agent is asked: an instruction with the answer format, worked examples as earlier
        turns, the question.

        Each example is (problem, explanation): the true answer always stands at its end, whatever the explanation
        claims.
        """
        system = f"{self.kind.instruction} Work it out briefly, then write the last line as\nAnswer: <answer>"
        messages = [Message("system", system)]
        for shown, explanation in examples:
            messages.append(Message("user", shown.question))
            messages.append(Message("assistant", self.worked(shown, explanation)))
        messages.append(Message("user", problem.question))
        return tuple(messages)

    def worked(self, problem: Problem, explanation: str) -> str:
        """An explanation followed by the true answer; its own answer lines are taken out and
        control tokens broken."""
        body = without_answer(_CONTROL.sub("< ", explanation))
        return f"{body}\nAnswer: {problem.answer}" if body else f"Answer: {problem.answer}"

    def extract(self, text: str) -> str | None:
        """The final answer of a reply in its one spelling, or None when missing, malformed or
        contradictory."""
        return extract(text, self.kind.form)

    def correct(self, problem: Problem, text: str) -> bool:
        """Whether the reply commits to exactly the true answer."""
        given = self.extract(text)
        return given is not None and given == normalise(problem.answer, self.kind.form)

    def solution(self, problem: Problem) -> str:
        """The worked solution, or the bare answer line where the kind writes none."""
        return problem.solution or f"Answer: {problem.answer}"
