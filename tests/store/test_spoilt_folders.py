"""Careless hands.

Run folders whose files are gone, links, folders or rubbish, and whatever may be typed. No traceback ever reaches a
person.
"""

import json
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from league import cli
from league.config import parse_config
from league.config.fixed_settings import changed_fixed_settings
from league.loop import resume, train
from league.preflight.checks import prepare
from league.store import page_bits
from league.store.digests import run_digest
from league.store.environment import differences
from league.store.reader import RunReader
from league.store.run import RunStore
from league.store.verify import verify
from tests.leagues import Nobody, tiny_config
from tests.store.test_durability_edges import config

Said = Callable[..., tuple[int, str]]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """The program in this process: (exit code, all it printed)."""

    def call(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["league", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        shown = capsys.readouterr()
        return int(end.value.code or 0), shown.out + shown.err

    return call


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scripted = config(tmp_path_factory.mktemp("made"), league__rounds=2)
    train(prepare(scripted), Nobody())
    return scripted.folder


def spoil(path: Path, how: str) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    owner = {"pid": "x", "host": socket.gethostname(), "started": 1, "round": "z", "phase": 3, "at": "never", "wish": 3}
    match how:
        case "a folder":
            path.mkdir()
        case "rubbish":
            path.write_bytes(b"\xff\xfe\x00rubbish{[\n: x")
        case "a link to nowhere":
            path.symlink_to("/nonexistent/x")
        case "a link to itself":
            path.symlink_to(path.name)
        case "another kind of JSON":
            path.write_text(json.dumps(owner))
        case "deep JSON":
            path.write_text("[" * 20_000)


@pytest.mark.parametrize(
    "how", ["gone", "a folder", "rubbish", "a link to nowhere", "a link to itself", "another kind of JSON", "deep JSON"]
)
@pytest.mark.parametrize(
    "name",
    [
        "config.yaml",
        "versions.txt",
        "events.jsonl",
        "heartbeat.json",
        "lock",
        "stop",
        "blobs",
        "journal",
        "tb",
        "league.db",
    ],
)
def test_a_spoilt_file_of_a_run_is_repaired_or_named(
    made: Path, tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    monkeypatch.setattr(page_bits, "SECONDS", 1.0)  # no bit turns rubbish into a database
    run = tmp_path / "run"
    shutil.copytree(made, run)
    spoil(run / name, how)
    for words in (
        ["status", run],
        ["stop", run],
        ["pause", run, "--off"],
        ["verify", run],
        ["resume", run, "--quiet"],
        ["verify", run, "--repair"],
    ):
        code, text = said(*words)
        assert code in (0, 1, 2) and "Traceback" not in text, (words, text)
        assert code != 2 or str(run) in text or name in text, f"{words}: the message names nothing: {text}"


def test_an_edited_config_is_told_and_adopted(made: Path, tmp_path: Path, said: Said) -> None:
    """A person may edit config.yaml between two processes.

    The change is printed, recorded, and no damage afterwards.
    """
    run = tmp_path / "run"
    shutil.copytree(made, run)
    text = (run / "config.yaml").read_text().replace("rounds: 2", "rounds: 3")
    (run / "config.yaml").write_text(text)
    assert not verify(run).sound, "until the run goes on with it, it may be damage"
    code, told = said("resume", run, "--quiet")
    assert code == 0 and "league.rounds was 2, is 3" in told
    assert verify(run).sound
    with RunReader.read(run) as reader:
        assert reader.latest_round() == 3 and reader.config_text() == text
    assert any(
        '"config changed"' in line and "league.rounds was 2, is 3" in line
        for line in (run / "events.jsonl").read_text().splitlines()
    )


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("seed: 3", "seed: 4", "seed: was 3"),
        ("rank: 2", "rank: 4", "adapter: was"),
        ("learning_rate: 0.001", "learning_rate: 0.1", "warmup: was"),
        ("ada:\n    role: student", "ada:\n    role: co-player", "agents.ada.role: was student"),
        ("level: 1", "level: 2", "domains."),
    ],
)
def test_what_is_settled_when_a_run_begins_is_not_edited_in_silence(before: str, after: str, named: str) -> None:
    text = parse_config(yaml.safe_dump(tiny_config(Path("m"), Path("r"))), "test").dump()
    assert before in text, text
    old, new = (parse_config(each, "test") for each in (text, text.replace(before, after)))
    (line, *_) = changed_fixed_settings(old, new)
    assert named in line and "start a new run" in line
    assert not changed_fixed_settings(old, parse_config(text.replace("rounds: ", "rounds: 1"), "test"))


def test_a_settled_setting_that_was_edited_stops_the_resume(made: Path, tmp_path: Path, said: Said) -> None:
    run = tmp_path / "run"
    shutil.copytree(made, run)
    text = (run / "config.yaml").read_text()
    seed = next(line for line in text.splitlines() if line.startswith("seed: "))
    (run / "config.yaml").write_text(text.replace(seed, "seed: 77").replace("rounds: 2", "rounds: 3"))
    code, told = said("resume", run, "--quiet")
    assert code == 2 and f"seed: was {seed[6:]} when the run began, is 77" in told
    with RunReader.read(run) as reader:
        assert reader.latest_round() == 2 and seed in reader.config_text()


def test_what_differs_between_two_configs() -> None:
    assert differences("a: {b: 1, c: [1]}\nd: x", "a: {b: 2, c: [1]}\ne: {f: 0}") == [
        "a.b was 1, is 2",
        "d was x, is not there",
        "e.f was not there, is 0",
    ]
    (line,) = differences("a: [", "a: 1")
    assert "damaged" in line


def test_what_killed_processes_left_is_swept(made: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(made, run)
    left, other = run / ".heartbeat.json.99999.tmp", run / ".my-notes.tmp"
    for path in (left, other):
        path.write_text("x")
    RunStore.open(run).close()
    assert not left.exists() and other.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_opening_round_finishes_it(tmp_path: Path, number: signal.Signals) -> None:
    class First(Nobody):
        def phase(self, league, number_of: int, text: str) -> None:
            if number_of == 0 and text == "first exam":
                os.kill(os.getpid(), number)

    train(prepare(config(tmp_path / "whole")), Nobody())
    parts = config(tmp_path / "parts")
    train(prepare(parts), First())
    with RunReader.read(parts.folder) as reader:
        assert reader.latest_round() == 0
    resume(parts.folder, Nobody())
    assert run_digest(parts.folder) == run_digest(config(tmp_path / "whole").folder)


# ----------------------------------------------------------------------------------------------- what is typed
@pytest.mark.parametrize(
    "name",
    [
        "",
        "-",
        "a@",
        "@",
        "a@-1",
        "rocky@99999999999999999999",
        "../x",
        "a\x1b[31m",
        "ä",
        "a" * 5000,
        "\ud800",
        "*",
        "\n",
        "%s",
    ],
)
@pytest.mark.parametrize(
    "words",
    [
        ["play", "RUN", "NAME"],
        ["export", "RUN", "--agent", "NAME", "--out", "OUT"],
        ["show-match", "RUN", "NAME"],
        ["payoffs", "RUN", "--task", "NAME"],
        ["status", "NAME"],
        ["analyze", "NAME"],
        ["train", "CONFIG", "name=NAME", "runs=OUT"],
        ["train", "CONFIG", "runs=OUT", "agents.rocky.script=NAME", "agents.rocky.says=~"],
    ],
)
def test_whatever_is_typed_is_answered_in_words(
    made: Path, tmp_path: Path, said: Said, words: list[str], name: str
) -> None:
    values = {"RUN": str(made), "OUT": str(tmp_path / "out"), "CONFIG": str(made / "config.yaml")}
    filled = [values.get(word, word).replace("NAME", name).replace("OUT", values["OUT"]) for word in words]
    code, text = said(*filled)
    assert code in (0, 2) and "Traceback" not in text and text.strip(), (filled, text)
    assert code == 2 or words[0] == "status" and name in ("", "-"), "nothing of the kind exists"
    assert not list(tmp_path.iterdir())


def test_links_are_never_written_through(made: Path, tmp_path: Path, said: Said) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "page.html").symlink_to(tmp_path / "real" / "page.html")
    for words in (
        ["--out", tmp_path / "page.html"],
        ["--out", tmp_path / "p.html", "--tensorboard", tmp_path / "link"],
    ):
        code, text = said("report", made, *words)
        assert code == 2 and "is a link" in text
    assert not list((tmp_path / "real").iterdir()) and not (tmp_path / "p.html").exists()


def test_an_error_nobody_foresaw_is_told_in_words_and_kept_for_us(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("of a kind")

    monkeypatch.setattr(cli, "app", broken)
    code, text = said("status")
    assert code == 70 and "ZeroDivisionError: of a kind" in text and "Traceback" not in text
    log = Path(text.split()[-1])
    assert "Traceback" in log.read_text() and "in broken" in log.read_text()
    log.unlink()


def test_an_interrupt_says_that_nothing_is_lost(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("league.preflight.checks.prepare_file", interrupted)
    code, text = said("train", "any.yaml")
    assert code == 130 and "nothing was written" in text  # no run folder yet: preflight was interrupted


def test_a_thread_that_dies_is_a_line(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def writer() -> None:
        raise OSError(28, "No space left on device")

    def broken() -> None:
        thread = threading.Thread(target=writer)
        thread.start()
        thread.join()
        raise SystemExit(0)

    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(cli, "app", broken)
    code, text = said("status")
    assert code == 0 and "note: OSError" in text and "No space left" in text and "Traceback" not in text


def test_a_failing_disk_is_told_in_words(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError(28, "No space left on device", "/some/where")

    monkeypatch.setattr(cli, "app", broken)
    code, text = said("status")
    assert code == 2 and "/some/where: No space left on device" in text
