"""The adapter from a run's store to views. Everything people see of a run passes through here, so
it can be rebuilt at any time.

Two ways to name who played: by *version* (immutable, what certificates may rest on: each agent's newest that played,
the frozen pasts and the base) and by *agent* (all its versions pooled): the readable overview, which mixes strengths
over time and says so.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from league.reporting.queries.estimates import means, win_rates
from league.reporting.views import (
    AgentRow,
    Estimate,
    Floats,
    LadderRow,
    LineageEdge,
    Matrix,
    Status,
)
from league.store.reader import RunReader
from league.store.records import Heartbeat, PayoffCells
from league.types import BASE, Rating, Version

TIMES_SLOWER, SHORTEST, SLOWEST = 10.0, 120.0, 3600.0
"""A phase is stalled after so many times its average, at least and at most (where no average is
known) so many seconds."""
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
    live, accuracies = reader.live(), accuracies_now(reader)
    agents = [
        AgentRow(
            agent.name,
            agent.role,
            agent.version.step,
            ratings[agent.name].games if agent.name in ratings else 0,
            _band(ratings.get(agent.name)),
            accuracies.get(agent.name),
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
        notes=tuple(state.get("guards", {}).get("raised", ())),
    )


def _state_of(reader: RunReader, latest: int | None, rounds: int | None) -> str:
    beat = reader.heartbeat()
    if beat is not None and beat.alive:
        return _alive(reader, beat, latest)
    if latest is None:
        return "not started: no round was committed"
    if rounds is not None and latest >= rounds:
        return "finished"
    return (
        "stopped"
        if beat is None or beat.phase.startswith("stopped")
        else f"interrupted ({beat.phase}, round {beat.round})"
    )


def _alive(reader: RunReader, beat: Heartbeat, latest: int | None) -> str:
    """Running, or stalled: a phase has lasted `TIMES_SLOWER` times longer than it does on average,
    or an hour where that is not known."""
    if beat.phase == "paused":
        return f"paused (round {beat.round})"
    usual = reader.state().get("clock", {}).get(beat.phase)
    usual = None if usual is None or latest is None else usual / (latest + 1)
    patience = SLOWEST if usual is None else max(SHORTEST, TIMES_SLOWER * usual)
    if beat.age <= patience:
        return f"running ({beat.phase}, round {beat.round})"
    known = "" if usual is None else f", which takes {usual:.1f} s on average"
    return f"stalled? (process {beat.pid} is alive, but has been in '{beat.phase}' of round {beat.round} for {beat.age:.0f} s{known})"


def accuracies_now(reader: RunReader) -> dict[str, float]:
    """agent → its newest held-out accuracy, mean over domains."""
    found: dict[str, dict[str, float]] = {}
    latest = reader.latest_round() or 0
    for number in range(latest, max(-1, latest - RECENT), -1):
        for agent, domain, value in accuracies(reader, number):
            found.setdefault(agent, {}).setdefault(domain, value)
        if found:
            break
    return {agent: float(np.mean(list(values.values()))) for agent, values in found.items()}


def accuracies(reader: RunReader, number: int) -> list[tuple[str, str, float]]:
    """(agent, domain, accuracy) measured in one round."""
    parts = [(name.split("/"), value) for name, value in reader.round_scalars(number).items()]
    return [(words[1], words[2], value) for words, value in parts if words[0] == "accuracy" and len(words) == 3]


def _band(row: LadderRow | None) -> Estimate | None:
    return None if row is None else Estimate(row.mu, row.mu - 2 * row.sigma, row.mu + 2 * row.sigma, row.games)


def current_ratings(reader: RunReader, ladder: str | None = None) -> list[Rating]:
    """Per ladder, each member's rating at its newest rated version, best first: a version made by
    the last update has not played yet."""
    members = set(reader.live())
    newest: dict[tuple[str, str], Rating] = {}
    for rating in reader.ratings(ladder):
        key = rating.ladder, rating.version.agent
        if rating.version.agent in members and (key not in newest or rating.version.step > newest[key].version.step):
            newest[key] = rating
    return sorted(newest.values(), key=lambda rating: (rating.ladder, -rating.mu, rating.version))


def ladder(reader: RunReader, name: str | None = None, every: bool = False) -> list[LadderRow]:
    """Ratings of the members (`every`: of all versions, by `name@step`), strongest first within
    each ladder."""
    roles = {agent.name: agent.role for agent in reader.agents()}
    rows = []
    for rating in reader.ratings(name) if every else current_ratings(reader, name):
        who = str(rating.version) if every else rating.version.agent
        role = "base" if rating.version == BASE else roles.get(rating.version.agent, "")
        rows.append(LadderRow(rating.ladder, who, role, rating.mu, rating.sigma, rating.games))
    return rows


def lineage(reader: RunReader, updates: bool = True) -> list[LineageEdge]:
    """Every version in order of creation; unless `updates`, plain updates only where they are an
    agent as it is now, something else came from them, or they were retired.

    A chain of updates that is left out becomes one line: an update's parent is always its agent's step before.
    """
    rows = reader.versions(lineage=not updates)
    retired = {
        Version(agent, step): number for agent, step, number in reader.state().get("evolution", {}).get("retired", ())
    }
    kept = {row.version: row for row in rows}
    if not updates:
        now = [Version.parse(member["version"]) for member in reader.state().get("population", {}).get("members", ())]
        wanted = dict.fromkeys([*(parent for row in rows for parent in row.parents), *retired, *now])
        kept |= {version: reader.version_row(version) for version in wanted if version not in kept}
        before = _steps_before(kept)
        kept = {
            v: replace(row, parents=before.get(v, ())) if row.reason == "update" else row for v, row in kept.items()
        }
        rows = sorted(
            kept.values(), key=lambda row: (row.round, row.reason != "update")
        )  # a round updates before anything else
    return [
        LineageEdge(str(r.version), tuple(str(p) for p in r.parents), r.round, r.reason, r.role, retired.get(r.version))
        for r in rows
    ]


def _steps_before(versions: Iterable[Version]) -> dict[Version, tuple[Version, ...]]:
    """version → (the newest older one of its agent,); the oldest has none."""
    ordered = sorted(versions)
    return {later: (earlier,) for earlier, later in pairwise(ordered) if earlier.agent == later.agent}


def agents_in_order(reader: RunReader) -> list[str]:
    """Agents by creation, the base last: the order that fixes colours."""
    names = dict.fromkeys(row.version.agent for row in reader.versions())
    return [*(name for name in names if name != BASE.agent), BASE.agent]


# ----------------------------------------------------------------------------------------------------- payoffs
def contest_tasks(reader: RunReader, relation: str = "contest") -> list[str]:
    """Tasks that have payoffs of this relation, by name."""
    return list(dict.fromkeys(task for kind, task, _, _ in reader.payoff_slots() if kind == relation))


def shown_versions(reader: RunReader, cells: PayoffCells) -> set[Version]:
    """Versions that stand for the league in one task: each agent's newest that has played it, the
    frozen pasts and the base."""
    pasts = reader.state().get("population", {}).get("pasts", {})
    newest: dict[str, Version] = {}
    for version in cells.versions:
        newest[version.agent] = max(version, newest.get(version.agent, version))
    return {*newest.values(), *(Version.parse(text) for texts in pasts.values() for text in texts), BASE}


def contest_counts(
    cells: PayoffCells, label: Callable[[Version], str | None]
) -> tuple[tuple[str, ...], Floats, Floats]:
    """(names, wins, draws): wins of row against column and draws, both (N, N), pooled over what
    `label` gives one name (None: left out).

    Names stand in the order of their first version.
    """
    labels = [label(version) for version in cells.versions]
    order = sorted(range(len(labels)), key=lambda i: cells.versions[i])
    names = tuple(dict.fromkeys(text for text in (labels[i] for i in order) if text is not None))
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
    """Win rates of one task with intervals. by "agent" pools an agent's versions; "version": see
    `shown_versions`."""
    cells = reader.payoffs("contest", task)
    chosen = shown_versions(reader, cells)

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


def _reordered(
    wins: Floats, draws: Floats, names: Sequence[str], order: Sequence[str]
) -> tuple[Floats, Floats, tuple[str, ...]]:
    place = [names.index(name) for name in order]
    return wins[np.ix_(place, place)], draws[np.ix_(place, place)], tuple(order)


def pair_matrix(reader: RunReader, relation: str, task: str) -> Matrix:
    """Mean of a teaching or cooperation relation per pair of agents over the whole run, all
    versions pooled."""
    cells = reader.payoffs(relation, task)
    order = agents_in_order(reader)
    agents = [version.agent for version in cells.versions]
    rows = tuple(name for name in order if name in {agents[i] for i in cells.row})
    cols = tuple(name for name in order if name in {agents[i] for i in cells.col})
    sums = {name: np.zeros((len(rows), len(cols))) for name in ("n", "total", "total_sq")}
    if len(cells.row):
        at = (
            np.array([rows.index(agents[i]) for i in cells.row]),
            np.array([cols.index(agents[i]) for i in cells.col]),
        )
        for name, table in sums.items():
            np.add.at(table, at, getattr(cells, name))
    value, low, high = means(sums["n"], sums["total"], sums["total_sq"])
    if relation == "teaching":
        title, unit = f"{task}: Δ over the whole run", "percentage points, training and evaluation"
        low, high = np.clip(low, -1.0, 1.0), np.clip(high, -1.0, 1.0)
        return Matrix(
            title, unit, rows, cols, 100 * value, "points", 100 * low, 100 * high, sums["n"], "teacher", "student"
        )
    return Matrix(
        f"{task}: joint return",
        "mean joint return",
        rows,
        cols,
        value,
        "signed",
        low,
        high,
        sums["n"],
        "first",
        "second",
    )


def meetings(reader: RunReader) -> Matrix:
    """Who met whom in how many training matches of the last RECENT rounds; pasts count under their
    agent."""
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
