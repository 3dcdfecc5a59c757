"""`league play RUN AGENT [AGENT]` and `league show-match RUN MATCH`: what was said."""

import json
from pathlib import Path
from typing import Annotated

import typer


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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the transcript of a stored match, or list those that have one."""
    from league.errors import UserError, nearest
    from league.store.reader import RunReader

    with RunReader.read(run) as reader:
        kept = reader.transcript_ids()
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


def _show(shown: object, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    from league.reporting.text.transcripts import transcript_text

    Console().print(transcript_text(shown))
