"""`league pin RUN VERSION …` and `league unpin RUN VERSION …`: versions whose weights stay."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from league.types import Version

Run = Annotated[Path, typer.Argument(help="Run folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def pin(
    run: Run,
    versions: Annotated[
        list[str] | None,
        typer.Argument(help="Agents or versions (name or name@step); without any, what is pinned is listed."),
    ] = None,
    why: Annotated[str, typer.Option("--why", help="Kept with the pin.")] = "pinned",
    as_json: Json = False,
) -> None:
    """Keep the weights of versions, whatever later rounds delete. Exports do so by themselves."""
    from league.errors import UserError
    from league.store.named_versions import has_weights, named_version
    from league.store.reader import RunReader
    from league.store.run import keep_versions

    if not why.strip() or len(why) > 100:
        raise UserError("--why: expected 1 to 100 characters")
    with RunReader.read(run) as reader:
        if not versions:
            _list(reader.pins(), as_json)
            return
        found = [named_version(reader, name) for name in versions]
        for name, version in zip(versions, found, strict=True):
            if not has_weights(reader, version):
                raise UserError(f"'{name}' has no weights of its own in this run, so there is nothing to keep")
    done = keep_versions(run, found, why)
    for version in dict.fromkeys(found):
        typer.echo(f"{version} is pinned" if done else f"{version} will be pinned after the current round of {run}")


def unpin(
    run: Run,
    versions: Annotated[list[str], typer.Argument(help="Agents or versions (name or name@step).")],
) -> None:
    """Let pinned versions go: their weights are deleted once the run does not need them itself."""
    from league.errors import UserError
    from league.store.named_versions import stored_version
    from league.store.reader import RunReader
    from league.store.run import let_go

    with RunReader.read(run) as reader:
        found = [stored_version(reader, name) for name in versions]
        pinned = {version for version, _ in reader.pins()}
        for version in found:
            if version not in pinned:
                listed = ", ".join(sorted(map(str, pinned))) or "nothing is"
                raise UserError(f"{version} is not pinned in {run} (pinned: {listed})")
    done = let_go(run, found)
    for version in dict.fromkeys(found):
        typer.echo(f"{version} is not pinned any more" if done else f"{version} will be let go after the current round")


def _list(pins: "Sequence[tuple[Version, str]]", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([{"version": str(version), "why": why} for version, why in pins], indent=2))
        return
    typer.echo("\n".join(f"{version}  {why}" for version, why in pins) or "no version is pinned")
