"""A remote player as a frozen member of a league.

Played, rated, void when unreachable, replayed on resume, and its key nowhere.
"""

import hashlib
import json
import logging
import os
import socket
import subprocess
import sys
import time
import urllib.request
import zlib
from collections import Counter
from pathlib import Path

import pytest
import yaml
from pytest_httpserver import HTTPServer
from werkzeug import Request as Asked
from werkzeug import Response

from league.commands.report import report
from league.config import parse_config
from league.errors import ConfigError, UserError
from league.evaluation.on_demand import exam_now, play_once
from league.loop import resume, train
from league.preflight.checks import prepare
from league.runtime.export import choose, export_agents
from league.store.digests import run_digest
from league.store.journal import ReplyJournal
from league.store.reader import RunReader
from league.store.verify import verify
from league.types import Version
from tests.conftest import write_tiny_model
from tests.helpers.remote_server import DONE, PATH, chunk, stream
from tests.leagues import Nobody, tiny, tiny_config

KEY = "sk-PLANTED-4711-abcdefghijklmnop"
NAMED = {"key": "LEAGUE_TEST_KEY"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


class Oracle:
    """A server whose answer depends on the request and on how often it was asked.

    It never says the same thing twice.
    """

    def __init__(self, server: HTTPServer, echo: str = ""):
        self.seen: Counter[bytes] = Counter()
        self.echo = echo
        server.expect_request(PATH).respond_with_handler(self)

    def __call__(self, asked: Asked) -> Response:
        self.seen[asked.data] += 1
        words = hashlib.sha256(asked.data + bytes([self.seen[asked.data]])).hexdigest()
        return stream(chunk(words[: 8 + int(words[0], 16)] + self.echo), chunk(finish="stop"), DONE)


def with_gpt(model: Path, runs: Path, base_url: str, remote: dict | None = None, **changes: object):
    gpt = {
        "role": "remote",
        "domain": "sums",
        "remote": {"base_url": base_url, "model": "m", "attempts": 1, "deadline": 20, **(remote or {})},
    }
    return tiny(model, runs, **{"agents__gpt": gpt, "tasks__contest__matches": 4, "league__rounds": 2, **changes})


def test_a_remote_player_is_a_frozen_member(model: Path, tmp_path: Path, httpserver: HTTPServer) -> None:
    Oracle(httpserver)
    config = with_gpt(model, tmp_path, httpserver.url_for("/v1"), tasks__teaching__matches=3)
    train(prepare(config), Nobody())
    with RunReader.read(config.folder) as reader:
        (row,) = reader.versions("gpt")
        assert (row.role, row.blob, row.optimizer) == ("remote", None, None)
        assert reader.live()["gpt"] == Version("gpt", 0)
        matches = list(reader.matches())
        assert not [match for match in matches if match.void]
        met = [match for match in matches if Version("gpt", 0) in match.seats.values()]
        assert {match.task for match in met} >= {"contest", "teaching", "exam"}, (
            "it plays, teaches its domain, and sits the exam"
        )
        assert {rating.version.agent for rating in reader.ratings("contest")} >= {"gpt"}
        assert {"accuracy/gpt/sums", "delta/gpt/ada@0"} <= set(reader.scalar_names()), (
            "measured as any other teacher is"
        )
        assert "gpt" not in [choice.version.agent for choice in choose(reader, 9, "accuracy", [])]
        with pytest.raises(UserError, match="no weights to export"):
            choose(reader, 1, "accuracy", ["gpt"])
    assert verify(config.folder).sound
    assert not list((config.folder / "blobs").glob("*gpt*"))
    shown = play_once(config.folder, ["gpt", "ada"], task="teaching", domain=None, index=0)
    assert shown["seats"] == {"teacher": "gpt@0", "student": str(reader_live(config.folder)["ada"])}
    assert {row["agent"] for row in exam_now(config.folder, ["gpt", "base"], "test", 2)["results"]} == {"gpt", "base"}  # type: ignore[attr-defined]


def reader_live(folder: Path) -> dict[str, Version]:
    with RunReader.read(folder) as reader:
        return reader.live()


def test_a_league_of_remote_and_scripted_players_needs_no_model(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH).respond_with_handler(lambda asked: stream(chunk("rock"), DONE))
    agents = {
        "pat": {"role": "scripted", "says": {"paper": 1}},
        "gpt": {"role": "remote", "remote": {"base_url": httpserver.url_for("/v1"), "model": "m"}},
    }
    task = {"kind": "matrix_game", "matches": 3, "settings": {"game": "rock-paper-scissors"}}
    config = tiny(Path("/nowhere"), tmp_path, agents=agents, domains={}, tasks={"game": task}, league__rounds=2)
    train(prepare(config), Nobody())
    with RunReader.read(config.folder) as reader:
        cells = reader.payoffs("contest", "game")
        assert int(cells.n.sum()) > 0 and not [match for match in reader.matches() if match.void]


# -------------------------------------------------------------------------------------------------- unreachable
def test_an_unreachable_player_voids_its_matches_and_nothing_else(model: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    config = with_gpt(model, tmp_path, gone, tasks__contest__matches=8)
    train(prepare(config), Nobody())
    with RunReader.read(config.folder) as reader:
        matches = list(reader.matches())
        with_it = [match for match in matches if Version("gpt", 0) in match.seats.values()]
        assert with_it and all(
            match.void and match.void.startswith("gpt: ") and not match.outcomes for match in with_it
        )
        assert not [match for match in matches if match.void and match not in with_it]
        assert not [rating for rating in reader.ratings() if rating.version.agent == "gpt"], "unrated, not beaten"
        assert "accuracy/ada/sums" in reader.scalar_names() and "accuracy/gpt/sums" not in reader.scalar_names()
        assert [row for row in reader.versions("ada") if row.reason == "update"], "the others go on"
    assert verify(config.folder).sound
    with pytest.raises(UserError, match="could not be played: gpt"):
        play_once(config.folder, ["gpt", "ada"], task="contest", domain=None, index=0)
    with pytest.raises(UserError, match="could not be held: gpt"):
        exam_now(config.folder, ["gpt"], "test", 1)


# ------------------------------------------------------------------------------------------------------- resume
@pytest.mark.parametrize("after", [0, 3, 6])
def test_a_killed_round_replays_what_it_had_heard(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Only a journal can make the resumed run the same run.

    The server never gives an answer twice.

    One question at a time: what was on its way when the process died was never heard, and a resumed run may hear
    something else.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    digests = []
    for place in ("whole", "killed"):
        with HTTPServer(port=port) as server:
            oracle = Oracle(server)
            config = with_gpt(model, tmp_path / place, server.url_for("/v1"), {"parallel": 1}, league__rounds=3, seed=5)
            if place == "whole":
                train(prepare(config), Nobody())
            else:
                with monkeypatch.context() as patched:
                    patched.setattr(ReplyJournal, "keep", _dying(after))
                    with pytest.raises(KeyboardInterrupt):
                        train(prepare(config), Nobody())
                assert reader_round(config.folder) == 1
                resume(config.folder, Nobody())
            assert max(oracle.seen.values()) <= 2, "asked at the start and at the end, and never again"
            digests.append(run_digest(config.folder))
    assert digests[0] == digests[1]


def reader_round(folder: Path) -> int | None:
    with RunReader.read(folder) as reader:
        return reader.latest_round()


def _dying(after: int):
    """A journal whose process dies in round 2, right after reply number `after` was made durable."""
    real, kept = ReplyJournal.keep, []

    def keep(self: ReplyJournal, key: str, reply) -> None:
        real(self, key, reply)
        if self._round == 2:
            kept.append(key)
            if len(kept) > after:
                raise KeyboardInterrupt

    return keep


def test_old_journals_go_and_the_kept_rounds_stay(model: Path, tmp_path: Path, httpserver: HTTPServer) -> None:
    Oracle(httpserver)
    config = with_gpt(model, tmp_path, httpserver.url_for("/v1"), league__rounds=4, tasks__contest__matches=12)
    train(prepare(config), Nobody())
    assert {int(path.stem) for path in (config.folder / "journal").iterdir()} <= {3, 4}


# ------------------------------------------------------------------------------------------------------- secrets
def every_text(folder: Path) -> list[bytes]:
    """Every file below, and what is compressed inside databases."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            found.append(path.read_bytes())
            if path.name.endswith(".db"):
                with RunReader.read(path.parent) as reader:
                    for table in [
                        row[0] for row in reader.db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                    ]:
                        for row in reader.db.execute(f"SELECT * FROM {table}"):
                            found += [_unpacked(value) for value in row]
    return found


def _unpacked(value: object) -> bytes:
    if not isinstance(value, bytes):
        return str(value).encode()
    try:
        return zlib.decompress(value)
    except zlib.error:
        return value


def test_a_planted_key_is_in_no_file_log_or_export(
    model: Path,
    tmp_path: Path,
    httpserver: HTTPServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    oracle = Oracle(httpserver, echo=f" the key is {KEY}")
    data = tiny_config(model, tmp_path / "runs", league__rounds=2, tasks__contest__matches=4)
    data["agents"]["gpt"] = {"role": "remote", "remote": {"base_url": httpserver.url_for("/v1"), "model": "m", **NAMED}}
    data["league"]["transcripts_per_round"] = 20
    (tmp_path / "gpt.yaml").write_text(yaml.safe_dump(data))
    run = tmp_path / "runs" / "tiny"
    monkeypatch.setenv("LEAGUE_TEST_KEY", KEY)
    environment = {**os.environ, "OPENAI_LOG": "debug"}
    shown = subprocess.run(
        [sys.executable, "-m", "league", "train", str(tmp_path / "gpt.yaml")],
        capture_output=True,
        env=environment,
        timeout=300,
    )
    assert shown.returncode == 0, shown.stderr.decode()
    report(run, tmp_path / "page.html")
    with RunReader.read(run) as reader:
        export_agents(run, reader, choose(reader, 1, "accuracy", []), tmp_path / "out")
    said = [
        shown.stdout,
        shown.stderr,
        json.dumps(play_once(run, ["gpt", "ada"], task="contest", domain=None, index=0)).encode(),
        caplog.text.encode(),
    ]
    assert oracle.seen and httpserver.log[0][0].headers["Authorization"] == f"Bearer {KEY}", "the key was used"
    texts = [*every_text(tmp_path), *said]
    assert any(b"the key is [key]" in text for text in texts), "the server's echo was stored, without the key"
    assert not [text for text in texts if KEY.encode() in text]


def test_a_key_pasted_into_the_config_is_refused_and_not_repeated(tmp_path: Path) -> None:
    for place, value in (
        ("key", KEY),
        ("key", [KEY]),
        ("base_url", f"https://user:{KEY}@host/v1"),
        ("base_url", f"https://host/v1?key={KEY}"),
        ("base_url", f"ftp://{KEY}"),
        ("api_key", KEY),
        ("model", {"a": KEY}),
        ("deadline", KEY),
    ):
        data = tiny_config(Path("model"), tmp_path)
        data["agents"]["gpt"] = {"role": "remote", "remote": {"base_url": "http://host/v1", "model": "m", place: value}}
        with pytest.raises(ConfigError) as caught:
            parse_config(yaml.safe_dump(data), "test")
        assert f"agents.gpt.remote.{place}" in str(caught.value) and KEY not in str(caught.value)


def test_a_missing_key_is_found_before_anything_is_loaded(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_gpt(model, tmp_path, "http://localhost:9/v1", NAMED)
    monkeypatch.delenv("LEAGUE_TEST_KEY", raising=False)
    with pytest.raises(ConfigError, match="agents.gpt.remote.key: the environment variable LEAGUE_TEST_KEY is not set"):
        prepare(config)
    assert not config.folder.exists()
    prepare(config, speakers={"ada"})
    monkeypatch.setenv("LEAGUE_TEST_KEY", KEY)
    prepare(config)


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ({"role": "remote"}, "section `remote`"),
        ({"role": "student", "remote": {"base_url": "http://h/v1", "model": "m"}}, "section `remote`"),
        ({"role": "remote", "remote": {"base_url": "http://h/v1", "model": "m"}, "checkpoint": "x"}, "has no weights"),
        (
            {"role": "remote", "remote": {"base_url": "http://h/v1", "model": "m"}, "learning_rate": 0.1},
            "has no weights",
        ),
        ({"role": "remote", "remote": {"base_url": "http://h/v1", "model": ""}}, "agents.gpt.remote.model"),
        ({"role": "remote", "remote": {"base_url": "h/v1", "model": "m"}}, "address of an API"),
        (
            {"role": "remote", "remote": {"base_url": "http://h/v1", "model": "m", "deadline": 0}},
            "agents.gpt.remote.deadline",
        ),
    ],
)
def test_impossible_remote_players(agent: dict, expected: str) -> None:
    data = tiny_config(Path("model"), Path("runs"))
    data["agents"]["gpt"] = agent
    with pytest.raises(ConfigError) as caught:
        parse_config(yaml.safe_dump(data), "test")
    assert expected in str(caught.value)


# -------------------------------------------------------------------------------------------------- a real server
@pytest.mark.slow
def test_a_real_server_of_another_make_plays_a_league(model: Path, tmp_path: Path) -> None:
    """`transformers serve` loads the tiny model when first asked: OpenAI's protocol as another speaks it."""
    for needed in ("fastapi", "uvicorn"):
        pytest.importorskip(needed)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "transformers.cli.transformers",
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--device",
        "cpu",
    ]
    with (tmp_path / "serve.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", server, tmp_path / "serve.log")
            config = with_gpt(
                model, tmp_path, f"http://127.0.0.1:{port}/v1", {"model": str(model), "deadline": 120}, league__rounds=1
            )
            train(prepare(config), Nobody())
        finally:
            server.kill()
            server.wait()
    with RunReader.read(config.folder) as reader:
        met = [match for match in reader.matches() if Version("gpt", 0) in match.seats.values()]
        assert met and not [match.void for match in met if match.void]
    kept = [
        json.loads(line) for path in (config.folder / "journal").iterdir() for line in path.read_text().splitlines()
    ]
    assert len({text for _, text, _, _ in kept}) > 1 and {finish for _, _, finish, _ in kept} <= {"end", "length"}


def _wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(300):
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(address, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(1)
    raise AssertionError(log.read_text())
