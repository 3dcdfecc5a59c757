"""What is thrown at the commands: a sample of the fuzz, and the right value of each fault that it found."""

import json
import os
import re
import shutil
import sqlite3
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from league import cli
from league.errors import DataError, ModelUnavailable, UserError
from league.model.fetch import is_on_hub, locate_model
from league.model.folder import check_model, weight_hash
from league.payoffs.csv_table import read_text
from league.registry import add_code_folders
from league.reporting.queries.run_status import status
from league.store.digests import checkpoint_digest
from league.store.reader import RunReader
from league.store.repair import repair
from league.store.state_shape import state_problems
from tests.chaos import door_inputs, doors
from tests.chaos.door_material import Shelf, make


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_HUB_OFFLINE", "PIP_NO_INDEX", "UV_OFFLINE", "OMP_NUM_THREADS", "COLUMNS", "LEAGUE_CACHE"):
            patch.setenv(name, os.environ.get(name, ""))
        patch.setattr(threading, "excepthook", threading.excepthook)
        doors.offline()
        yield make(tmp_path_factory.mktemp("shelf"), models=False)


@pytest.fixture
def run(shelf: Shelf, tmp_path: Path) -> Path:
    """A finished league of scripted players."""
    return shutil.copytree(shelf.runs["games"], tmp_path / "run")


def test_a_sample_of_odd_input_ends_in_words(shelf: Shelf, tmp_path: Path) -> None:
    results = [doors.try_input(shelf, 2, number, tmp_path / "input") for number in range(200)]
    assert not [(result.number, result.fault) for result in results if result.fault]
    assert len({result.command for result in results}) >= 18
    assert {result.code for result in results} == {0, 1, 2}


def test_the_fuzz_finds_what_is_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise KeyError("planted")

    def hangs() -> None:
        while True:
            with suppress(Exception):
                threading.Event().wait(0.01)

    assert "uncaught KeyError" in doors.run_one(broken, ["status"])[3]
    monkeypatch.setattr(doors, "WAIT", doors.LIMIT)
    assert "more than" in doors.run_one(hangs, ["status"], limit=0.2)[3]
    monkeypatch.setattr(cli, "app", broken)
    code, _, said, fault = doors.run_one(cli.main, ["status"])
    assert code == 70 and fault == "exit code 70" and "internal error: KeyError" in said
    Path(said.split("details are in ")[1].strip()).unlink()


def test_an_input_is_a_function_of_seed_and_number(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first, again = (door_inputs.draw(shelf, 3, 5, tmp_path / name) for name in ("one", "two"))
    assert first == again


# ------------------------------------------------------------------------------------------------------ what it found
@pytest.mark.parametrize("name", ["~no-such-user/m", "x\0y", "", "x" * 5000, "a b/c", "-", "名前/m", "a/b/c"])
def test_a_model_that_can_be_nowhere(name: str) -> None:
    with pytest.raises(ModelUnavailable, match="whole path|the hub's names look like OWNER/NAME"):
        locate_model(name)
    assert not is_on_hub(name)


def test_encodings_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(",a\na,.5\n")
    for encoding in ("hex", "rot13", "base64", "undefined", "no\0name"):
        with pytest.raises(DataError, match="is unknown; try utf-8"):
            read_text(tmp_path / "x.csv", encoding)
    with pytest.raises(DataError, match="null byte.*expected a CSV file"):
        read_text(Path("x\0y"), "utf-8")


@pytest.mark.parametrize("name", ["lock", "heartbeat.json", "stop", "warm-up.json", "versions.txt"])
def test_a_pipe_in_a_run_is_not_waited_for(run: Path, name: str) -> None:
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    with RunReader.read(run) as reader:
        assert status(reader).round == 3
        assert reader.stop_requested() == ("stop" if name == "stop" else None)


@pytest.mark.parametrize("name", ["at", "since", "phase", "round", "pid", "detail"])
def test_a_heartbeat_of_another_shape(run: Path, name: str) -> None:
    """A stranger's run may hold any; nothing of it may end the commands that look at the run."""
    beat = {"pid": 1, "at": 1.0, "round": 1, "phase": "play", "detail": "", "since": 1.0}
    for value in ([], {}, "x", None, float("inf"), 10**400, True):
        (run / "heartbeat.json").write_text(json.dumps({**beat, name: value}))
        with RunReader.read(run) as reader:
            assert status(reader).state == "finished"


def test_a_pipe_in_a_model_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    os.mkfifo(tmp_path / ".league-weights.json")
    assert len(weight_hash(tmp_path)) == 64
    (tmp_path / "model.safetensors").unlink()
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(ModelUnavailable, match="model.safetensors: expected a plain file"):
        check_model(tmp_path)


def _change(run: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(run / "league.db", isolation_level=None)) as db:
        db.execute(statement, values)


def test_text_where_a_block_should_be_is_repaired(run: Path) -> None:
    _change(run, "UPDATE details SET block = 'words' WHERE round = 1")
    report = repair(run)
    assert report.sound and "details of round 1" in report.dropped


def _state_with_right_sum(run: Path, state: bytes) -> None:
    """Another state of the last round, and the sum that fits it."""
    _change(run, "UPDATE checkpoints SET state = ? WHERE round = 3", zlib.compress(state))
    with closing(sqlite3.connect(run / "league.db", isolation_level=None)) as db:
        db.execute("UPDATE checkpoints SET digest = ? WHERE round = 3", (checkpoint_digest(RunReader(run, db), 3),))


def _told(run: Path) -> tuple[int, str]:
    """Exit code and error of a command that reads the run."""
    code, _, said, _ = doors.run_one(cli.main, ["status", str(run)])
    return code, said


def test_a_damaged_run_is_not_called_a_fault_of_ours(run: Path) -> None:
    """Damage that is met in the middle of reading."""
    _change(run, "UPDATE checkpoints SET state = ?", zlib.compress(b"[]"))
    code, said = _told(run)
    assert code == 2 and re.search("changed by hand: kept round .* `league verify .*--repair", said)


def test_an_error_of_ours_stays_one(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration that a person edited is no damage."""
    (run / "config.yaml").write_text((run / "config.yaml").read_text() + "\n# edited\n")
    monkeypatch.setattr(RunReader, "heartbeat", lambda self: {}["ours"])
    code, said = _told(run)
    assert code == 70 and "internal error: KeyError: 'ours'" in said
    Path(said.split("details are in ")[1].strip()).unlink()


def test_a_state_of_another_shape_whose_sums_are_right(run: Path) -> None:
    with RunReader.read(run) as reader:
        state = reader.state()
        assert state_problems(state) == []
        odd = {**state, "tokens": "many", "clock": {"play": "long"}}
    assert [line.split(":")[0] for line in state_problems(odd)] == ["tokens", "clock.play"]
    _state_with_right_sum(run, b'{"tokens": []}')
    code, said = _told(run)
    assert code == 2 and "changed by hand: round 3, state: population: field required" in said


def test_a_report_makes_no_folder_in_a_run(run: Path, tmp_path: Path, shelf: Shelf) -> None:
    from league.commands.report import report

    other = shutil.copytree(shelf.runs["sums"], tmp_path / "other")
    for board in (other / "tb2", other / "a" / "b", run / "blobs" / "x"):
        with pytest.raises(UserError, match="would be a folder of the run .* name one outside"):
            report(run, out=tmp_path / "page.html", tensorboard=board)
        assert not board.exists()
    os.mkfifo(tmp_path / "pipe.html")
    for page in (tmp_path / "pipe.html", tmp_path / ("x" * 300 + ".html"), Path("x\0y.html")):
        with pytest.raises(UserError, match="--out"):
            report(run, out=page)


def test_a_model_whose_numbers_are_none(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x")
    for vocabulary in ("Infinity", "NaN", "[1]", '"many"'):
        (tmp_path / "config.json").write_text(f'{{"vocab_size": {vocabulary}}}')
        with pytest.raises(ModelUnavailable, match="as Hugging Face writes them"):
            check_model(tmp_path)


def test_a_circle_of_links_holds_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "run").symlink_to("run")
    add_code_folders(tmp_path / "run")
    assert str(tmp_path / "run") in sys.path


def test_a_comparison_of_a_run_without_its_configuration_is_refused(run: Path) -> None:
    """What a state lacks is met while the run is read, so the run is blamed for it, though no word names it."""
    _state_with_right_sum(run, b'{"tokens": []}')
    code, _, said, _ = doors.run_one(cli.main, ["compare", *2 * [str(run.parent / "*")]])
    assert code == 2 and "changed by hand: round 3, state: population: field required" in said
