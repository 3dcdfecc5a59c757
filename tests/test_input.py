"""What a user can get wrong: every case is one message of the UserError family (exit code 2), and nothing is written."""

import json
from pathlib import Path

import pytest
import yaml

from league.config import parse_config
from league.errors import Foreign, LeagueError, ModelUnavailable, RunFolderError, UserError
from league.exhibition import exam_now, exhibition
from league.exporting import choose, export_agents
from league.loop import train
from league.model.fetch import check_model
from league.preflight import prepare
from league.store.reader import RunReader
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, tiny, tiny_config

WORDS = {
    "agents": {"rocky": {"role": "scripted", "says": {"rock": 1}}, "pat": {"role": "scripted", "says": {"paper": 1}}},
    "domains": {},
    "tasks": {"game": {"kind": "matrix_game", "matches": 2, "settings": {"game": "rock-paper-scissors"}}},
    "league__rounds": 1,
}
"""A league that needs no model."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


def refused(model: Path, runs: Path, **changes: object) -> str:
    with pytest.raises(UserError) as caught:
        prepare(parse_config(yaml.safe_dump(tiny_config(model, runs, **changes)), "test"), progress=lambda line: None)
    assert not (runs / "tiny").exists(), "nothing may be written"
    return str(caught.value)


# ------------------------------------------------------------------------------------------------ other people's code
def test_whatever_foreign_code_raises_is_a_users_error() -> None:
    class Own(Exception):
        pass

    for error in (Own("x"), SystemExit(3), StopIteration(), MemoryError(), SyntaxError("y")):
        with pytest.raises(UserError, match=f"the thing: {type(error).__name__}"), Foreign("the thing"):
            raise error
    for ours in (LeagueError("z"), KeyboardInterrupt()):
        with pytest.raises(type(ours)), Foreign("the thing"):
            raise ours


@pytest.mark.parametrize(
    "kind", ["json:loads", "os:path", "league.errors:UserError", "league.types:Match", ":X", ".x:Y", "no_such:X", "json:nope"]
)
def test_a_task_kind_that_is_no_task(model: Path, tmp_path: Path, kind: str) -> None:
    message = refused(model, tmp_path, tasks__contest={"kind": kind, "matches": 1})
    assert "tasks.contest.kind: task kind" in message and kind in message


@pytest.mark.parametrize(
    "text", ["raise RuntimeError('boom')", "def (:", "raise SystemExit(0)", "class Own(Exception): ...\nraise Own('boom')"]
)
def test_a_module_that_cannot_be_imported(model: Path, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odd_module.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    agents = {"ada": {"role": "student"}, "max": {"role": "student"}, "sid": {"role": "scripted", "script": "odd_module:f"}}
    task = {"kind": "odd_module:X", "matches": 1}
    message = refused(model, tmp_path / "runs", agents=agents, tasks={"odd": task})
    assert "tasks.odd.kind: task kind 'odd_module:X' cannot be imported" in message
    assert "agents.sid: script 'odd_module:f' cannot be imported" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True])
def test_settings_are_finite_numbers(model: Path, tmp_path: Path, value: object) -> None:
    for name in ("length_penalty", "temperature"):
        assert f"tasks.teaching.settings.{name}: expected" in refused(model, tmp_path, **{f"tasks__teaching__settings__{name}": value})


# --------------------------------------------------------------------------------------------------- damaged models
@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", "{"),
        ("config.json", "[]"),
        ("config.json", '{"architectures": 3}'),
        ("config.json", '{"max_position_embeddings": "many"}'),
        ("config.json", '{"text_config": 3}'),
        ("model.safetensors", "xx"),
        ("model.safetensors", ""),
        ("tokenizer_config.json", "{"),
        ("tokenizer.json", "{"),
    ],
)
def test_a_damaged_model_folder_is_named(tmp_path: Path, file: str, content: str) -> None:
    folder = write_tiny_model(tmp_path / "model", max_position_embeddings=1024)
    (folder / file).write_text(content)
    assert str(folder / file) in refused(folder, tmp_path / "runs")


def test_cut_weights_are_refused_and_a_damaged_note_is_ignored(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model")
    before = check_model(folder)
    (folder / ".league-weights.json").write_text("{")
    assert check_model(folder) == before
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(ModelUnavailable, match="model.safetensors"):
        check_model(folder)


# ------------------------------------------------------------------------------------------------- runs too young
@pytest.fixture(scope="module")
def unbegun(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder without a committed round."""

    class Killed(Nobody):
        def phase(self, league, number: int, text: str) -> None:
            raise KeyboardInterrupt

    config = tiny(model, tmp_path_factory.mktemp("runs"))
    with pytest.raises(KeyboardInterrupt):
        train(prepare(config), Killed())
    return config.folder


def test_nothing_can_be_asked_of_a_run_without_a_round(unbegun: Path, tmp_path: Path) -> None:
    from league.commands.compare import compare

    with RunReader.read(unbegun) as reader, pytest.raises(RunFolderError, match="no committed round.*league resume"):
        choose(reader, 1, "accuracy", [])
    for ask in (
        lambda: exam_now(unbegun, [], "test", 1),
        lambda: exhibition(unbegun, ["adder", "ada"], None, None, 0),
        lambda: compare(unbegun, unbegun),
    ):
        with pytest.raises(RunFolderError, match="no committed round"):
            ask()


def test_a_run_without_domains_sits_no_exam(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from league.commands.compare import compare

    run = train(prepare(tiny(Path("/nowhere"), tmp_path, **WORDS)), Nobody())
    with pytest.raises(UserError, match="no domains"):
        exam_now(run, [], "test", 1)
    compare(run, run)
    assert "no last exam to compare" in capsys.readouterr().out
    with RunReader.read(run) as reader, pytest.raises(UserError, match="no weights to export"):
        export_agents(run, reader, choose(reader, 1, "rating", ["rocky"]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["Quick.bak", "123", "yes", "my run", "x #y"])
def test_a_moved_run_folder_opens_under_any_name(unbegun: Path, tmp_path: Path, name: str) -> None:
    from league.assembly import read_config

    (tmp_path / name).mkdir()
    (tmp_path / name / "config.yaml").write_bytes((unbegun / "config.yaml").read_bytes())
    config = read_config(tmp_path / name)
    assert config.folder == tmp_path / name


# ---------------------------------------------------------------------------------------------- places to write
def test_places_that_cannot_be_written(tmp_path: Path, unbegun: Path) -> None:
    from league.commands.report import report

    (tmp_path / "file").write_text("")
    with RunReader.read(unbegun) as reader:
        for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/x")):
            with pytest.raises(UserError, match=r"file|/proc/x"):
                export_agents(unbegun, reader, [], out)
    with pytest.raises(UserError, match="--tensorboard names an empty folder"):
        report(unbegun, tmp_path / "page.html", tmp_path / "file")
    assert json.loads(json.dumps([path.name for path in tmp_path.iterdir()])) == ["file"]
