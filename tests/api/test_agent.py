"""Versions that answer and leave: the live one, a past one, the base, and what cannot."""

from pathlib import Path

import pytest

import league
from league.errors import UserError
from league.types import Version
from tests.conftest import write_tiny_model
from tests.leagues import tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> league.OpenRun:
    """Two rounds of a tiny league with adapters, one without a voice of its own."""
    folder = tmp_path_factory.mktemp("runs")
    model = write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)
    agents = {
        "ada": {"role": "co-player", "system": "You are ada."},
        "max": {"role": "co-player"},
        "pat": {"role": "scripted", "says": {"42": 1}},
    }
    config = tiny(
        model, folder, agents=agents, warmup={}, league__rounds=2, league__snapshot_every=1, learning__learning_rate=0.1
    )
    tasks = {"contest": config.tasks["contest"]}
    return league.train(config.model_copy(update={"tasks": tasks}), quiet=True)


def test_versions_answer_each_with_its_own_weights(run: league.OpenRun) -> None:
    kept = run.lineage().query("weights and agent == 'ada'")["step"].tolist()
    assert len(kept) >= 2 and kept[0] == 0
    newest, oldest = run.agent("ada"), run.agent(f"ada@{kept[0]}")
    assert newest.version == Version("ada", kept[-1]) and newest.version != oldest.version
    with run.reader() as reader:
        blobs = {reader.version_row(agent.version).blob for agent in (newest, oldest)}
    assert len(blobs) == 2, "else nothing was learned"
    said = [agent.chat("What is 12 + 30?", max_tokens=24) for agent in (newest, oldest, run.agent("base"))]
    assert len(set(said)) == 3, "else the adapters change nothing"
    messages = [{"role": "user", "content": "What is 12 + 30?"}]
    assert newest.chat(messages, max_tokens=24) == said[0]
    assert newest.chat(messages, max_tokens=24, system="Be brief.") != said[0]
    drawn = [newest.chat("Hi", temperature=1.0, seed=seed, max_tokens=12) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert run.agent("pat").chat("Well?") == "42"


def test_a_past_version_is_exported_and_stays(run: league.OpenRun, tmp_path: Path) -> None:
    folder = run.agent("ada@0").export(tmp_path / "out")
    assert folder == tmp_path / "out" / "ada"
    assert {"adapter_model.safetensors", "adapter_config.json", "README.md"} <= {path.name for path in folder.iterdir()}
    with run.reader() as reader:
        assert (Version("ada", 0), "export") in reader.pins()
    for name, message in (("pat", "has no weights"), ("base", "no agent of the run")):
        with pytest.raises(UserError, match=message):
            run.agent(name).export(tmp_path / "other")
    with pytest.raises(UserError, match="exists"):
        run.agent("ada@0").export(tmp_path / "out")


@pytest.mark.parametrize(
    ("messages", "settings", "message"),
    [
        ([], {}, "no message"),
        ([{"role": "user"}], {}, "message 0"),
        ([{"role": "robot", "content": "x"}], {}, "the role is one of"),
        ("x", {"max_tokens": 0}, "expected at least 1"),
        ("x", {"temperature": float("nan")}, "temperature nan"),
        ("x" * 5000, {}, "shorten the prompt"),
    ],
)
def test_wrong_prompts_are_refused(run: league.OpenRun, messages, settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        run.agent("ada").chat(messages, **settings)
