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

    def __call__(self, now: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        place = {version: i for i, version in enumerate(dict.fromkeys(v for p in pairings for v in (p.row, p.col)))}
        if len(place) < 2:
            return np.zeros(len(pairings))
        counts = now.view.counts(now.task, list(place))
        allowed = np.zeros((len(place), len(place)), dtype=bool)
        for pairing in pairings:
            allowed[place[pairing.row], place[pairing.col]] = allowed[place[pairing.col], place[pairing.row]] = True
        np.fill_diagonal(allowed, False)
        chosen, done = choose(counts.wins, allowed, self.goal, self.alpha, rng)
        target = {frozenset(pair) for pair in chosen}
        ends = [(place[p.row], place[p.col]) for p in pairings]
        picked = np.array([float(frozenset(pair) in target) for pair in ends])
        open_pairs = np.array([float(i != j and not done[i, j]) for i, j in ends])
        if picked.sum() == 0:
            return with_floor(open_pairs, 0.0)
        rest = open_pairs / open_pairs.sum() if open_pairs.sum() else picked / picked.sum()
        return np.asarray((1.0 - self.floor) * picked / picked.sum() + self.floor * rest)


def choose(
    wins: FloatArray, allowed: BoolArray, goal: str, alpha: float, rng: np.random.Generator
) -> tuple[list[tuple[int, int]], BoolArray]:
    """The pair(s) to play next, by places in `wins` (N, N), and which pairs are certified (N, N)."""
    size = len(wins)
    evidence = log_e_value(wins, wins.T)
    done = evidence >= threshold(size, alpha)
    draw = np.triu(rng.beta(SHARP * (wins + 0.5), SHARP * (wins.T + 0.5)), 1)
    chance = draw + np.tril(1.0 - draw.T, -1) + 0.5 * np.eye(size)
    settled = np.where(wins > wins.T, 1.0, 0.0)
    chance = np.where(done, settled, chance)
    cost = np.where(done, 0.0, (threshold(size, alpha) - evidence) / np.maximum(_information(chance), 1e-9))
    usable = (allowed | done) & ~np.eye(size, dtype=bool)
    if goal == "cycle":
        found = _cheapest_cycle(chance, np.where(usable, cost, np.inf))
        if found is not None:
            edges = [(found[i], found[(i + 1) % 3]) for i in range(3)]
            unfinished = [edge for edge in edges if not done[edge]]
            if unfinished:
                return [max(unfinished, key=lambda edge: cost[edge])], done
    waiting = np.where(allowed & ~done, cost, np.inf)
    if not np.isfinite(waiting).any():
        return [], done
    i, j = np.unravel_index(int(np.argmin(waiting)), waiting.shape)
    return [(int(i), int(j))], done


def _information(chance: FloatArray) -> FloatArray:
    """ln 2 − H(p): expected growth of ln E a game, in nats."""
    inside = np.clip(chance, 1e-12, 1.0 - 1e-12)
    return np.asarray(math.log(2.0) + inside * np.log(inside) + (1.0 - inside) * np.log1p(-inside))


def _cheapest_cycle(chance: FloatArray, cost: FloatArray) -> tuple[int, int, int] | None:
    """i beats j beats k beats i in the drawn graph with unfinished cost as small as possible but
    not zero."""
    step = np.where(chance > 0.5, cost, np.inf)
    best, found = np.inf, None
    for i in range(len(step)):
        total = step[i][:, None] + step + step[:, i][None, :]
        total[total <= 0.0] = np.inf
        j, k = np.unravel_index(int(np.argmin(total)), total.shape)
        if total[j, k] < best:
            best, found = float(total[j, k]), (i, int(j), int(k))
    return found
