"""Population-based training, with a posterior instead of a truncation.

Source: Jaderberg et al. (2017), arXiv 1711.09846.

Exploit. An agent takes over another's weights and optimizer only where P(other is better) > confidence. Better means:
the mean advantage over the opponents both have met,

    D = mean over k of (p_jk − p_ik),  p ~ Beta(w + d/2 + ½, l + d/2 + ½).

Games between the two count as an opponent with 2 p_ji − 1. The posterior of D is taken as normal with the sum of the
Beta variances; for Δ and joint returns D is the difference of means. Only agents that nobody surely beats are copied,
so in a sure cycle, where everyone is beaten, nobody is copied and the cycle stays.

Explore. Learning rate, KL and temperature are each multiplied or divided by `factor`, within `spread` of where the
agent began.

Failure case. Agents that are equally good never exploit, so their hyper-parameters never change; P(better) of several
pairs, looked at again and again, errs more often than 1 − confidence in one of them.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from league.population.tallies import Bools, Floats, Items
from league.types import Hyper


def better(wins_NC: Floats, draws_NC: Floats, losses_NC: Floats, between_NN3: Floats, min_games: float) -> Floats:
    """P[i, j] that j is better than i, (N, N), NaN where unknown.

    wins, draws, losses (N, C): agents against opponents outside the group. between (N, N, 3): wins, draws, losses of
    i against j. Unknown: fewer than `min_games` games of either against what both have met.
    """
    from scipy.special import ndtr

    games_NC = wins_NC + draws_NC + losses_NC
    met_NC = (games_NC > 0).astype(float)
    mean_NC, variance_NC = _beta(wins_NC, draws_NC, losses_NC)
    sum_NN, spread_NN, count_NN = (
        (mean_NC * met_NC) @ met_NC.T,
        (variance_NC * met_NC) @ met_NC.T,
        games_NC @ met_NC.T,
    )  # [i, j]: of i, over what j has met, too
    own_NN = between_NN3.sum(axis=2)
    own_mean_NN, own_variance_NN = _beta(between_NN3[..., 0], between_NN3[..., 1], between_NN3[..., 2])
    gap_NN = sum_NN.T - sum_NN + np.where(own_NN > 0, 1.0 - 2.0 * own_mean_NN, 0.0)
    both_NN = spread_NN + spread_NN.T + np.where(own_NN > 0, 4.0 * own_variance_NN, 0.0)
    known_NN = np.minimum(count_NN, count_NN.T) + own_NN >= min_games
    np.fill_diagonal(known_NN, False)
    return np.where(known_NN, ndtr(gap_NN / np.sqrt(np.where(known_NN, both_NN, 1.0))), np.nan)


def better_by_items(items: Sequence[Items], min_items: float) -> Floats:
    """P[i, j] that j's mean exceeds i's, (N, N), NaN where either has fewer than `min_items`."""
    from scipy.special import ndtr

    size = len(items)
    chance_NN = np.full((size, size), np.nan)
    for i, mine in enumerate(items):
        for j, other in enumerate(items):
            spread = mine.variance_of_mean + other.variance_of_mean
            if i != j and min(mine.n, other.n) >= min_items and np.isfinite(spread):
                chance_NN[i, j] = ndtr((other.mean - mine.mean) / np.sqrt(max(spread, 1e-12)))
    return chance_NN


def exploits(chance_NN: Floats, confidence: float) -> list[tuple[int, int]]:
    """(who takes over, from whom) by P[i, j], the chance that j is better than i.

    From the surest better one that is itself surely beaten by nobody.
    """
    sure_NN: Bools = np.nan_to_num(chance_NN, nan=0.0) > np.full_like(chance_NN, confidence)
    unbeaten_N = ~np.asarray(sure_NN.any(axis=1))
    found = []
    for i in range(len(chance_NN)):
        donors = [j for j in range(len(chance_NN)) if sure_NN[i, j] and unbeaten_N[j]]
        if donors:
            found.append((i, max(donors, key=lambda j: (chance_NN[i, j], -j))))
    return found


def explore(donor: Hyper, start: Hyper, factor: float, spread: float, rng: np.random.Generator) -> Hyper:
    """The donor's hyper-parameters, each one step up or down, within [start / spread, start · spread].

    A KL of 0 stays 0.
    """
    found = {}
    for name in ("learning_rate", "kl", "temperature"):
        value = getattr(donor, name) * (factor if rng.random() < 0.5 else 1.0 / factor)
        middle = getattr(start, name)
        found[name] = float(min(max(value, middle / spread), middle * spread)) if middle > 0 else float(value)
    return replace(donor, **{**found, "learning_rate": min(found["learning_rate"], 1.0)})


def _beta(wins: Floats, draws: Floats, losses: Floats) -> tuple[Floats, Floats]:
    """Posterior means and variances."""
    a, b = wins + draws / 2 + 0.5, losses + draws / 2 + 0.5
    return a / (a + b), a * b / ((a + b) ** 2 * (a + b + 1))
