"""`league compare RUN RUN`: two runs side by side per domain, e.g. a league and its baseline."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def compare(
    first: Annotated[Path, typer.Argument(help="Run folder.")],
    second: Annotated[Path, typer.Argument(help="Run folder to compare with.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Held-out accuracy of two runs per domain, the difference with its interval, and tokens used."""
    from league.reporting.queries.exam_results import compare_runs
    from league.store.reader import RunReader

    with RunReader.read(first) as one, RunReader.read(second) as two:
        states = {str(run): reader.begun() for run, reader in ((first, one), (second, two))}
        rows = compare_runs(one, two)
    tokens = {run: state["tokens"] for run, state in states.items()}
    without_exam = [run for run, state in states.items() if not state["marks"].get("end", {}).get("exams")]
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "runs": [str(first), str(second)],
                    "domains": [asdict(row) for row in rows],
                    "tokens": tokens,
                    "without_last_exam": without_exam,
                },
                indent=2,
            )
        )
        return
    from rich.console import Console

    from league.reporting.text.tables import comparison_table

    Console().print(comparison_table(rows, first.resolve().name, second.resolve().name))
    for run, used in tokens.items():
        typer.echo(f"{run}: {used['sampled']:,} tokens sampled, {used['trained']:,} trained on")
    for run in without_exam:
        typer.echo(
            f"note: {run} has no last exam to compare: "
            f"it has not been trained to its end (`league resume {run}`), or nobody sits exams there"
        )
