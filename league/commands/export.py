"""`league export RUN`: the best agents as plain PEFT folders, each with its model card."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from league.runtime.export import Exported


def export(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write one sub-folder per agent into.")],
    best: Annotated[int, typer.Option("--best", min=1, help="How many agents, best first.")] = 1,
    by: Annotated[
        Literal["accuracy", "rating", "validation"],
        typer.Option(
            "--by",
            help="Held-out accuracy over all domains, overall rating, or each agent's best version on validation "
            "problems (evaluation.keep_best).",
        ),
    ] = "accuracy",
    agent: Annotated[
        list[str] | None,
        typer.Option("--agent", help="Export these agents or versions (name or name@step) instead of the best ones."),
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Write full models with the adapter merged in.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Export agents as flat PEFT checkpoints that `PeftModel.from_pretrained` loads unchanged."""
    from league.runtime.export import choose, export_agents
    from league.store.reader import RunReader

    with RunReader.read(run) as reader:
        chosen = choose(reader, best, by, agent or [])
        done: list[Exported] = export_agents(run, reader, chosen, out, merge=merge)
    if as_json:
        typer.echo(
            json.dumps(
                [
                    {"agent": e.agent, "version": str(e.version), "folder": str(e.folder), "score": e.score}
                    for e in done
                ],
                indent=2,
            )
        )
        return
    for each in done:
        typer.echo(f"{each.version} → {each.folder}" + (f"  ({by} {each.score:.3f})" if each.score is not None else ""))
