"""What people are shown while a run goes on must not slow it, and is whole after every resume.

Pictures wait until their share of the time pays for them.
"""

import subprocess
import sys
from pathlib import Path
from time import time as real_time
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from league.config import Config
from league.loop import resume, train
from league.population import Population
from league.preflight.checks import prepare
from league.reporting import event_files
from league.reporting.tensorboard import Board
from league.round import report as watch
from league.round.values import RoundReport
from league.runtime.league import LeagueState
from league.store.reader import RunReader
from tests.conftest import write_tiny_model
from tests.leagues import tiny


def test_pictures_wait_for_their_share_and_the_last_round_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, drawn = [0.0], []

    def publish(board, reader, number: int, *, figures: bool, schedule) -> int:
        if figures:
            drawn.append(number)
            now[0] += 8.0
        return 0

    monkeypatch.setattr(watch, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(watch, "publish_round", publish)
    state = LeagueState(Population({}, {}))
    league = SimpleNamespace(store=None, config=tiny(tmp_path, tmp_path, evaluation__every=5, league__rounds=200))
    with watch.LiveReport(tmp_path, 200, quiet=True) as shown:
        for number in range(201):
            now[0] += 10.0
            clock = {"generate": 9.0} | ({"evaluate": 1.0} if number % 5 == 0 else {})
            shown.round(
                league,
                RoundReport(
                    number, 200, state, scalars={}, exams=(), gains=(), matches=(), alarms=(), clock=clock, seconds=10.0
                ),
            )  # type: ignore[arg-type]
    assert drawn[0] == 0 and drawn[-1] == 200
    spent = 8.0 * (len(drawn) - 1)
    assert spent <= 0.05 * now[0], "the last round's pictures apart"
    assert 10 <= len(drawn) <= 15, "of 41 measurements"
    gaps = [later - earlier for earlier, later in zip(drawn[1:-1], drawn[2:-1], strict=False)]
    assert max(gaps) <= 20, "and they do come again"


# ------------------------------------------------------------------------------------------ a board that is whole
@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


class KilledBeforeTheBoard(watch.LiveReport):
    """Its process ends after the commit of round 1 and before TensorBoard hears of it."""

    def round(self, league, report: RoundReport) -> None:
        if report.round == 1:
            raise KeyboardInterrupt
        super().round(league, report)


def steps(folder: Path, tag: str) -> list[int]:
    board = EventAccumulator(str(folder / "tb"), size_guidance={"scalars": 0})
    board.Reload()
    return [event.step for event in board.Scalars(tag)]


def interrupted(chosen: Config) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        KilledBeforeTheBoard(chosen.folder, 3, quiet=True) as shown,
    ):
        train(prepare(chosen), shown)


def test_a_round_killed_before_the_board_is_on_it_after_the_resume(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a clock that went back ten minutes meanwhile."""
    chosen = tiny(model, tmp_path)
    interrupted(chosen)
    assert steps(chosen.folder, "tokens/read") == [0]
    monkeypatch.setattr(event_files, "time", SimpleNamespace(time=lambda: real_time() - 600.0))
    with watch.LiveReport(chosen.folder, 3, first=1, quiet=True) as shown:
        resume(chosen.folder, shown)
    assert steps(chosen.folder, "tokens/read") == [0, 1, 2, 3]
    with RunReader.read(chosen.folder) as reader:
        names = {name for name in reader.scalar_names() if name.startswith("delta/")}
    assert names == {"delta/adder/ada", "delta/adder/max", "delta/adder/ada@0"}, "the last is the held-out student"
    assert steps(chosen.folder, "delta/adder/ada") == [0, 2, 3]


def test_a_finished_run_and_a_deleted_or_disordered_board_are_completed_too(model: Path, tmp_path: Path) -> None:
    chosen = tiny(model, tmp_path, league__rounds=1)
    interrupted(chosen)
    assert steps(chosen.folder, "tokens/read") == [0]

    def resumed() -> list[int]:
        done = subprocess.run(
            [sys.executable, "-m", "league", "resume", str(chosen.folder)], capture_output=True, text=True, check=True
        )
        said.append(done.stdout)
        return steps(chosen.folder, "tokens/read")

    said: list[str] = []
    assert resumed() == [0, 1] and "TensorBoard has all rounds again, up to 1" in said[-1]
    files = sorted((chosen.folder / "tb").iterdir())
    assert resumed() == [0, 1] and sorted((chosen.folder / "tb").iterdir()) == files, "nothing was missing"
    for file in files:
        file.unlink()
    with Board(chosen.folder / "tb") as board:
        board.scalars(1, {"tokens/read": 1.0})
        board.scalars(0, {"tokens/read": 1.0})
    assert resumed() == [0, 1]


def test_a_full_disk_costs_no_round_of_the_board(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flush = event_files.EventFile.flush
    state = {"full": False}

    def sometimes(self) -> None:
        if state["full"]:
            self._file.write(bytes(self._pending[:7]))
            raise OSError(28, "No space left on device")
        flush(self)

    class Filling(watch.LiveReport):
        def round(self, league, report: RoundReport) -> None:
            state["full"] = report.round in (1, 2)
            super().round(league, report)

    monkeypatch.setattr(event_files.EventFile, "flush", sometimes)
    chosen = tiny(model, tmp_path)
    with Filling(chosen.folder, 3, quiet=True) as shown:
        train(prepare(chosen), shown)
    assert steps(chosen.folder, "tokens/read") == [0, 1, 2, 3]


def test_the_time_columns_are_all_of_a_round() -> None:
    clock = {"schedule": 1.0, "generate": 4.0, "score": 0.5, "update": 2.0, "rate": 0.5, "evolve": 0.2, "commit": 0.3}
    report = RoundReport(
        4, 9, LeagueState(Population({}, {})), scalars={}, exams=(), gains=(), matches=(), alarms=(), clock=clock,
        seconds=10.0,
    )  # fmt: skip
    shares = watch.time_shares(report)
    assert shares["schedule"] == 0.1 and shares["ratings"] == 0.05 and shares["score"] == 0.05
    assert sum(shares.values()) == pytest.approx(1.0) and shares["rest"] == pytest.approx(0.2)
