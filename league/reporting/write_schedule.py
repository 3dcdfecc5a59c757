"""Which rounds write what to TensorBoard.

A long run's board must stay small (30 MB in 10,000 rounds) and open fast. A board shows a thousand points of a line and
a handful of pictures; the database keeps everything, and `league report` reads that. Which rounds are written follows
from their numbers alone, so a resumed run continues the same board. Rare values (exams, teaching gains, alarms) are
always written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

POINTS, TEXTS, PICTURES = 2000, 200, 50
"""At most so many rounds with scalars, with a transcript, with figures."""
RARE = ("accuracy/", "delta/", "gain/", "alarm/", "teaching/", "win_rate/", "void/", "too_long/")
"""Tags of what is not measured every round: no point of theirs is left out."""


@dataclass(frozen=True)
class WriteSchedule:
    """`rounds` of the whole run; `every`: rounds between measurements."""

    rounds: int
    every: int = 1

    def scalars(self, number: int, values: Mapping[str, float]) -> Mapping[str, float]:
        """What round `number` writes of its scalars."""
        if self._due(number, POINTS):
            return values
        return {tag: value for tag, value in values.items() if tag.startswith(RARE)}

    def text(self, number: int) -> bool:
        """Whether it writes a transcript."""
        return self._due(number, TEXTS)

    def figures(self, number: int) -> bool:
        """Whether a measured round draws figures.

        The first one in each of `PICTURES` spans does, and the last round.
        """
        span = max(1, ceil(self.rounds / PICTURES))
        return number in (0, self.rounds) or number // span != (number - self.every) // span

    def _due(self, number: int, most: int) -> bool:
        return number == self.rounds or number % max(1, ceil(self.rounds / most)) == 0
