"""A league whose fields are sums and programming: every way of learning goes through the sandbox and back."""

from pathlib import Path

import pytest
import yaml

from league.config import parse_config
from league.loop import train
from league.preflight.checks import prepare
from league.store.reader import RunReader
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, tiny_config


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=4096)


def league(model: Path, runs: Path) -> dict:
    data = tiny_config(model, runs, league__rounds=1)
    data["domains"] = {"sums": {"kind": "chain_sum"}, "code": {"kind": "programming"}}
    data["agents"] = {
        "adder": {"role": "expert", "domain": "sums"},
        "coder": {"role": "expert", "domain": "code"},
        "ada": {"role": "student"},
    }
    settings = {"explanations": 2, "similar": 1, "answers": 3, "explanation_tokens": 6, "probes": 2}
    data["tasks"] = {
        "teaching": {"kind": "teaching", "matches": 2, "settings": settings},
        "worked": {"kind": "worked_replies", "matches": 2, "settings": {"items": 2, "answers": 1, "student_items": 1}},
        "contest": {"kind": "contest", "matches": 2, "settings": {"items": 1, "answers": 2}},
    }
    data["learning"] = {"learning_rate": 0.01, "channels": {"worked_replies": {}, "lessons": {}}}
    data["evaluation"] |= {"problems": 1, "final_problems": 1}
    return data


def test_a_round_of_everything(model: Path, tmp_path: Path) -> None:
    """Warm-up, exams, teaching, worked replies and a contest; every reply gets a verdict."""
    folder = train(prepare(parse_config(yaml.safe_dump(league(model, tmp_path)), "programming")), Nobody())
    with RunReader.read(folder) as reader:
        first, last = reader.round_scalars(0), reader.round_scalars(1)
        assert first["warmup_tokens/coder"] > 100, "it has learned whole programs"
        assert {"accuracy/coder/code", "accuracy/ada/code", "delta/coder/ada"} <= {*last}
        assert not [name for name in last if name.startswith("void/")]
