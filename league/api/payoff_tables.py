"""A run's payoffs as pandas DataFrames: the stored cells, and a matrix of names.

A cell is between two versions. A contest's pair stands once, in the order in which it was first played; the matrix
joins both orders. Estimates and intervals are those of `league payoffs`.
"""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from league.api.tables import PAIR, Dtypes, table
from league.errors import UserError, nearest
from league.reporting.queries.estimates import means, win_rates
from league.reporting.queries.payoff_matrices import contest_counts
from league.store.reader import RunReader
from league.store.records import PayoffCells
from league.types import Version

if TYPE_CHECKING:
    import pandas as pd

By = Literal["agent", "version"]

PAYOFFS: Dtypes = {**PAIR, "mean": "float64", "low": "float64", "high": "float64"}


def payoffs(reader: RunReader, task: str | None, situation: str | None) -> "pd.DataFrame":
    """A row per cell of the payoff table, of one task and one situation where they are named.

    Raises UserError for a task or a situation without payoffs.
    """
    parts = [
        (relation, name, reader.payoffs(relation, name, situation))
        for relation, name in _chosen(reader, task, situation)
    ]
    shown = [(relation, name, cells, _estimates(relation, cells)) for relation, name, cells in parts]
    counts = [len(cells.n) for _, _, cells in parts]
    data: dict[str, Any] = {
        "relation": np.repeat(np.array([relation for relation, _, _ in parts], object), counts),
        "task": np.repeat(np.array([name for _, name, _ in parts], object), counts),
        "situation": [cells.slots[key][0] for _, _, cells in parts for key in cells.slot.tolist()],
        "domain": [cells.slots[key][1] for _, _, cells in parts for key in cells.slot.tolist()],
    }
    for side in ("row", "col"):
        found = [[cells.versions[key] for key in getattr(cells, side).tolist()] for _, _, cells in parts]
        data[f"{side}_agent"] = [version.agent for versions in found for version in versions]
        data[f"{side}_step"] = [version.step for versions in found for version in versions]
    for place, name in enumerate(("mean", "low", "high")):
        data[name] = _joined([estimates[place] for *_, estimates in shown])
    for name in ("wins", "draws", "losses", "n", "total", "total_sq"):
        data[name] = _joined([getattr(cells, name) for _, _, cells in parts])
    return table(PAYOFFS, data)


def payoff_matrix(reader: RunReader, task: str, situation: str | None, by: By) -> "pd.DataFrame":
    """Estimates of one task, rows against columns, float64; NaN where a pair has not met.

    Contests: the row's win rate, square. Teaching: mean Δ, teachers × students. Cooperation: mean joint return.
    """
    import pandas as pd

    ((relation, name),) = _chosen(reader, task, situation)
    cells = reader.payoffs(relation, name, situation)
    if relation == "contest":
        names, wins_NN, draws_NN = contest_counts(cells, lambda version: _label(version, by))
        values_NN, _, _ = win_rates(wins_NN, draws_NN, wins_NN + wins_NN.T + draws_NN)
        return pd.DataFrame(values_NN, index=pd.Index(names, name="row"), columns=pd.Index(names, name="col"))
    labels = [_label(version, by) for version in cells.versions]
    sums = pd.DataFrame(
        {
            "row": [labels[key] for key in cells.row.tolist()],
            "col": [labels[key] for key in cells.col.tolist()],
            "n": cells.n,
            "total": cells.total,
        }
    )
    pooled = sums.groupby(["row", "col"], sort=False)[["n", "total"]].sum()
    return (pooled["total"] / pooled["n"].where(pooled["n"] > 0)).unstack("col").astype("float64")


def _chosen(reader: RunReader, task: str | None, situation: str | None) -> list[tuple[str, str]]:
    """(relation, task) of what has payoffs and was asked for."""
    slots = reader.payoff_slots()
    tasks = sorted({name for _, name, _, _ in slots})
    if task is not None and task not in tasks:
        raise UserError(f"task '{task}' has no payoffs in {reader.folder}{nearest(task, tasks)}")
    fitting = [each for each in slots if task in (None, each[1])]
    situations = sorted({each[2] for each in fitting})
    if situation is not None and situation not in situations:
        raise UserError(f"situation '{situation}' has no payoffs in {reader.folder}{nearest(situation, situations)}")
    return sorted({(relation, name) for relation, name, _, _ in fitting})


def _estimates(relation: str, cells: PayoffCells) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, low and high of each cell; NaN where unknown."""
    if relation == "contest":
        games = (cells.wins + cells.draws + cells.losses).astype(np.float64)
        return win_rates(cells.wins.astype(np.float64), cells.draws.astype(np.float64), games)
    return means(cells.n.astype(np.float64), cells.total, cells.total_sq)


def _label(version: Version, by: By) -> str:
    return version.agent if by == "agent" else str(version)


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.zeros(0)
