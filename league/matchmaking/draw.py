"""The pairings of a round: a rule for each match, then a pairing by that rule's weights.

The rules' shares of the matches are kept as exact as whole numbers allow (largest remainder, ties by lot), so a rule
with weight 0.1 gets 1 of 10 matches and not 0 to 3. Random rules draw anew for every match. A rule that has nothing
to say (all weights 0: no certified cycle yet, no past to verify) hands its match to the other rules in proportion;
when none speaks, uniform does.
"""

from collections.abc import Callable, Sequence

import numpy as np

from league.errors import DataError
from league.matchmaking.pairing import Mixture, Pairing, RuleContext
from league.payoffs.matrix import FloatArray


def draw_pairings(
    context: RuleContext,
    pairings: Sequence[Pairing],
    count: int,
    *,
    mixture: Mixture,
    rng: np.random.Generator,
) -> list[Pairing]:
    """Draw `count` pairings, with replacement, from the candidates.

    Raises DataError without candidates, or without a rule of weight above 0.
    """
    if count <= 0:
        return []
    if not pairings:
        raise DataError(
            f"task '{context.task}' has no candidate pairing for {count} matches: add agents or set its matches to 0"
        )
    names = list(mixture.weights)
    order = [names[i] for i in apportion(np.array(list(mixture.weights.values()), dtype=float), count, rng)]
    steady: dict[str, FloatArray] = {}

    def weigh(name: str) -> FloatArray:
        rule = mixture.rules[name]
        if rule.random:
            return rule(context, pairings, rng)
        if name not in steady:
            steady[name] = rule(context, pairings, rng)
        return steady[name]

    return [pairings[rng.choice(len(pairings), p=_weights(weigh, first, mixture, rng))] for first in order]


def _weights(weigh: Callable[[str], FloatArray], first: str, mixture: Mixture, rng: np.random.Generator) -> FloatArray:
    """Normalised weights of the rule `first`, or of a rule that speaks where it does not.

    Uniform when none does.
    """
    left = list(mixture.weights)
    name = first
    while True:
        weights_P = weigh(name)
        if weights_P.sum() > 0:
            return np.asarray(weights_P / weights_P.sum())
        left.remove(name)
        if not left:
            return np.full(len(weights_P), 1.0 / len(weights_P))
        chances_M = np.array([mixture.weights[other] for other in left])
        name = left[rng.choice(len(left), p=chances_M / chances_M.sum())]


def apportion(shares_M: FloatArray, count: int, rng: np.random.Generator) -> list[int]:
    """Which share (by place) each of `count` matches belongs to, in random order."""
    if len(shares_M) == 0 or not shares_M.sum() > 0:
        raise DataError("a mixture of matchmaking rules needs at least one weight above 0")
    exact_M = shares_M / shares_M.sum() * count
    whole_M = np.floor(exact_M + 1e-9).astype(int)
    rest = count - int(whole_M.sum())
    if rest > 0:
        remainder_M = np.maximum(exact_M - whole_M, 0.0)
        extra = rng.choice(len(shares_M), size=rest, replace=False, p=remainder_M / remainder_M.sum())
        whole_M[extra] += 1
    places = np.repeat(np.arange(len(shares_M)), whole_M)
    return [int(place) for place in rng.permutation(places)]
