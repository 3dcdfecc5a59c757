"""Runs that others made: what they name is not used until this user allows it, and no name leads out of a folder.

The stranger of these tests has another state folder, as another user or a fresh container has.
"""

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from pytest_httpserver import HTTPServer

from league import cli
from league.config import parse_config
from league.errors import LeagueError, RunFolderError, UserError
from league.evaluation.on_demand import exam_now, play_once
from league.loop import resume, train
from league.preflight.checks import prepare
from league.preflight.trust import foreign_uses, trust_own, uses_of
from league.runtime.assembly import read_config
from league.runtime.export import choose, export_agents
from league.store.reader import RunReader
from league.store.repair import repair
from league.store.run import RunStore
from league.store.trusted import Access, trust, trusted_uses
from league.store.verify import verify
from league.types import Version
from tests.conftest import write_tiny_model
from tests.helpers.remote_server import DONE, PATH, chunk, stream
from tests.leagues import Nobody, tiny

SECRET = "sk-PLANTED-0815"
TASK = {"kind": "matrix_game", "matches": 2, "settings": {"game": "rock-paper-scissors"}}
PAT = {"role": "scripted", "says": {"paper": 1}}
READING = ("status", "payoffs", "cycles", "ladder", "lineage", "verify", "show-match", "report")


def scripted(runs: Path, **agents: object):
    """Two players of a game; `agents` replace or add some."""
    named = {"pat": PAT, "kim": PAT, **agents}
    return tiny(Path("/nowhere"), runs, agents=named, domains={}, tasks={"game": TASK}, league__rounds=1)


def rewritten(run: Path, change: Callable[[dict], None]) -> None:
    """What a stranger does to a run: config.yaml and the database's copy of it agree."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    change(config)
    text = yaml.safe_dump(config, sort_keys=False)
    (run / "config.yaml").write_text(text)
    with RunStore.open(run) as store:
        store.adopt_config(text)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """From here on this is another user."""
    monkeypatch.setenv("LEAGUE_STATE", str(tmp_path / "another" / "state"))
    yield


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


League = Callable[..., Done]


@pytest.fixture
def league(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[League]:
    """The program in this process, in the folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def call(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["league", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        shown = capsys.readouterr()
        return Done(int(end.value.code or 0), shown.out, shown.err)

    yield call
    sys.modules.pop("baitcode", None)


@pytest.fixture
def baited(tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was scripted, and now asks a server with a key of the reader's."""
    monkeypatch.setenv("PLANTED_KEY", SECRET)
    httpserver.expect_request(PATH).respond_with_handler(lambda asked: stream(chunk("rock"), chunk(None, "stop"), DONE))
    config = scripted(tmp_path / "runs")
    train(prepare(config), Nobody())
    remote = {"base_url": httpserver.url_for("/v1"), "model": "m", "key": "PLANTED_KEY", "attempts": 1}

    def bait(raw: dict) -> None:
        raw["agents"]["pat"] |= {"role": "remote", "says": None, "remote": remote}
        raw["league"]["rounds"] = 2

    rewritten(config.folder, bait)
    return config.folder


def test_no_key_leaves_with_a_strangers_run(baited: Path, elsewhere: None, httpserver: HTTPServer) -> None:
    for act in (
        lambda: play_once(baited, ["pat", "kim"], task=None, domain=None, index=0),
        lambda: exam_now(baited, [], "test", 1),
        lambda: resume(baited, Nobody()),
    ):
        with pytest.raises(UserError, match="not begun here") as caught:
            act()
        assert "PLANTED_KEY" in str(caught.value) and httpserver.url_for("/v1") in str(caught.value)
        assert f"`league trust {baited}`" in str(caught.value) and SECRET not in str(caught.value)
    assert not httpserver.log


def test_reading_needs_no_trust_and_trust_lets_it_play(
    league: League, baited: Path, elsewhere: None, httpserver: HTTPServer
) -> None:
    for command in READING:
        done = league(command, baited)
        assert done.returncode == 0, (command, done.stderr)
    refused = league("play", baited, "pat", "kim")
    assert refused.returncode == 2 and f"league trust {baited}" in refused.stderr and not httpserver.log
    shown = league("trust", baited, "--show")
    assert shown.returncode == 0 and "$PLANTED_KEY" in shown.stdout and httpserver.url_for("/v1") in shown.stdout
    assert league("play", baited, "pat", "kim").returncode == 2, "to show is not to trust"
    before = {path: path.read_bytes() for path in baited.rglob("*") if path.is_file() and path.suffix != ".db-shm"}
    assert league("trust", baited).returncode == 0
    assert all(path.read_bytes() == content for path, content in before.items()), "trust leaves the run as it is"
    assert league("play", baited, "pat", "kim").returncode == 0 and httpserver.log
    assert "no longer" in league("trust", baited, "--off").stdout
    assert league("play", baited, "pat", "kim").returncode == 2


def test_a_run_begun_here_is_trusted_wherever_it_is_moved(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH).respond_with_handler(lambda asked: stream(chunk("rock"), chunk(None, "stop"), DONE))
    remote = {"role": "remote", "remote": {"base_url": httpserver.url_for("/v1"), "model": "m", "attempts": 1}}
    config = scripted(tmp_path, gpt=remote)
    train(prepare(config), Nobody())
    copy, renamed = tmp_path / "copies" / "b", tmp_path / "renamed"
    shutil.copytree(config.folder, copy)
    config.folder.rename(renamed)
    for run in (copy, renamed):
        resume(run, Nobody())
        assert play_once(run, ["gpt", "kim"], task=None, domain=None, index=0)["seats"]


def test_a_run_of_an_older_version_needs_one_line(league: League, baited: Path) -> None:
    """It has no id. The second in which it was created stands for one."""
    with sqlite3.connect(baited / "league.db") as connection:
        connection.execute("DELETE FROM meta WHERE key = 'id'")
    connection.close()
    with pytest.raises(RunFolderError, match="league trust"):
        read_config(baited)
    assert league("trust", baited).returncode == 0
    assert read_config(baited).agents["pat"].remote is not None


def test_a_run_that_comes_back_with_another_address_is_foreign_again(tmp_path: Path, httpserver: HTTPServer) -> None:
    remote = {"role": "remote", "remote": {"base_url": httpserver.url_for("/v1"), "model": "m", "attempts": 1}}
    config = scripted(tmp_path, gpt=remote)
    httpserver.expect_request(PATH).respond_with_handler(lambda asked: stream(chunk("rock"), DONE))
    train(prepare(config), Nobody())
    assert read_config(config.folder)
    asked = len(httpserver.log)
    for change in ({"base_url": "http://127.0.0.1:9/v1"}, {"key": "AWS_SECRET_ACCESS_KEY"}):
        rewritten(config.folder, lambda raw, change=change: raw["agents"]["gpt"]["remote"].update(change))  # type: ignore[misc]
        with pytest.raises(RunFolderError, match="changed since") as caught:
            resume(config.folder, Nobody())
        assert next(iter(change.values())) in str(caught.value)
    assert len(httpserver.log) == asked


CODE = {
    "a script": lambda raw: raw["agents"]["pat"].update(says=None, script="baitcode:play"),
    "a script of an agent with a telling name": lambda raw: raw["agents"].update(
        {"system": raw["agents"]["kim"] | {"says": None, "script": "baitcode:play"}}
    ),
    "a task": lambda raw: raw["tasks"]["game"].update(kind="baitcode:Game", settings={}),
    "a rule": lambda raw: raw["tasks"]["game"].update(matchmaking={"baitcode:Rule": 1.0}),
    "a rule between versions": lambda raw: raw["evaluation"]["versions"].update(matchmaking={"baitcode:Rule": 1.0}),
    "a solver": lambda raw: raw["tasks"]["game"].update(
        matchmaking={"solver": 1.0}, rules={"solver": {"solver": "baitcode:solve"}}
    ),
    "a domain": lambda raw: raw.update(domains={"d": {"kind": "baitcode:Domain"}}),
}


@pytest.mark.parametrize("what", CODE)
def test_no_code_of_a_strangers_run_is_imported(league: League, tmp_path: Path, elsewhere: None, what: str) -> None:
    mark = tmp_path / "executed"
    (tmp_path / "baitcode.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    config = scripted(tmp_path / "runs")
    train(prepare(config), Nobody())
    rewritten(config.folder, CODE[what])
    for words in (["resume"], ["play", "pat", "kim"], ["evaluate"], ["crossplay"], *([each] for each in READING)):
        done = league(words[0], config.folder, *words[1:])
        assert done.returncode == (0 if words[0] in READING else 2), (words, done.stderr)
        assert words[0] in READING or "baitcode" in done.stderr and "league trust" in done.stderr, done.stderr
    shown = league("trust", config.folder, "--show")
    assert shown.returncode == 0 and f"loads {tmp_path / 'baitcode.py'}" in shown.stdout, shown.stdout + shown.stderr
    assert not mark.exists()
    assert league("trust", config.folder).returncode == 0 and not mark.exists()
    assert league("play", config.folder, "pat", "kim").returncode == 2
    assert mark.exists(), "allowed, it is imported (and found wanting)"


def test_trust_shows_the_file_of_every_dotted_path(
    league: League, tmp_path: Path, elsewhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package alone says little: what is loaded is one file of it, and the packages' own code around it."""
    mark = tmp_path / "executed"
    deep = tmp_path / "baitcode" / "inner" / "deep.py"
    deep.parent.mkdir(parents=True)
    for file in (tmp_path / "baitcode" / "__init__.py", deep):
        file.write_text(f"open({str(mark)!r}, 'w').close()\n")
    (tmp_path / "baitcode" / "plain").mkdir()
    config = scripted(tmp_path / "runs")
    train(prepare(config), Nobody())

    def bait(raw: dict) -> None:
        paths = ("baitcode.inner.deep:play", "baitcode.inner.gone:play", "baitcode:play", "nowhere.at.all:play")
        paths += ("os.path:join", "baitcode.plain:x", "json.decoder:JSONDecoder", "sys:exit", "tasks.games:x")
        for number, path in enumerate(paths):
            raw["agents"][f"bot{number}"] = {"role": "scripted", "script": path}

    rewritten(config.folder, bait)
    done = league("trust", config.folder, "--show")
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    package = tmp_path / "baitcode" / "__init__.py"
    for path, where in (
        ("baitcode.inner.deep:play", f"loads {deep}, and first {package}"),
        ("baitcode.inner.gone:play", f"baitcode.inner.gone is not found on this machine; first loads {package}"),
        ("baitcode:play", f"loads {package}"),
        ("nowhere.at.all:play", "nowhere is not found on this machine"),
        ("json.decoder:JSONDecoder", f"loads {json.decoder.__file__}, and first {json.__file__}"),
        ("baitcode.plain:x", f"loads the folder {tmp_path / 'baitcode' / 'plain'}, and first {package}"),
        ("sys:exit", "part of Python itself"),
        ("os.path:join", "part of Python itself"),
    ):
        assert f"runs the code {path} ({where}" in shown, shown
    assert not mark.exists(), "nothing of it is run"


def test_a_plain_run_of_a_stranger_needs_no_trust(league: League, tmp_path: Path, elsewhere: None) -> None:
    config = scripted(tmp_path)
    train(prepare(config), Nobody())
    assert not uses_of(config) and not (tmp_path / "another").exists()
    assert "nothing to trust" in league("trust", config.folder).stdout
    assert play_once(config.folder, ["pat", "kim"], task=None, domain=None, index=0)["seats"]


def test_texts_are_no_code_and_models_of_the_hub_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAGUE_CACHE", str(tmp_path / "cache"))
    text = scripted(tmp_path).dump()
    raw = yaml.safe_load(text)
    raw["agents"]["pat"] |= {"says": {"note:this": 1.0}}
    raw["agents"]["ada"] = {"role": "co-player", "system": "remember:it"}
    for name, expected in (
        ("org/model", (Access("model", "org/model"),)),
        (str(tmp_path), ()),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", ()),
    ):
        raw["model"]["name"] = name
        assert uses_of(parse_config(yaml.safe_dump(raw), "test")) == expected


def test_ones_own_run_stays_ones_own_when_the_model_cache_is_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model was there when the run began; a stranger is asked only once it must be fetched."""
    monkeypatch.setenv("LEAGUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    home = write_tiny_model(tmp_path / "cache" / "models" / "someone--tiny", max_position_embeddings=1024)
    config = tiny(Path("someone/tiny"), tmp_path / "runs", league__rounds=1)
    train(prepare(config), Nobody())
    fetch = Access("model", "someone/tiny")
    assert fetch in trusted_uses(config.folder)
    state = os.environ["LEAGUE_STATE"]
    monkeypatch.setenv("LEAGUE_STATE", str(tmp_path / "another"))
    assert fetch not in foreign_uses(config.folder, config), "nothing is fetched"
    shutil.rmtree(home)
    assert fetch in foreign_uses(config.folder, config)
    monkeypatch.setenv("LEAGUE_STATE", state)
    assert foreign_uses(config.folder, config) == ()
    assert read_config(config.folder).model.name == "someone/tiny"


def test_what_is_trusted_is_read_once(tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = {"role": "remote", "remote": {"base_url": httpserver.url_for("/v1"), "model": "m", "key": "A"}}
    other = {"role": "remote", "remote": {"base_url": httpserver.url_for("/v1"), "model": "m", "key": "B"}}
    config = scripted(tmp_path, gpt=remote, bot=other)
    read: list[Path] = []

    def count(folder: Path) -> frozenset[Access]:
        read.append(folder)
        return frozenset()

    monkeypatch.setattr("league.preflight.trust.trusted_uses", count)
    assert len(foreign_uses(config.folder, config)) == 2 and read == [config.folder]


def test_a_state_folder_of_nobody_is_told(
    league: League, baited: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LEAGUE_STATE", "~nosuchuser/x")
    assert trusted_uses(baited) == frozenset()
    done = league("trust", baited)
    assert done.returncode == 2 and "LEAGUE_STATE names the home of a user" in done.stderr
    assert league("resume", baited, "--quiet").returncode == 2
    trust_own(baited, read_config(baited, trusted=False))
    assert "LEAGUE_STATE" in caplog.text


def test_a_state_folder_that_cannot_be_written_is_told(
    league: League,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    httpserver: HTTPServer,
) -> None:
    """As in a container whose user has no home: the run begins, and the way on is named."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LEAGUE_STATE", str(tmp_path / "file" / "state"))
    httpserver.expect_request(PATH).respond_with_handler(lambda asked: stream(chunk("rock"), DONE))
    remote = {"role": "remote", "remote": {"base_url": httpserver.url_for("/v1"), "model": "m", "attempts": 1}}
    config = scripted(tmp_path / "runs", gpt=remote)
    train(prepare(config), Nobody())
    assert "LEAGUE_STATE" in caplog.text and f"league trust {config.folder}" in caplog.text
    done = league("trust", config.folder)
    assert done.returncode == 2 and "LEAGUE_STATE" in done.stderr and "Traceback" not in done.stderr
    monkeypatch.setenv("LEAGUE_STATE", str(tmp_path / "state"))
    assert league("trust", config.folder).returncode == 0
    assert league("resume", config.folder, "--quiet").returncode == 0


@pytest.mark.parametrize("rubbish", ["", "[]", "{", '{"uses": 3}', '{"uses": [[1, 2, 3, 4]]}', "[" * 9999])
def test_a_damaged_note_trusts_nothing(tmp_path: Path, elsewhere: None, rubbish: str) -> None:
    config = scripted(tmp_path)
    train(prepare(config), Nobody())
    trust(config.folder, [Access("code", "a:b")])
    assert trusted_uses(config.folder) == {Access("code", "a:b")}
    (note,) = (tmp_path / "another").rglob("*.json")
    note.write_text(rubbish)
    assert trusted_uses(config.folder) == frozenset()


# ------------------------------------------------------------------------------------------ names and links
NAMES = ("../x", "/tmp/x", "a/b", "a\0../x", "x\n", "Ä", "", "a" * 65, "..")


def unchecked(run: Path, name: str) -> None:
    """Put a name into a database by hand, past its checks."""
    with sqlite3.connect(run / "league.db") as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE agents SET name = ? WHERE name = 'pat'", (name,))
    connection.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_doctored_name_is_refused_at_every_door(league: League, tmp_path: Path, name: str) -> None:
    config = scripted(tmp_path / "runs")
    train(prepare(config), Nobody())
    unchecked(config.folder, name)
    for act in (
        lambda: RunReader.read(config.folder),
        lambda: RunStore.open(config.folder),
        lambda: play_once(config.folder, ["kim", "kim"], task=None, domain=None, index=0),
    ):
        with pytest.raises(RunFolderError, match="names an agent"):
            act()
    assert not verify(config.folder).sound
    for words in (["status"], ["export", "--out", tmp_path / "out"], ["report"], ["verify"]):
        done = league(words[0], config.folder, *words[1:])
        assert done.returncode in (1, 2) and "Traceback" not in done.stderr and "internal" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


def test_nothing_is_exported_outside_of_out(tmp_path: Path) -> None:
    """Also by who holds a reader that was opened before."""
    model = write_tiny_model(tmp_path / "model", max_position_embeddings=1024)
    config = tiny(model, tmp_path / "runs", league__rounds=1)
    run = train(prepare(config), Nobody())
    with RunReader.read(run) as reader:
        (choice,) = choose(reader, 1, "accuracy", [])
        bad = type(choice)(Version("../x", 0), None)
        with pytest.raises(UserError, match="no agent's name"):
            export_agents(run, reader, [bad], tmp_path / "out")
    assert not (tmp_path / "x").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["other/deep/er", "other", "link", "other/blobs/x/.."])
def test_no_folder_is_made_in_another_run(league: League, tmp_path: Path, where: str) -> None:
    """By export, by a new run, and by who makes a run without the checks."""
    model = write_tiny_model(tmp_path / "model", max_position_embeddings=1024)
    config = tiny(model, tmp_path / "runs", league__rounds=1)
    run = train(prepare(config), Nobody())
    other = tmp_path / "other"
    shutil.copytree(run, other)
    (tmp_path / "link").symlink_to(other, target_is_directory=True)
    (tmp_path / "new.yaml").write_text(config.dump())
    before = sorted(other.rglob("*"))
    for words in (("export", run, "--out", tmp_path / where / "x"), ("train", "new.yaml", f"runs={tmp_path / where}")):
        done = league(*words)
        assert done.returncode == 2 and f"the run {other}" in done.stderr, done.stderr
    with pytest.raises(RunFolderError, match=f"would lie in the run {other}"):
        RunStore.create(tmp_path / where / "x", config.dump())
    assert sorted(other.rglob("*")) == before


@pytest.mark.parametrize("change", [{"name": "../x"}, {"version": "../x@1"}, {"version": "pat@x"}, {"version": "pat"}])
def test_a_doctored_state_is_refused(tmp_path: Path, change: dict[str, str]) -> None:
    from league.population import Population

    config = scripted(tmp_path)
    train(prepare(config), Nobody())
    with RunReader.read(config.folder) as reader:
        state = reader.state()
    state["population"]["members"][0] |= change
    with pytest.raises(LeagueError, match="no league gives|no version"):
        Population.from_json(state["population"])


@pytest.mark.parametrize("text", ["", "@", "a", "a@", "a@-1", "a@ 1", "a@1_0", "../a@1", "a@1\n", "a@" + "9" * 19])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is no version"):
        Version.parse(text)


@pytest.mark.parametrize("name", ["blobs", "journal", "tb", "league.db", "league.db-wal"])
def test_a_writer_is_not_led_out_of_the_folder(tmp_path: Path, name: str) -> None:
    config = scripted(tmp_path / "runs")
    train(prepare(config), Nobody())
    outside = tmp_path / "outside"
    if (config.folder / name).is_dir():
        shutil.rmtree(config.folder / name)
    if name in ("blobs", "journal", "tb"):
        outside.mkdir()
        (outside / "0.jsonl").write_text("mine")
    elif name == "league.db":
        (config.folder / name).rename(outside)
    (config.folder / name).unlink(missing_ok=True)
    (config.folder / name).symlink_to(outside)
    for act in (lambda: resume(config.folder, Nobody()), lambda: repair(config.folder)):
        with pytest.raises(RunFolderError, match="is a link"):
            act()
    assert not outside.is_dir() or [path.name for path in outside.iterdir()] == ["0.jsonl"]
    assert name != "league.db-wal" or not outside.exists()


def test_what_is_allowed_is_kept_for_people_to_see(baited: Path, elsewhere: None) -> None:
    config = read_config(baited, trusted=False)
    (use,) = foreign_uses(baited, config)
    assert use.kind == "address" and use.key == "PLANTED_KEY"
    trust(baited, [use])
    (note,) = (baited.parents[1] / "another").rglob("*.json")
    assert json.loads(note.read_text()) == {"folder": str(baited), "uses": [[use.kind, use.value, use.key]]}
    assert not foreign_uses(baited, config)
