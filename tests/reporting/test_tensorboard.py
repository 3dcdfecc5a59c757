"""What TensorBoard reads back from a board, and the bytes it costs.

Tags, images, text, layout, and no duplicated steps on resume.
"""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from league.reporting import event_files
from league.reporting.event_files import shown_in
from league.reporting.figures.heatmaps import heatmap
from league.reporting.report import lacking
from league.reporting.tensorboard import Board
from league.reporting.views import Matrix
from league.reporting.write_schedule import PICTURES, POINTS, TEXTS, WriteSchedule
from league.store.reader import RunReader
from tests.reporting.test_transcripts import match


def read(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    found.Reload()
    return found


def test_scalars_figures_transcripts_and_layout_arrive(tmp_path: Path) -> None:
    names = ("a", "b")
    view = Matrix(
        "Win rate", "rate", rows=names, cols=names, values=np.array([[np.nan, 0.7], [0.3, np.nan]]), scale="winrate"
    )
    with Board(tmp_path) as board:
        board.scalars(1, {"rating/overall/a": 25.0, "unknown": None, "undefined": float("nan")})
        size = board.figure("payoffs/contest", 1, heatmap(view))
        board.transcript("transcripts/teaching", 1, match())
    found = read(tmp_path)
    assert found.Tags()["scalars"] == ["rating/overall/a"]
    image = found.Images("payoffs/contest")[0]
    assert (image.width, image.height, image.step) == (440, 400, 1) and len(image.encoded_image_string) == size < 25_000
    assert image.encoded_image_string.startswith(b"\x89PNG")
    assert b"2 + 2?" in found.Tensors("transcripts/teaching/text_summary")[0].tensor_proto.string_val[0]
    assert "custom_scalars__config__" in found.Tags()["tensors"]


def test_resume_leaves_every_step_once(tmp_path: Path) -> None:
    with Board(tmp_path) as board:
        for number in range(1, 8):
            board.scalars(number, {"x": number})
    with Board(tmp_path, purge_step=5) as board:  # rounds 5 to 7 were never committed
        for number in range(5, 10):
            board.scalars(number, {"x": -number})
    events = read(tmp_path).Scalars("x")
    assert [event.step for event in events] == list(range(1, 10))
    assert [event.value for event in events] == [1, 2, 3, 4, -5, -6, -7, -8, -9]


def test_a_clock_that_went_back_changes_no_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes back between two processes, and once more within the second."""
    now = [1_700_000_000.0]
    monkeypatch.setattr(event_files, "time", SimpleNamespace(time=lambda: now[0]))
    for process in range(3):
        with Board(tmp_path) as board:
            for number in range(4 * process, 4 * process + 4):
                board.scalars(number, {"x": number})
                now[0] += 60.0 if number != 5 else -300.0
        now[0] -= 600.0
    events = read(tmp_path).Scalars("x")
    assert [event.step for event in events] == list(range(12))
    assert [event.wall_time for event in events] == sorted(event.wall_time for event in events)
    assert shown_in(tmp_path).rounds == tuple(range(12))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [int(name.split(".")[3]) for name in names] == [1_700_000_000, 1_700_000_001, 1_700_000_002]


def test_a_torn_end_costs_the_round_that_was_torn(tmp_path: Path) -> None:
    with Board(tmp_path) as board:
        for number in range(3):
            board.scalars(number, {"x": number})
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    assert shown_in(tmp_path).rounds == (0, 1) and shown_in(tmp_path / "nowhere").rounds == ()
    with Board(tmp_path, purge_step=2) as board:
        assert board.rounds == (0, 1)
        board.scalars(2, {"x": 2})
    assert [event.step for event in read(tmp_path).Scalars("x")] == [0, 1, 2]


def test_the_charts_of_the_layout_match_the_tags_we_write(tmp_path: Path) -> None:
    import re

    from league.reporting.tensorboard import LAYOUT

    charts = {title: patterns for group in LAYOUT.values() for title, patterns in group.items()}
    assert re.fullmatch(charts["ratings, overall"][0], "rating/overall/alice")
    assert re.fullmatch(charts["every agent and domain"][0], "accuracy/alice/gcd")
    assert not re.fullmatch(charts["ratings, overall"][0], "rating/contest/alice")


def test_ten_thousand_rounds_stay_below_30_megabytes(tmp_path: Path) -> None:
    """30 scalars a round, and every 100 rounds five matrices of 16 agents and a transcript.

    The bytes are measured on 1,000 rounds and one set.
    """
    tags = [f"accuracy/student_{i}/letter_counting" for i in range(30)]
    names = tuple(f"agent_{i}" for i in range(16))
    view = Matrix(
        "Win rate",
        "rate",
        rows=names,
        cols=names,
        values=np.random.default_rng(0).uniform(size=(16, 16)),
        scale="winrate",
    )
    with Board(tmp_path) as board:
        for number in range(1000):
            board.scalars(number, dict.fromkeys(tags, 0.5))
        board.flush()
        scalars = sum(file.stat().st_size for file in tmp_path.iterdir())
        for number in range(5):
            board.figure(f"payoffs/{number}", 0, heatmap(view))
        board.transcript("transcripts/teaching", 0, match("x" * 20_000))
    every_100 = sum(file.stat().st_size for file in tmp_path.iterdir()) - scalars
    assert scalars * 10 + every_100 * 100 < 30e6


@pytest.mark.slow
def test_a_board_needs_no_torch(tmp_path: Path) -> None:
    made = f"from league.reporting.tensorboard import Board; Board({str(tmp_path)!r}).close()"
    code = f"import sys; {made}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("rounds", "every"), [(10, 5), (10_000, 5), (10_000, 7), (9_999, 1), (333, 400)])
def test_a_long_run_writes_no_more_than_a_board_can_show(rounds: int, every: int) -> None:
    schedule = WriteSchedule(rounds, every)
    numbers = range(rounds + 1)
    usual = [number for number in numbers if "loss" in schedule.scalars(number, {"loss": 1.0, "accuracy/a/b": 0.5})]
    drawn = [number for number in numbers if (number % every == 0 or number == rounds) and schedule.figures(number)]
    assert len(usual) <= POINTS + 2 and len(drawn) <= PICTURES + 2 and sum(map(schedule.text, numbers)) <= TEXTS + 2
    assert {0, rounds} <= set(usual) & set(drawn) and len(drawn) >= min(PICTURES // 2, rounds // every)
    assert all("accuracy/a/b" in schedule.scalars(number, {"accuracy/a/b": 0.5}) for number in (1, 2, 3, rounds - 1)), (
        "exams are never left out"
    )
    if rounds <= PICTURES:
        assert usual == list(numbers) and drawn == [*range(0, rounds + 1, every)]


# ------------------------------------------------------------------------------------------- what a board lacks
class Rounds(RunReader):
    """Of a run of so many rounds behind round 0, with an exam every tenth."""

    def __init__(self, last: int):
        self.last = last

    def round_times(self) -> list[tuple[int, float, float]]:
        return [(number, 0.0, 0.0) for number in range(self.last + 1)]

    def round_scalars(self, number: int) -> dict[str, float]:
        return {"loss": 1.0} | ({"accuracy/ada/sums": 0.5} if number % 10 == 0 else {})


def due(last: int, schedule: WriteSchedule) -> list[int]:
    return [number for number in range(last + 1) if schedule.scalars(number, Rounds(last).round_scalars(number))]


@pytest.mark.parametrize(("before", "after"), [(3000, 5000), (300, 3000), (300, 30_000), (5000, 3000), (3000, 300)])
def test_a_run_that_goes_on_for_more_or_fewer_rounds_keeps_its_board(before: int, after: int) -> None:
    """Across a multiple of 2,000 rounds other points are due.

    Those that were written stay, and so do their pictures.
    """
    shown = due(300, WriteSchedule(before, 10))
    assert lacking(shown, Rounds(300), 300, WriteSchedule(after, 10)) is None
    behind = [number for number in due(310, WriteSchedule(after, 10)) if number > 300]
    assert lacking(shown, Rounds(310), 310, WriteSchedule(after, 10)) == (behind[0], behind), "only what is new"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ([], (0, [0, 1, 2, 3, 4, 5])),
        ([0, 1, 2, 3, 4, 5], None),
        ([0, 1, 2, 3], (4, [4, 5])),
        ([0, 1, 2, 3, 4, 5, 6], (6, [])),  # never committed
        ([2, 3, 0, 1, 4, 5], (0, [0, 1, 2, 3, 4, 5])),
        ([0, 1, 2, 3, 4, 4, 5], (4, [4, 5])),  # one of them twice
        ([0, 1, 5, 4], (2, [2, 3, 4, 5])),  # 2 and 3 would be missing behind what is forgotten
    ],
)
def test_what_a_board_lacks(shown: list[int], expected: tuple[int, list[int]] | None) -> None:
    assert lacking(shown, Rounds(5), 5, WriteSchedule(5)) == expected
