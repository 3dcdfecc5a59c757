"""The teaching gain Δ as it is measured on held-out problems: per pair, overall, and over the run.

Δ = accuracy after an explanation − accuracy without one, on the same problems by the same student. Its control is Δ of
a shuffled explanation, which has the form of one but says nothing about these problems. Δ of training matches is in
`payoff_matrices.pair_matrix`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from league.reporting.queries.estimates import difference, mean, means
from league.reporting.queries.exam_results import NEWEST_FIRST, Which, paired_gain
from league.reporting.queries.run_status import RECENT
from league.reporting.views import Estimate, Floats, Matrix
from league.store.reader import RunReader
from league.types import Version

if TYPE_CHECKING:
    import pandas as pd

StoredResults = Sequence[Mapping[str, Any]]
"""Teaching gains as `league.evaluation.teaching_gains` stores them.

Each has teacher, student, domain and, per problem, a bit for each way of asking.
"""
Arm = Literal["taught", "shuffled"]


def answer_table(results: StoredResults) -> "pd.DataFrame":
    """A row per paired problem: teacher, student, domain, match, control, taught, shuffled.

    teacher and student (str) are versions; match (int) counts within the pair and its domain (str): its problems share
    an explanation.
    control, taught and shuffled are 0 or 1: whether the answer was right.
    """
    import pandas as pd

    arms = ("control", "taught", "shuffled")
    rows = [
        (
            result["teacher"],
            result["student"],
            result["domain"],
            place // result.get("similar", 1),
            *map(int, bits),
        )
        for result in results
        for place, bits in enumerate(zip(*(result[arm] for arm in arms), strict=True))
    ]
    return pd.DataFrame(rows, columns=["teacher", "student", "domain", "match", *arms])


# ------------------------------------------------------------------------------------- at the first and last exam
def gains_by_explanation(state: Mapping[str, Any], which: Which, *, held_out: bool, arm: Arm = "taught") -> list[float]:
    """Δ per teacher, domain and match at the first ("start") or last ("end") exam, as fractions.

    The mean over the match's similar problems and over the students, who meet the same problems, so that what shares an
    explanation or a problem counts once. With the frozen student only where `held_out`, else without it. Empty when the
    exam was not sat.
    """
    stored = state.get("marks", {}).get(which)
    if stored is None:
        return []
    live = {Version.parse(row["version"]).agent: row["version"] for row in stored["exams"]}.values()
    table = answer_table(stored["lessons"])
    table = table[table["student"].isin(live) != held_out]
    gain = table[arm] - table["control"]
    return gain.groupby([table["teacher"], table["domain"], table["match"]], sort=False).mean().tolist()


def teaching_over_run(state: Mapping[str, Any]) -> dict[str, Estimate]:
    """Mean Δ in percentage points at the start and the end, and its change between.

    Keys: live_start, live_end and live_change for the live students, held_out_… for the frozen one; what was not
    measured is left out.
    """
    found: dict[str, Estimate] = {}
    for label, held_out in (("live", False), ("held_out", True)):
        items: dict[str, list[float]] = {}
        for which in reversed(NEWEST_FIRST):
            values = [100 * value for value in gains_by_explanation(state, which, held_out=held_out)]
            estimate = mean(values)
            if estimate is not None:
                items[which], found[f"{label}_{which}"] = values, estimate
        if len(items) == 2:
            start, end = items["start"], items["end"]
            found[f"{label}_change"] = (
                paired_gain(start, end)
                if len(start) == len(end)
                else difference(found[f"{label}_end"], found[f"{label}_start"])
            )
    return found


# ------------------------------------------------------------------------------------------ the newest measurement
def latest_results(reader: RunReader) -> tuple[int, StoredResults] | None:
    """Round and results of the newest measurement of Δ that is still kept, or of the last exam."""
    latest = reader.latest_round() or 0
    for number in range(latest, max(-1, latest - RECENT), -1):
        kept = reader.figures(number)
        if kept and kept.get("lessons"):
            return number, kept["lessons"]
    for which in NEWEST_FIRST:
        results = reader.state().get("marks", {}).get(which, {}).get("lessons")
        if results:
            return latest if which == "end" else 0, results
    return None


def teaching_now(reader: RunReader) -> Estimate | None:
    """Mean Δ of the newest measurement over all teachers and live students, in percentage points."""
    newest = latest_results(reader)
    if newest is None:
        return None
    table = answer_table(newest[1])
    table = table[table["student"].isin(_live_students(newest[1]))]
    return mean((100.0 * (table["taught"] - table["control"])).tolist())


def gain_beyond_shuffled(reader: RunReader) -> Estimate | None:
    """Mean of taught − shuffled over the paired problems of the newest measurement.

    All pairs together, in percentage points; None before the first.
    """
    newest = latest_results(reader)
    if newest is None:
        return None
    table = answer_table(newest[1])
    return mean((100.0 * (table["taught"] - table["shuffled"])).tolist())


def logprob_difference(reader: RunReader, arm: Literal["control", "shuffled"]) -> Estimate | None:
    """Mean of taught − arm of the newest measurement, in nats per token of the true solution.

    Over explanations, since problems share one; None where log-probabilities were not measured.
    """
    newest = latest_results(reader)
    items = []
    for result in newest[1] if newest is not None else ():
        if (read := result.get("logprobs")) is not None:
            gains = np.array(read["taught"]) - np.array(read[arm])
            items += gains.reshape(-1, int(result.get("similar", 1))).mean(1).tolist()
    return mean(items)


def teaching_matrix(reader: RunReader, arm: Arm = "taught") -> Matrix | None:
    """Teacher × student Δ of the newest measurement, from paired problems; None before the first.

    Arm "shuffled" is its control. A student stands under its agent's name; an older self beside it, the held-out
    student, under `name@step`. Both arms share a colour scale.
    """
    newest = latest_results(reader)
    if newest is None:
        return None
    number, results = newest
    teachers, students, sums = _sums_by_pair(results)
    largest = [np.abs(100 * total_TS / np.maximum(n_TS, 1)).max() for n_TS, total_TS, _ in sums.values()]
    n_TS, total_TS, total_sq_TS = sums[arm]
    # a change of accuracy lies within ±1
    values_TS, low_TS, high_TS = (np.clip(part_TS, -1.0, 1.0) for part_TS in means(n_TS, total_TS, total_sq_TS))
    return Matrix(
        "Teaching gain Δ" if arm == "taught" else "Δ of a shuffled explanation (control)",
        f"percentage points, round {number}",
        rows=teachers,
        cols=students,
        values=100 * values_TS,
        scale="points",
        low=100 * low_TS,
        high=100 * high_TS,
        n=n_TS,
        row_axis="teacher",
        col_axis="student",
        reach=max(10.0, *map(float, largest)),
    )


def _sums_by_pair(
    results: StoredResults,
) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, tuple[Floats, Floats, Floats]]]:
    """Teachers, students, and per arm n, Σx and Σx² (teachers, students) of x = arm − control."""
    live = _live_students(results)
    table = answer_table(results)
    table["teacher"] = [Version.parse(text).agent for text in table["teacher"]]
    table["student"] = [Version.parse(text).agent if text in live else text for text in table["student"]]
    teachers, students = (tuple(table[side].unique()) for side in ("teacher", "student"))
    sums = {}
    for arm in ("taught", "shuffled"):
        gain = table[arm] - table["control"]
        pairs = table.assign(n=1.0, total=gain, total_sq=gain**2).groupby(["teacher", "student"])
        n_TS, total_TS, total_sq_TS = (
            pairs[name].sum().unstack().reindex(index=teachers, columns=students).fillna(0.0).to_numpy(float)
            for name in ("n", "total", "total_sq")
        )
        sums[arm] = n_TS, total_TS, total_sq_TS
    return teachers, students, sums


def _live_students(results: StoredResults) -> set[str]:
    """Each student agent's newest version among the results; older ones are held-out students."""
    newest: dict[str, Version] = {}
    for result in results:
        version = Version.parse(result["student"])
        newest[version.agent] = max(version, newest.get(version.agent, version))
    return {str(version) for version in newest.values()}
