"""`league analyze FILE.csv`: cycles and rankings of any payoff matrix, without a league."""

from pathlib import Path
from typing import Annotated

import typer


def analyze(
    file: Annotated[
        Path, typer.Argument(help="CSV: first row and first column are names, cells are payoffs of row against column.")
    ],
    antisymmetric: Annotated[
        bool, typer.Option("--antisymmetric", help="Cells are margins in [-1, 1] instead of win probabilities.")
    ] = False,
    counts: Annotated[
        bool, typer.Option("--counts", help="Cells are counts w:l or w:d:l; cycles are certified from them.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
    alpha: Annotated[float, typer.Option(help="With --counts: family-wise error rate of certified edges.")] = 0.05,
) -> None:
    """Find cycles and rank agents in a payoff matrix."""
    from league.errors import DataError
    from league.payoffs.analyze import analyze_file, text_view

    if antisymmetric and counts:
        raise DataError("--antisymmetric and --counts exclude each other: cells are either margins or counts")
    result = analyze_file(file, "counts" if counts else "antisymmetric" if antisymmetric else "probability", alpha)
    if as_json:
        typer.echo(result.to_json())
        return
    from rich.console import Console

    Console().print(text_view(result))
