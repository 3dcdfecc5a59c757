"""Payoffs as matrices: win rates, Δ of teaching, joint returns, and who met whom.

Two ways to name who played. By *version*: immutable, what certificates may rest on; each agent's newest that played,
the frozen pasts and the base. By *agent*: all its versions pooled; the readable overview, which mixes strengths over
time and says so. What `league payoffs` prints needs no pandas, so that the command starts at once.
"""

from collections.abc import Callable
from itertools import combinations

import numpy as np

from league.payoffs.teaching import fit_teaching
from league.reporting.queries.estimates import means, win_rates
from league.reporting.queries.run_status import RECENT, agents_in_order
from league.reporting.views import Floats, Matrix, TeachingInteraction
from league.store.reader import RunReader
from league.store.records import PayoffCells
from league.types import BASE, Version


def tasks_with(reader: RunReader, relation: str) -> list[str]:
    """Tasks that have payoffs of this relation, by name."""
    return list(dict.fromkeys(task for kind, task, _, _ in reader.payoff_slots() if kind == relation))


# ----------------------------------------------------------------------------------------------------- contests
def shown_versions(reader: RunReader, cells: PayoffCells) -> set[Version]:
    """Versions that stand for the league in one task.

    Those are each agent's newest that has played it, the frozen pasts and the base.
    """
    pasts = reader.state().get("population", {}).get("pasts", {})
    newest: dict[str, Version] = {}
    for version in cells.versions:
        newest[version.agent] = max(version, newest.get(version.agent, version))
    return {*newest.values(), *(Version.parse(text) for texts in pasts.values() for text in texts), BASE}


def contest_counts(
    cells: PayoffCells, label: Callable[[Version], str | None]
) -> tuple[tuple[str, ...], Floats, Floats]:
    """Names, wins of row against column, and draws; both counts (N, N).

    Pooled over the versions that `label` gives one name; None leaves a version out. Names stand in the order of their
    first version.
    """
    labels = [label(version) for version in cells.versions]
    order = sorted(range(len(labels)), key=lambda i: cells.versions[i])
    names = tuple(dict.fromkeys(text for text in (labels[i] for i in order) if text is not None))
    wins_NN, draws_NN = np.zeros((len(names), len(names))), np.zeros((len(names), len(names)))
    place = np.array([-1 if text is None else names.index(text) for text in labels], dtype=np.int64)
    if not len(cells.row):
        return names, wins_NN, draws_NN
    row, col = place[cells.row], place[cells.col]
    keep = (row >= 0) & (col >= 0) & (row != col)
    row, col = row[keep], col[keep]
    np.add.at(wins_NN, (row, col), cells.wins[keep])
    np.add.at(wins_NN, (col, row), cells.losses[keep])
    np.add.at(draws_NN, (row, col), cells.draws[keep])
    np.add.at(draws_NN, (col, row), cells.draws[keep])
    return names, wins_NN, draws_NN


def contest_matrix(reader: RunReader, task: str, by: str = "agent") -> Matrix:
    """Win rates of one task with intervals.

    by "agent" pools an agent's versions; by "version": see `shown_versions`.
    """
    cells = reader.payoffs("contest", task)
    chosen = shown_versions(reader, cells)

    def label(version: Version) -> str | None:
        if by == "agent":
            return version.agent
        return str(version) if version in chosen else None

    names, wins_NN, draws_NN = contest_counts(cells, label)
    if by == "agent":
        order = _in_order(reader, set(names))
        place = [names.index(name) for name in order]
        names, wins_NN, draws_NN = order, wins_NN[np.ix_(place, place)], draws_NN[np.ix_(place, place)]
    games_NN = wins_NN + wins_NN.T + draws_NN
    values_NN, low_NN, high_NN = win_rates(wins_NN, draws_NN, games_NN)
    pooled = ", all versions pooled" if by == "agent" else ""
    return Matrix(
        f"{task}: win rates{pooled}",
        "win rate of the row",
        rows=names,
        cols=names,
        values=values_NN,
        scale="winrate",
        low=low_NN,
        high=high_NN,
        n=games_NN,
        row_axis="player",
        col_axis="opponent",
        key=f"{task}: who beats whom{pooled}",  # the key of stored tags and of --json: it stays as it was
    )


# ------------------------------------------------------------------------------------- teaching and cooperation
def pair_matrix(reader: RunReader, relation: str, task: str) -> Matrix:
    """Mean of a teaching or cooperation relation per pair of agents, all versions pooled.

    Over the whole run; Δ of teaching in percentage points.
    """
    rows, cols, n_RC, total_RC, total_sq_RC = _pair_sums(reader, relation, task)
    values_RC, low_RC, high_RC = means(n_RC, total_RC, total_sq_RC)
    if relation == "teaching":
        low_RC, high_RC = np.clip(low_RC, -1.0, 1.0), np.clip(high_RC, -1.0, 1.0)
        return Matrix(
            f"{task}: Δ over the whole run",
            "percentage points, training and evaluation",
            rows=rows,
            cols=cols,
            values=100 * values_RC,
            scale="points",
            low=100 * low_RC,
            high=100 * high_RC,
            n=n_RC,
            row_axis="teacher",
            col_axis="student",
        )
    return Matrix(
        f"{task}: joint return",
        "mean joint return",
        rows=rows,
        cols=cols,
        values=values_RC,
        scale="signed",
        low=low_RC,
        high=high_RC,
        n=n_RC,
        row_axis="first",
        col_axis="second",
    )


def _pair_sums(
    reader: RunReader, relation: str, task: str
) -> tuple[tuple[str, ...], tuple[str, ...], Floats, Floats, Floats]:
    """Row agents, column agents, and per pair the number of items, Σx and Σx² (rows, cols)."""
    cells = reader.payoffs(relation, task)
    agents = [version.agent for version in cells.versions]
    rows = _in_order(reader, {agents[i] for i in cells.row})
    cols = _in_order(reader, {agents[i] for i in cells.col})
    n_RC, total_RC, total_sq_RC = (np.zeros((len(rows), len(cols))) for _ in range(3))
    if len(cells.row):
        at = (
            np.array([rows.index(agents[i]) for i in cells.row]),
            np.array([cols.index(agents[i]) for i in cells.col]),
        )
        np.add.at(n_RC, at, cells.n)
        np.add.at(total_RC, at, cells.total)
        np.add.at(total_sq_RC, at, cells.total_sq)
    return rows, cols, n_RC, total_RC, total_sq_RC


def teaching_interaction(reader: RunReader, task: str) -> TeachingInteraction | None:
    """How much of a teaching task's Δ depends on who meets whom; None before its first item.

    Over the whole run, all versions of an agent pooled. Formula and failure cases: `league.payoffs.teaching`.
    """
    teachers, students, n_TS, total_TS, total_sq_TS = _pair_sums(reader, "teaching", task)
    fit = fit_teaching(n_TS, total_TS, total_sq_TS)
    if fit is None:
        return None
    return TeachingInteraction(
        task,
        teachers,
        students,
        mean=100 * fit.mean,
        teacher_T=100 * fit.teacher,
        student_S=100 * fit.student,
        interaction_TS=100 * fit.interaction,
        share=fit.interaction_share,
    )


# ----------------------------------------------------------------------------------------------------- meetings
def meetings(reader: RunReader) -> Matrix:
    """How many training matches of the last RECENT rounds each pair of agents shared.

    Frozen pasts count under their agent.
    """
    import pandas as pd

    since = max(0, (reader.latest_round() or 0) - RECENT)
    pairs: list[tuple[str, str]] = []
    for match in reader.matches(since):
        if match.purpose == "train":
            pairs += combinations(sorted({version.agent for version in match.seats.values()}), 2)
    met = pd.DataFrame(pairs, columns=["first", "second"], dtype="str")
    names = _in_order(reader, {name for pair in pairs for name in pair})
    once_NN = pd.crosstab(met["first"], met["second"]).reindex(index=names, columns=names, fill_value=0).to_numpy(float)
    matches_NN = once_NN + once_NN.T
    np.fill_diagonal(matches_NN, np.nan)
    return Matrix(
        "Who met whom in training",
        "matches" if since == 0 else f"matches, last {RECENT} rounds",
        rows=names,
        cols=names,
        values=matches_NN,
        scale="count",
        row_axis="agent",
        col_axis="agent",
    )


def _in_order(reader: RunReader, names: set[str]) -> tuple[str, ...]:
    return tuple(name for name in agents_in_order(reader) if name in names)
