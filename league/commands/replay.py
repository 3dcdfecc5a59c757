"""`league replay RUN MATCH`: a stored match played again, and whether every token agrees."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from league.evaluation.replay import Replay


def replay(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    match: Annotated[str, typer.Argument(help="Match id, as `league show-match RUN` lists them.")],
    alone: Annotated[
        bool, typer.Option("--alone", help="Leave out the matches that were played with it: quicker, but for bits.")
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="A log-probability that differs in its last bit differs.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Play a stored match again from its weights and say whether every token agrees.

    Exit code 1 when one does not.
    """
    from league.evaluation.replay import replay_match

    found = replay_match(run, match, alone=alone, exact=exact)
    if as_json:
        typer.echo(json.dumps(asdict(found) | {"run": str(run), "agrees": found.agrees}, indent=2))
    else:
        typer.echo(_words(found))
    if not found.agrees:
        raise typer.Exit(1)


def _words(found: "Replay") -> str:
    """One line that says it, and the notes below."""
    from league.reporting.text.transcripts import clean

    said = f"match {found.match}: {found.replies} replies, {found.tokens} tokens"
    if found.differs is not None:
        lines = [f"{said}: differs", f"  first: {found.differs}"]
    elif not found.logprobs:
        lines = [f"{said}: every text agrees"]
    else:
        gap = "agree bit for bit" if not found.largest_gap else f"agree to {found.largest_gap:.1e}"
        lines = [f"{said}: every token agrees", f"  {found.logprobs} log-probabilities {gap}"]
    if found.together > 1:
        lines.append(f"  played together with {found.together - 1} others, as then")
    return clean("\n".join([*lines, *(f"  note: {note}" for note in found.notes)]))
