"""Domains whose problems reasoning-gym generates: a `DomainKind` with level, settings and seed."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

from league.types import Problem, Split
from tasks.domains.answers import Form
from tasks.domains.domain import Domain
from tasks.domains.kind import DomainKind
from tasks.domains.stream import Stream, generated


@dataclass(frozen=True, eq=False)
class GeneratedDomain(Domain):
    """Problems of one kind; keeps what it has drawn."""

    _: KW_ONLY
    kind: DomainKind
    settings: Mapping[str, int]
    """Generator settings that replace those of the level."""

    @property
    def instruction(self) -> str:
        return self.kind.instruction

    @property
    def form(self) -> Form:
        return self.kind.form

    @property
    def max_tokens(self) -> int:
        return self.kind.levels[self.level - 1].max_tokens

    @property
    def field(self) -> str:
        return self.kind.field

    @property
    def open_answers(self) -> bool:
        return self.kind.open_answers

    @cached_property
    def _all_settings(self) -> dict[str, int]:
        return {**self.kind.levels[self.level - 1].settings, **self.settings}

    @cached_property
    def _stream(self) -> Stream:
        return Stream(self.kind.name, self.level, generated(self.kind, self._all_settings, self.seed))

    def problem(self, split: Split, index: int) -> Problem:
        found = self._stream.get(split, index)
        solution = f"{found.steps}\nAnswer: {found.answer}" if found.steps else None
        return Problem(
            domain=self.name, split=split, index=index, question=found.question, answer=found.answer, solution=solution
        )

    def size_hint(self, split: Split, wanted: int) -> int:
        return self._stream.available(split, wanted)

    def check(self) -> list[str]:
        """Each setting `min_x` may be at most its `max_x`, the level's own settings included."""
        problems = []
        for low, value in self._all_settings.items():
            high = low.replace("min_", "max_", 1)
            upper = self._all_settings.get(high)
            if low.startswith("min_") and upper is not None and value > upper:
                problems.append(f"{low}: '{low}' is {value} but '{high}' is {upper}; set both so that min ≤ max")
        return problems
