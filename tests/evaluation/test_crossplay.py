"""Cross-play: partners trained together against partners trained apart.

In one run and between runs.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from league.errors import UserError
from league.evaluation.crossplay import CrossPlay, Seated, cross_play
from league.loop import train
from league.preflight.checks import prepare
from league.types import Version
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, tiny

SHORT = "It opens the file and returns the lines that it holds."
LONG = (
    "The file is opened first, and then every line that it holds is returned to the caller in order. In addition, "
    "the file is closed again "
    "when the last line has been read, so that no handle is left behind."
)


def scripted(folder: Path, **changes: object) -> Path:
    """Two teams in one run, each with its own task; team b's second writer says what suits nobody."""
    says = {"a1": SHORT, "a2": LONG, "b1": SHORT, "b2": "Nothing."}
    agents = {name: {"role": "scripted", "says": {text: 1}} for name, text in says.items()}
    tasks = {
        team: {
            "kind": "writing",
            "matches": 1,
            "settings": {"samples": 1, "reward": "paper"},
            "seats": {"writer-1": [f"{team}1"], "writer-2": [f"{team}2"]},
        }
        for team in ("a", "b")
    }
    config = tiny(Path("/nowhere"), folder, agents=agents, domains={}, tasks=tasks, league__rounds=1, **changes)
    return train(prepare(config), Nobody())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scripted(tmp_path_factory.mktemp("runs"))


def test_every_first_player_meets_every_second_one(run: Path) -> None:
    found = cross_play([run], [], 3)
    assert [row.label for row in found.rows] == ["a1", "b1"] and [col.label for col in found.cols] == ["a2", "b2"]
    assert found.together.tolist() == [[1, 0], [0, 1]] and found.returns.shape == (2, 2, 3)
    good, bad = found.returns[:, 0].mean(), found.returns[:, 1].mean()
    assert good > 0.5 > bad == 0.0  # the second writer alone decides here
    together, apart, gap = found.gap()
    assert together.value == apart.value == pytest.approx(good / 2) and gap.value == 0.0
    only = cross_play([run], ["a"], 2)
    assert only.returns.shape == (1, 1, 2) and only.gap()[1] is None is only.gap()[2]


def test_the_command_prints_the_matrix_and_the_gap(run: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "league", "crossplay", str(run), "--problems", "2"]
    shown = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0 and "self-play gap     +0.000" in shown.stdout and "b2" in shown.stdout
    data = json.loads(subprocess.run([*words, "--json"], capture_output=True, text=True, timeout=120).stdout)
    assert data["rows"] == ["a1", "b1"] and data["gap"]["mean"] == 0.0 and data["returns"][0][1] == 0.0


def test_a_private_language_is_a_gap() -> None:
    """Pairs that understand only each other: 1 together, 0 apart, whatever the problem.

    Noise widens the interval and leaves the mean where it is.
    """
    rows, cols = (tuple(Seated(f"{t}{s}", t, Version(f"{t}{s}", 0)) for t in "xy") for s in (1, 2))
    returns = np.stack([np.eye(2)] * 8, axis=2)
    together, apart, gap = CrossPlay("t", rows, cols, returns).gap()
    assert (together.value, apart.value, gap.value, gap.low, gap.high) == (1.0, 0.0, 1.0, 1.0, 1.0)
    noisy = returns + np.random.default_rng(0).normal(0, 0.3, returns.shape)
    gap = CrossPlay("t", rows, cols, noisy).gap()[2]
    assert gap.low < 1.0 < gap.high and gap.high - gap.low < 0.6
    returns[0, 1, 3] = np.nan  # a grader that failed costs the cell's problem only
    assert CrossPlay("t", rows, cols, returns).gap()[2].value == 1.0


def test_runs_that_trained_apart_meet_over_one_base(tmp_path: Path) -> None:
    """Partners of different ranks and instructions, too."""
    model = write_tiny_model(tmp_path / "model", max_position_embeddings=1024)
    runs = []
    for seed in (1, 2):
        agents = {
            "one": {"role": "co-player", "system": "You write helpers."},
            "two": {"role": "co-player", "adapter": {"rank": 4, "alpha": 8, "targets": ["q_proj", "o_proj"]}},
        }
        task = {
            "kind": "coding",
            "matches": 1,
            "settings": {"samples": 2, "max_tokens": 8},
            "seats": {"helper": ["one"], "main": ["two"]},
        }
        config = tiny(
            model,
            tmp_path / f"runs-{seed}",
            name=f"seed-{seed}",
            seed=seed,
            agents=agents,
            domains={},
            tasks={"code": task},
            warmup={"student": {"demonstrations": 4}},
            league__rounds=1,
        )
        runs.append(train(prepare(config), Nobody()))
    found = cross_play(runs, [], 2)
    assert [row.label for row in found.rows] == ["seed-1/one", "seed-2/one"]
    assert found.together.tolist() == [[1, 0], [0, 1]] and np.isfinite(found.returns).all()
    again = cross_play(runs[:1], [], 2)
    assert np.array_equal(again.returns[0, 0], found.returns[0, 0])  # company changes nothing


def test_what_does_not_go_together_is_said(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no cooperation task"):
        cross_play([run], ["c"], 1)
    other = scripted(tmp_path, tasks__b__settings__reward="hardened")
    with pytest.raises(UserError, match="are not those of"):
        cross_play([other], [], 1)
    with pytest.raises(UserError, match="one such run at a time"):
        cross_play([run, other], [], 1)
