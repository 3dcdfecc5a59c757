"""`league check CONFIG`: all that can be wrong with a run, and what it would take."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from league.preflight.plan import RunPlan
    from league.round.tryout import TryOut


def check(
    config: Annotated[Path, typer.Argument(help="YAML configuration, e.g. configs/quickstart.yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings as key.sub=value, applied after the file.")
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe/--no-probe", help="Load the model and time this machine for some seconds.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a config as `train` would, and show what the run would be and take.

    Nothing is written and no model is fetched. All that is wrong is listed at once.
    """
    from league.preflight.checks import prepare_file
    from league.preflight.plan import run_plan

    prepared = prepare_file(config, overrides or [], only_check=True)
    plan = run_plan(prepared)
    found: TryOut | None = None
    if prepared.model is not None and probe:
        from league.round.tryout import try_out

        found = try_out(prepared)
    if as_json:
        typer.echo(json.dumps({**plan.to_json(), **_measured(found)}, indent=2))
        return
    from league.reporting.text.transcripts import clean

    typer.echo(clean("\n".join([*_planned(plan), *_expected(plan, found, probe), "nothing was written"])))


def _measured(found: "TryOut | None") -> dict[str, object]:
    """null is what is not known."""
    expected = found.forecast if found is not None else None
    memory = found.memory if found is not None else None
    return {
        "tokens_a_round": None
        if expected is None
        else {name: round(value) for name, value in asdict(expected.work).items()},
        "tokens_a_second": None if expected is None else asdict(expected.speed),
        "seconds": None
        if expected is None
        else {
            "total": expected.total,
            "first_payoff_matrix": expected.first_matrix,
            "a_round": expected.a_round,
            "rounds": expected.rounds,
        },
        "memory_bytes": None if memory is None else asdict(memory),
    }


def _planned(plan: "RunPlan") -> list[str]:
    model = "no model: no agent has weights"
    if plan.model is not None:
        size = f", {plan.parameters / 1e6:.1f}M parameters" if plan.parameters else ", not on this machine"
        model = f"model {plan.model}{size}"
    lines = [f"run {plan.name}, to be written to {plan.folder}", model, f"agents ({len(plan.agents)}):"]
    lines += _table(
        [
            (each.name, each.role, each.domain or "", "trains" if each.trains else "does not train", each.begins)
            for each in plan.agents
        ]
    )
    if plan.domains:
        lines += ["domains:", *_table([(d.name, d.kind, f"level {d.level}", d.field) for d in plan.domains])]
        lines += [f"  {d.name} has {d.about}" for d in plan.domains if d.about is not None]
    lines += [f"tasks, {plan.matches} matches in each of {plan.rounds} rounds:"]
    return lines + _table(
        [(t.name, t.kind, t.relation, f"{t.matches} matches", f"seats {', '.join(t.seats)}") for t in plan.tasks]
    )


def _expected(plan: "RunPlan", found: "TryOut | None", probe: bool) -> list[str]:
    if not plan.model_here:
        return [
            f"time and memory are unknown until the model is here: `league fetch-model {plan.model}` fetches it; its "
            "layers, chat template and context were not checked either"
        ]
    if found is None:
        return ["time and memory were not measured (--no-probe)"] if plan.model is not None and not probe else []
    lines = []
    if found.failed is not None:
        lines.append(f"how long it will take here could not be found out ({found.failed})")
    if found.forecast is not None:
        work = found.forecast.work
        lines.append(
            f"tokens a round: about {work.read:,.0f} read, {work.drawn:,.0f} drawn, {work.learned:,.0f} learned from"
        )
    if found.memory is not None:
        memory = found.memory
        lines.append(
            f"memory: base {_mega(memory.base)}, adapters with optimizer {_mega(memory.adapters)}; the probe took "
            f"{_mega(memory.peak)} in all, a round takes more"
        )
    return lines + (str(found.forecast).splitlines() if found.forecast is not None else [])


def _mega(count: int) -> str:
    return f"{count / 1e6:,.0f} MB" if count >= 1e6 else f"{count / 1e3:,.0f} kB"


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Columns as wide as they must be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
