"""`league play RUN AGENT [AGENT]` and `league show-match RUN MATCH`: what was said."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from league.store.reader import RunReader


def play(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    agents: Annotated[
        list[str], typer.Argument(help="One agent or version (name or name@step) per seat; one alone answers unaided.")
    ],
    task: Annotated[
        str | None, typer.Option("--task", help="Task of the run; by default the one that fits the number of agents.")
    ] = None,
    domain: Annotated[
        str | None, typer.Option("--domain", help="Domain of the problems; by default the teacher's, or the first.")
    ] = None,
    index: Annotated[int, typer.Option("--index", min=0, help="Which problem set of the test split.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the transcript as JSON.")] = False,
) -> None:
    """Play one match between agents of a run and show it. Nothing is stored.

    They play greedily, on held-out problems.
    """
    from league.evaluation.on_demand import play_once

    shown = play_once(run, agents, task=task, domain=domain, index=index)
    _show(shown, as_json)


def show_match(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    match: Annotated[
        str | None, typer.Argument(help="Match id; without it the matches that kept their transcript are listed.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", help="List only matches of this agent or version (name or name@step).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the transcript of a stored match, or list those that have one."""
    from league.errors import UserError, nearest
    from league.store.reader import RunReader

    with RunReader.read(run) as reader:
        kept = reader.transcript_ids()
        if agent is not None:
            if match is not None:
                raise UserError("name a match, or the agent whose matches are listed, not both")
            kept = _of(reader, kept, agent)
        if match is None:
            if as_json:
                typer.echo(json.dumps([{"round": number, "match": name} for number, name in kept]))
            else:
                typer.echo(
                    "\n".join(f"round {number:>4}  {name}" for number, name in kept)
                    or "no transcript is kept in this run"
                )
            return
        shown = reader.transcript(match)
        if shown is None:
            others = nearest(match, [name for _, name in kept]) or "; none is kept there"
            raise UserError(f"match '{match}' has no transcript in {run}{others}")
        _show(shown, as_json)


def _of(reader: "RunReader", kept: "Sequence[tuple[int, str]]", name: str) -> list[tuple[int, str]]:
    """Those of the matches that an agent played, or a version of one."""
    from league.store.named_versions import stored_version

    one = stored_version(reader, name)
    rounds = {number for number, _ in kept}
    met = {
        match.id
        for number in rounds
        for match in reader.matches(number, number, agent=one.agent)
        if "@" not in name or one in match.seats.values()
    }
    return [(number, match) for number, match in kept if match in met]


def _show(shown: object, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    from league.reporting.text.transcripts import transcript_text

    Console().print(transcript_text(shown))
