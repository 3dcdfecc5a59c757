"""`league crossplay RUN [RUN …]`: partners trained together against partners trained apart."""

import json
from pathlib import Path
from typing import Annotated

import typer


def crossplay(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; agents of different runs have trained apart.")],
    task: Annotated[
        list[str] | None, typer.Option("--task", help="Cooperation task, may be repeated; by default every one.")
    ] = None,
    problems: Annotated[int, typer.Option("--problems", min=1, help="Held-out test problems per pairing.")] = 32,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Returns of every first player with every second player, and the self-play gap.

    All pairs get the same held-out problems. Nothing is stored.
    """
    from league.evaluation.crossplay import cross_play

    found = cross_play(runs, task or [], problems)
    view, gap = found.matrix(), dict(zip(("together", "apart", "gap"), found.gap(), strict=True))
    if as_json:
        shown = {
            "task": found.task,
            "problems": problems,
            "rows": view.rows,
            "cols": view.cols,
            "together": found.together.astype(bool).tolist(),
            "returns": [[None if value != value else value for value in line] for line in view.values.tolist()],
            **{name: None if e is None else {"mean": e.value, "low": e.low, "high": e.high} for name, e in gap.items()},
        }
        typer.echo(json.dumps(shown, indent=2))
        return
    from rich.console import Console

    from league.reporting.text.tables import matrix_table

    Console().print(matrix_table(view))
    names = {"together": "trained together", "apart": "trained apart", "gap": "self-play gap"}
    for name, estimate in gap.items():
        if estimate is None:
            typer.echo(f"{names[name]:<17} no such pairing")
        else:
            interval = "" if estimate.low is None else f"  95% [{estimate.low:+.3f}, {estimate.high:+.3f}]"
            typer.echo(f"{names[name]:<17} {estimate.value:+.3f}{interval}")
