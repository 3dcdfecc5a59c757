"""The arms of the MAGRPO comparison stand on equal terms.

The benchmark that runs them does what it says.
"""

import argparse
import json
from pathlib import Path

import pytest

from benchmarks.magrpo.__main__ import run_wave
from benchmarks.magrpo.page import family_tables
from benchmarks.magrpo.probes import ARMS, CONFIGS, SHOWN, adapters, cross_play
from league.config import load_config
from league.model.base import BaseModel
from tests.conftest import write_tiny_model

FREE = {"arrangement", "joint", "credit", "turns", "transition", "branch"}
"""What an arm may choose; everything else is common."""
EVERY = ("naive", *ARMS)


@pytest.mark.parametrize("family", ["writing", "coding"])
def test_arms_differ_only_in_how_their_agents_work_together(family: str) -> None:
    common = []
    arms = {}
    for arm in EVERY:
        config = load_config(CONFIGS / f"{family}_{arm}.yaml")
        ((_, task),) = config.tasks.items()
        arms[arm] = {key: value for key, value in task.settings.items() if key in FREE}
        data = config.model_dump(mode="json", exclude={"name", "agents", "tasks"})
        common.append((data, task.matches, {key: value for key, value in task.settings.items() if key not in FREE}))
        assert config.league.trained_tokens and len(config.agents) == (1 if arm == "single" else 2)
        assert all(agent.train == (arm != "naive") and agent.adapter is None for agent in config.agents.values())
    assert all(found == common[0] for found in common)
    assert (
        arms["naive"] == arms["aligned"] == {}
        and arms["cross"] == {"joint": "cross"}
        and arms["independent"] == {"credit": "own"}
    )
    assert len({json.dumps(chosen) for chosen in arms.values()}) == len(EVERY) - 1
    assert {path.stem for path in CONFIGS.glob(f"{family}_*.yaml")} == {f"{family}_{arm}" for arm in EVERY}


@pytest.mark.parametrize("family", ["writing", "coding"])
def test_a_wave_trains_every_arm_to_its_tokens_and_is_measured_once(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = BaseModel.load(write_tiny_model(tmp_path / "model", max_position_embeddings=2048), threads=1)
    args = argparse.Namespace(out=tmp_path / "found.json", rounds=2, tokens=10**6, exam=2, clocked=1, minutes=60)
    wanted = [("aligned", 0), ("cross", 0), ("multiturn", 0), ("single", 0), ("aligned", 1)]
    found = run_wave(base, args, family, wanted)
    assert {key for key in found if "clock" not in key} == {f"{family}/{arm}/{seed}" for arm, seed in wanted}
    for arm, seed in wanted:
        record = found[f"{family}/{arm}/{seed}"]
        assert (
            record["rounds"] == 2
            and record["sampled"] >= record["trained"]
            and len(record["before"]) == len(record["after"]) == 2
        )
        assert set(record["after"][0]) == set(SHOWN[family]) and (record["seconds_per_answer"] is not None) == (
            seed == 0
        )
    assert found[f"{family}/cross/0"]["before"] == found[f"{family}/aligned/0"]["before"]
    crossed = cross_play(base, family, 2, adapters(args.out), 2)
    assert list(crossed) == ["0,0", "0,1", "1,0", "1,1"] and len(crossed["0,0"]) == 2
    shown = "\n".join(family_tables(found | {f"{family}/cross-play": crossed}, family))
    assert (
        "MAGRPO, one turn, cross" in shown
        and "naive concatenation" in shown
        and "Trained together minus trained apart" in shown
    )


def test_a_wave_stops_when_its_time_is_up(tmp_path: Path) -> None:
    base = BaseModel.load(write_tiny_model(tmp_path / "model", max_position_embeddings=2048), threads=1)
    args = argparse.Namespace(out=tmp_path / "found.json", rounds=2, tokens=10**6, exam=1, clocked=0, minutes=0)
    assert run_wave(base, args, "coding", [("single", 0)])["coding/single/0"]["rounds"] == 0
