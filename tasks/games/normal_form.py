"""Two-player symmetric games as payoff matrices, and what follows from a matrix exactly.

`payoff_AA[a, b]` is what a player earns by playing a against b; the other earns `payoff_AA[b, a]`. Zero-sum games are
antisymmetric. Only what needs no solver lives here: equilibria of measured payoffs belong to the league's analysis.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class NormalForm:
    """The rules of one symmetric two-player game in words and numbers."""

    name: str
    rules: str
    """What a player is told, without the list of moves."""
    moves: tuple[str, ...]
    payoff_AA: Array
    relation: Literal["contest", "cooperation"]
    forfeit: float
    """What a reply that is no move earns. Never above the worst that a move can earn."""

    def pays(self, own: str | None, other: str | None) -> float:
        """What `own` earns against `other`; None is a forfeit.

        Against a forfeit a contest is won by as much as the other lost, so it stays zero-sum (except when both
        forfeit: both lose); in a cooperative game the player is left with the worst its move can earn.
        """
        if own is None:
            return self.forfeit
        row = self.payoff_AA[self.moves.index(own)]
        if other is None:
            return -self.forfeit if self.relation == "contest" else float(row.min())
        return float(row[self.moves.index(other)])


def mixed_strategy(counts: Sequence[float]) -> Array:
    """Counts or weights of the moves as probabilities.

    Raises ValueError when there is nothing to normalise.
    """
    weights_A = np.asarray(counts, dtype=np.float64)
    if weights_A.min() < 0 or not weights_A.sum() > 0:
        raise ValueError(f"a mixed strategy needs non-negative weights with a positive sum, found {weights_A.tolist()}")
    return weights_A / weights_A.sum()


def best_response(payoff_AA: Array, strategy_A: Array) -> tuple[int, float]:
    """The first move that earns most against `strategy_A`, and what it earns."""
    values_A = payoff_AA @ strategy_A
    return int(values_A.argmax()), float(values_A.max())


def exploitability(payoff_AA: Array, strategy_A: Array) -> float:
    """max_a (A p)_a − pᵀ A p: what a best response gains over playing p itself.

    0 exactly at a symmetric equilibrium.

    In an antisymmetric game the second term is 0, so this is what an opponent can win.
    """
    return best_response(payoff_AA, strategy_A)[1] - float(strategy_A @ payoff_AA @ strategy_A)


def _antisymmetric(names: int, above: dict[tuple[int, int], float]) -> Array:
    payoff_AA = np.zeros((names, names))
    for (row, col), value in above.items():
        payoff_AA[row, col], payoff_AA[col, row] = value, -value
    return payoff_AA


ROCK_PAPER_SCISSORS = NormalForm(
    name="rock-paper-scissors",
    rules="Rock, paper, scissors: rock beats scissors, scissors beats paper, paper beats rock.",
    moves=("rock", "paper", "scissors"),
    payoff_AA=_antisymmetric(3, {(0, 1): -1.0, (0, 2): 1.0, (1, 2): -1.0}),
    relation="contest",
    forfeit=-1.0,
)

BIASED_ROCK_PAPER_SCISSORS = NormalForm(
    name="biased-rock-paper-scissors",
    rules="Rock, paper, scissors with stakes: rock beats scissors for 9 points, scissors beats paper for 5, "
    "paper beats rock for 2.",
    moves=("rock", "paper", "scissors"),
    payoff_AA=_antisymmetric(3, {(0, 1): -0.2, (0, 2): 0.9, (1, 2): -0.5}),
    relation="contest",
    forfeit=-0.9,
)

STAG_HUNT = NormalForm(
    name="stag-hunt",
    rules="Stag hunt: two hunters choose at once. Both stag: 4 points each. Both hare: 2 each. Stag alone: 0. "
    "Hare alone: 3.",
    moves=("stag", "hare"),
    payoff_AA=np.array([[4.0, 0.0], [3.0, 2.0]]),
    relation="cooperation",
    forfeit=-1.0,
)

PRISONERS_DILEMMA = NormalForm(
    name="prisoners-dilemma",
    rules="Prisoner's dilemma. Both cooperate: 3 points each. Both defect: 1 each. If one defects alone it gets 5 "
    "and the other 0.",
    moves=("cooperate", "defect"),
    payoff_AA=np.array([[3.0, 0.0], [5.0, 1.0]]),
    relation="cooperation",
    forfeit=-1.0,
)


def blotto(soldiers: int = 5, fields: int = 3) -> NormalForm:
    """Colonel Blotto: split the soldiers over the fields.

    More soldiers win a field, more fields won wins the game (+1, 0, −1).

    Blotto(5, 3) has 21 moves, one per ordered split.
    """
    splits = [split for split in product(range(soldiers + 1), repeat=fields) if sum(split) == soldiers]
    split_AF = np.array(splits, dtype=np.float64)
    fields_won_AA = np.sign(split_AF[:, None, :] - split_AF[None, :, :]).sum(axis=2)
    return NormalForm(
        name=f"blotto-{soldiers}-{fields}",
        rules=f"Blotto: split {soldiers} soldiers over {fields} fields, as {fields} numbers that sum to {soldiers}. "
        "More soldiers win a field; more fields win the game.",
        moves=tuple(" ".join(str(n) for n in split) for split in splits),
        payoff_AA=np.sign(fields_won_AA),
        relation="contest",
        forfeit=-1.0,
    )


FORMS: dict[str, NormalForm] = {
    form.name: form
    for form in (ROCK_PAPER_SCISSORS, BIASED_ROCK_PAPER_SCISSORS, blotto(5, 3), STAG_HUNT, PRISONERS_DILEMMA)
}
