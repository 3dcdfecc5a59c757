"""Training problems that were played: a second answer to one is not held out."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from league.types import Problem


@dataclass(frozen=True)
class MetProblems:
    """A set of problems; small, because matches take problems in order."""

    bounds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """domain/split → start, end, start, end, … of indices: sorted, no two ranges touch."""

    def __contains__(self, problem: Problem) -> bool:
        return bisect_right(self.bounds.get(_place(problem), ()), problem.index) % 2 == 1

    def more(self, problems: Iterable[Problem]) -> "MetProblems":
        """With these problems too."""
        bounds = dict(self.bounds)
        for problem in problems:
            place = _place(problem)
            bounds[place] = _with(bounds.get(place, ()), problem.index)
        return MetProblems(bounds)

    # ------------------------------------------------------------------------------------------------ storage
    def to_json(self) -> dict[str, list[int]]:
        """domain/split → bounds."""
        return {place: list(bounds) for place, bounds in self.bounds.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Iterable[int]]) -> "MetProblems":
        return cls({place: tuple(bounds) for place, bounds in data.items()})


def _place(problem: Problem) -> str:
    return f"{problem.domain}/{problem.split}"


def _with(bounds: tuple[int, ...], index: int) -> tuple[int, ...]:
    """The ranges with one more index, merged with those it touches."""
    at = bisect_right(bounds, index)
    if at % 2:
        return bounds
    before, after = bounds[:at], bounds[at:]
    before = before[:-1] if before and before[-1] == index else (*before, index)
    after = after[1:] if after and after[0] == index + 1 else (index + 1, *after)
    return before + after
