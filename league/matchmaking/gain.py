"""Where the next token goes: where it adds most unaided accuracy.

A candidate is a (teacher, student, domain, channel).

Formula. A candidate's gain per thousand tokens g is drawn from its posterior (league.payoffs.channel_gains). With a the
student's accuracy in the domain (posterior mean, league.payoffs.competence), the highest

    g · (1 − a)

wins the match: weight 1 for it, 0 for the others, with a uniform `floor` so that no domain is forgotten. The factor
1 − a is the room that is left: a regression on past rounds sees too late that a domain is mastered.
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
        drawn_P = drawn_gains([(context, pairing) for pairing in pairings], rng)
        return with_floor((drawn_P >= drawn_P.max()).astype(float), self.floor)


def drawn_gains(offers: Sequence[tuple[RuleContext, Pairing]], rng: np.random.Generator) -> FloatArray:
    """One Thompson draw of g · (1 − a) for every offer (P,), P ≥ 1.

    Gains of one posterior are drawn together. The contexts share their gains and competence.
    """
    context = offers[0][0]
    keys_P = [each.source_of(pairing) for each, pairing in offers]
    gains = context.gains.draws(keys_P, rng)
    rooms_P = [1.0 - context.competence.mean(each.student_of(pairing), pairing.domain) for each, pairing in offers]
    return np.array([gains[key] for key in keys_P]) * np.array(rooms_P)
