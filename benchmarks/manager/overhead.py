"""What the league's own work costs in a real run, by the number of agents.

A part of `python -m benchmarks.manager overhead`.

Each size is a run of `league train`'s loop without a model: N scripted players of rock-paper-scissors, 64 matches a
round, half by PFSP and half by the Nash mixture. What is shown is the price of the league's work in CPU-seconds a
round, against which a round's generation and update are to be held. The pictures are those of one measurement;
`league.reporting.time_budget` decides how often they are drawn. "evolution's look" is what `league.round.evolve`
asks of the payoffs in a round in which everything is due.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import yaml

from league.config import parse_config
from league.loop import train
from league.payoffs.diversity import dissimilarity
from league.payoffs.edges import certified_edges
from league.payoffs.matrix import Counts
from league.payoffs.view import PayoffView
from league.population import Member, Population
from league.population.pbt import exploits
from league.population.retirement import to_retire
from league.preflight.checks import prepare
from league.reporting.report import board_figures, build_report
from league.reporting.time_budget import TimeBudget
from league.round.strength import games, who_is_better
from league.round.values import RoundReport
from league.runtime.league import League, LeagueState
from league.store.reader import RunReader
from league.types import Hyper, Outcome, Version

MOVES = ("rock", "paper", "scissors")


class Clock:
    """Collects each round's CPU-seconds and the phases of its clock."""

    def __init__(self) -> None:
        self.phases: list[dict[str, float]] = []
        self.cpu: list[float] = []
        self._at = time.process_time()

    def opens(self, league: League, state: LeagueState) -> None: ...

    def phase(self, league: League, number: int, text: str) -> None: ...

    def round(self, league: League, report: RoundReport) -> None:
        now = time.process_time()
        self.cpu.append(now - self._at)
        self._at = now


def run_of(size: int, rounds: int, folder: Path) -> tuple[Path, Clock]:
    rng = np.random.default_rng(7)
    agents = {
        f"a{i}": {
            "role": "scripted",
            "says": dict(zip(MOVES, rng.dirichlet(np.ones(3)).round(3).tolist(), strict=True)),
        }
        for i in range(size)
    }
    data = {
        "name": f"n{size}",
        "runs": str(folder),
        "agents": agents,
        "league": {"rounds": rounds},
        "tasks": {
            "game": {
                "kind": "matrix_game",
                "matches": 64,
                "matchmaking": {"pfsp": 0.5, "solver": 0.5},
                "settings": {"game": "rock-paper-scissors", "samples": 8},
            }
        },
    }
    clock = Clock()
    return train(prepare(parse_config(yaml.safe_dump(data), "overhead")), clock), clock


def overhead_of_runs() -> Iterator[tuple[str, int, list[float]]]:
    """(what, agents, CPU-seconds of each repetition)."""
    with tempfile.TemporaryDirectory() as scratch:
        for size in (10, 100, 1000):
            folder, clock = run_of(size, 3, Path(scratch))
            yield "a whole round without a model, 64 matches", size, clock.cpu[1:]
            with RunReader.read(folder) as reader:
                yield "pictures of one measurement", size, [_cpu(lambda: [None for _ in board_figures(reader)])]
                yield "data of `league report`", size, [_cpu(lambda: build_report(reader))]
            yield "evolution's look", size, [_look(size) for _ in range(3)]


def _cpu(call) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def _look(size: int) -> float:
    """Progress of everyone, P(better) within one group, and retirement.

    Among two pasts an agent, after 20 rounds of `size` outcomes.
    """
    rng = np.random.default_rng(size)
    names = [f"a{i}" for i in range(size)]
    members = {name: Member(name, "student", Version(name, 3), True, Hyper(1e-3)) for name in names}
    pasts = {name: (Version(name, 0), Version(name, 1)) for name in names}
    view = PayoffView()
    for number in range(20):
        rows, cols = rng.integers(0, size, (2, size))
        outcomes = [
            Outcome(
                "contest",
                "game",
                situation="default",
                domain="",
                row=Version(names[i], 3),
                col=Version(names[j], int(rng.integers(0, 4))),
                wins=9,
                losses=7,
                n=16,
            )
            for i, j in zip(rows, cols, strict=True)
            if i != j
        ]
        view = view.add(number, outcomes)
    population, tasks = Population(members, pasts), {"game": SimpleNamespace(relation="contest")}
    league, state = SimpleNamespace(tasks=tasks), LeagueState(population, view)
    started = time.process_time()
    played = view.recent("contest", "game", 15)
    for name in names:
        games(state, name, set(pasts[name]).__contains__, played, 2)  # type: ignore[arg-type]
    group = list(members.values())
    exploits(who_is_better(league, state, group, task="game", since=0, min_games=16.0), 0.95)  # type: ignore[arg-type]
    versions = [*population.frozen(), *population.live().values()]
    met = view.meetings("game", versions, versions)
    beats = certified_edges(Counts(met.wins, met.draws))
    rate = np.full(met.n.shape, np.nan)
    np.divide(met.wins + met.draws / 2, met.n, out=rate, where=met.n >= 16)
    to_retire(range(len(pasts)), beats, np.zeros(len(versions), dtype=bool), dissimilarity(rate), 0.1)
    return time.process_time() - started


def drawn_share(price: float, round_seconds: float, rounds: int = 1000, every: int = 5) -> tuple[float, float]:
    """(share of the run's time that pictures take, rounds between two drawings).

    One drawing costs `price` and rounds last so long.
    """
    budget, elapsed, behind, drawn = TimeBudget(), 0.0, False, 0
    for number in range(rounds):
        elapsed += round_seconds
        behind = behind or number % every == 0
        if behind and budget.allows(elapsed):
            budget.add(price)
            elapsed += price
            behind, drawn = False, drawn + 1
    return budget.spent / elapsed, rounds / drawn
