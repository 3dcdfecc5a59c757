"""`league train`, `league resume`, `league pause`, `league stop`: the life of a run."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    config: Annotated[Path, typer.Argument(help="YAML configuration, e.g. configs/quickstart.yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings as key.sub=value, applied after the file.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Start a run and train it to its end."""
    from league.preflight.checks import prepare_file

    prepared = prepare_file(config, overrides or [])
    checked = prepared.config
    from league.loop import train as start
    from league.round.report import LiveReport

    with LiveReport(checked.folder, checked.league.rounds, quiet=quiet) as audience:
        start(prepared, audience)


def resume(
    run: Annotated[Path, typer.Argument(help="Run folder, e.g. runs/quickstart.")],
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Continue a run from its last committed round."""
    from league.store.reader import RunReader

    with RunReader.read(run) as reader:
        done, began_with = reader.latest_round(), reader.config_text()
    from league.loop import resume as go_on
    from league.round.report import LiveReport
    from league.runtime.assembly import read_config
    from league.store.environment import changes, differences

    rounds = read_config(run).league.rounds
    for line in differences(began_with, (run / "config.yaml").read_text(encoding="utf-8")):
        typer.echo(f"note: config.yaml was edited: {line}", err=True)
    for line in changes(run):
        typer.echo(f"note: {line}; what follows may differ in the last bits", err=True)
    with LiveReport(run, rounds, first=done, quiet=quiet) as audience:
        go_on(run, audience)
    with RunReader.read(run) as reader:
        beat = reader.heartbeat()
        if reader.latest_round() == done and beat is not None and not quiet:
            typer.echo(f"{run}: no round was played ({beat.phase})")


def stop(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    reason: Annotated[str, typer.Option("--reason", help="Kept in events.jsonl.")] = "stop requested",
) -> None:
    """Ask a live run to finish its round, commit and exit; `league resume` continues it."""
    from league.store.run import request_stop

    if (idle := _idle(run)) is not None:
        typer.echo(idle)
        return
    request_stop(run, reason)
    typer.echo(f"{run} will stop after its current round; continue it with `league resume {run}`")


def pause(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    off: Annotated[bool, typer.Option("--off", help="Let a paused run go on.")] = False,
) -> None:
    """Ask a live run to wait after its current round, keeping its memory.

    `league pause RUN --off` lets it go on.
    """
    from league.store.run import request_stop, withdraw_stop

    if off:
        withdraw_stop(run)
        typer.echo(f"{run} goes on")
        return
    if (idle := _idle(run)) is not None:
        typer.echo(idle)
        return
    request_stop(run, "pause requested", "pause")
    typer.echo(f"{run} will wait after its current round; `league pause {run} --off` lets it go on")


def _idle(run: Path) -> str | None:
    """What to say of a run that no process is training.

    None: a process may be training it, perhaps on another machine.
    """
    import socket

    from league.store.lock import owner_alive, read_owner
    from league.store.reader import RunReader

    with RunReader.read(run) as reader:
        beat = reader.heartbeat()
    owner = read_owner(run / "lock")
    if owner is not None and (owner["host"] != socket.gethostname() or owner_alive(run / "lock")):
        return None
    return (
        f"no process is training {run} ({beat.phase if beat else 'never started'}), so there is nothing to stop; "
        f"`league resume {run}` continues it"
    )
