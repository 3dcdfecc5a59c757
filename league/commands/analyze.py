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
    wins: Annotated[
        bool, typer.Option("--wins", help="Cells are whole numbers: wins of row against column, as counts.")
    ] = False,
    matches: Annotated[
        bool,
        typer.Option(
            "--matches",
            help="One match a line, in columns player_a, player_b and winner (a name, draw, or a score 1-0).",
        ),
    ] = False,
    encoding: Annotated[str, typer.Option(help="Code page of the file, e.g. cp1252.")] = "utf-8",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
    alpha: Annotated[float, typer.Option(help="With --counts: family-wise error rate of certified edges.")] = 0.05,
) -> None:
    """Find cycles and rank agents in a payoff matrix."""
    from league.errors import DataError
    from league.payoffs.analyze import analyze_file, text_view
    from league.payoffs.csv_matrix import Mode

    chosen: dict[Mode, bool] = {"antisymmetric": antisymmetric, "counts": counts, "wins": wins, "matches": matches}
    modes = [mode for mode, on in chosen.items() if on]
    if len(modes) > 1:
        raise DataError(f"--{' and --'.join(modes)} exclude each other: the file holds one kind of values")
    result = analyze_file(file, modes[0] if modes else "probability", alpha, encoding)
    if as_json:
        typer.echo(result.to_json())
        return
    from rich.console import Console

    Console().print(text_view(result))
