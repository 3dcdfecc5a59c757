"""Tables and progress: they say what the view says, fit the terminal, and run without one."""

import io
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console, RenderableType

from league.reporting.text import tables
from league.reporting.text.progress import Progress
from league.reporting.views import (
    AgentStatus,
    CertifiedCycles,
    CertifiedEdge,
    Comparison,
    Estimate,
    LadderRow,
    LineageEdge,
    Matrix,
    RoundLine,
    Status,
    TeachingInteraction,
)


def printed(renderable: RenderableType, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(renderable)
    return out.getvalue()


def line(number: int, **rewards: float) -> RoundLine:
    return RoundLine(
        number,
        rewards or {"student": 0.3, "teacher": 0.04},
        accuracy=0.41,
        win_rate=0.52,
        delta=3.1,
        tokens_per_s=412.0,
        seconds=10.0,
        shares={"generate": 0.6, "update": 0.3},
    )


def matrix(rows: int, cols: int) -> Matrix:
    values = np.full((rows, cols), 0.62)
    values[0, 0] = np.nan
    names = tuple(f"agent_{i:02}" for i in range(max(rows, cols)))
    return Matrix(
        "Win rate",
        "rate of row",
        rows=names[:rows],
        cols=names[:cols],
        values=values,
        scale="winrate",
        low=values - 0.05,
        high=values + 0.05,
        n=np.full_like(values, 90),
    )


def test_one_line_per_round_without_a_terminal() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80)
    with Progress(10, console=console) as progress:
        progress.stage("playing", 1, 8)
        for number in range(1, 4):
            progress.round(line(number))
    lines = out.getvalue().splitlines()
    assert lines.pop(0).strip() == "playing 1/8"
    assert len(lines) == 4 and "\x1b" not in out.getvalue()
    assert lines[0].split()[:3] == ["round", "R", "student"]
    assert lines[1].split() == [
        "1/10",
        "+0.300",
        "+0.040",
        "41.0%",
        "52.0%",
        "+3.1",
        "412",
        "60%",
        "30%",
        "10",
        "s",
        "1:30",
    ]


def test_narrow_terminals_lose_the_least_important_columns() -> None:
    for width in (60, 80, 140):
        out = io.StringIO()
        console = Console(file=out, width=width, force_terminal=True, color_system=None)
        progress = Progress(10, console=console)
        progress.round(line(1))
        rows = [row for row in out.getvalue().splitlines() if "1/10" in row or "round" in row]
        assert all(len(row) <= width for row in rows), width
        assert all(word in rows[0] for word in ("round", "accuracy", "Δ points", "left"))
        assert ("update" in rows[0]) == (width == 140)


@pytest.mark.parametrize("width", [90, 110, 130, 200])
def test_the_time_columns_that_are_shown_are_all_of_the_round(width: int) -> None:
    out = io.StringIO()
    shares = {
        "generate": 0.4,
        "score": 0.1,
        "update": 0.2,
        "measure": 0.0,
        "schedule": 0.05,
        "ratings": 0.15,
        "rest": 0.1,
    }
    with Progress(8, console=Console(file=out, force_terminal=True, width=width, color_system=None)) as progress:
        progress.round(RoundLine(1, {}, seconds=10.0, shares=shares))
    head, row = (line for line in out.getvalue().splitlines() if "generate" in line or "1/8" in line)
    assert head.split()[-1] == "left"
    shown = [int(word.rstrip("%")) for word in row.split() if word.endswith("%")]
    assert sum(shown) == 100 and len(shown) >= 2, "10% of it is in no column of its own"


def test_a_new_role_gets_a_new_header() -> None:
    out = io.StringIO()
    progress = Progress(10, console=Console(file=out, width=120))
    progress.round(line(1, student=0.1))
    progress.round(line(2, student=0.1, exploiter=0.2))
    progress.note("snapshot [red]alice@2\x1b[31m")
    text = out.getvalue()
    assert text.count("round") == 2 and "R exploiter" in text and "snapshot [red]alice@2␛[31m" in text


def test_a_log_file_hears_what_is_happening_but_not_every_step() -> None:
    out, now = io.StringIO(), [0.0]
    progress = Progress(10, console=Console(file=out, width=120), clock=lambda: now[0])
    for step in range(100):
        progress.stage("round 0: warm-up, step", step, 100)
        now[0] += 1.0
    assert [text.strip() for text in out.getvalue().splitlines()] == [
        f"round 0: warm-up, step {step}/100" for step in (0, 30, 60, 90)
    ]


def test_time_left_is_the_median_of_recent_rounds() -> None:
    progress = Progress(20, console=Console(file=io.StringIO()))
    progress.round(RoundLine(0, {}, seconds=900.0))  # the warm-up says nothing about the rounds to come
    assert progress.seconds_left(RoundLine(0, {})) is None
    for number, seconds in enumerate((100.0, 10.0, 10.0, 12.0), 1):
        progress.round(RoundLine(number, {}, seconds=seconds))
    assert progress.seconds_left(RoundLine(4, {})) == 11.0 * 16


def test_time_left_knows_of_the_last_exam() -> None:
    progress = Progress(3, console=Console(file=io.StringIO()))
    progress.round(RoundLine(0, {}, seconds=300.0, shares={"warm-up": 0.4, "measure": 0.6}))
    progress.round(RoundLine(1, {}, seconds=60.0))
    assert progress.seconds_left(RoundLine(1, {})) == pytest.approx(60.0 * 2 + 180.0)
    assert progress.seconds_left(RoundLine(3, {})) == 0.0


def test_a_limit_in_tokens_that_comes_before_the_rounds_sets_the_time_left():
    progress = Progress(rounds=1000, console=Console(file=io.StringIO()))
    progress.round(RoundLine(0, {}, seconds=300.0, shares={"measure": 0.5}, used=0.2))
    progress.round(RoundLine(1, {}, seconds=10.0, used=0.3))
    assert progress.seconds_left(RoundLine(1, {}, used=0.3)) == pytest.approx(7 * 10.0 + 150.0)
    assert progress.seconds_left(RoundLine(8, {}, used=1.0)) == 0.0
    assert progress.seconds_left(RoundLine(999, {}, used=0.4)) == pytest.approx(10.0 + 150.0), "the rounds end first"


def test_matrix_fits_every_width() -> None:
    assert "0.62 ±0.05" in printed(tables.matrix_table(matrix(3, 3), 80))
    plain = printed(tables.matrix_table(matrix(6, 6), 80))
    assert "±" not in plain and plain.count("0.62") == 35 and "·" in plain
    pairs = printed(tables.matrix_table(matrix(30, 30), 80))
    assert "agent_00" in pairs and "62.0% [57.0, 67.0]" in pairs and "more pairs" in pairs
    assert max(map(len, pairs.splitlines())) <= 80


def test_an_unknown_interaction_share_is_undefined() -> None:
    known = TeachingInteraction(
        "lesson", ("t",), ("s",), mean=3.0, teacher_T=np.zeros(1), student_S=np.zeros(1),
        interaction_TS=np.zeros((1, 1)), share=0.25,
    )  # fmt: skip
    assert "lesson: interaction share 0.25" in printed(tables.interaction_line(known))
    assert "interaction share undefined" in printed(tables.interaction_line(replace(known, share=None)))


def test_ladder_is_sorted_and_never_mixes_ladders() -> None:
    rows = [
        LadderRow("overall", "b", role="student", mu=20, sigma=1, games=5),
        LadderRow("overall", "a", role="expert", mu=30, sigma=1, games=5),
        LadderRow("rps", "c", role="student", mu=40, sigma=1, games=5),
    ]
    text = printed(tables.ladder_table(rows))
    assert text.index("30.00") < text.index("20.00") < text.index("Ladder: rps") < text.index("40.00")
    assert "no rated matches" in printed(tables.ladder_table([]))


def test_lineage_folds_updates_and_keeps_who_came_from_whom() -> None:
    edges = [LineageEdge("a@0", (), 0, "created")]
    edges += [LineageEdge(f"a@{i}", (f"a@{i - 1}",), i, "update") for i in range(1, 9)]
    edges += [LineageEdge("b@0", ("a@4",), 5, "exploit")]
    text = printed(tables.lineage_view(edges))
    assert [name for name in ("a@0", "a@1", "a@4", "a@5", "a@8", "b@0") if name in text] == ["a@0", "a@4", "a@8", "b@0"]
    whole = printed(tables.lineage_view(edges, all_updates=True))
    assert "a@5" in whole and "updates" not in whole
    assert "a@4  round 4  4 updates" in text and "a@8  round 8  4 updates" in text
    lines = text.splitlines()
    depth = {name: next(row.index(name) for row in lines if name in row) for name in ("a@0", "a@4", "b@0")}
    assert depth["a@0"] < depth["a@4"] < depth["b@0"]


def test_compare_cycles_and_status_say_what_is_unknown() -> None:
    rows = [Comparison("gcd", Estimate(0.4, 0.3, 0.5), None, None)]
    text = printed(tables.comparison_table(rows, "first", "second"))
    assert "40.0% [30.0, 50.0]" in text and "–" in text
    both = [Comparison("gcd", Estimate(0.4, 0.3, 0.5), Estimate(0.3, 0.2, 0.4), Estimate(0.1, 0.04, 0.16))]
    assert "+10.0 [4.0, 16.0]" in printed(tables.comparison_table(both, "first", "second"))
    view = CertifiedCycles(
        ("r", "p", "s"),
        (CertifiedEdge("p", "r", 0.9),),
        cycles=(("p", "r", "s"),),
        pairs=3,
        truncated=False,
        statistics={"share": None},
    )
    assert "p → r → s → p" in printed(tables.cycles_view(view)) and "share: undefined" in printed(
        tables.cycles_view(view)
    )
    assert "never met" not in printed(tables.cycles_view(view))
    assert "1 of 3 pairs never met" in printed(tables.cycles_view(replace(view, unmet=1)))
    status = Status(
        "run",
        "running",
        round=3,
        rounds=None,
        matches=9,
        versions=4,
        seconds=3725.0,
        agents=(AgentStatus("a", "student", step=3, games=9),),
        notes=("alarm",),
    )
    assert "1:02:05" in printed(tables.status_table(status)) and "! alarm" in printed(tables.status_table(status))


def test_hostile_names_cannot_paint_the_terminal() -> None:
    text = printed(
        tables.ladder_table([LadderRow("[red]x\x1b[2J", "[bold]a\x1b[31m", role="student", mu=1.0, sigma=1.0, games=1)])
    )
    assert "\x1b" not in text and "[bold]a␛[31m" in text


def test_tables_start_without_matplotlib_and_torch() -> None:
    heavy = "{'matplotlib', 'torch', 'scipy', 'tensorboard', 'networkx', 'pandas'}"
    modules = "sys, league.reporting.text.tables, league.reporting.text.progress"
    code = f"import {modules}; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
