"""What people see is what the store holds.

Every view against a synthetic run with known numbers, and a board rebuilt from nothing else.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from league.payoffs.graph import has_loops
from league.reporting.queries import cycles, history, payoff_matrices, run_status, teaching_gains
from league.reporting.queries.exam_results import accuracy_matrix
from league.reporting.report import build_report, publish_round, rating_now, rebuild_board
from league.reporting.text.html import render, verdicts
from league.store.reader import RunReader
from league.store.records import RoundRecord
from league.store.run import RunStore
from league.types import Match, MatchResult, Outcome, Version, VersionRow
from tests.helpers.reporting_run import DOMAINS, ROUNDS, STUDENTS, make_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "synthetic")


@pytest.fixture
def reader(folder: Path) -> Iterator[RunReader]:
    with RunReader.read(folder) as found:
        yield found


def test_status_and_ladder(reader: RunReader) -> None:
    view = run_status.status(reader)
    assert (view.name, view.state, view.round, view.rounds, view.matches) == (
        "synthetic",
        "finished",
        ROUNDS,
        ROUNDS,
        4 * (ROUNDS + 1),
    )
    assert view.seconds == pytest.approx(2.5 * (ROUNDS + 1))
    by_name = {agent.name: agent for agent in view.agents}
    assert by_name["alice"].step == ROUNDS + 1 and by_name["alice"].accuracy == pytest.approx(0.6)
    rows = run_status.ladder(reader, "overall")
    assert [row.name for row in rows] == ["bob", "alice", "sum_expert", "gcd_expert"] and rows[0].role == "student"
    assert "bob@1" in {row.name for row in run_status.ladder(reader, every=True)}


def test_a_version_that_has_not_played_yet_leaves_its_agent_rated(tmp_path: Path) -> None:
    """After an update the live version has no games: people are shown the one before.

    That holds for the ladder, the status and the board.
    """
    run = make_run(tmp_path / "run", 2)
    with RunStore.open(run) as store:
        moved = Version("alice", 9)
        row = VersionRow(
            moved, "student", 3, blob=None, optimizer=None, parents=(Version("alice", 3),), reason="update"
        )
        live = store.live() | {"alice": moved}
        record = RoundRecord(
            round=3, versions=(row,), matches=(), ratings=(), scalars={}, live=live, state=store.state()
        )
        store.commit(record)
    with RunReader.read(run) as reader:
        assert {row.name for row in run_status.ladder(reader, "overall")} == {
            "alice",
            "bob",
            "gcd_expert",
            "sum_expert",
        }
        assert all(agent.rating is not None for agent in run_status.status(reader).agents)
        assert "rating/overall/alice" in rating_now(reader)
        assert "alice@3" in payoff_matrices.contest_matrix(reader, "contest", "version").rows


def test_contest_matrix_pools_versions_and_is_antisymmetric(reader: RunReader) -> None:
    view = payoff_matrices.contest_matrix(reader, "contest")
    assert view.rows == view.cols == ("alice", "bob", "base")
    known = ~np.isnan(view.values)
    np.testing.assert_allclose((view.values + view.values.T)[known], 1.0)
    assert view.estimate(0, 2) is not None and view.n is not None and view.n[0, 2] == 45 * (ROUNDS + 1)
    assert np.isnan(view.values[1, 2]) and view.values[0, 2] > 0.8


def test_versions_shown_are_the_newest_that_played_pasts_and_base(reader: RunReader) -> None:
    view = payoff_matrices.contest_matrix(reader, "contest", "version")
    assert set(view.rows) == {f"alice@{ROUNDS + 1}", f"bob@{ROUNDS + 1}", "alice@0", "base@0"}
    place = {name: i for i, name in enumerate(view.rows)}
    assert view.n is not None and view.n[place["alice@0"], place["base@0"]] == 45 * (ROUNDS + 1)
    assert view.n[place[f"alice@{ROUNDS + 1}"], place[f"bob@{ROUNDS + 1}"]] == 45  # only this version's own games


def test_certified_edges_need_certainty(reader: RunReader) -> None:
    view = cycles.cycles(reader)
    assert view is not None and view.cycles == ()
    edges = {(edge.winner, edge.loser): edge for edge in view.edges}
    assert ("alice@0", "base@0") in edges and edges["alice@0", "base@0"].rate > 0.8
    assert view.pairs == 6 and len(edges) < 6


def test_a_certified_rock_paper_scissors_is_found() -> None:
    wins = np.array([[0, 5, 95], [95, 0, 5], [5, 95, 0]], dtype=float)
    view = cycles.certified(("rock", "paper", "scissors"), wins, np.zeros((3, 3)))
    assert len(view.edges) == 3 and len(view.cycles) == 1
    share = next(value for name, value in view.statistics.items() if name.startswith("cyclic share"))
    assert share is not None and share.value > 0.9
    assert has_loops(wins > 0) and not has_loops(np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0]], dtype=bool))
    few = cycles.certified(("rock", "paper", "scissors"), wins // 20, np.zeros((3, 3)))
    assert few.edges == () and few.cycles == ()


def test_teaching_gains_are_paired_and_the_held_out_student_stands_apart(reader: RunReader) -> None:
    taught, shuffled = teaching_gains.teaching_matrix(reader), teaching_gains.teaching_matrix(reader, "shuffled")
    assert taught is not None and shuffled is not None
    assert taught.rows == ("gcd_expert", "sum_expert") and taught.cols == ("alice", "bob", "alice@0")
    assert f"round {ROUNDS}" in taught.unit
    assert np.nanmean(taught.values) == pytest.approx(
        20, abs=8
    )  # truth +20 points; 6 cells of 60 paired items: s.e. 3.6
    assert np.nanmean(np.abs(shuffled.values)) < np.nanmean(taught.values)


def test_pair_matrix_is_in_points(reader: RunReader) -> None:
    view = payoff_matrices.pair_matrix(reader, "teaching", "teaching")
    cell = view.estimate(0, 0)
    assert view.rows == ("gcd_expert",) and view.cols == ("alice",)
    assert cell is not None and cell.value == pytest.approx(20.0) and cell.n == 8 * (ROUNDS + 1)


def run_of_teaching(folder: Path, delta_TS: Sequence[Sequence[float]]) -> Path:
    """A run of one round in which each teacher gave each student 400 items with this mean Δ, s.d. 0.3."""
    experts = [Version(f"expert-{i}", 0) for i in range(len(delta_TS))]
    students = [Version(f"student-{i}", 0) for i in range(len(delta_TS[0]))]
    matches = []
    for expert, deltas in zip(experts, delta_TS, strict=True):
        for student, delta in zip(students, deltas, strict=True):
            taught = Outcome(
                "teaching", "lesson", "default", "", row=expert, col=student,
                n=400, total=400 * delta, total_sq=399 * 0.09 + 400 * delta**2,
            )  # fmt: skip
            seats = {"teacher": expert, "student": student}
            match = Match(f"{expert}-{student}", "lesson", round=0, seats=seats, problems=(), seed=0)
            matches.append(MatchResult(match, {}, (taught,), None))
    rows = [VersionRow(e, "expert", 0, blob=None, optimizer=None, parents=(), reason="created") for e in experts]
    rows += [VersionRow(s, "student", 0, blob=None, optimizer=None, parents=(), reason="created") for s in students]
    live = {row.version.agent: row.version for row in rows}
    with RunStore.create(folder, "name: teaching\n") as store:
        store.commit(
            RoundRecord(
                round=0, versions=tuple(rows), matches=tuple(matches), ratings=(), scalars={}, live=live, state={}
            )
        )
    return folder


def test_the_interaction_share_tells_good_teachers_from_good_pairs(tmp_path: Path) -> None:
    with RunReader.read(run_of_teaching(tmp_path / "crossed", [[0.4, -0.2], [-0.2, 0.4]])) as reader:
        crossed = payoff_matrices.teaching_interaction(reader, "lesson")
        assert payoff_matrices.teaching_interaction(reader, "other") is None
        page = render(build_report(reader))
    assert crossed is not None and crossed.share is not None and crossed.share > 0.98
    assert crossed.mean == pytest.approx(10)
    assert crossed.interaction_TS == pytest.approx(np.array([[30, -30], [-30, 30]]))
    assert "Interaction share of teaching" in page and f"<td>{crossed.share:.2f}</td>" in page
    with RunReader.read(run_of_teaching(tmp_path / "additive", [[0.4, 0.2], [0.1, -0.1]])) as reader:
        additive = payoff_matrices.teaching_interaction(reader, "lesson")
    assert additive is not None and additive.share == pytest.approx(0, abs=0.02)
    assert additive.teacher_T == pytest.approx([15, -15]) and additive.student_S == pytest.approx([10, -10])
    with RunReader.read(run_of_teaching(tmp_path / "alone", [[0.4, 0.2]])) as reader:
        alone = payoff_matrices.teaching_interaction(reader, "lesson")
        assert "<td>undefined</td>" in render(build_report(reader))
    assert alone is not None and alone.share is None, "one teacher: nothing is left over to disagree"


def test_meetings_count_training_matches(reader: RunReader) -> None:
    view = payoff_matrices.meetings(reader)
    place = {name: i for i, name in enumerate(view.rows)}
    assert view.values[place["alice"], place["bob"]] == 2 * (ROUNDS + 1)
    assert view.values[place["bob"], place["base"]] == 0 and np.isnan(view.values[0, 0])


def test_learning_curves_have_the_exam_sizes_intervals(reader: RunReader) -> None:
    panels = history.learning_curves(reader)
    assert [panel.title for panel in panels] == list(reversed(DOMAINS))
    alice = next(s for s in panels[0].series if s.name == "alice")
    assert alice.rounds == (0, 3, 6) and alice.values[-1] == pytest.approx(0.6)
    assert alice.low is not None and alice.high is not None
    widths = [high - low for low, high in zip(alice.low, alice.high, strict=True)]
    assert widths[1] > 1.5 * widths[2]  # 50 validation problems between, 200 test problems at the end
    assert {s.name for s in panels[0].series} == set(STUDENTS)
    assert panels[0].baseline is not None and panels[0].baseline.value == pytest.approx(0.05)


def test_accuracy_matrix_is_the_exam(reader: RunReader) -> None:
    end = accuracy_matrix(reader, "end")
    assert end is not None and end.cols == DOMAINS and "base" not in end.rows and end.n is not None
    assert end.n[end.rows.index("alice"), 0] == 200 and end.n[end.rows.index("gcd_expert"), 0] == 50
    start = accuracy_matrix(reader, "start")
    assert start is not None and start.rows[-1] == "base"


def test_ratings_follow_the_newest_version(reader: RunReader) -> None:
    (panel,) = history.rating_panels(reader)
    alice = next(s for s in panel.series if s.name == "alice")
    assert list(alice.rounds) == sorted(set(alice.rounds)) and alice.values[-1] == pytest.approx(25 + 2 + 0.2 * ROUNDS)


def test_the_report_says_that_the_students_learned(reader: RunReader) -> None:
    report = build_report(reader)
    tone, sentence = verdicts(report)[0]
    assert tone == "good" and "The students learned" in sentence
    assert report.headline is not None and report.headline.gain.value == pytest.approx(0.4, abs=0.08)
    assert {gain.agent for gain in report.gains} == set(STUDENTS)
    content = report.gain_beyond_shuffled  # truth +18 points; 360 paired items: s.e. 3.6
    assert content is not None and content.value == pytest.approx(18, abs=12) and content.excludes_zero
    assert report.teaching_held_out is not None
    page = render(report)
    assert page.count("<svg") >= 10 and "name: synthetic" in page


def test_a_run_without_rounds_and_one_cut_short_have_reports(tmp_path: Path) -> None:
    RunStore.create(tmp_path / "empty", "name: empty\n").close()
    with RunReader.read(tmp_path / "empty") as reader:
        assert run_status.status(reader).state.startswith("not started")
        assert "No rated matches" in render(build_report(reader))
        assert cycles.cycles(reader) is None
    with RunReader.read(make_run(tmp_path / "short", 2)) as reader:
        report = build_report(reader)
        assert report.headline is None and report.status.state == "stopped"
        assert "no held-out measurement" in render(report)


def test_a_board_is_rebuilt_from_the_store_alone(reader: RunReader, tmp_path: Path) -> None:
    rebuild_board(reader, tmp_path)
    found = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    found.Reload()
    tags = found.Tags()
    assert [event.step for event in found.Scalars("accuracy/alice/gcd")] == [0, 3, 6]
    assert [event.step for event in found.Scalars("rating/overall/alice")] == list(range(ROUNDS + 1))
    assert {
        "payoffs/teaching_gain_delta",
        "payoffs/contest_who_beats_whom",
        "payoffs/contest_who_beats_whom_all_versions_pooled",
        "structure/certified_cycles",
        "lineage",
        "learning/gcd",
        "ratings/trueskill_rating_overall",
    } <= set(tags["images"]), "tags stay as they are, whatever the titles say"
    assert "transcripts/teaching/text_summary" in tags["tensors"]


def test_publishing_live_and_rebuilding_give_the_same_scalars(tmp_path: Path) -> None:
    from league.reporting.tensorboard import Board

    for number in range(3):
        run = make_run(tmp_path / f"run{number}", number)
        with RunReader.read(run) as reader, Board(tmp_path / "live") as board:
            publish_round(board, reader, number, figures=False)
    with RunReader.read(tmp_path / "run2") as reader:
        rebuild_board(reader, tmp_path / "again")
    boards = [EventAccumulator(str(tmp_path / name)) for name in ("live", "again")]
    for board_read in boards:
        board_read.Reload()
    live, again = boards
    assert sorted(live.Tags()["scalars"]) == sorted(again.Tags()["scalars"]) != []
    for tag in live.Tags()["scalars"]:
        assert [(e.step, e.value) for e in live.Scalars(tag)] == [(e.step, e.value) for e in again.Scalars(tag)], tag
