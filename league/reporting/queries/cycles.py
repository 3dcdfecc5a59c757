"""Certified wins and cycles from the stored payoffs, and how cyclic they were over the run.

Certificates rest on immutable versions only. The movement over time pools agents within windows of
rounds, so it describes the agents as they were then, and is NaN ("undefined") where a window holds too little.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from league.payoffs.graph import has_loops
from league.reporting.queries.payoff_matrices import contest_counts, shown_versions, tasks_with
from league.reporting.queries.run_status import RECENT, agents_in_order
from league.reporting.views import CertifiedCycles, CertifiedEdge, Estimate, Floats, Panel, Series
from league.store.reader import RunReader

if TYPE_CHECKING:
    import pandas as pd

WINDOWS = 8
"""Most points of a line over the run."""


def cycles(reader: RunReader, task: str | None = None, alpha: float = 0.05) -> CertifiedCycles | None:
    """The certified wins and cycles between versions in one contest task; None without contests.

    By default in the task with most undrawn games.
    """
    tasks = [task] if task is not None else tasks_with(reader, "contest")
    tables = [_between_versions(reader, name) for name in tasks]
    tables = [table for table in tables if len(table[0]) > 1 and table[1].sum() + table[2].sum() > 0]
    if not tables:
        return None
    names, wins, draws = max(tables, key=lambda table: float(table[1].sum()))
    return certified(names, wins, draws, alpha)


def _between_versions(reader: RunReader, task: str) -> tuple[tuple[str, ...], Floats, Floats]:
    cells = reader.payoffs("contest", task)
    chosen = shown_versions(reader, cells)
    return contest_counts(cells, lambda version: str(version) if version in chosen else None)


def certified(names: Sequence[str], wins_NN: Floats, draws_NN: Floats, alpha: float = 0.05) -> CertifiedCycles:
    """Analyse counted contests (wins of row against column) as `league analyze` does."""
    from league.payoffs.analyze import analyze_matrix
    from league.payoffs.matrix import from_counts

    result = analyze_matrix(from_counts(names, wins_NN, draws_NN), alpha)
    games_NN = wins_NN + wins_NN.T + draws_NN
    edges = []
    for winner, loser in np.argwhere(result.certified_beats).tolist():
        games = float(games_NN[winner, loser])
        rate = (float(wins_NN[winner, loser]) + float(draws_NN[winner, loser]) / 2) / games
        edges.append(CertifiedEdge(names[winner], names[loser], rate, int(games)))
    split = (result.logit_split or result.probability_split) if has_loops(games_NN > 0) else None
    share = None if split is None else Estimate(split.cyclic, *(split.interval or (None, None)))
    return CertifiedCycles(
        tuple(names),
        tuple(edges),
        cycles=tuple(tuple(names[i] for i in cycle) for cycle in result.certified_cycles.found),
        pairs=len(names) * (len(names) - 1) // 2,
        truncated=result.certified_cycles.truncated,
        statistics={
            f"cyclic share ({'log-odds' if split is result.logit_split else 'probabilities'}, 90% interval)": share,
            "p-value of a pure ladder (Bradley-Terry)": _number(result.ladder_p_value),
            "exploitability of the Nash mixture": _number(result.exploitability),
            "effective diversity": _number(result.diversity),
        },
        unmet=len(result.matrix.missing_pairs()),
    )


def _number(value: float | None) -> Estimate | None:
    return None if value is None else Estimate(value)


def over_time(reader: RunReader, task: str | None = None) -> tuple[list[Panel], list[Panel]]:
    """Panels of the cyclic share, and of the Nash mass and the α-rank mass, over rounds.

    Each point is a window of the last RECENT rounds. Both lists are empty without contests.
    """
    windows = list(_windows(reader, task))
    if not windows:
        return [], []
    order = agents_in_order(reader)
    names = tuple(name for name in order if any(name in window[1] for window in windows))
    rounds = tuple(number for number, *_ in windows)
    share, nash, rank = [], [], []
    for _, seen, wins_NN, draws_NN in windows:
        split, masses = _solve(seen, wins_NN, draws_NN)
        share.append(split)
        nash.append(dict(zip(seen, masses[0], strict=True)))
        rank.append(dict(zip(seen, masses[1], strict=True)))
    values, low, high = (tuple(column) for column in zip(*share, strict=True))
    structure = Panel(
        "Cyclic share of the payoffs (Hodge)",
        "share, 90% interval",
        (Series("cyclic", rounds, values, low, high),),
        bounds=(0.0, 1.0),
    )
    masses_over = [
        Panel(title, "probability", tuple(Series(n, rounds, tuple(w.get(n, 0.0) for w in table)) for n in names))
        for title, table in (("Nash mass (maximum entropy)", nash), ("α-rank mass", rank))
        if len(names) > 1
    ]
    return [structure], masses_over


def contest_games(reader: RunReader, task: str, since: int) -> "pd.DataFrame":
    """A row per contest outcome between two agents: round, row, col (agents), wins, draws, losses of row."""
    import pandas as pd

    played = ((each.round, each.outcome) for each in reader.outcomes(since))
    rows = [
        (number, o.row.agent, o.col.agent, o.wins, o.draws, o.losses)
        for number, o in played
        if o.relation == "contest" and o.task == task and o.row.agent != o.col.agent
    ]
    return pd.DataFrame(rows, columns=["round", "row", "col", "wins", "draws", "losses"])


def _windows(reader: RunReader, task: str | None) -> Iterator[tuple[int, tuple[str, ...], Floats, Floats]]:
    """Last round, agents, wins (N, N) and draws (N, N) per window, all versions of an agent pooled.

    There are at most WINDOWS of equal length. By default of the contest with most games.
    """
    contests = tasks_with(reader, "contest")
    chosen = task or max(contests, key=lambda name: float(reader.payoffs("contest", name).n.sum()), default=None)
    latest = reader.latest_round()
    if chosen is None or latest is None:
        return
    length = max(1, -(-(latest + 1) // WINDOWS))
    games = contest_games(reader, chosen, max(0, latest - RECENT))
    last = ((games["round"] // length + 1) * length - 1).clip(upper=latest)
    for number, window in games.groupby(last):
        names = sorted({*window["row"], *window["col"]})
        table = window.pivot_table(index="row", columns="col", values=["wins", "draws", "losses"], aggfunc="sum")
        wins_NN, draws_NN, losses_NN = (
            table[count].reindex(index=names, columns=names).fillna(0.0).to_numpy(float)
            for count in ("wins", "draws", "losses")
        )
        yield int(number), tuple(names), wins_NN + losses_NN.T, draws_NN + draws_NN.T


def _solve(
    names: tuple[str, ...], wins_NN: Floats, draws_NN: Floats
) -> tuple[tuple[float, float, float], tuple[Floats, Floats]]:
    """The cyclic share with its interval, and the Nash and α-rank mass (N,); NaN where undefined."""
    from league.payoffs.alpha_rank import alpha_rank
    from league.payoffs.hodge import hodge_split
    from league.payoffs.matrix import from_counts
    from league.payoffs.nash import max_entropy_nash

    matrix = from_counts(names, wins_NN, draws_NN)
    split = hodge_split(matrix, "probability") if has_loops(wins_NN + wins_NN.T + draws_NN > 0) else None
    share = (np.nan, np.nan, np.nan) if split is None else (split.cyclic, *(split.interval or (np.nan, np.nan)))
    if not matrix.complete or len(names) < 2:
        unknown_N = np.full(len(names), np.nan)
        return share, (unknown_N, unknown_N)
    return share, (max_entropy_nash(matrix.margin), alpha_rank(matrix.margin))
