"""`league compare RUN RUN`: two runs side by side per domain, e.g. a league and its baseline."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from league.reporting.queries.spending import Equality


def compare(
    first: Annotated[Path, typer.Argument(help="Run folder.")],
    second: Annotated[Path, typer.Argument(help="Run folder to compare with.")],
    equal: Annotated[
        Literal["data", "tokens", "flops"] | None,
        typer.Option("--equal", help="What both are meant to have had the same of; warns where they had not."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Held-out accuracy of two runs per domain, the difference with its interval, and what each has spent."""
    from league.reporting.queries.exam_results import compare_runs
    from league.reporting.queries.spending import equality
    from league.reporting.text.spending import warnings
    from league.store.reader import RunReader

    with RunReader.read(first) as one, RunReader.read(second) as two:
        states = [one.begun(), two.begun()]
        rows = compare_runs(one, two)
        runs = [str(first), str(second)]
        spent = equality(states[0], states[1], equal)
        unfinished = [
            run for run, state in zip(runs, states, strict=True) if not state["marks"].get("end", {}).get("exams")
        ]
        without_exam = list(dict.fromkeys(unfinished))
        if as_json:
            found = {
                "runs": runs,
                "domains": [asdict(row) for row in rows],
                "tokens": {run: state["tokens"] for run, state in zip(runs, states, strict=True)},
                "without_last_exam": without_exam,
                "equal": equal,
                "quantities": [asdict(each) | {"gap": each.gap} for each in spent.quantities],
                "warnings": warnings(spent, *runs),
            }
            typer.echo(json.dumps(found, indent=2))
            return
        from rich.console import Console

        from league.reporting.queries.spending import spending
        from league.reporting.text.spending import spending_line
        from league.reporting.text.tables import comparison_table

        Console().print(comparison_table(rows, first.resolve().name, second.resolve().name))
        for run, line in {run: spending_line(spending(state)) for run, state in zip(runs, states, strict=True)}.items():
            typer.echo(f"{run}: {line}")
        _say_equality(spent, runs)
        for run in without_exam:
            typer.echo(
                f"note: {run} has no last exam to compare: "
                f"it has not been trained to its end (`league resume {run}`), or nobody sits exams there"
            )


def _say_equality(spent: "Equality", runs: list[str]) -> None:
    """On what the runs are held equal, where they are not, and what else differs."""
    if spent.held is None:
        return
    from league.reporting.text.spending import other_differences, warnings

    found = warnings(spent, *runs)
    if not found:
        typer.echo(f"held equal: {spent.held.words}, {spent.held.gap:.1%} apart")
    for warning in found:
        typer.secho(f"warning: not equal in what --equal names. {warning}", fg="yellow")
    for note in other_differences(spent, *runs):
        typer.secho(f"  also different: {note}", dim=True)
