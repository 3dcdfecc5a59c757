"""A channel that is switched on has something to learn from, or the config is refused with the remedy."""

from pathlib import Path

import pytest
import yaml

from league.errors import ConfigError
from league.preflight.checks import prepare_file
from tests.leagues import tiny_config

WORKED = {"kind": "worked_replies", "matches": 1, "settings": {"items": 2}}


@pytest.mark.parametrize(
    ("channels", "tasks", "league", "said"),
    [
        ({}, {"worked": WORKED}, {}, "switch the channel on with"),
        ({"worked_replies": {}}, {}, {}, "no task of kind 'worked_replies' is played"),
        (
            {"worked_replies": {}},
            {"worked": {**WORKED, "matches": 0}},
            {},
            "no task of kind 'worked_replies' is played",
        ),
        ({"worked_replies": {}}, {"worked": {**WORKED, "seats": {"student": ["adder"]}}}, {}, "no student that trains"),
        ({"lessons": {}}, {"teaching": None}, {}, "no task of kind 'teaching' is played"),
        ({"pasts": True}, {"teaching": None}, {}, "nobody teaches in this run"),
        ({"own_samples": False}, {}, {}, "every channel is off"),
        ({}, {}, {"shared_matches": 3}, "no task has a weight for the rule `gain`"),
        ({"lessons": {"off_policy": "nil"}}, {}, {}, "off_policy"),
        ({"confidence": 1.0}, {}, {}, "confidence"),
        ({"worked_replys": {}}, {}, {}, "worked_replies"),
        ({"worked_replies": {}}, {"worked": {**WORKED, "settings": {"items": 0}}}, {}, "items"),
    ],
)
def test_a_switch_without_an_effect_is_refused(
    tiny_path: Path, tmp_path: Path, channels: dict, tasks: dict, league: dict, said: str
) -> None:
    data = tiny_config(tiny_path, tmp_path / "runs")
    data.setdefault("learning", {})["channels"] = channels
    data["tasks"] = {name: task for name, task in {**data["tasks"], **tasks}.items() if task is not None}
    data["league"] = {**data.get("league", {}), **league}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError) as refused:
        prepare_file(path)
    assert said in " ".join(str(refused.value).split())
    assert not (tmp_path / "runs").exists(), "nothing is made"
