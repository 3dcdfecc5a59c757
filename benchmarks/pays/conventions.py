"""The game of regime *collaborative*: two players score when they name the same colour. Four conventions are as good.

Which colour it is cannot be known from the rules; it can be agreed by habit, and found out from what the other player
did in earlier rounds. A pair that always played together needs no more than the habit. With a stranger only who
watches the partner scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from league.types import Episode, Match, Score, TreePath, Turn
from tasks.games.matrix_games import MatrixGame
from tasks.games.normal_form import NormalForm
from tasks.games.replies import check_grammars

COLOURS = NormalForm(
    name="colours",
    rules="Two players name a colour at once. The same colour: 1 point each. Different colours: 0.",
    moves=("red", "blue", "green", "yellow"),
    payoff_AA=np.eye(4),
    relation="cooperation",
    forfeit=0.0,
)


@dataclass(frozen=True)
class Conventions(MatrixGame):
    """The colours over several rounds. In evaluation every play is one line: nothing branches."""

    game: str = COLOURS.name

    @property
    def form(self) -> NormalForm:
        return COLOURS

    def check(self) -> list[str]:
        if self.game != COLOURS.name:
            return [f"game: expected '{COLOURS.name}', found '{self.game}'", *check_grammars(self.constrained)]
        return check_grammars(self.constrained)

    def follow(self, match: Match, path: TreePath) -> Sequence[Turn]:
        turns = super().follow(match, path)
        return [replace(turn, samples=1) for turn in turns] if match.purpose == "evaluate" else turns

    def score(self, episode: Episode) -> Score:
        """The game's score, and its `return`: the share of rounds in which the colours agree, 0 to 1."""
        found = super().score(episode)
        agreed = found.metrics["joint_return"] / (2 * self.rounds)
        return replace(found, metrics={**found.metrics, "return": agreed})
