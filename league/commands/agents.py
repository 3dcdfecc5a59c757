"""`league agents list|add|retire RUN`: who is in a run, who joins it, who leaves it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from league.config.changes import Joining, MembershipChange
    from league.store.reader import RunReader


def agents(
    action: Annotated[Literal["list", "add", "retire"], typer.Argument(help="list, add or retire.")],
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    name: Annotated[str | None, typer.Argument(help="The agent's name.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            help="add: its settings as key=value, e.g. role=student; domain.kind=… makes its domain. Without any, an "
            "agent that was retired comes back."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List a run's agents, or let one join or leave between two rounds, of a live run or a stopped one."""
    from league.errors import UserError

    if action == "list":
        if name is not None:
            raise UserError("`league agents list RUN` takes no name")
        _list(run, as_json)
        return
    if name is None:
        raise UserError(f"name the agent: `league agents {action} {run} NAME`")
    if action == "retire" and settings:
        raise UserError("`league agents retire RUN NAME` takes no settings")
    _ask(run, name, settings or [], joins=action == "add")


def _ask(run: Path, name: str, settings: Sequence[str], *, joins: bool) -> None:
    """Check a request and leave it for the run's next round."""
    from league.config.changes import Leaving
    from league.preflight.trust import trust_own
    from league.round.membership import checked_request
    from league.runtime.assembly import read_config
    from league.store.agent_requests import leave_agent_request
    from league.store.lock import owner_alive
    from league.store.reader import RunReader

    with RunReader.read(run) as reader:
        place = read_config(run)
        asked: MembershipChange = _joining(reader, name, settings) if joins else Leaving(name)
        config, change = checked_request(reader, place, asked)
    trust_own(run, config)
    leave_agent_request(run, change)
    verb = "joins" if joins else "leaves"
    when = "before its next round" if owner_alive(run / "lock") else f"when `league resume {run}` continues it"
    typer.echo(f"{name} {verb} {run} {when}")


def _joining(reader: "RunReader", name: str, settings: Sequence[str]) -> "Joining":
    """What `key=value …` says of an agent, and of the domain that comes with it. Raises UserError."""
    from league.config.changes import Joining
    from league.config.reading import apply_override
    from league.errors import UserError
    from league.reporting.queries.membership import settings_of_left

    if not settings:
        left = settings_of_left(reader)
        if name not in left:
            raise UserError(f"agents.{name}: nobody of this name left the run, so it needs settings, e.g. role=student")
        return Joining(name, left[name])
    agent: dict[str, Any] = {}
    domain: dict[str, Any] = {}
    for setting in settings:
        of_domain = setting.startswith("domain.")
        problem = apply_override(domain if of_domain else agent, setting.removeprefix("domain."))
        if problem is not None:
            raise UserError(problem)
    if isinstance(agent.get("checkpoint"), str):
        agent["checkpoint"] = str(Path(agent["checkpoint"]).expanduser().resolve())
    if domain and not isinstance(agent.get("domain"), str):
        raise UserError(f"agents.{name}.domain: name the domain that comes with it, e.g. domain=letters")
    return Joining(name, agent, {str(agent["domain"]): domain} if domain else {})


def _list(run: Path, as_json: bool) -> None:
    from dataclasses import asdict

    from league.reporting.queries.membership import membership
    from league.store.reader import RunReader

    with RunReader.read(run) as reader:
        rows = membership(reader)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    from rich.console import Console

    from league.reporting.text.tables import new_table, text

    table = new_table(("agent", "left"), ("role", "left"), ("domain", "left"), ("version", "left"), ("is", "left"))
    for row in rows:
        table.add_row(
            text(row.name), text(row.role), text(row.domain or ""), text(row.version or ""), text(row.standing)
        )
    Console().print(table)
