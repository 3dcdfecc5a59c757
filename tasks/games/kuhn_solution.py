"""Kuhn poker exactly: rules, values, best responses, exploitability, mixtures.

Cards J < Q < K, one each, ante 1. The first player checks or bets 1; after a check the second checks (showdown) or
bets; whoever faces a bet folds or calls. H. W. Kuhn, "A simplified two-person poker" (1950): the game is worth −1/18
to the first player.

An information set is the player's card and the actions so far, "c" a check and "b" a bet: "Q", "Qcb" belong to the
first player, "Qc", "Qb" to the second. A `Policy` gives, for each of the twelve, the probability of putting the chip
in (bet or call).
"""

from collections.abc import Mapping, Sequence
from itertools import permutations, product

CARDS = "JQK"
DEALS: tuple[str, ...] = tuple("".join(pair) for pair in permutations(CARDS, 2))
FIRST_SETS: tuple[str, ...] = tuple(card + history for card in CARDS for history in ("", "cb"))
SECOND_SETS: tuple[str, ...] = tuple(card + history for card in CARDS for history in ("c", "b"))
Policy = Mapping[str, float]


def to_act(history: str) -> int | None:
    """Position (0 or 1) that acts after `history`, or None at the end.

    Histories are over c (check, fold) and b (bet, call).
    """
    return {"": 0, "c": 1, "b": 1, "cb": 0}.get(history)


def chips(deal: str, history: str) -> float:
    """Chips won by the first player at the end of `history`.

    Folds lose the ante, showdowns the ante and any bet called.
    """
    higher = 1.0 if CARDS.index(deal[0]) > CARDS.index(deal[1]) else -1.0
    ends = {"cc": higher, "bc": 1.0, "bb": 2 * higher, "cbc": -1.0, "cbb": 2 * higher}
    return ends[history]


def _hand(deal: str, history: str, first: Policy, second: Policy) -> float:
    position = to_act(history)
    if position is None:
        return chips(deal, history)
    bold = (first, second)[position][deal[position] + history]
    value = 0.0
    for action, weight in (("b", bold), ("c", 1 - bold)):
        if weight > 0:
            value += weight * _hand(deal, history + action, first, second)
    return value


def kuhn_value(first: Policy, second: Policy) -> float:
    """Expected chips per hand of the first player."""
    return sum(_hand(deal, "", first, second) for deal in DEALS) / len(DEALS)


def kuhn_best_response(policy: Policy, position: int) -> tuple[dict[str, float], float]:
    """A pure best response to the other's `policy`, and its chips per hand.

    Every one of the 2^6 pure plans is tried: small enough to need no argument about order or ties (the first best is
    kept).
    """
    sets = (FIRST_SETS, SECOND_SETS)[position]
    best: dict[str, float] = {}
    earned = float("-inf")
    for plan in product((0.0, 1.0), repeat=len(sets)):
        mine = dict(zip(sets, plan, strict=True))
        earns = kuhn_value(mine, policy) if position == 0 else -kuhn_value(policy, mine)
        if earns > earned:
            best, earned = mine, earns
    return best, earned


def kuhn_exploitability(policy: Policy) -> float:
    """Mean chips per hand that a best response wins from `policy` over both positions.

    It is 0 exactly at equilibrium, and half of NashConv. The uniform policy's is 11/24.
    """
    return (kuhn_best_response(policy, 0)[1] + kuhn_best_response(policy, 1)[1]) / 2


def kuhn_equilibrium(alpha: float = 0.0) -> dict[str, float]:
    """Kuhn's family of equilibria: the first player bets a jack with probability alpha in [0, 1/3]."""
    if not 0 <= alpha <= 1 / 3:
        raise ValueError(f"alpha must be between 0 and 1/3, found {alpha}")
    first = {"J": alpha, "Q": 0.0, "K": 3 * alpha, "Jcb": 0.0, "Qcb": alpha + 1 / 3, "Kcb": 1.0}
    second = {"Jc": 1 / 3, "Qc": 0.0, "Kc": 1.0, "Jb": 0.0, "Qb": 1 / 3, "Kb": 1.0}
    return first | second


def kuhn_mixture(policies: Sequence[Policy], weights: Sequence[float]) -> dict[str, float]:
    """The behaviour of a player that draws one policy per hand.

    Each information set is weighted by the policy's own reach of it.

    (Averaging probabilities without the reach is another player: Kuhn's theorem.) Sets nobody reaches keep the plain
    mean.
    """
    mixed: dict[str, float] = {}
    for infoset in (*FIRST_SETS, *SECOND_SETS):
        reach = [
            weight * ((1 - policy[infoset[0]]) if infoset.endswith("cb") else 1.0)
            for policy, weight in zip(policies, weights, strict=True)
        ]
        if sum(reach) <= 0:
            reach = list(weights)
        mixed[infoset] = sum(r * policy[infoset] for r, policy in zip(reach, policies, strict=True)) / sum(reach)
    return mixed
