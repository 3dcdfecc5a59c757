"""Learners in exact games under different matchmaking: what the exploitability curves are made of.

One learner trains by exact natural policy gradient of its softmax (tabular) policy, in generations of `STEPS` steps;
after each it leaves a frozen snapshot. Before training it plays `EVALUATION` sampled games against every snapshot:
these outcomes, and nothing else, are what the rules see.

- self-play: against itself as it is, at every step
- uniform: fictitious play against snapshots drawn uniformly
- pfsp: our rule `pfsp` with curve "hard"
- nash: our rule `solver`, the maximum-entropy Nash mixture of the measured payoffs
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.manager.games import GAMES, Game
from league.matchmaking import Pairing, RuleContext, draw_pairings, make_mixture
from league.payoffs.nash import max_entropy_nash
from league.payoffs.view import PayoffView
from league.types import Outcome, Version

GENERATIONS, STEPS, OPPONENTS, EVALUATION = 60, 25, 8, 30
RATE = {"rps": 0.2, "blotto": 0.2, "kuhn": 1.0}
DECAY = 0.005
"""Entropy regularisation: logits shrink by RATE × DECAY a step.

That is what lets a policy change its mind.
"""
RULES: dict[str, tuple[dict[str, float], dict]] = {
    "uniform": ({"uniform": 1.0}, {}),
    "pfsp": ({"pfsp": 1.0}, {"pfsp": {"curve": "hard", "half_life": 0.0}}),
    "nash": ({"solver": 1.0}, {"solver": {"solver": "nash", "half_life": 0.0}}),
}


@dataclass(frozen=True)
class Curve:
    """Exploitability after each generation (GENERATIONS,).

    Of the learner, of the snapshots' average and of their Nash mixture.
    """

    learner: np.ndarray
    average: np.ndarray
    nash: np.ndarray


def exploitability_curve(name: str, rule: str, seed: int) -> Curve:
    game, rng = GAMES[name], np.random.default_rng(seed)
    policy = rng.normal(0.0, 1.0, game.size)
    pool, view = [policy.copy()], PayoffView()
    margins = np.zeros((GENERATIONS + 1, GENERATIONS + 1))
    found = np.zeros((3, GENERATIONS))
    for generation in range(GENERATIONS):
        view = view.add(generation, _evaluate(game, pool, generation, rng)) if rule != "self-play" else view
        opponents = _drawn(rule, view, generation, rng)
        for _ in range(STEPS):
            others = [policy] if opponents is None else [pool[i] for i in opponents]
            policy = (1 - RATE[name] * DECAY) * policy + RATE[name] * game.gradient(policy, others)
        pool.append(policy.copy())
        size = len(pool)
        margins[size - 1, :size] = [game.margin(policy, past) for past in pool]
        margins[:size, size - 1] = -margins[size - 1, :size]
        margins[size - 1, size - 1] = 0.0
        mixture = max_entropy_nash(margins[:size, :size])
        weights = ([*np.zeros(size - 1), 1.0], np.full(size, 1 / size), mixture)
        found[:, generation] = [game.exploitability(pool, np.asarray(w)) for w in weights]
    return Curve(*found)


def _evaluate(game: Game, pool: list[np.ndarray], generation: int, rng: np.random.Generator) -> list[Outcome]:
    me, outcomes = Version("main", generation), []
    for step, past in enumerate(pool[:-1]):
        won = int(rng.binomial(EVALUATION, (1 + game.margin(pool[-1], past)) / 2))
        outcomes.append(
            Outcome(
                "contest",
                "game",
                situation="default",
                domain="",
                row=me,
                col=Version("main", step),
                wins=won,
                losses=EVALUATION - won,
                n=EVALUATION,
            )
        )
    return outcomes


def _drawn(rule: str, view: PayoffView, generation: int, rng: np.random.Generator) -> list[int] | None:
    if rule == "self-play":
        return None
    me = Version("main", generation)
    pairs = [Pairing(me, Version("main", step)) for step in range(generation + 1)]
    mixture, parameters = RULES[rule]
    return [
        pairing.col.step
        for pairing in draw_pairings(
            RuleContext(view, "game", generation), pairs, OPPONENTS, mixture=make_mixture(mixture, parameters), rng=rng
        )
    ]
