"""`league train`, `league resume`, `league stop`: the life of a run."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    config: Annotated[Path, typer.Argument(help="YAML configuration, e.g. configs/quickstart.yaml.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Settings as key.sub=value, applied after the file.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Start a run and train it to its end."""
    from league.config import load_config

    checked = load_config(config, overrides or [])
    from league.preflight import prepare

    prepared = prepare(checked)
    from league.loop import train as start
    from league.watch import Watch

    with Watch(checked.folder, checked.league.rounds, quiet=quiet) as audience:
        start(prepared, audience)


def resume(
    run: Annotated[Path, typer.Argument(help="Run folder, e.g. runs/quickstart.")],
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Continue a run from its last committed round."""
    from league.store.reader import RunReader

    with RunReader.read(run) as reader:
        done = reader.latest_round()
    from league.assembly import read_config
    from league.loop import resume as go_on
    from league.watch import Watch

    rounds = read_config(run).league.rounds
    with Watch(run, rounds, first=done, quiet=quiet) as audience:
        go_on(run, audience)


def stop(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    reason: Annotated[str, typer.Option(help="Kept in events.jsonl.")] = "stop requested",
) -> None:
    """Ask a live run to finish its round, commit and exit; `league resume` continues it."""
    from league.store.run import request_stop

    request_stop(run, reason)
    typer.echo(f"{run} will stop after its current round; continue it with `league resume {run}`")
