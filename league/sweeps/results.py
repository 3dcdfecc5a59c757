"""What the runs of a sweep came to, run by run and arm by arm.

A run's accuracy is that of its learners at its last exam, the mean over all test problems. An arm's is the mean over
its finished seeds, with Student's t interval over seeds: what differs between seeds is all it knows of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from league.reporting.queries.estimates import mean
from league.reporting.queries.exam_results import ALL, learners, overall_gain, read_exam
from league.reporting.queries.spending import spending
from league.reporting.views import Estimate
from league.store.reader import RunReader
from league.sweeps.plan import SweepPlan, SweepRun
from league.sweeps.standing import RunProgress, Standing, progress_of

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class RunResult:
    """One run and where it stands; the numbers are None before its last exam, or where it holds none."""

    label: str
    arm: str
    seed: int
    folder: str
    standing: Standing
    round: int | None
    reason: str = ""
    accuracy: float | None = None
    gain: float | None = None
    """Its accuracy less that before the first round."""
    tokens: int | None = None
    """Sampled and trained on."""
    seconds: float | None = None


@dataclass(frozen=True)
class ArmResult:
    """The runs of one combination of settings together."""

    arm: str
    runs: int
    finished: int
    accuracy: Estimate | None
    gain: Estimate | None
    tokens: float | None
    """Mean over the finished runs."""
    seconds: float | None


def results_of(plan: SweepPlan, failed: Mapping[str, str]) -> list[RunResult]:
    """All runs in the plan's order."""
    return [_result(run, progress_of(run, failed)) for run in plan.runs]


def _result(run: SweepRun, now: RunProgress) -> RunResult:
    found = RunResult(
        label=run.label,
        arm=run.arm,
        seed=run.seed,
        folder=str(run.folder),
        standing=now.standing,
        round=now.round,
        reason=now.reason,
    )
    if now.standing != "finished":
        return found
    with RunReader.read(run.folder) as reader:
        state, times = reader.state(), reader.round_times()
    exam, gain = read_exam(state, "end"), overall_gain(state)
    right = exam.shares_right(learners(state), ALL) if exam is not None else []
    return RunResult(
        **vars(found)
        | {
            "accuracy": fmean(right) if right else None,
            "gain": None if gain is None else gain.gain.value,
            "tokens": spending(state).budget,
            "seconds": sum(seconds for _, seconds, _ in times),
        }
    )


def arm_results(results: Sequence[RunResult]) -> list[ArmResult]:
    """The results arm by arm, in order."""
    found = []
    for arm in dict.fromkeys(each.arm for each in results):
        runs = [each for each in results if each.arm == arm]
        ended = [each for each in runs if each.standing == "finished"]
        found.append(
            ArmResult(
                arm=arm,
                runs=len(runs),
                finished=len(ended),
                accuracy=mean([each.accuracy for each in ended if each.accuracy is not None]),
                gain=mean([each.gain for each in ended if each.gain is not None]),
                tokens=_mean([each.tokens for each in ended]),
                seconds=_mean([each.seconds for each in ended]),
            )
        )
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def sweep_table(results: Sequence[RunResult]) -> "RenderableType":
    """One line an arm, and below it one a run that is not finished."""
    from rich.console import Group
    from rich.text import Text

    from league.reporting.text.spending import count
    from league.reporting.text.tables import duration, interval, new_table, text, titled

    columns = {
        "arm": "left", "finished": "right", "accuracy": "right", "gain": "right", "tokens a run": "right",
        "time a run": "right",
    }  # fmt: skip
    table = new_table(*columns.items())
    for arm in arm_results(results):
        table.add_row(
            text(arm.arm or "all seeds"),
            f"{arm.finished}/{arm.runs}",
            interval(arm.accuracy),
            interval(_points(arm.gain), "points", 0.0),
            "–" if arm.tokens is None else count(round(arm.tokens)),
            "–" if arm.seconds is None else duration(arm.seconds),
        )
    note = "mean over the finished seeds, 95% t intervals over seeds; gain in percentage points"
    left = [each for each in results if each.standing != "finished"]
    lines = [Text(f"  {each.label}: {_standing(each)}", overflow="fold") for each in left]
    return Group(titled("Held-out accuracy at the last exam", table, note), *lines)


def _standing(each: RunResult) -> str:
    at = "" if each.round is None else f", round {each.round} is safe"
    why = f": {each.reason}" if each.reason else ""
    words = {"new": "not begun", "begun": "not finished", "busy": "busy", "failed": "failed", "finished": "finished"}
    return f"{words[each.standing]}{why}{at}"


def _points(estimate: Estimate | None) -> Estimate | None:
    if estimate is None:
        return None
    low, high = (None if bound is None else 100 * bound for bound in (estimate.low, estimate.high))
    return Estimate(100 * estimate.value, low, high, estimate.n)
