"""Regime *collaborative*: the game of `conventions.py`. Who gets on with partners that it has never met?

Both arms play equally many games in all:

    self     one agent in both seats
    league   three agents: 30% with themselves, 20% with one another, 50% with frozen pasts of all three

The held-out partners are four self-play agents, trained by the same means from seeds that no arm has. A cell has the
return with each of them, in both seats, sampled: the share of rounds in which the colours agree, the mean over the
arm's agents (none is picked). `league_own` and `self_own` are the returns within an arm. Played by
`league.evaluation.crossplay`.
"""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.pays import run
from benchmarks.pays.arms import MEASURE_NOTHING, Config
from benchmarks.pays.cells import Cell
from benchmarks.pays.place import Place
from league.evaluation.crossplay import CrossPlay, cross_play

ROUNDS, MATCHES, GROUP = 32, 4, 8
STRANGERS = (1001, 1002, 1003, 1004)
"""Seeds of the held-out partners."""
PLAYED = 4
"""Matches of each pairing in the measurement, of `GROUP` games each."""
AGENTS = {"self": ("ada",), "league": ("ada", "max", "eve")}
MIXTURES: Mapping[str, Mapping[str, float]] = {
    "self": {"self_play": 1.0},
    "league": {"self_play": 0.3, "live": 0.2, "pasts": 0.5},
}


def config_of(arm: str, seed: int, place: Place, *, rounds: int = ROUNDS) -> Config:
    return {
        "name": f"collaborative-{arm}-{seed}",
        "seed": seed,
        "runs": str(place.work / "runs"),
        "model": {"threads": 1},
        "agents": {name: {"role": "co-player"} for name in AGENTS[arm]},
        "warmup": {"student": {"demonstrations": 96, "batch": 8, "learning_rate": 1e-3}},
        "tasks": {
            "game": {
                "kind": "benchmarks.pays.conventions:Conventions",
                "matches": MATCHES,
                "matchmaking": dict(MIXTURES[arm]),
                "settings": {"rounds": 2, "samples": GROUP, "branch": 3, "joint": "aligned", "constrained": True},
            }
        },
        "learning": {"learning_rate": 3e-4, "entropy": 0.02, "betas": [0.0, 0.99]},
        "evaluation": dict(MEASURE_NOTHING),
        "league": {"rounds": rounds, "snapshot_every": 4, "snapshots_kept": 8, "transcripts_per_round": 0},
    }


def run_seed(seed: int, place: Place, *, rounds: int = ROUNDS, strangers: tuple[int, ...] = STRANGERS) -> None:
    """Both arms of a seed, and their cells. The strangers are trained once and shared by all seeds.

    Raises SystemExit for the seed of a stranger.
    """
    if seed in strangers:
        raise SystemExit(f"seed {seed} is a held-out partner's: give another seed")
    for arm in AGENTS:
        if all(("collaborative", name, seed) in place.cells for name in (arm, f"{arm}_own")):
            continue
        met = [run.train(config_of("self", stranger, place, rounds=rounds), place) for stranger in strangers]
        started = time.process_time()
        folder = run.train(config_of(arm, seed, place, rounds=rounds), place)
        played = cross_play([folder, *met], ["game"], PLAYED)
        games = MATCHES * GROUP * rounds
        spent = run.spent(folder) | {"games": float(games)}
        seconds = round(time.process_time() - started, 1)
        for name, figures in ((arm, with_strangers(played, folder, met)), (f"{arm}_own", within(played, folder))):
            place.cells.add(Cell("collaborative", name, seed, {}, spent, games, seconds, figures))


def with_strangers(played: CrossPlay, folder: Path, strangers: list[Path]) -> dict[str, float]:
    """Stranger → mean return of a run's agents with it, in both seats."""
    own_R, own_C = _of(played, folder)
    found = {}
    for place, stranger in enumerate(strangers, 1):
        their_R, their_C = _of(played, stranger)
        both = played.returns[np.ix_(own_R, their_C)].ravel(), played.returns[np.ix_(their_R, own_C)].ravel()
        found[f"stranger {place}"] = round(float(np.concatenate(both).mean()), 4)
    return found


def within(played: CrossPlay, folder: Path) -> dict[str, float]:
    """The mean return of a run's agents with one another and themselves."""
    return {"own": round(float(played.returns[np.ix_(*_of(played, folder))].mean()), 4)}


def _of(played: CrossPlay, folder: Path) -> tuple[list[int], list[int]]:
    """Rows and columns of a run's agents."""
    team = f"{folder}/game"
    return (
        [place for place, each in enumerate(played.rows) if each.team == team],
        [place for place, each in enumerate(played.cols) if each.team == team],
    )
