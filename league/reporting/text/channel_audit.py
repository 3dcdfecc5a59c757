"""What teaching caused, in words: a table for the terminal, rows for the page, JSON."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from league.reporting.queries.channel_audit import channel_name, teacher_name
from league.reporting.text.tables import interval, new_table, text, titled
from league.reporting.views import Estimate, Rise, Taught, TeachingAudit

SHOWN = 40
"""Rows of the terminal's tables."""
NOT_MEASURED = "What teaching caused: not measured, the run's version did not audit its channels"
NOBODY = "What teaching caused: nobody who trains was taught or practised yet"
LATE = "Counted only since the run went on with a version that audits: what was taught before is in no row."
WHAT = (
    "points of held-out unaided accuracy that a regression credits to the tokens, with 95% intervals; "
    "–: no answer has followed yet"
)
ENTANGLED = "*: hardly told apart from other channels, which spent at the same times; only their sum is known"


def by_effect(rows: Sequence[Taught]) -> list[Taught]:
    """Surest first: credits whose interval leaves 0 out, then by size; unknown ones last."""
    return sorted(
        rows,
        key=lambda row: (
            row.credit is None,
            row.credit is not None and not row.credit.excludes_zero,
            0.0 if row.credit is None else -abs(row.credit.value),
        ),
    )


def audit_tables(view: TeachingAudit | None) -> RenderableType:
    """Two tables: what each channel of each teacher caused, and how each student rose."""
    if view is None:
        return Text(NOT_MEASURED, style="dim")
    if not view.taught:
        return Text(NOBODY, style="dim")
    return Group(_taught_table(view), _rises_table(view.rises))


def _taught_table(view: TeachingAudit) -> RenderableType:
    left, right = ("teacher", "student", "domain", "channel"), ("tokens", "learned", "points", "per 1,000")
    table: Table = new_table(*((name, "left") for name in left), *((name, "right") for name in right))
    rows = by_effect(view.taught)
    for row in rows[:SHOWN]:
        credit = interval(row.credit, "points", 0.0)
        table.add_row(
            text(teacher_name(row.teacher)),
            text(row.student),
            text(row.domain),
            text(channel_name(row.channel)),
            f"{row.sampled + row.trained:,}",
            str(row.samples),
            credit.append("*") if row.entangled else credit,
            "" if row.per_thousand is None else f"{row.per_thousand:+.1f}",
        )
    notes = [WHAT]
    notes += [ENTANGLED] if any(row.entangled for row in rows[:SHOWN]) else []
    notes += [LATE] if not view.complete else []
    notes += [f"{len(rows) - SHOWN} more rows: use --json"] if len(rows) > SHOWN else []
    return titled("What teaching caused", table, "\n  ".join(notes))


def _rises_table(rises: Sequence[Rise]) -> RenderableType:
    left, right = ("student", "domain", "answers"), ("first", "n", "last", "n ", "credited, all channels")
    table: Table = new_table(*((name, "left") for name in left), *((name, "right") for name in right))
    for rise in rises[:SHOWN]:
        table.add_row(
            text(rise.student),
            text(rise.domain),
            text(rise.kind),
            interval(rise.first),
            _n(rise.first),
            interval(rise.last),
            _n(rise.last),
            interval(rise.credited, "points", 0.0),
        )
    more = f"; {len(rises) - SHOWN} more rows: use --json" if len(rises) > SHOWN else ""
    note = "held-out answers without help: the first and the last at least 20, in whole rounds, where there are as many"
    return titled("How the students rose", table, note + more)


def _n(estimate: Estimate | None) -> str:
    return "" if estimate is None else str(estimate.n)


def audit_json(view: TeachingAudit | None) -> dict[str, object] | None:
    """Everything but the matrices; None where nothing was measured."""
    if view is None:
        return None
    return {
        "complete": view.complete,
        "taught": [asdict(row) for row in view.taught],
        "students": [asdict(rise) for rise in view.rises],
    }
