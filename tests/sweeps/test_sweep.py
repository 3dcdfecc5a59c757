"""A sweep trains its runs, goes on where it was, names what failed, and stops when it is asked to."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from league.cli import app
from league.errors import Interrupted, RunFolderError, UserError
from league.store.lock import RunLock
from league.store.reader import RunReader
from league.sweeps import processes
from tests.sweeps.test_plan import CONFIG

CHILD = Path(__file__).parents[1] / "helpers" / "sweep_child.py"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a config, in which children do as they are told."""
    (tmp_path / "words.yaml").write_text(CONFIG.format(runs=tmp_path / "runs"))
    monkeypatch.setattr(processes, "PROGRAM", (sys.executable, str(CHILD)))
    monkeypatch.setenv("SWEEP_CHILD", str(tmp_path))
    return tmp_path


def sweep(place: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["sweep", str(place / "words.yaml"), *words])


def told(place: Path, what: str = "begin") -> list[str]:
    lines = (place / "log.txt").read_text().splitlines() if (place / "log.txt").exists() else []
    return sorted(line.split()[1] + " " + line.split()[2] for line in lines if line.startswith(what))


def test_a_sweep_trains_all_and_again_keeps_what_is_finished(place: Path) -> None:
    words = ("--seeds", "1..2", "tasks.game.matches=1,2")
    shown = sweep(place, *words, "--jobs", "2")
    assert shown.exit_code == 0, shown.output
    assert told(place) == [f"matches-{m}/seed-{s} train" for m in (1, 2) for s in (1, 2)]
    assert "50.0%" in shown.output and "2/2" in shown.output
    found = json.loads(sweep(place, *words, "--json").stdout)
    assert len(told(place)) == 4, "finished runs are kept"
    assert [arm["finished"] for arm in found["arms"]] == [2, 2]
    assert found["runs"][0]["accuracy"] == 0.5 and found["runs"][0]["tokens"] == 11
    more = sweep(place, "--seeds", "2", "tasks.game.matches=1,2,3")
    assert more.exit_code == 0 and len(told(place)) == 5, "more seeds and values are the same sweep"


def test_a_dry_run_lists_and_writes_nothing(place: Path) -> None:
    shown = sweep(place, "--seeds", "1..2", "tasks.game.matches=1,2", "--dry-run")
    assert shown.exit_code == 0 and "4 runs: 2 arms × 2 seeds" in shown.output
    assert "matches-2/seed-2  tasks.game.matches=2  new" in shown.output
    assert [path.name for path in place.iterdir()] == ["words.yaml"]


def test_a_failed_run_is_named_and_tried_again_only_on_request(place: Path) -> None:
    (place / "seed-2.do").write_text("fail")
    (place / "seed-3.do").write_text("crash")
    shown = sweep(place, "--seeds", "1..3")
    assert shown.exit_code == 1
    assert "seed-2: failed: error: no such thing; put it back" in shown.output
    assert "seed-3: failed: killed by signal 9; was there memory left?" in shown.output
    assert "1/3" in shown.output and "--retry" in shown.output
    (place / "seed-2.do").unlink()
    (place / "seed-3.do").unlink()
    assert sweep(place, "--seeds", "1..3").exit_code == 1 and len(told(place)) == 3
    shown = sweep(place, "--seeds", "1..3", "--retry")
    assert shown.exit_code == 0 and len(told(place)) == 5, shown.output


@pytest.mark.parametrize(("do", "signals"), [("wait", 1), ("deaf", 2)])
def test_a_signal_stops_the_runs_and_the_same_command_goes_on(place: Path, do: str, signals: int) -> None:
    (place / "seed-1.do").write_text(do)
    (place / "seed-2.do").write_text(do)

    def interrupt() -> None:
        until = time.monotonic() + 30
        while len(list(place.glob("runs/words/seed-*/league.db"))) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        for _ in range(signals):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)

    thread = threading.Thread(target=interrupt)
    before = signal.getsignal(signal.SIGINT)
    thread.start()
    shown = sweep(place, "--seeds", "1..3", "--jobs", "2")
    thread.join()
    assert isinstance(shown.exception, Interrupted) and signal.getsignal(signal.SIGINT) is before
    assert told(place) == ["words/seed-1 train", "words/seed-2 train"] == told(place, "end"), "the third did not begin"
    assert "seed-1: stopped, round 0 is safe" in shown.output and "failed" not in shown.output
    if do == "deaf":
        return
    (place / "seed-1.do").unlink()
    (place / "seed-2.do").unlink()
    shown = sweep(place, "--seeds", "1..3", "--jobs", "2")
    assert shown.exit_code == 0 and "seed-1: goes on" in shown.output
    assert told(place)[1::2][:2] == ["words/seed-1 train", "words/seed-2 train"]
    with RunReader.read(place / "runs" / "words" / "seed-1") as reader:
        assert reader.latest_round() == 1


def test_at_most_so_many_run_at_a_time_with_their_share_of_the_cores(place: Path) -> None:
    sweep(place, "--seeds", "1..3", "--jobs", "1")
    lines = [line.split() for line in (place / "log.txt").read_text().splitlines()]
    assert [line[0] for line in lines] == ["begin", "end"] * 3
    own = os.environ.get("OMP_NUM_THREADS", "")
    assert {line[3] for line in lines} == {str(processes.threads_each(1, {"OMP_NUM_THREADS": own}))}


def test_two_sweeps_in_one_folder_are_refused(place: Path) -> None:
    (place / "runs" / "words").mkdir(parents=True)
    lock = RunLock(place / "runs" / "words" / "lock")
    try:
        shown = sweep(place, "--seeds", "1")
    finally:
        lock.release()
    assert isinstance(shown.exception, UserError) and "in use by another sweep" in str(shown.exception)
    assert told(place) == []


def test_a_folder_of_another_sweep_is_refused(place: Path) -> None:
    assert sweep(place, "--seeds", "1", "tasks.game.matches=1,2").exit_code == 0
    for words, why in (
        (("tasks.game.matches=1,2", "league.rounds=5"), "league.rounds was 2, is 5"),
        (("league.rounds=2,5",), "it varies tasks.game.matches, this one league.rounds"),
        ((), "this one nothing but seeds"),
    ):
        shown = sweep(place, "--seeds", "1", *words)
        assert isinstance(shown.exception, UserError) and why in str(shown.exception)
    edited = place / "runs" / "words" / "matches-1" / "seed-1" / "config.yaml"
    edited.write_text(edited.read_text().replace("rounds: 2", "rounds: 7"))
    shown = sweep(place, "--seeds", "1", "tasks.game.matches=1,2")
    assert "in matches-1/seed-1 league.rounds was 7, is 2" in str(shown.exception)
    assert len(told(place)) == 2


def test_a_folder_that_is_no_sweep_is_refused(place: Path) -> None:
    (place / "runs" / "words").mkdir(parents=True)
    (place / "runs" / "words" / "letter.txt").write_text("mine")
    assert isinstance(sweep(place, "--seeds", "1").exception, RunFolderError)
    (place / "runs" / "words" / "sweep.json").write_text("{")
    shown = sweep(place, "--seeds", "1")
    assert isinstance(shown.exception, RunFolderError) and "cannot be read" in str(shown.exception)


def test_what_preflight_finds_in_one_arm_stops_all(place: Path) -> None:
    shown = sweep(place, "--seeds", "1", "tasks.game.settings={game: rock-paper-scissors},{game: chess}")
    assert isinstance(shown.exception, UserError) and "'chess' is unknown" in str(shown.exception)
    assert not (place / "runs").exists()


@pytest.mark.slow
def test_a_real_sweep_is_what_single_runs_are(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole program: two seeds, then the same run by `league train`, equal to the last bit."""
    from league.store.digests import run_digest

    monkeypatch.setattr(processes, "PROGRAM", (sys.executable, "-m", "league"))
    assert sweep(place, "--seeds", "1..2", "--jobs", "2").exit_code == 0
    folders = [place / "runs" / "words" / f"seed-{seed}" for seed in (1, 2)]
    digests = [run_digest(folder) for folder in folders]
    shown = CliRunner().invoke(app, ["train", str(place / "words.yaml"), "name=alone", "seed=1", "--quiet"])
    assert shown.exit_code == 0, shown.output
    assert run_digest(place / "runs" / "alone") == digests[0] != digests[1]
