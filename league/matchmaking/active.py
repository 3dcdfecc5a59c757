"""Where the next match says most about the league's cycles: active sampling of uncertain edges.

Formula. Draw P̃ from the sharpened posterior of every pair (Beta(S(w + ½), S(l + ½)), undrawn games, S = 16). The
cost of certifying an edge is the games it still needs at the drawn rate, c = max(0, ln(m/α) − ln E) / (ln 2 − H(p̃)),
H the entropy in nats: ln E grows by ln 2 − H(p) a game. goal "cycle": among the 3-cycles of the drawn graph take the
one of least total cost and play its dearest unfinished edge. goal "graph": play the uncertified edge of least cost
first, so that most edges are certified at any time. One draw names one pair: weight 1 (its two orientations share
it), with a uniform `floor` over pairs that are not certified. S: a league of 16 has 1,120 3-cycles, and the cheapest
of so many drawn from S = 1 is nearly always one that luck made cheap; a quarter of the standard deviation still
corrects what the first games got wrong. Measured: docs/log.md. Source: Thompson sampling on the response graph, after
Rowland et al. (2019), arXiv 1909.09849 (their rule plays uncertain edges of the response graph uniformly; the cost is
ours).

Failure case. A pair of exactly equal agents never certifies and has infinite cost: it is left to the floor. Longer
cycles are found only as far as they contain, or lead the drawn graph to, 3-cycles (in a graph with all pairs decided
every cyclic component has one).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from league.matchmaking.pairing import ErrorRate, Pairing, Rule, RuleContext, Share, with_floor
from league.payoffs.edges import ALPHA, log_e_value, threshold
from league.payoffs.matrix import BoolArray, FloatArray

SHARP = 16.0


@dataclass(frozen=True)
class Active(Rule):
    """alpha: family-wise error rate the edges are to be certified at."""

    goal: Literal["cycle", "graph"] = "cycle"
    alpha: ErrorRate = ALPHA
    floor: Share = 0.05

    def __call__(self, context: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        place = {version: i for i, version in enumerate(dict.fromkeys(v for p in pairings for v in (p.row, p.col)))}
        if len(place) < 2:
            return np.zeros(len(pairings))
        counts = context.view.counts(context.task, list(place))
        allowed_NN = np.zeros((len(place), len(place)), dtype=bool)
        for pairing in pairings:
            allowed_NN[place[pairing.row], place[pairing.col]] = allowed_NN[place[pairing.col], place[pairing.row]] = (
                True
            )
        np.fill_diagonal(allowed_NN, False)
        chosen, done_NN = next_pairs(counts.wins, allowed_NN, self.goal, self.alpha, rng)
        target = {frozenset(pair) for pair in chosen}
        ends = [(place[p.row], place[p.col]) for p in pairings]
        picked_P = np.array([float(frozenset(pair) in target) for pair in ends])
        open_P = np.array([float(i != j and not done_NN[i, j]) for i, j in ends])
        if picked_P.sum() == 0:
            return with_floor(open_P, 0.0)
        rest_P = open_P / open_P.sum() if open_P.sum() else picked_P / picked_P.sum()
        return np.asarray((1.0 - self.floor) * picked_P / picked_P.sum() + self.floor * rest_P)


def next_pairs(
    wins_NN: FloatArray, allowed_NN: BoolArray, goal: str, alpha: float, rng: np.random.Generator
) -> tuple[list[tuple[int, int]], BoolArray]:
    """The pair(s) to play next, by places in `wins` (N, N), and which pairs are certified (N, N)."""
    size = len(wins_NN)
    evidence_NN = log_e_value(wins_NN, wins_NN.T)
    done_NN = evidence_NN >= threshold(size, alpha)
    draw_NN = np.triu(rng.beta(SHARP * (wins_NN + 0.5), SHARP * (wins_NN.T + 0.5)), 1)
    chance_NN = draw_NN + np.tril(1.0 - draw_NN.T, -1) + 0.5 * np.eye(size)
    certain_NN = np.where(wins_NN > wins_NN.T, 1.0, 0.0)
    chance_NN = np.where(done_NN, certain_NN, chance_NN)
    cost_NN = np.where(done_NN, 0.0, (threshold(size, alpha) - evidence_NN) / np.maximum(_information(chance_NN), 1e-9))
    usable_NN = (allowed_NN | done_NN) & ~np.eye(size, dtype=bool)
    if goal == "cycle":
        found = _cheapest_cycle(chance_NN, np.where(usable_NN, cost_NN, np.inf))
        if found is not None:
            edges = [(found[i], found[(i + 1) % 3]) for i in range(3)]
            unfinished = [edge for edge in edges if not done_NN[edge]]
            if unfinished:
                return [max(unfinished, key=lambda edge: cost_NN[edge])], done_NN
    waiting_NN = np.where(allowed_NN & ~done_NN, cost_NN, np.inf)
    if not np.isfinite(waiting_NN).any():
        return [], done_NN
    i, j = np.unravel_index(int(np.argmin(waiting_NN)), waiting_NN.shape)
    return [(int(i), int(j))], done_NN


def _information(chance_NN: FloatArray) -> FloatArray:
    """ln 2 − H(p): expected growth of ln E a game, in nats."""
    inside_NN = np.clip(chance_NN, 1e-12, 1.0 - 1e-12)
    return np.asarray(math.log(2.0) + inside_NN * np.log(inside_NN) + (1.0 - inside_NN) * np.log1p(-inside_NN))


def _cheapest_cycle(chance_NN: FloatArray, cost_NN: FloatArray) -> tuple[int, int, int] | None:
    """i beats j beats k beats i in the drawn graph with unfinished cost as small as possible but not zero."""
    step_NN = np.where(chance_NN > 0.5, cost_NN, np.inf)
    best, found = np.inf, None
    for i in range(len(step_NN)):
        total_NN = step_NN[i][:, None] + step_NN + step_NN[:, i][None, :]
        total_NN[total_NN <= 0.0] = np.inf
        j, k = np.unravel_index(int(np.argmin(total_NN)), total_NN.shape)
        if total_NN[j, k] < best:
            best, found = float(total_NN[j, k]), (i, int(j), int(k))
    return found
