"""`league train`, `league resume`, `league pause`, `league stop`: the life of a run."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer


def _hush(context: typer.Context, quiet: bool) -> bool:
    """Warnings are no errors, a library's no more than our own: none is printed until the command ends."""
    if quiet:
        context.with_resource(_errors_only())
    return quiet


@contextmanager
def _errors_only() -> Iterator[None]:
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.showwarning = _ignore  # whatever filters a library may set
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


def _ignore(*_: object, **__: object) -> None: ...


Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.", callback=_hush)]


def train(
    config: Annotated[Path, typer.Argument(help="YAML configuration, e.g. configs/quickstart.yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings as key.sub=value, applied after the file.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Start a run and train it to its end."""
    with _last_words(None):
        from league.model.fetch import to_stderr
        from league.preflight.checks import prepare_file

        prepared = prepare_file(config, overrides or [], progress=_ignore if quiet else to_stderr)
    checked = prepared.config
    with _last_words(checked.folder):
        from league.api.callbacks import with_callbacks
        from league.loop import train as start
        from league.round.report import LiveReport

        with LiveReport(checked.folder, checked.league.rounds, quiet=quiet) as audience:
            start(prepared, with_callbacks(audience, checked))
    _say_how_it_ended(checked.folder, None, quiet)


def resume(
    run: Annotated[Path, typer.Argument(help="Run folder, e.g. runs/quickstart.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings to change from here on, as key.sub=value.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Continue a run from its last committed round, with other settings where they are given."""
    from league.store.reader import RunReader

    with RunReader.read(run) as reader:
        done, began_with = reader.latest_round(), reader.config_text()
    with _last_words(run):
        from league.api.callbacks import with_callbacks
        from league.loop import resume as go_on
        from league.reporting.text.transcripts import clean
        from league.reporting.write_schedule import WriteSchedule
        from league.round.report import LiveReport
        from league.runtime.changed_config import read_changed
        from league.store.environment import changes, differences
        from league.store.lock import owner_alive

        changed = read_changed(run, overrides or [])
        rounds, every = changed.config.league.rounds, changed.config.evaluation.every
        file = (run / "config.yaml").read_text(encoding="utf-8")
        for line in differences(began_with, file):
            typer.echo(clean(f"note: config.yaml was edited: {line}"), err=True)
        for line in differences(file, changed.text or file) if not owner_alive(run / "lock") else ():
            typer.echo(clean(f"note: from here on: {line}"), err=True)
        for line in changes(run):
            typer.echo(clean(f"note: {line}; what follows may differ in the last bits"), err=True)
        with LiveReport(run, rounds, first=done, quiet=quiet) as audience:
            go_on(run, with_callbacks(audience, changed.config), overrides or [])
            with RunReader.read(run) as reader:
                audience.complete(reader, WriteSchedule(rounds, every))
    _say_how_it_ended(run, done, quiet)


def _say_how_it_ended(run: Path, before: int | None, quiet: bool) -> None:
    """One line where no round was played, or not all. `before`: the newest round when this process began."""
    from league.store.reader import RunReader

    with RunReader.read(run) as reader:
        latest, beat = reader.latest_round(), reader.heartbeat()
    if quiet or beat is None:
        return
    if before is not None and latest == before:
        typer.echo(f"{run}: no round was played ({beat.phase})")
    elif beat.phase.startswith(("stopped: signal", "stopped: stop")):
        typer.echo(f"{beat.phase}; {_what_is_safe(run)}")


@contextmanager
def _last_words(run: Path | None) -> Iterator[None]:
    """Whoever interrupts is told what is safe. `run`: the folder of the run, None before there is one."""
    from league.errors import Interrupted

    try:
        yield
    except KeyboardInterrupt:
        safe = "nothing was written" if run is None else _what_is_safe(run)
        raise Interrupted(f"interrupted; {safe}") from None


def _what_is_safe(run: Path) -> str:
    """What of a run a later process goes on from, and how."""
    from league.errors import LeagueError
    from league.store.opening import DATABASE
    from league.store.reader import RunReader
    from league.store.warmup_progress import steps_kept

    if not (run / DATABASE).is_file():
        return "no run folder was made yet"
    try:
        with RunReader.read(run) as reader:
            latest = reader.latest_round()
    except LeagueError as error:
        return str(error)
    go_on, kept = f"`league resume {run}` continues", steps_kept(run)
    if latest is not None:
        return f"round {latest} is safe: {go_on}"
    if kept is not None:
        return f"{kept[0]} of {kept[1]} steps of the warm-up are safe: {go_on}"
    return f"nothing was learned yet: `league resume {run}` begins again"


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
