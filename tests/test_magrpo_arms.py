"""The arms of the MAGRPO comparison stand on equal terms, and the benchmark that runs them does what it says."""

import argparse
import json
from pathlib import Path

import pytest

from benchmarks import magrpo
from league.config import load_config
from league.model.base import BaseModel
from tests.conftest import write_tiny_model

FREE = {"arrangement", "joint", "credit", "turns", "transition", "branch"}
"""What an arm may choose; everything else is common."""
EVERY = ("naive", *magrpo.ARMS)


@pytest.mark.parametrize("family", ["writing", "coding"])
def test_arms_differ_only_in_how_their_agents_work_together(family: str) -> None:
    common = []
    arms = {}
    for arm in EVERY:
        config = load_config(magrpo.CONFIGS / f"{family}_{arm}.yaml")
        ((_, task),) = config.tasks.items()
        arms[arm] = {key: value for key, value in task.settings.items() if key in FREE}
        data = config.model_dump(mode="json", exclude={"name", "agents", "tasks"})
        common.append((data, task.matches, {key: value for key, value in task.settings.items() if key not in FREE}))
        assert config.league.trained_tokens and len(config.agents) == (1 if arm == "single" else 2)
        assert all(agent.train == (arm != "naive") and agent.adapter is None for agent in config.agents.values())
    assert all(found == common[0] for found in common)
    assert arms["naive"] == arms["aligned"] == {} and arms["cross"] == {"joint": "cross"} and arms["independent"] == {"credit": "own"}
    assert len({json.dumps(chosen) for chosen in arms.values()}) == len(EVERY) - 1
    assert {path.stem for path in magrpo.CONFIGS.glob(f"{family}_*.yaml")} == {f"{family}_{arm}" for arm in EVERY}


@pytest.mark.parametrize("family", ["writing", "coding"])
def test_a_wave_trains_every_arm_to_its_tokens_and_is_measured_once(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = BaseModel.load(write_tiny_model(tmp_path / "model", max_position_embeddings=2048), threads=1)
    args = argparse.Namespace(
        out=tmp_path / "found.json", arms="aligned,multiturn,single", rounds=2, tokens=10**6, exam=2, clocked=1, seeds=1
    )
    found = magrpo.run_wave(base, args, family, 0)
    assert set(found["arms"]) == {"aligned", "multiturn", "single"} == set(found["seconds_per_answer"])
    for arm in found["arms"].values():
        assert arm["rounds"] == 2 and arm["sampled"] >= arm["trained"] and len(arm["before"]) == len(arm["after"]) == 2
        assert set(arm["after"][0]) == set(magrpo.SHOWN[family])
    crossed = magrpo.cross_play(base, family, 1, magrpo.adapters(args.out), 2)
    assert list(crossed) == ["0,0"] and len(crossed["0,0"]) == 2
