"""Who certainly beats whom, from the stored payoffs: the certified graph with its statistics, and
how they moved over the run.

Certificates rest on immutable versions only. The movement over time pools agents within windows of
rounds, so it describes the agents as they were then, and is NaN ("undefined") where a window holds too little.
"""

from collections.abc import Sequence

import numpy as np

from league.payoffs.graph import has_loops
from league.reporting.queries.overview import RECENT, agents_in_order, contest_counts, contest_tasks, shown_versions
from league.reporting.views import CertifiedEdge, Cycles, Estimate, Floats, Panel, Series
from league.store.reader import RunReader

WINDOWS = 8


def cycles(reader: RunReader, task: str | None = None, alpha: float = 0.05) -> Cycles | None:
    """The certified graph of one contest task (by default the one with most undrawn games) between
    versions; None without contests."""
    tasks = [task] if task is not None else contest_tasks(reader)
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


def certified(names: Sequence[str], wins: Floats, draws: Floats, alpha: float = 0.05) -> Cycles:
    """Analyse counted contests (wins of row against column; both (N, N)) as `league analyze` does."""
    from league.payoffs.analyze import analyze_matrix
    from league.payoffs.matrix import from_counts

    result = analyze_matrix(from_counts(names, wins, draws), alpha)
    pairs = np.argwhere(result.certified_beats)
    edges = []
    for winner, loser in pairs.tolist():
        games = float(wins[winner, loser] + wins[loser, winner] + draws[winner, loser])
        rate = (float(wins[winner, loser]) + float(draws[winner, loser]) / 2) / games
        edges.append(CertifiedEdge(names[winner], names[loser], rate, int(games)))
    found = tuple(tuple(names[i] for i in cycle) for cycle in result.certified_cycles.found)
    split = (result.logit_split or result.probability_split) if has_loops(wins + wins.T + draws > 0) else None
    share = None if split is None else Estimate(split.cyclic, *(split.interval or (None, None)))
    statistics = {
        f"cyclic share ({'log-odds' if split is result.logit_split else 'probabilities'}, 90% interval)": share,
        "p-value of a pure ladder (Bradley-Terry)": _number(result.ladder_p_value),
        "exploitability of the Nash mixture": _number(result.exploitability),
        "effective diversity": _number(result.diversity),
    }
    count = len(names) * (len(names) - 1) // 2
    unmet = len(result.matrix.missing_pairs())
    return Cycles(tuple(names), tuple(edges), found, count, result.certified_cycles.truncated, statistics, unmet)


def _number(value: float | None) -> Estimate | None:
    return None if value is None else Estimate(value)


def over_time(reader: RunReader, task: str | None = None) -> tuple[list[Panel], list[Panel]]:
    """(cyclic share, [Nash mass, α-rank mass]) over windows of the last RECENT rounds; empty
    without contests."""
    windows = _windows(reader, task)
    if not windows:
        return [], []
    order = agents_in_order(reader)
    names = tuple(name for name in order if any(name in window[1] for window in windows))
    rounds = tuple(number for number, *_ in windows)
    share, nash, rank = [], [], []
    for _, seen, wins, draws in windows:
        split, masses = _solve(seen, wins, draws)
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


def _windows(reader: RunReader, task: str | None) -> list[tuple[int, tuple[str, ...], Floats, Floats]]:
    """(last round, agents, wins, draws) per window: at most WINDOWS of equal length, agents pooled
    within each."""
    chosen = task or next(
        iter(sorted(contest_tasks(reader), key=lambda name: -float(reader.payoffs("contest", name).n.sum()))), None
    )
    latest = reader.latest_round()
    if chosen is None or latest is None:
        return []
    length = max(1, -(-(latest + 1) // WINDOWS))
    games: dict[int, dict[tuple[str, str], list[int]]] = {}
    for played in reader.outcomes(max(0, latest - RECENT)):
        o = played.outcome
        if o.relation == "contest" and o.task == chosen and o.row.agent != o.col.agent:
            cell = games.setdefault(min(latest, (played.round // length + 1) * length - 1), {}).setdefault(
                (o.row.agent, o.col.agent), [0, 0, 0]
            )
            for place, count in enumerate((o.wins, o.draws, o.losses)):
                cell[place] += count
    found = []
    for last in sorted(games):
        names = tuple(sorted({name for pair in games[last] for name in pair}))
        wins, draws = np.zeros((len(names), len(names))), np.zeros((len(names), len(names)))
        for (row, col), (won, drawn, lost) in games[last].items():
            i, j = names.index(row), names.index(col)
            wins[i, j] += won
            wins[j, i] += lost
            draws[i, j] += drawn
            draws[j, i] += drawn
        found.append((last, names, wins, draws))
    return found


def _solve(
    names: tuple[str, ...], wins: Floats, draws: Floats
) -> tuple[tuple[float, float, float], tuple[Floats, Floats]]:
    """((cyclic share, low, high), (Nash, α-rank)), NaN where undefined."""
    from league.payoffs.alpha_rank import alpha_rank
    from league.payoffs.hodge import hodge_split
    from league.payoffs.matrix import from_counts
    from league.payoffs.nash import max_entropy_nash

    matrix = from_counts(names, wins, draws)
    split = hodge_split(matrix, "probability") if has_loops(wins + wins.T + draws > 0) else None
    share = (np.nan, np.nan, np.nan) if split is None else (split.cyclic, *(split.interval or (np.nan, np.nan)))
    if not matrix.complete or len(names) < 2:
        unknown = np.full(len(names), np.nan)
        return share, (unknown, unknown)
    return share, (max_entropy_nash(matrix.margin), alpha_rank(matrix.margin))
