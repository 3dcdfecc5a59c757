"""Partners and opponents unlike oneself: more to learn from than one's own reflection.

Formula. Distance of the payoff rows of row and col (root mean square over opponents both have met, win rates of the
decayed view); weights are distances with a uniform `floor`. Pairs whose distance is unknown get the mean of the known
ones.

Failure case. With few games distance is mostly noise (about 1/√n each), and two agents that lose to everyone
differently weigh as much as two that win differently.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from league.matchmaking.pairing import Count, Pairing, Rule, RuleContext, Share, with_floor
from league.payoffs.diversity import dissimilarity
from league.payoffs.matrix import FloatArray


@dataclass(frozen=True)
class Dissimilar(Rule):
    """min_games: effective games before a win rate counts as known."""

    random: ClassVar[bool] = False

    floor: Share = 0.1
    min_games: Count = 4.0
    half_life: Count = 10.0

    def __call__(self, context: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        if not pairings:
            return np.zeros(0)
        place = {version: i for i, version in enumerate(dict.fromkeys(v for p in pairings for v in (p.row, p.col)))}
        versions = list(place)
        met = context.view.meetings(context.task, versions, versions, half_life=self.half_life)
        games_NN = met.wins + met.draws + met.losses
        with np.errstate(invalid="ignore", divide="ignore"):
            rate_NN = np.where(met.n_eff >= self.min_games, (met.wins + met.draws / 2) / games_NN, np.nan)
        distance_NN = dissimilarity(rate_NN)
        weights_P = np.array([distance_NN[place[p.row], place[p.col]] for p in pairings])
        known_K = weights_P[~np.isnan(weights_P)]
        if len(known_K) == 0:
            return np.zeros(len(pairings))
        return with_floor(np.where(np.isnan(weights_P), known_K.mean(), weights_P), self.floor)
