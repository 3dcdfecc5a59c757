"""Where the next token goes: where it adds most unaided accuracy.

A candidate is a (teacher, student, domain, channel).

Formula. Each candidate's gain per thousand tokens is drawn from its posterior (league.payoffs.channel_gains); the
highest draw wins the match: weight 1 for it, 0 for the others, with a uniform `floor` so that no domain is forgotten.
Source: Thompson (1933).

Failure case. Early draws come from the prior, so the first rounds are nearly uniform. A domain that responds quickly
takes the matches until it saturates: `floor` is what the others get meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from league.matchmaking.pairing import Pairing, Rule, RuleContext, Share, with_floor
from league.payoffs.matrix import FloatArray


@dataclass(frozen=True)
class GainPerToken(Rule):
    """floor: share of the matches that is drawn uniformly."""

    floor: Share = 0.2

    def __call__(self, context: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        if not pairings:
            return np.zeros(0)
        keys_P = [context.source_of(pairing) for pairing in pairings]
        draws = context.gains.draws(keys_P, rng)
        drawn_P = np.array([draws[key] for key in keys_P])
        return with_floor((drawn_P >= drawn_P.max()).astype(float), self.floor)
