"""The pairings of a round: each match draws a rule from the mixture, then a pairing from the rule's
weights.

The rules' shares of the matches are kept as exact as whole numbers allow (largest remainder, ties by lot), so a rule
with weight 0.1 gets 1 of 10 matches and not 0 to 3. Random rules draw anew for every match. A rule that has nothing
to say (all weights 0: no certified cycle yet, no past to verify) hands its match to the other rules in proportion;
when none speaks, uniform does.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from league.errors import DataError
from league.matchmaking.pairing import Pairing, RuleContext
from league.matchmaking.rules import make_rule
from league.payoffs.matrix import FloatArray


def draw_pairings(
    now: RuleContext,
    pairings: Sequence[Pairing],
    count: int,
    mixture: Mapping[str, float],
    parameters: Mapping[str, Mapping[str, Any]],
    rng: np.random.Generator,
) -> list[Pairing]:
    """Draw `count` pairings (with replacement) from the candidates. Raises ConfigError on unknown
    rules, DataError without candidates."""
    if count <= 0:
        return []
    if not pairings:
        raise DataError(
            f"task '{now.task}' has no candidate pairing for {count} matches: add agents or set its matches to 0"
        )
    names = [name for name, weight in mixture.items() if weight > 0]
    rules = {name: make_rule(name, parameters.get(name)) for name in names}
    shares = np.array([mixture[name] for name in names], dtype=float)
    order = [names[i] for i in apportion(shares, count, rng)]
    steady: dict[str, FloatArray] = {}

    def weigh(name: str) -> FloatArray:
        if rules[name].random:
            return rules[name](now, pairings, rng)
        if name not in steady:
            steady[name] = rules[name](now, pairings, rng)
        return steady[name]

    return [pairings[rng.choice(len(pairings), p=_weights(weigh, first, mixture, rng))] for first in order]


def _weights(
    weigh: Callable[[str], FloatArray], first: str, mixture: Mapping[str, float], rng: np.random.Generator
) -> FloatArray:
    """Normalised weights of the rule `first`, or of whichever rule speaks when it does not; uniform
    when none does."""
    left = [name for name, weight in mixture.items() if weight > 0]
    name = first
    while True:
        weights = weigh(name)
        if weights.sum() > 0:
            return np.asarray(weights / weights.sum())
        left.remove(name)
        if not left:
            return np.full(len(weights), 1.0 / len(weights))
        chances = np.array([mixture[other] for other in left])
        name = left[rng.choice(len(left), p=chances / chances.sum())]


def apportion(shares: FloatArray, count: int, rng: np.random.Generator) -> list[int]:
    """Which share (by place) each of `count` matches belongs to, in random order."""
    if len(shares) == 0 or not shares.sum() > 0:
        raise DataError("a mixture of matchmaking rules needs at least one weight above 0")
    exact = shares / shares.sum() * count
    whole = np.floor(exact + 1e-9).astype(int)
    rest = count - int(whole.sum())
    if rest > 0:
        remainder = np.maximum(exact - whole, 0.0)
        extra = rng.choice(len(shares), size=rest, replace=False, p=remainder / remainder.sum())
        whole[extra] += 1
    places = np.repeat(np.arange(len(shares)), whole)
    return [int(place) for place in rng.permutation(places)]
