"""`league trust RUN`: allow a run from elsewhere the addresses, keys, code and models that it names."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from league.store.trusted import Access


def trust(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    show: Annotated[bool, typer.Option("--show", help="Only show what the run names.")] = False,
    off: Annotated[bool, typer.Option("--off", help="Take trust back: the run is a stranger's again.")] = False,
) -> None:
    """Show what a run names that a stranger could misuse, and allow it.

    That is: addresses, the keys they are sent, code, and models to fetch. Runs that were begun here need none of it.
    """
    from league.errors import UserError
    from league.model.fetch import is_here
    from league.registry import whereabouts
    from league.runtime.code_folders import look_for_code
    from league.store import trusted

    if show and off:
        raise UserError("--show and --off exclude each other")
    uses = _uses(run)
    known = trusted.trusted_uses(run)
    if any(use.kind == "code" for use in uses):
        look_for_code(run)
    for use in uses:
        where = f" ({whereabouts(use.value)})" if use.kind == "code" else ""
        where += " (it is here now)" if use.kind == "model" and is_here(use.value) else ""
        typer.echo(f"{run} {use.words}{where}{': trusted' if use in known and not off else ''}")
    if not uses:
        typer.echo(f"{run} names no address, no key, no code and no model to fetch: there is nothing to trust")
    try:
        if off:
            was = trusted.distrust(run)
            typer.echo(f"{run} is {'no longer' if was else 'not'} trusted")
        elif uses and not show:
            trusted.trust(run, uses)
            typer.echo(f"{run} is trusted: it may do this when it is resumed, played or evaluated by you")
    except OSError as error:
        raise UserError(
            f"{error.filename or 'your state folder'}: {error.strerror}, so nothing can be noted there; set "
            "LEAGUE_STATE to a folder you may write"
        ) from error


def _uses(run: Path) -> "tuple[Access, ...]":
    """What the run names now, and what it named in rounds under another configuration: replays play those."""
    from league.config import try_parse_config
    from league.preflight.trust import uses_of
    from league.runtime.assembly import read_config
    from league.store.reader import RunReader

    now = read_config(run, trusted=False)
    with RunReader.read(run) as reader:
        earlier = [try_parse_config(text, "an earlier one").config for _, text in reader.earlier_configs()]
    configs = [now, *(config for config in earlier if config is not None)]
    return tuple(dict.fromkeys(use for config in configs for use in uses_of(config)))
