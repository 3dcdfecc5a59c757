"""`league sweep CONFIG --seeds 1..5 [key=a,b …]`: every combination with every seed, and one table."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from league.sweeps.plan import SweepPlan, SweepRun
    from league.sweeps.results import RunResult


def sweep(
    config: Annotated[Path, typer.Argument(help="YAML configuration.")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="key.sub=a,b: the values a setting takes; a list as one value is [a,b].")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", help="As in 1..5 or 1,2,7; by default the config's own.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=256, help="Runs trained at a time.")] = 1,
    name: Annotated[
        str | None, typer.Option("--name", help="Folder of the sweep in runs/; by default the config's name.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, list the runs and stop.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Train runs again that failed before.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Allow more than 100 runs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Train every combination of settings with every seed, each as a run of its own.

    The same command again goes on: finished runs stay, interrupted ones are resumed. Exit code 1 when one failed.
    """
    from league.errors import Interrupted
    from league.store.lock import RunInUse, RunLock
    from league.sweeps.plan import plan_sweep
    from league.sweeps.processes import Sweeper
    from league.sweeps.results import results_of
    from league.sweeps.standing import progress_of, read_failed, require_same, write_sweep

    plan = plan_sweep(config, seeds, settings or [], name, many=yes)
    require_same(plan)
    _check_arms(plan)
    if dry_run:
        _list_runs(plan, as_json)
        return
    plan.folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = RunLock(plan.folder / "lock")
    except RunInUse as error:
        who = str(error).partition(" is in use by ")[2].partition(";")[0]
        raise RunInUse(f"{plan.folder} is in use by another sweep ({who}); wait for it, or choose --name") from error
    try:
        require_same(plan)
        failed = read_failed(plan.folder)
        write_sweep(plan, failed)
        say = partial(typer.echo, err=as_json)
        wanted = _wanted(plan, {run.label: progress_of(run, failed).standing for run in plan.runs}, retry=retry)
        sweeper = Sweeper(plan, jobs, say, failed)
        sweeper.run_all(wanted)
        results = results_of(plan, sweeper.failed)
    finally:
        lock.release()
    _print_results(plan, results, as_json)
    if sweeper.signals:
        raise Interrupted(f"interrupted; `league sweep {config} …` again goes on where the runs are")
    if any(each.standing in ("failed", "busy") for each in results):
        if any(each.standing == "failed" for each in results):
            typer.echo("failed runs are trained again with --retry", err=True)
        raise typer.Exit(1)


def _wanted(plan: "SweepPlan", standing: dict[str, str], *, retry: bool) -> list["SweepRun"]:
    """The runs to train: those that are new or begun, and with `retry` those that failed."""
    again = ("new", "begun", "failed") if retry else ("new", "begun")
    return [run for run in plan.runs if standing[run.label] in again]


def _check_arms(plan: "SweepPlan") -> None:
    """Preflight of every arm with its first seed: nothing runs before all could."""
    from league.preflight.checks import prepare
    from league.registry import add_code_folders

    add_code_folders(Path.cwd(), plan.config.parent)
    for arm in plan.arms():
        first = next(run for run in plan.runs if run.arm == arm)
        prepare(plan.configs[first.label], new_run=not first.folder.exists(), source=f"{plan.config} ({first.label})")


def _list_runs(plan: "SweepPlan", as_json: bool) -> None:
    from league.sweeps.standing import progress_of, read_failed

    failed = read_failed(plan.folder)
    runs = [(run, progress_of(run, failed)) for run in plan.runs]
    if as_json:
        rows = [
            {"run": run.label, "folder": str(run.folder), "seed": run.seed, "settings": run.overrides} | asdict(now)
            for run, now in runs
        ]
        typer.echo(json.dumps({"sweep": str(plan.folder), "runs": rows}, indent=2))
        return
    for run, now in runs:
        typer.echo(f"{run.folder}  {' '.join(run.overrides[:-3])}  {now.standing}".replace("    ", "  "))
    typer.echo(f"{len(runs)} runs: {len(plan.arms())} arms × {len(plan.seeds)} seeds")


def _print_results(plan: "SweepPlan", results: "list[RunResult]", as_json: bool) -> None:
    from league.sweeps.results import arm_results, sweep_table

    if as_json:
        arms = [asdict(arm) for arm in arm_results(results)]
        found = {"sweep": str(plan.folder), "arms": arms, "runs": [asdict(each) for each in results]}
        typer.echo(json.dumps(found, indent=2))
        return
    from rich.console import Console

    Console().print(sweep_table(results))
