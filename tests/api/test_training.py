"""`league.train`, `league.resume` and callbacks: the same run as from the command line, and no harm from a callback."""

import json
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import league
from league.config import Config, parse_config
from league.errors import UserError
from league.preflight.trust import uses_of
from league.store.digests import future_digest
from league.store.trusted import Access
from league.store.verify import verify

PLAYER = {"role": "scripted", "says": {"rock": 2, "paper": 1, "scissors": 1}}
DATA = {
    "name": "game",
    "agents": {"pat": PLAYER, "kim": PLAYER},
    "tasks": {"game": {"kind": "matrix_game", "matches": 2, "settings": {"game": "rock-paper-scissors"}}},
    "league": {"rounds": 3},
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the run that no callback heard of."""
    run = league.train(DATA, {"runs": str(tmp_path_factory.mktemp("whole"))}, quiet=True)
    return future_digest(run.folder)


def events(run: league.OpenRun, kind: str) -> list[dict]:
    lines = map(json.loads, (run.folder / "events.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == kind]


def test_a_dict_a_file_and_a_config_give_the_same_run(here: Path) -> None:
    (here / "game.yaml").write_text(yaml.safe_dump(DATA, sort_keys=False))
    config = parse_config(yaml.safe_dump(DATA, sort_keys=False), "a test")
    runs = [
        league.train(DATA, {"name": "one", "league.rounds": 1}, quiet=True),
        league.train("game.yaml", ["name=two", "league.rounds=1"], quiet=True),
        league.train(config.model_copy(update={"name": "three"}), {"league.rounds": 1, "runs": here}, quiet=True),
    ]
    assert [run.round for run in runs] == [1, 1, 1] and runs[2].folder == here / "three"
    assert len({future_digest(run.folder) for run in runs}) == 1
    assert DATA["league"] == {"rounds": 3}, "what is given is not changed"


def test_a_run_is_resumed_with_other_settings(here: Path) -> None:
    run = league.train(DATA, {"league.rounds": 1}, quiet=True)
    with pytest.raises(UserError, match="seed: "):
        league.resume(run, {"seed": 9}, quiet=True)
    assert league.resume(run, {"league.rounds": 2, "evaluation.every": 7}, quiet=True).round == 2
    assert league.open(run.folder).config.evaluation.every == 7
    assert league.resume(run.folder, ["league.rounds=3"], quiet=True).round == 3


def test_callbacks_hear_of_committed_rounds_and_change_nothing(whole: str, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[tuple[int, int | None, int, int]] = []

    def hear(end: league.RoundEnd) -> None:
        heard.append((end.round, end.run.round, end.rounds, len(end.run.scalars(since=end.round))))
        assert end.run.scalars(since=end.round)["name"].tolist() == sorted(end.scalars)
        end.scalars["x"] = 1.0  # type: ignore[index]

    class Fails:
        def __call__(self, end: league.RoundEnd) -> None:
            sys.exit(f"in round {end.round}")

    with caplog.at_level(logging.WARNING):
        run = league.train(DATA, callbacks=[hear, Fails()], quiet=True)
    assert [each[:3] for each in heard] == [(number, number, 3) for number in range(4)]
    failed = [
        (each["round"], each["callback"].rpartition(".")[2], each["count"]) for each in events(run, "callback failed")
    ]
    assert sorted(failed) == [(n, name, n + 1) for n in range(4) for name in ("Fails", "hear")]
    said = [record.message for record in caplog.records if record.name == "league.callbacks"]
    assert len(said) == 2 and "'mappingproxy' object does not support item assignment" in said[0]
    assert "SystemExit: in round 0" in said[1]
    assert verify(run.folder).digest == whole


def _false(end: league.RoundEnd) -> bool:
    return end.round < 1


def _raises(end: league.RoundEnd) -> None:
    if end.round == 1:
        raise league.StopTraining("that will do")


@pytest.mark.parametrize(
    ("callback", "reason"), [(_false, "callback _false"), (_raises, "callback _raises: that will do")]
)
def test_a_callback_stops_the_run_as_league_stop_does(whole: str, callback: Callable[..., object], reason: str) -> None:
    run = league.train(DATA, callbacks=[callback], quiet=True)
    assert run.round == 1 and [each["reason"] for each in events(run, "stopped")] == [reason]
    again = league.resume(run, quiet=True)
    assert again.round == 3 and future_digest(again.folder) == whole


OWN = """
class Hear:
    def __call__(self, end):
        with open("heard", "a") as file:
            file.write(f"{end.round} ")

def stop(end):
    return end.round != 2

nothing = 3

class Needy:
    def __init__(self, more): ...

class Silent: ...
"""


def test_a_config_names_callbacks_beside_it(here: Path) -> None:
    (here / "beside").mkdir()
    (here / "beside" / "own_callbacks.py").write_text(OWN)
    paths = ["own_callbacks:Hear", "own_callbacks:stop"]
    config = DATA | {"league": {"rounds": 3, "callbacks": paths}}
    (here / "beside" / "game.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    run = league.train(here / "beside" / "game.yaml", quiet=True)
    assert run.round == 2 and (here / "heard").read_text() == "0 1 2 "
    assert league.resume(run.folder, quiet=True).round == 3 and (here / "heard").read_text() == "0 1 2 3 "
    assert run.config.league.callbacks == tuple(paths)
    assert set(uses_of(run.config)) >= {Access("code", path) for path in paths}, "`league trust` must list them"
    for path, message in (
        ("own_callbacks:nothing", "found int"),
        ("own_callbacks:Needy", "cannot be made: TypeError"),
        ("own_callbacks:Silent", "cannot be called"),
        ("own_callbacks:missing", "AttributeError"),
        ("not_there_at_all:x", "ModuleNotFoundError"),
        ("no path", "expected 'package.module:name'"),
    ):
        with pytest.raises(UserError, match=message):
            league.train(config, {"name": "wrong", "league.callbacks": [path]}, quiet=True)
    assert not (here / "runs" / "wrong").exists()


def test_a_run_without_callbacks_stores_what_it_always_stored() -> None:
    config = parse_config(yaml.safe_dump(DATA, sort_keys=False), "a test")
    assert "callbacks" not in config.dump() and "callbacks" not in config.model_dump()["league"]
    named = config.model_copy(update={"league": config.league.model_copy(update={"callbacks": ("a.b:c",)})})
    assert Config.model_validate(yaml.safe_load(named.dump())).league.callbacks == ("a.b:c",)


@pytest.mark.parametrize(
    ("config", "overrides", "message"),
    [
        ({"name": "x"}, (), "agents: is required"),
        (DATA, {"league.round": 1}, "did you mean 'rounds'"),
        (DATA, "name=x", "a list or a dict"),
        (DATA, {"seed": object()}, "holds what no YAML file can"),
        (DATA | {"seed": {1, 2}}, (), "holds what no YAML file can"),
        ([1], (), "expected a file, a dict or a Config"),
        ("missing.yaml", (), "cannot read the configuration"),
        (DATA, ["name=../x"], "name: "),
    ],
)
def test_wrong_input_is_refused_before_a_folder_is_made(here: Path, config, overrides, message: str) -> None:
    with pytest.raises(UserError, match=message):
        league.train(config, overrides, quiet=True)
    with pytest.raises(UserError, match="cannot be called"):
        league.train(DATA, callbacks=[3], quiet=True)  # type: ignore[list-item]
    assert not list(here.glob("runs/*"))


def test_a_run_may_be_trained_in_a_thread() -> None:
    """Where Python hears no signals."""
    runs: list[league.OpenRun] = []
    thread = threading.Thread(target=lambda: runs.append(league.train(DATA, ["league.rounds=1"], quiet=True)))
    thread.start()
    thread.join()
    assert runs[0].round == 1
