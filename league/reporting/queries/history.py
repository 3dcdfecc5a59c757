"""Held-out accuracy and ratings over rounds: learning curves and rating curves.

Exams at the first and the last round are on test problems, those between on (fewer) validation problems; intervals
follow each exam's size.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from league.reporting.queries.estimates import proportion
from league.reporting.queries.run_status import accuracies, agents_in_order, current_ratings
from league.reporting.views import Panel, Series
from league.store.reader import RunReader
from league.types import BASE, ROLES

if TYPE_CHECKING:
    import pandas as pd

TEACHING_LINES = {"delta": "Δ", "own_share": "beyond shuffled"}
"""Tag behind `teaching/` → its name in a figure."""


def accuracy_history(reader: RunReader, every: int) -> "pd.DataFrame":
    """A row per exam result: round (int), agent (str), domain (str), accuracy (float, 0…1).

    Of the measured rounds: every `every`-th, the first and the newest.
    """
    import pandas as pd

    latest = reader.latest_round() or 0
    rows = [
        (number, agent, domain, value)
        for number in sorted({0, latest, *range(0, latest + 1, every)})
        for agent, domain, value in accuracies(reader, number)
    ]
    return pd.DataFrame(rows, columns=["round", "agent", "domain", "accuracy"])


def learning_curves(reader: RunReader) -> list[Panel]:
    """One panel a domain: the learners' accuracy over rounds with Wilson intervals.

    The dashed line is the untrained base model. Experts are left out unless there is nobody else.
    """
    state = reader.state()
    if "config" not in state:
        return []
    sizes, last = state["config"]["evaluation"], state["config"]["league"]["rounds"]
    history = accuracy_history(reader, int(sizes.get("every", 1)))
    experts = {agent.name for agent in reader.agents() if ROLES[agent.role].specialist}
    everybody = [name for name in agents_in_order(reader) if name != BASE.agent]
    shown = [name for name in everybody if name not in experts] or everybody
    panels = []
    for domain, table in history.groupby("domain", sort=False):
        points = {agent: rows for agent, rows in table.groupby("agent")}
        series = tuple(
            _accuracy_series(agent, points[agent], sizes, last, agent in experts) for agent in shown if agent in points
        )
        n = int(sizes["final_problems"])
        base = points.get(BASE.agent)
        baseline = None if base is None else proportion(round(base["accuracy"].iloc[0] * n), n)
        if series:
            panels.append(
                Panel(
                    str(domain),
                    "held-out accuracy",
                    series,
                    baseline=baseline,
                    baseline_label="base model, untrained",
                    bounds=(0.0, 1.0),
                )
            )
    return panels


def teaching_curves(reader: RunReader) -> list[Panel]:
    """The mean Δ over rounds, and the lesson's own share of it (taught − shuffled).

    One panel in points and, where measured, one in nats.
    """
    panels = []
    for title, unit, suffix, scale in (
        ("teaching gain", "percentage points", "", 100.0),
        ("teaching gain, log-probability", "nats per token", "_logprob", 1.0),
    ):
        found = [(label, *reader.scalars(f"teaching/{name}{suffix}")) for name, label in TEACHING_LINES.items()]
        series = tuple(
            Series(label, tuple(rounds.tolist()), tuple((scale * values).tolist()))
            for label, rounds, values in found
            if len(rounds)
        )
        if series:
            panels.append(Panel(title, unit, series))
    return panels


def _accuracy_series(agent: str, points: "pd.DataFrame", sizes: Mapping[str, int], last: int, expert: bool) -> Series:
    rounds, values = points["round"].tolist(), points["accuracy"].tolist()
    problems = [_exam_size(sizes, number, last, expert) for number in rounds]
    found = [proportion(round(value * n), n) for value, n in zip(values, problems, strict=True)]
    low = tuple(float("nan") if e is None or e.low is None else e.low for e in found)
    high = tuple(float("nan") if e is None or e.high is None else e.high for e in found)
    return Series(agent, tuple(rounds), tuple(values), low, high)


def _exam_size(sizes: Mapping[str, int], number: int, last: int, expert: bool) -> int:
    """Problems of an exam.

    The large test exam stands at the first and the last round, for everybody but the experts.
    """
    return int(sizes["final_problems"] if number in (0, last) and not expert else sizes["problems"])


def rating_history(reader: RunReader, ladder: str) -> "pd.DataFrame":
    """A row per agent and round: round (int), agent (str), step (int), mu and sigma (float).

    A rating follows the agent's newest version: an older version that is rated again later is its past. The base is
    left out. Rounds ascend.
    """
    import pandas as pd

    rows = [
        (number, rating.version.agent, rating.version.step, rating.mu, rating.sigma)
        for number, rating in reader.rating_history(ladder)
        if rating.version != BASE
    ]
    table = pd.DataFrame(rows, columns=["round", "agent", "step", "mu", "sigma"])
    table = table.sort_values(["round", "step"], kind="stable").drop_duplicates(["round", "agent"], keep="last")
    return table[table["step"] >= table.groupby("agent")["step"].cummax()]


def rating_ladders(reader: RunReader) -> list[str]:
    """Ladders on which a member is rated, by name."""
    return list(dict.fromkeys(rating.ladder for rating in current_ratings(reader)))


def rating_panels(reader: RunReader) -> list[Panel]:
    """One panel a ladder: each agent's rating over rounds, μ ± 2σ. Frozen pasts are left out."""
    panels, order = [], agents_in_order(reader)
    for name in rating_ladders(reader):
        points = {agent: rows for agent, rows in rating_history(reader, name).groupby("agent")}
        series = tuple(_rating_series(agent, points[agent]) for agent in order if agent in points)
        panels.append(Panel(f"TrueSkill rating, {name}", "μ ± 2σ", series))
    return panels


def _rating_series(agent: str, points: "pd.DataFrame") -> Series:
    rounds, mu, band = points["round"], points["mu"], 2 * points["sigma"]
    return Series(
        agent, tuple(rounds.tolist()), tuple(mu.tolist()), tuple((mu - band).tolist()), tuple((mu + band).tolist())
    )


def ratings_by_round(reader: RunReader) -> dict[int, dict[str, float]]:
    """Per round, every agent's rating after it by TensorBoard tag; what a rebuilt board gets."""
    import pandas as pd

    rounds = [number for number, _, _ in reader.round_times()]
    columns = []
    for ladder in rating_ladders(reader):
        table = rating_history(reader, ladder).pivot(index="round", columns="agent", values="mu")
        columns.append(table.add_prefix(f"rating/{ladder}/"))
    if not columns:
        return {number: {} for number in rounds}
    after = pd.concat(columns, axis=1).reindex(rounds).ffill()
    return {number: row.dropna().to_dict() for number, row in after.iterrows()}
