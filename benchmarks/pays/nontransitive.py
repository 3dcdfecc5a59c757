"""Regime *nontransitive*: rock-paper-scissors in words. How much can be won from a league, and from self-play?

The runs are those of `benchmarks.games.live_league`: two learners, the same warm-up, a grammar over the moves, exact
policies after every round. Both arms play equally many games, and the league's measuring games are counted:

    self     every match against one's own current weights
    league   fewer training matches, half PFSP, half the Nash mixture of measured payoffs; the others between frozen
             versions, which are never trained on

A cell is an exploitability (0: nobody can win; 1: a pure move), the mean over the last half of the rounds:

    league           of the Nash mixture over the frozen pasts, averaged over the posterior of their payoffs
    league_plain     of the Nash mixture at the mean of that posterior
    league_average, self_average     of all frozen pasts alike
    league_learner, self             of the learners as they are

Payoffs of a pair after w wins, d draws and l losses: its chance to win is Beta(w + d/2 + ½, l + d/2 + ½). The mixture
is the mean of the Nash mixtures of sampled payoffs. A Nash mixture at the mean leans on whatever a few lucky games say.

A run that was killed goes on from its last round. The policies of a round that was committed and not yet measured are
lost; the mean is then over one round less.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.games import live_league
from benchmarks.pays.cells import Cell
from benchmarks.pays.place import Place
from league.config import Config, parse_config
from league.loop import resume, train
from league.payoffs.matrix import FloatArray
from league.payoffs.nash import max_entropy_nash
from league.preflight.checks import prepare
from league.round.values import RoundReport
from league.runtime.league import League
from league.seeds import generator
from tasks.games.matrix_games import MatrixGame
from tasks.games.normal_form import exploitability

GROUP = 16
ROUNDS = {"self": 41, "league": 32}
MATCHES = {"self": 8, "league": 6}
"""Training matches a round."""
MEASURING, EVERY = 8, 2
"""Matches of the league between frozen versions, before the first round and after every second one.

41 × 8 = 32 × 6 + 17 × 8 matches: both arms play equally many.
"""
DRAWS = 200
FIGURES = {
    "league": {"league": "posterior", "league_plain": "nash", "league_average": "average", "league_learner": "learner"},
    "self": {"self": "learner", "self_average": "average"},
}
"""Run → cell → what of its curve."""


def posterior_nash(
    wins_NN: FloatArray, draws_NN: FloatArray, losses_NN: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """The mean (N,) of the Nash mixtures of `DRAWS` payoff matrices drawn from their posterior.

    wins_NN[i, j]: games that i won against j; losses_NN is its transpose, draws_NN is symmetric.
    """
    size = len(wins_NN)
    above = np.triu_indices(size, 1)
    a_P = (wins_NN + draws_NN / 2 + 0.5)[above]
    b_P = (losses_NN + draws_NN / 2 + 0.5)[above]
    mixture_N = np.zeros(size)
    for _ in range(DRAWS):
        margin_NN = np.zeros((size, size))
        margin_NN[above] = 2 * rng.beta(a_P, b_P) - 1
        mixture_N += max_entropy_nash(margin_NN - margin_NN.T)
    return mixture_N / DRAWS


class Curve(live_league.Curve):
    """Measures after every round, and keeps what was measured in a file."""

    def __init__(self, file: Path, seed: int):
        super().__init__()
        self.file, self.seed = file, seed
        if file.exists():
            self.points = json.loads(file.read_text(encoding="utf-8"))

    def round(self, league: League, report: RoundReport) -> None:
        super().round(league, report)
        task = league.tasks["game"]
        assert isinstance(task, MatrixGame)
        pasts = report.state.population.frozen()
        met = report.state.view.meetings("game", pasts, pasts)
        rng = generator(self.seed, "posterior of payoffs", report.round)
        mixture = posterior_nash(met.wins, met.draws, met.losses, rng)
        policies = np.array([self.policies[past] for past in pasts])
        self.points[-1]["posterior"] = exploitability(task.form.payoff_AA, mixture @ policies)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.file.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.points), encoding="utf-8")
        os.replace(temporary, self.file)


def config_of(arm: str, seed: int, place: Place) -> Config:
    """A run of `benchmarks.games.live_league` with equal games."""
    chosen = argparse.Namespace(
        group=GROUP, rate=1.5e-4, entropy=0.1, every=4, kept=8, rounds=ROUNDS[arm], versions=0, final=0
    )
    data = live_league.settings_of(arm, seed, chosen, place.work / "runs")
    data["name"] = f"nontransitive-{arm}-{seed}"
    data["model"]["name"] = place.model
    data["tasks"]["game"]["matches"] = MATCHES[arm]
    data["evaluation"]["every"] = EVERY
    data["evaluation"]["versions"]["matches"] = MEASURING if arm == "league" else 0
    return parse_config(yaml.safe_dump(data), data["name"])


def games(arm: str) -> int:
    """Games of a run, those between frozen versions included. A match is one game for each reply of a seat."""
    measured = MEASURING * (ROUNDS[arm] // EVERY + 1) if arm == "league" else 0
    return GROUP * (MATCHES[arm] * ROUNDS[arm] + measured)


def run_seed(seed: int, place: Place) -> None:
    """Both runs of a seed, and their cells."""
    for arm, figures in FIGURES.items():
        if all(("nontransitive", name, seed) in place.cells for name in figures):
            continue
        started = time.process_time()
        config = config_of(arm, seed, place)
        curve = Curve(place.work / "curves" / f"{config.name}.json", seed)
        if not (config.folder / "finished").exists():
            if (config.folder / "config.yaml").exists():
                resume(config.folder, curve)
            else:
                train(prepare(config), curve)
            (config.folder / "finished").touch()
        late = curve.points[len(curve.points) // 2 :]
        seconds = round(time.process_time() - started, 1)
        for name, key in figures.items():
            place.cells.add(
                Cell(
                    "nontransitive",
                    name,
                    seed,
                    right={},
                    spent=_spent(curve.points, games(arm)),
                    budget=games(arm),
                    seconds=seconds,
                    figures={"exploitability": round(float(np.mean([point[key] for point in late])), 4)},
                )
            )


def _spent(points: list[dict[str, Any]], played: int) -> dict[str, float]:
    return {"games": float(played), "trained": float(sum(point["trained"] for point in points))}
