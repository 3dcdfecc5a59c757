"""A contest a random model can win: a reply is right when it holds an even number of letters.

So rewards vary, and learning happens.
"""

from dataclasses import dataclass, replace
from typing import Any

from league.types import Episode, Problem, Score
from tasks.contest import Contest


class EvenLetters:
    """Stands in for a domain's judge."""

    def correct(self, problem: Problem, text: str) -> bool:
        return sum(char.isalpha() for char in text) % 2 == 0


@dataclass(frozen=True)
class Letters(Contest):
    """The contest's rules with another judge."""

    def score(self, episode: Episode) -> Score:
        judges: dict[str, Any] = {name: EvenLetters() for name in self.domains}
        return Contest.score(replace(self, domains=judges), episode)
