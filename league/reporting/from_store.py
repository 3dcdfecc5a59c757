"""The adapter from a run's store to views. Everything people see of a run passes through here, so it can be rebuilt at any time.

Two ways to name who played: by *version* (immutable, what certificates may rest on: the live members, the frozen pasts and the base) and by
*agent* (all its versions pooled, a frozen past under its own name): the readable overview, which mixes strengths over time and says so.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from league.reporting.measures import means, proportion, win_rates
from league.reporting.views import (
    AgentRow,
    Estimate,
    Floats,
    LadderRow,
    LineageEdge,
    Matrix,
    Panel,
    Series,
    Status,
)
from league.store.reader import RunReader
from league.store.records import PayoffCells
from league.types import BASE, Version

RECENT = 500
"""Rounds that are read match by match; a run may have a million matches."""


# ------------------------------------------------------------------------------------------------------- status
def status(reader: RunReader) -> Status:
    """Where the run stands, from its last commit and the writer's heartbeat."""
    state = reader.state()
    latest = reader.latest_round()
    rounds = state.get("config", {}).get("league", {}).get("rounds")
    times = reader.round_times()
    ratings = {row.name: row for row in ladder(reader, "overall")}
    live = reader.live()
    agents = [
        AgentRow(
            agent.name,
            agent.role,
            agent.version.step,
            ratings[agent.name].games if agent.name in ratings else 0,
            _band(ratings.get(agent.name)),
            mean_accuracy(reader, agent.name),
        )
        for agent in reader.agents()
        if agent.name in live
    ]
    return Status(
        name=reader.folder.resolve().name,
        state=_state_of(reader, latest, rounds),
        round=latest or 0,
        rounds=rounds,
        matches=reader.match_count(),
        versions=len(reader.versions()),
        seconds=sum(seconds for _, seconds, _ in times),
        agents=tuple(agents),
        notes=(),
    )


def _state_of(reader: RunReader, latest: int | None, rounds: int | None) -> str:
    beat = reader.heartbeat()
    if beat is not None and beat.alive:
        return f"running ({beat.phase}, round {beat.round})"
    if latest is None:
        return "not started: no round was committed"
    if rounds is not None and latest >= rounds:
        return "finished"
    return "stopped" if beat is None or beat.phase.startswith("stopped") else f"interrupted ({beat.phase}, round {beat.round})"


def _band(row: LadderRow | None) -> Estimate | None:
    return None if row is None else Estimate(row.mu, row.mu - 2 * row.sigma, row.mu + 2 * row.sigma, row.games)


def ladder(reader: RunReader, name: str | None = None, every: bool = False) -> list[LadderRow]:
    """Ratings of the members (`every`: of all versions, by `name@step`), strongest first within each ladder."""
    roles = {agent.name: agent.role for agent in reader.agents()}
    rows = []
    for rating in reader.ratings(name, every):
        who = str(rating.version) if every else rating.version.agent
        role = "base" if rating.version == BASE else roles.get(rating.version.agent, "")
        rows.append(LadderRow(rating.ladder, who, role, rating.mu, rating.sigma, rating.games))
    return rows


def lineage(reader: RunReader, updates: bool = True) -> list[LineageEdge]:
    """Every version in order of creation; without plain updates unless `updates`."""
    rows = reader.versions(lineage=not updates)
    return [LineageEdge(str(r.version), tuple(str(p) for p in r.parents), r.round, r.reason, r.role) for r in rows]


def agents_in_order(reader: RunReader) -> list[str]:
    """Agents by creation, the base last: the order that fixes colours."""
    names = dict.fromkeys(row.version.agent for row in reader.versions())
    return [*(name for name in names if name != BASE.agent), BASE.agent]


# ----------------------------------------------------------------------------------------------------- payoffs
def contest_tasks(reader: RunReader, relation: str = "contest") -> list[str]:
    """Tasks that have payoffs of this relation, by name."""
    return list(dict.fromkeys(task for kind, task, _, _ in reader.payoff_slots() if kind == relation))


def frozen_versions(reader: RunReader) -> list[Version]:
    """Current members, their frozen pasts and the base, by name and step."""
    pasts = reader.state().get("population", {}).get("pasts", {})
    found = {*reader.live().values(), *(Version.parse(text) for texts in pasts.values() for text in texts), BASE}
    return sorted(found)


def contest_counts(cells: PayoffCells, label: Callable[[Version], str | None]) -> tuple[tuple[str, ...], Floats, Floats]:
    """(names, wins, draws): wins of row against column and draws, both (N, N), pooled over what `label` gives one name; None leaves out."""
    labels = [label(version) for version in cells.versions]
    names = tuple(sorted({text for text in labels if text is not None}))
    wins, draws = np.zeros((len(names), len(names))), np.zeros((len(names), len(names)))
    place = np.array([-1 if text is None else names.index(text) for text in labels], dtype=np.int64)
    if not len(cells.row):
        return names, wins, draws
    row, col = place[cells.row], place[cells.col]
    keep = (row >= 0) & (col >= 0) & (row != col)
    row, col = row[keep], col[keep]
    np.add.at(wins, (row, col), cells.wins[keep])
    np.add.at(wins, (col, row), cells.losses[keep])
    np.add.at(draws, (row, col), cells.draws[keep])
    np.add.at(draws, (col, row), cells.draws[keep])
    return names, wins, draws


def contest_matrix(reader: RunReader, task: str, by: str = "agent") -> Matrix:
    """Win rates of one task with intervals. by "agent" pools an agent's versions; "version": members, frozen pasts and the base."""
    cells = reader.payoffs("contest", task)
    chosen = set(frozen_versions(reader))

    def label(version: Version) -> str | None:
        if by == "agent":
            return version.agent
        return str(version) if version in chosen else None

    names, wins, draws = contest_counts(cells, label)
    if by == "agent":
        wins, draws, names = _reordered(wins, draws, names, [name for name in agents_in_order(reader) if name in names])
    games = wins + wins.T + draws
    value, low, high = win_rates(wins, draws, games)
    title = f"{task}: who beats whom" + (", all versions pooled" if by == "agent" else "")
    return Matrix(title, "win rate of the row", names, names, value, "winrate", low, high, games, "player", "opponent")


def _reordered(wins: Floats, draws: Floats, names: Sequence[str], order: Sequence[str]) -> tuple[Floats, Floats, tuple[str, ...]]:
    place = [names.index(name) for name in order]
    return wins[np.ix_(place, place)], draws[np.ix_(place, place)], tuple(order)


def pair_matrix(reader: RunReader, relation: str, task: str) -> Matrix:
    """Mean of a teaching or cooperation relation per pair of agents over the whole run, all versions pooled."""
    cells = reader.payoffs(relation, task)
    order = agents_in_order(reader)
    agents = [version.agent for version in cells.versions]
    rows = tuple(name for name in order if name in {agents[i] for i in cells.row})
    cols = tuple(name for name in order if name in {agents[i] for i in cells.col})
    sums = {name: np.zeros((len(rows), len(cols))) for name in ("n", "total", "total_sq")}
    if len(cells.row):
        at = (np.array([rows.index(agents[i]) for i in cells.row]), np.array([cols.index(agents[i]) for i in cells.col]))
        for name, table in sums.items():
            np.add.at(table, at, getattr(cells, name))
    value, low, high = means(sums["n"], sums["total"], sums["total_sq"])
    if relation == "teaching":
        title, unit = f"{task}: teaching gain Δ, whole run", "percentage points"
        return Matrix(title, unit, rows, cols, 100 * value, "points", 100 * low, 100 * high, sums["n"], "teacher", "student")
    return Matrix(f"{task}: joint return", "mean joint return", rows, cols, value, "signed", low, high, sums["n"], "first", "second")


def meetings(reader: RunReader) -> Matrix:
    """Who met whom in how many training matches of the last RECENT rounds; pasts count under their agent."""
    counts: dict[tuple[str, str], int] = {}
    since = max(0, (reader.latest_round() or 0) - RECENT)
    for match in reader.matches(since):
        if match.purpose == "train":
            seated = sorted({version.agent for version in match.seats.values()})
            for place, first in enumerate(seated):
                for second in seated[place + 1 :]:
                    counts[first, second] = counts.get((first, second), 0) + 1
    met = {name for pair in counts for name in pair}
    names = tuple(name for name in agents_in_order(reader) if name in met)
    values = np.full((len(names), len(names)), np.nan)
    values[~np.eye(len(names), dtype=bool)] = 0.0
    for (first, second), count in counts.items():
        i, j = names.index(first), names.index(second)
        values[i, j] = values[j, i] = count
    return Matrix(
        "Who met whom in training",
        "matches" if since == 0 else f"matches, last {RECENT} rounds",
        names,
        names,
        values,
        "count",
        row_axis="agent",
        col_axis="agent",
    )


# ------------------------------------------------------------------------------------------------- measurements
def _scalar_table(reader: RunReader, prefix: str) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
    """(agent, domain) → (rounds, values) of the scalars `prefix/AGENT/DOMAIN`."""
    found = {}
    for name in reader.scalar_names():
        parts = name.split("/")
        if parts[0] == prefix and len(parts) == 3:
            found[parts[1], parts[2]] = reader.scalars(name)
    return found


def mean_accuracy(reader: RunReader, agent: str) -> float | None:
    """The agent's newest held-out accuracy, mean over domains; None when it never sat an exam."""
    newest = [values[-1] for (who, _), (_, values) in _scalar_table(reader, "accuracy").items() if who == agent and len(values)]
    return float(np.mean(newest)) if newest else None


def accuracy_matrix(reader: RunReader, sitting: str) -> Matrix | None:
    """Agent × domain accuracy at the first ("start") or last ("end") exam, on test problems; None when it was not sat."""
    marks = reader.state().get("marks", {}).get(sitting)
    if not marks or not marks["exams"]:
        return None
    agents = [Version.parse(row["version"]).agent for row in marks["exams"]]
    rows = tuple(name for name in agents_in_order(reader) if name in set(agents))
    cols = tuple(dict.fromkeys(row["domain"] for row in marks["exams"]))
    table = np.full((3, len(rows), len(cols)), np.nan)
    n = np.zeros((len(rows), len(cols)))
    for agent, row in zip(agents, marks["exams"], strict=True):
        at = rows.index(agent), cols.index(row["domain"])
        found = proportion(row["correct"].count("1"), len(row["correct"]))
        if found is not None:
            table[:, at[0], at[1]] = found.value, found.low, found.high
            n[at] = found.n
    title = f"Held-out accuracy, {'first' if sitting == 'start' else 'last'} exam"
    return Matrix(title, "share right", rows, cols, table[0], "share", table[1], table[2], n, "agent", "domain")


def latest_lessons(reader: RunReader) -> tuple[int, list[Mapping[str, Any]]] | None:
    """(round, lessons) of the newest measurement of Δ that is still kept, or that of the last exam."""
    for number in range(reader.latest_round() or 0, -1, -1):
        kept = reader.figures(number)
        if kept and kept.get("lessons"):
            return number, kept["lessons"]
    for sitting in ("end", "start"):
        lessons = reader.state().get("marks", {}).get(sitting, {}).get("lessons")
        if lessons:
            return (reader.latest_round() or 0) if sitting == "end" else 0, lessons
    return None


def lesson_matrix(reader: RunReader, arm: str = "taught") -> Matrix | None:
    """Teacher × student Δ of the newest measurement, from paired items; arm "shuffled" is its control. None before the first.

    A student stands under its agent's name; an older self beside it, the held-out student, under `name@step`.
    """
    newest = latest_lessons(reader)
    if newest is None:
        return None
    number, lessons = newest
    newest_step: dict[str, int] = {}
    for lesson in lessons:
        version = Version.parse(lesson["student"])
        newest_step[version.agent] = max(version.step, newest_step.get(version.agent, 0))
    items: dict[tuple[str, str], list[float]] = {}
    for lesson in lessons:
        version = Version.parse(lesson["student"])
        who = version.agent if version.step == newest_step[version.agent] else str(version)
        pairs = zip(lesson[arm], lesson["control"], strict=True)
        items.setdefault((Version.parse(lesson["teacher"]).agent, who), []).extend(float(int(a) - int(b)) for a, b in pairs)
    rows, cols = tuple(dict.fromkeys(t for t, _ in items)), tuple(dict.fromkeys(s for _, s in items))
    sums = np.zeros((3, len(rows), len(cols)))
    for (teacher, student), values in items.items():
        sums[:, rows.index(teacher), cols.index(student)] = len(values), sum(values), sum(v * v for v in values)
    value, low, high = means(sums[0], sums[1], sums[2])
    title = "Teaching gain Δ" if arm == "taught" else "Δ of a shuffled explanation (control)"
    unit = f"percentage points, round {number}"
    return Matrix(title, unit, rows, cols, 100 * value, "points", 100 * low, 100 * high, sums[0], "teacher", "student")


def learning_curves(reader: RunReader, students_only: bool = True) -> list[Panel]:
    """One panel a domain: accuracy over rounds with Wilson intervals. The dashed line is the untrained base model."""
    table = _scalar_table(reader, "accuracy")
    state = reader.state()
    if not table or "config" not in state:
        return []
    sizes, last = state["config"]["evaluation"], state["config"]["league"]["rounds"]
    roles = {agent.name: agent.role for agent in reader.agents()}
    shown = [name for name in agents_in_order(reader) if name != BASE.agent and not (students_only and roles.get(name) == "expert")]
    panels = []
    for domain in dict.fromkeys(domain for _, domain in table):
        series = []
        for agent in shown or list(roles):
            if (agent, domain) in table:
                rounds, values = table[agent, domain]
                ns = [_exam_size(sizes, int(r), last, roles.get(agent) == "expert") for r in rounds]
                bands = [proportion(round(float(v) * n), n) for v, n in zip(values, ns, strict=True)]
                bounds = tuple(tuple(getattr(b, side) if b else float("nan") for b in bands) for side in ("low", "high"))
                series.append(Series(agent, tuple(int(r) for r in rounds), tuple(float(v) for v in values), *bounds))
        base = table.get((BASE.agent, domain))
        baseline = None if base is None else proportion(round(float(base[1][0]) * sizes["final_problems"]), sizes["final_problems"])
        if series:
            panels.append(Panel(domain, "held-out accuracy", tuple(series), baseline, "base model, untrained", (0.0, 1.0)))
    return panels


def _exam_size(sizes: Mapping[str, int], number: int, last: int, expert: bool) -> int:
    """Problems of an exam: the large test exam stands at the first and the last round, for everybody but the experts."""
    return int(sizes["final_problems"] if number in (0, last) and not expert else sizes["problems"])


def rating_panels(reader: RunReader) -> list[Panel]:
    """One panel a ladder: each agent's rating over rounds, μ ± 2σ. Frozen pasts are left out."""
    panels, order = [], agents_in_order(reader)
    for name in dict.fromkeys(rating.ladder for rating in reader.ratings()):
        newest: dict[str, dict[int, tuple[int, float, float]]] = {}
        for number, rating in reader.rating_history(name):
            seen = newest.setdefault(rating.version.agent, {}).get(number)
            if rating.version != BASE and (seen is None or rating.version.step >= seen[0]):
                newest[rating.version.agent][number] = (rating.version.step, rating.mu, rating.sigma)
        series = tuple(_rating_series(agent, newest[agent]) for agent in order if newest.get(agent))
        panels.append(Panel(f"TrueSkill rating, {name}", "μ ± 2σ", series))
    return panels


def _rating_series(agent: str, points: Mapping[int, tuple[int, float, float]]) -> Series:
    """A rating follows the agent's newest version: an older version that is rated again later is its past."""
    rounds, kept, step = [], [], -1
    for number in sorted(points):
        if points[number][0] >= step:
            step = points[number][0]
            rounds.append(number)
            kept.append(points[number][1:])
    low, high = tuple(mu - 2 * sigma for mu, sigma in kept), tuple(mu + 2 * sigma for mu, sigma in kept)
    return Series(agent, tuple(rounds), tuple(mu for mu, _ in kept), low, high)
