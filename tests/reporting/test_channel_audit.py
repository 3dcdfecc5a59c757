"""What teaching caused, as people see it: known credits in every view, old runs, nobody taught, a real tiny run."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from league.cli import app
from league.config import parse_config
from league.loop import resume, train
from league.payoffs.channel_audit import ChannelAudit, Paid
from league.preflight.checks import prepare
from league.reporting.queries.channel_audit import channel_audit, taught_so_far
from league.reporting.queries.competence import competence_matrix
from league.reporting.report import build_report
from league.reporting.text.channel_audit import LATE, NOBODY, NOT_MEASURED, audit_tables
from league.reporting.text.html import render
from league.reporting.text.tables import status_table, taught_line
from league.reporting.views import Status
from league.reporting.write_schedule import WriteSchedule
from league.round.competence import SCALAR_CELLS, SCALAR_SOURCES, audit_scalars
from league.store.reader import RunReader
from league.store.run import request_stop
from tests.conftest import write_tiny_model
from tests.helpers.reporting_run import make_run
from tests.leagues import Nobody, every_channel
from tests.reporting.test_page import full_report

CREDIT, DEVIATION = 1936 / 7124, (161 / 7124) ** 0.5
"""Of 8 and 14 of 20 before and after the only source; derived in tests/payoffs/test_channel_audit.py."""


def audit_of(students: int = 2) -> ChannelAudit:
    """Every student gets the same 3,000 tokens of worked replies from `exp`, between 8 and 14 of 20."""
    audit = ChannelAudit()
    for number in range(students):
        name = f"s{number}"
        audit = audit.observed(name, "sums", "training", right=8, n=20)
        audit = audit.paid(name, "sums", ("exp", "worked_replies"), Paid(1000, 2000, 5))
        audit = audit.observed(name, "sums", "training", right=14, n=20)
    return audit


def state_of(audit: ChannelAudit) -> dict:
    return {"channel_audit": json.loads(json.dumps(audit.to_json()))}


def shown(renderable) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))
    console.print(renderable)
    return console.export_text()


def test_the_rows_have_the_credit_in_points() -> None:
    view = channel_audit(state_of(audit_of()))
    assert view is not None and view.complete and len(view.taught) == 2
    row = view.taught[0]
    assert (row.teacher, row.student, row.domain, row.channel) == ("exp", "s0", "sums", "worked_replies")
    assert (row.sampled, row.trained, row.samples, row.entangled) == (1000, 2000, 5, ())
    assert row.credit is not None and row.credit.value == pytest.approx(100 * CREDIT)
    assert row.credit.low == pytest.approx(100 * (CREDIT - 1.959964 * DEVIATION))
    assert row.per_thousand == pytest.approx(100 * CREDIT / 3)
    rise = view.rises[0]
    assert rise.first is not None and rise.last is not None and rise.credited is not None
    assert (rise.kind, rise.first.value, rise.first.n, rise.last.value) == ("training", 0.4, 20, 0.7)
    assert rise.credited.value == pytest.approx(100 * CREDIT)


def test_matrices_are_means_over_students() -> None:
    """Two students with the same credit: the same mean; half of the variance by chance, all of that by the prior."""
    by_prior = (80**2 + 4 * 161**2) / 7124**2
    view = channel_audit(state_of(audit_of()))
    assert view is not None
    for matrix, name in ((view.channels, "worked replies"), (view.teachers, "exp")):
        assert (matrix.rows, matrix.cols) == ((name,), ("sums",))
        cell = matrix.estimate(0, 0)
        assert cell is not None and cell.n == 2 and cell.low is not None
        assert cell.value == pytest.approx(100 * CREDIT)
        assert cell.value - cell.low == pytest.approx(195.9964 * ((DEVIATION**2 + by_prior) / 2) ** 0.5)


def test_own_practice_is_shown_but_is_not_teaching() -> None:
    audit = audit_of(1).paid("s0", "sums", ("", "own_samples"), Paid(100)).observed("s0", "sums", "exam", right=1, n=2)
    view = channel_audit(state_of(audit))
    assert view is not None and view.teachers.rows == ("exp", "by itself")
    assert set(taught_so_far(state_of(audit))) == {"worked_replies"}


def test_an_old_run_was_not_measured(tmp_path: Path) -> None:
    """No 0 anywhere: no rows, no line in the status, and words that say so."""
    assert channel_audit({}) is None and taught_so_far({}) == {} and competence_matrix({}) is None
    assert NOT_MEASURED in shown(audit_tables(None))
    run = make_run(tmp_path / "run", 1)
    with RunReader.read(run) as reader:
        report = build_report(reader)
    assert report.audit is None and NOT_MEASURED in render(report).replace("&#39;", "'")
    rows = json.loads(CliRunner().invoke(app, ["payoffs", str(run), "--json"]).output)
    assert rows and all(row["relation"] in ("contest", "teaching") for row in rows)
    assert "taught:" not in CliRunner().invoke(app, ["status", str(run)]).output


def test_a_run_audited_late_says_so() -> None:
    view = channel_audit(state_of(replace(audit_of(), complete=False)))
    assert view is not None and LATE in shown(audit_tables(view))
    assert LATE in render(replace(full_report(), audit=view))


def test_nobody_taught_is_said() -> None:
    view = channel_audit(state_of(ChannelAudit()))
    assert view is not None and view.taught == () and view.channels.rows == ()
    assert NOBODY in shown(audit_tables(view)) and NOBODY in render(replace(full_report(), audit=view))


def test_what_no_answer_has_followed_has_no_number() -> None:
    view = channel_audit(state_of(ChannelAudit().paid("s", "sums", ("exp", "lessons"), Paid(5))))
    assert view is not None and view.taught[0].credit is None and view.taught[0].per_thousand is None
    assert np.isnan(view.channels.values).all() and "no answer yet" in render(replace(full_report(), audit=view))
    assert "–" in shown(audit_tables(view)) and audit_scalars(ChannelAudit()) == {}


def test_status_says_what_was_taught() -> None:
    taught = taught_so_far(state_of(audit_of(1)))
    assert taught_line(taught) == "taught: +27.2 ± 29.5 points by worked replies" and taught_line({}) == ""
    view = Status("run", "finished", round=1, rounds=1, matches=1, versions=1, seconds=1.0, taught=taught)
    assert taught_line(taught) in shown(status_table(view))


def test_tags_are_few_and_stay() -> None:
    """A tag that was written goes on when more students and teachers come, and their number is bounded."""
    audit = audit_of(3)
    before = set(audit_scalars(audit))
    assert before == {"gain/worked_replies/sums", *(f"gain/worked_replies/exp/s{i}/sums" for i in range(3))}
    for student in range(64):
        for teacher in range(12):
            audit = audit.paid(f"s{student}", "sums", (f"t{teacher}", "lessons"), Paid(10))
        audit = audit.observed(f"s{student}", "sums", "exam", right=1, n=2)
    after = audit_scalars(audit)
    assert before < set(after) and len(after) <= SCALAR_CELLS * SCALAR_SOURCES + 2
    assert WriteSchedule(10**6, 1).scalars(1, after) == after, "it is not measured every round: no point is left out"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny league in which every channel teaches, stopped after round 3 and resumed."""
    model = write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)
    data = every_channel(model, tmp_path_factory.mktemp("runs"), league__rounds=6)
    config = parse_config(yaml.safe_dump(data), "channels")

    class Stopper(Nobody):
        def round(self, league, report) -> None:
            if report.round == 3:
                request_stop(league.store.folder)

    train(prepare(config), Stopper())
    resume(config.folder, Nobody())
    return config.folder


def test_every_channel_of_a_run_is_audited(run: Path) -> None:
    with RunReader.read(run) as reader:
        state, names = reader.state(), set(reader.scalar_names())
        report = build_report(reader)
    view = report.audit
    assert view is not None and view.complete
    assert {row.channel for row in view.taught} == {"worked_replies", "lessons", "own_samples", "distillation"}
    assert {row.student for row in view.taught} <= {"ada", "max"}
    trained = sum(n for a in ("ada", "max") for n in state["spent"]["trained"].get(a, {}).values())
    booked = sum(row.trained for row in view.taught)
    warmed = sum(state["spent"]["trained"].get(a, {}).get("supervised", 0) for a in ("ada", "max"))
    assert booked >= trained - warmed > 0, "booked are the tokens handed to updates; those without a gradient too"
    assert any(name.startswith("gain/worked_replies/") for name in names)
    assert any(rise.first is not None and rise.last is not None for rise in view.rises)
    assert 'id="taught"' in render(report)
    assert any(matrix.key == "competence" for matrix in report.matrices)


def test_payoffs_tell_the_audit(run: Path) -> None:
    rows = json.loads(CliRunner().invoke(app, ["payoffs", str(run), "--json"]).output)
    kinds = [row["relation"] for row in rows]
    assert kinds[-2:] == ["audit", "competence"] and "audit" not in kinds[:-2]
    assert all(
        {"task", "relation", "title", "unit", "rows", "cols", "values", "low", "high", "n"} <= set(r) for r in rows
    )
    audit = rows[-2]["audit"]
    assert set(audit) == {"complete", "taught", "students"}
    assert {
        "teacher",
        "student",
        "domain",
        "channel",
        "sampled",
        "trained",
        "samples",
        "credit",
        "per_thousand",
    } <= set(audit["taught"][0])
    only = json.loads(CliRunner().invoke(app, ["payoffs", str(run), "--task", "contest", "--json"]).output)
    assert [row["task"] for row in only] == ["contest"]
    text = CliRunner().invoke(app, ["payoffs", str(run)], env={"COLUMNS": "200"}).output
    assert "What teaching caused" in text and "How the students rose" in text and "worked replies" in text
    assert "taught:" in CliRunner().invoke(app, ["status", str(run)]).output
