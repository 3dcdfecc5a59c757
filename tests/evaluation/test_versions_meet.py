"""Frozen versions meet in matches of their own.

What the optimizer is told is what the config says.
"""

from pathlib import Path

import pytest

from league.errors import ConfigError
from league.loop import train
from league.payoffs.edges import certified_edges
from league.payoffs.matrix import Counts
from league.preflight.checks import prepare
from league.runtime.league import objective_of
from league.store.reader import RunReader
from tests.helpers.payoff_cells import cell_matrix
from tests.leagues import Nobody, tiny

CYCLE = {
    name: {"role": "scripted", "says": {word: 1}}
    for name, word in (("rocky", "rock"), ("pat", "paper"), ("sid", "scissors"))
}


def play(runs: Path, **versions: object) -> Path:
    task = {"game": {"kind": "matrix_game", "matches": 1, "settings": {"game": "rock-paper-scissors", "samples": 4}}}
    evaluation = {"every": 2, "versions": versions}
    config = tiny(Path("/nowhere"), runs, agents=CYCLE, domains={}, tasks=task, league__rounds=4, evaluation=evaluation)
    return train(prepare(config), Nobody())


def between(folder: Path) -> dict[int, int]:
    """round → matches between frozen versions."""
    with RunReader.read(folder) as reader:
        found: dict[int, int] = {}
        for match in reader.matches():
            if match.purpose == "evaluate":
                assert len(set(match.seats.values())) == 2
                found[match.round] = found.get(match.round, 0) + 1
        return found


def test_they_meet_with_every_measurement_and_more_often_at_the_end(tmp_path: Path) -> None:
    assert between(play(tmp_path / "none")) == {}
    assert between(play(tmp_path / "some", matches=3)) == {0: 3, 2: 3, 4: 3}
    folder = play(
        tmp_path / "more", matches=3, final_matches=30, matchmaking={"active": 1.0}, rules={"active": {"goal": "cycle"}}
    )
    assert between(folder) == {0: 3, 2: 3, 4: 33}
    with RunReader.read(folder) as reader:
        cells = reader.payoffs("contest", "game")
        wins, losses, draws = (cell_matrix(cells, values) for values in (cells.wins, cells.losses, cells.draws))
        beats = certified_edges(Counts(wins + losses.T, draws + draws.T))
    assert beats.sum() == 3, "39 matches of 4 games certify a cycle of sure winners"


def test_their_rules_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="evaluation.versions.matchmaking.activ.*'active'"):
        play(tmp_path, matches=1, matchmaking={"activ": 1.0})


def test_betas_reach_the_optimizer(tmp_path: Path) -> None:
    config = tiny(Path("/nowhere"), tmp_path, learning__betas=[0.0, 0.95])
    assert objective_of(config.learning).betas == (0.0, 0.95)
    with pytest.raises(ConfigError, match="learning.betas"):
        tiny(Path("/nowhere"), tmp_path, learning__betas=[1.0, 0.95])
