"""From a run's store to what was measured: exams and lessons as matrices, learning curves, ratings
over rounds.

Exams at the first and the last round are on test problems, those between on (fewer) validation problems; intervals
follow each exam's size.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from league.reporting.queries.estimates import mean, means, proportion
from league.reporting.queries.exam_results import exam
from league.reporting.queries.overview import RECENT, accuracies, agents_in_order, current_ratings
from league.reporting.views import Estimate, Floats, Matrix, Panel, Series
from league.store.reader import RunReader
from league.types import BASE, Version


def lesson_beyond_template(reader: RunReader) -> Estimate | None:
    """Mean of taught − shuffled over the paired items of the newest measurement, all pairs
    together, in percentage points."""
    newest = latest_lessons(reader)
    if newest is None:
        return None
    items = [
        100.0 * (int(t) - int(s))
        for lesson in newest[1]
        for t, s in zip(lesson["taught"], lesson["shuffled"], strict=True)
    ]
    return mean(items)


def _accuracy_history(reader: RunReader, every: int) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """(agent, domain) → (round, accuracy) of the measured rounds: every `every`-th, the first and
    the newest."""
    latest = reader.latest_round() or 0
    table: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for number in sorted({0, latest, *range(0, latest + 1, every)}):
        for agent, domain, value in accuracies(reader, number):
            table.setdefault((agent, domain), []).append((number, value))
    return table


def accuracy_matrix(reader: RunReader, sitting: str) -> Matrix | None:
    """Agent × domain accuracy at the first ("start") or last ("end") exam, on test problems; None
    when it was not sat."""
    book = exam(reader.state(), sitting)
    if book is None or not book.bits:
        return None
    rows = tuple(name for name in agents_in_order(reader) if name in set(book.agents()))
    cols = tuple(book.domains())
    table = np.full((3, len(rows), len(cols)), np.nan)
    n = np.zeros((len(rows), len(cols)))
    for agent, domain in book.bits:
        at = rows.index(agent), cols.index(domain)
        found = book.accuracy(agent, domain)
        if found is not None:
            table[:, at[0], at[1]] = found.value, found.low, found.high
            n[at] = found.n
    title = f"Held-out accuracy, {'first' if sitting == 'start' else 'last'} exam"
    return Matrix(title, "share right", rows, cols, table[0], "share", table[1], table[2], n, "agent", "domain")


def latest_lessons(reader: RunReader) -> tuple[int, list[Mapping[str, Any]]] | None:
    """(round, lessons) of the newest measurement of Δ that is still kept, or that of the last exam."""
    latest = reader.latest_round() or 0
    for number in range(latest, max(-1, latest - RECENT), -1):
        kept = reader.figures(number)
        if kept and kept.get("lessons"):
            return number, kept["lessons"]
    for sitting in ("end", "start"):
        lessons = reader.state().get("marks", {}).get(sitting, {}).get("lessons")
        if lessons:
            return latest if sitting == "end" else 0, lessons
    return None


def lesson_matrix(reader: RunReader, arm: str = "taught") -> Matrix | None:
    """Teacher × student Δ of the newest measurement, from paired items; arm "shuffled" is its
    control. None before the first.

    A student stands under its agent's name; an older self beside it, the held-out student, under `name@step`.
    Both arms share a colour scale.
    """
    newest = latest_lessons(reader)
    if newest is None:
        return None
    number, lessons = newest
    rows, cols, taught = _lesson_table(lessons, "taught")
    _, _, shuffled = _lesson_table(lessons, "shuffled")
    values = [100 * table[1] / np.maximum(table[0], 1) for table in (taught, shuffled)]
    n, total, total_sq = taught if arm == "taught" else shuffled
    value, low, high = (
        np.clip(column, -1.0, 1.0) for column in means(n, total, total_sq)
    )  # a change of accuracy lies within ±1
    title = "Teaching gain Δ" if arm == "taught" else "Δ of a shuffled explanation (control)"
    unit = f"percentage points, round {number}"
    reach = max(10.0, float(np.abs(values).max()))
    return Matrix(title, unit, rows, cols, 100 * value, "points", 100 * low, 100 * high, n, "teacher", "student", reach)


def _lesson_table(lessons: Sequence[Mapping[str, Any]], arm: str) -> tuple[tuple[str, ...], tuple[str, ...], Floats]:
    """(teachers, students, sums): sums (3, teachers, students) of n, Σx, Σx² over the items x = arm
    − control."""
    items: dict[tuple[str, str], list[float]] = {}
    live = _newest_students(lessons)
    for lesson in lessons:
        version = Version.parse(lesson["student"])
        who = version.agent if version in live else str(version)
        pairs = zip(lesson[arm], lesson["control"], strict=True)
        items.setdefault((Version.parse(lesson["teacher"]).agent, who), []).extend(
            float(int(a) - int(b)) for a, b in pairs
        )
    rows, cols = tuple(dict.fromkeys(t for t, _ in items)), tuple(dict.fromkeys(s for _, s in items))
    sums = np.zeros((3, len(rows), len(cols)))
    for (teacher, student), values in items.items():
        sums[:, rows.index(teacher), cols.index(student)] = len(values), sum(values), sum(v * v for v in values)
    return rows, cols, sums


def _newest_students(lessons: Sequence[Mapping[str, Any]]) -> set[Version]:
    """Each student agent's newest version among the lessons; older ones are held-out students."""
    newest: dict[str, Version] = {}
    for lesson in lessons:
        version = Version.parse(lesson["student"])
        newest[version.agent] = max(version, newest.get(version.agent, version))
    return set(newest.values())


def teaching_now(reader: RunReader) -> Estimate | None:
    """Mean Δ of the newest measurement over all teachers and live students, in percentage points."""
    newest = latest_lessons(reader)
    if newest is None:
        return None
    live = _newest_students(newest[1])
    taught = [lesson for lesson in newest[1] if Version.parse(lesson["student"]) in live]
    return mean(
        [
            100.0 * (int(t) - int(c))
            for lesson in taught
            for t, c in zip(lesson["taught"], lesson["control"], strict=True)
        ]
    )


def learning_curves(reader: RunReader) -> list[Panel]:
    """One panel a domain: the learners' accuracy over rounds with Wilson intervals. The dashed line
    is the untrained base model."""
    state = reader.state()
    if "config" not in state:
        return []
    sizes, last = state["config"]["evaluation"], state["config"]["league"]["rounds"]
    table = _accuracy_history(reader, int(sizes.get("every", 1)))
    roles = {agent.name: agent.role for agent in reader.agents()}
    everybody = [name for name in agents_in_order(reader) if name != BASE.agent]
    shown = [name for name in everybody if roles.get(name) != "expert"] or everybody
    panels = []
    for domain in dict.fromkeys(domain for _, domain in table):
        series = tuple(
            _accuracy_series(agent, table[agent, domain], sizes, last, roles.get(agent) == "expert")
            for agent in shown
            if (agent, domain) in table
        )
        base = table.get((BASE.agent, domain))
        n = int(sizes["final_problems"])
        baseline = None if base is None else proportion(round(base[0][1] * n), n)
        if series:
            panels.append(Panel(domain, "held-out accuracy", series, baseline, "base model, untrained", (0.0, 1.0)))
    return panels


def _accuracy_series(
    agent: str, points: Sequence[tuple[int, float]], sizes: Mapping[str, int], last: int, expert: bool
) -> Series:
    found = [
        proportion(round(value * n), n) for number, value in points for n in [_exam_size(sizes, number, last, expert)]
    ]
    low = tuple(float("nan") if e is None or e.low is None else e.low for e in found)
    high = tuple(float("nan") if e is None or e.high is None else e.high for e in found)
    return Series(agent, tuple(number for number, _ in points), tuple(value for _, value in points), low, high)


def _exam_size(sizes: Mapping[str, int], number: int, last: int, expert: bool) -> int:
    """Problems of an exam: the large test exam stands at the first and the last round, for
    everybody but the experts."""
    return int(sizes["final_problems"] if number in (0, last) and not expert else sizes["problems"])


def rating_panels(reader: RunReader) -> list[Panel]:
    """One panel a ladder: each agent's rating over rounds, μ ± 2σ. Frozen pasts are left out."""
    panels, order = [], agents_in_order(reader)
    for name in dict.fromkeys(rating.ladder for rating in current_ratings(reader)):
        newest: dict[str, dict[int, tuple[int, float, float]]] = {}
        for number, rating in reader.rating_history(name):
            seen = newest.setdefault(rating.version.agent, {}).get(number)
            if rating.version != BASE and (seen is None or rating.version.step >= seen[0]):
                newest[rating.version.agent][number] = (rating.version.step, rating.mu, rating.sigma)
        series = tuple(_rating_series(agent, newest[agent]) for agent in order if newest.get(agent))
        panels.append(Panel(f"TrueSkill rating, {name}", "μ ± 2σ", series))
    return panels


def _rating_series(agent: str, points: Mapping[int, tuple[int, float, float]]) -> Series:
    """A rating follows the agent's newest version: an older version that is rated again later is
    its past."""
    rounds, kept, step = [], [], -1
    for number in sorted(points):
        if points[number][0] >= step:
            step = points[number][0]
            rounds.append(number)
            kept.append(points[number][1:])
    low, high = tuple(mu - 2 * sigma for mu, sigma in kept), tuple(mu + 2 * sigma for mu, sigma in kept)
    return Series(agent, tuple(rounds), tuple(mu for mu, _ in kept), low, high)
