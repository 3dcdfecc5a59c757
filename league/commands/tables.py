"""Commands that print a table of a run: status, payoffs, cycles, ladder, lineage, evaluate.

The run may be live or finished. All take --json.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from league.reporting.views import Matrix, TeachingInteraction

Run = Annotated[Path, typer.Argument(help="Run folder, e.g. runs/quickstart.")]
NOTHING_YET = "; no match of such a task has been counted yet"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def status(
    run: Annotated[
        Path | None, typer.Argument(help="Run folder, e.g. runs/quickstart; without it the runs in runs/ are listed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Where a run stands: round, agents, ratings, accuracy, and whether its process is alive."""
    from league.reporting.queries.run_status import status as read_status
    from league.store.reader import RunReader

    if run is None:
        _list_runs(Path("runs"), as_json)
        return
    with RunReader.read(run) as reader:
        view = read_status(reader)
        beat = reader.heartbeat()
        if as_json:
            _json({**_plain(asdict(view)), "heartbeat": asdict(beat) if beat else None})
            return
        from league.reporting.text.tables import status_table

        _print(status_table(view))
        if beat is not None:
            typer.echo(
                f"last sign of life {beat.age:.0f} s ago: round {beat.round}, {beat.phase}"
                + (f", {beat.detail}" if beat.detail else "")
                + (f", for {beat.at - beat.since:.0f} s" if beat.alive else " (process ended)")
            )


def _list_runs(folder: Path, as_json: bool) -> None:
    """Print name, round and last phase of every run in a folder, by name.

    A run that cannot be read says why in its line.
    """
    from league.errors import LeagueError
    from league.store.opening import DATABASE
    from league.store.reader import RunReader

    rows: list[dict[str, object]] = []
    depths = (f"*/{DATABASE}", f"*/*/{DATABASE}", f"*/*/*/{DATABASE}")  # sweeps have theirs in folders
    for path in sorted(place.parent for depth in depths for place in folder.glob(depth)):
        try:
            with RunReader.read(path) as reader:
                beat = reader.heartbeat()
                rows.append(
                    {
                        "run": str(path),
                        "round": reader.latest_round(),
                        "phase": beat.phase if beat else None,
                        "alive": bool(beat and beat.alive),
                    }
                )
        except LeagueError as error:
            rows.append({"run": str(path), "problem": str(error)})
    if as_json:
        _json(rows)
        return
    for row in rows:
        said = (
            row.get("problem")
            or f"round {'none' if row['round'] is None else row['round']}, {row['phase'] or 'never started'}"
        )
        typer.echo(f"{row['run']}: {said}{', alive' if row.get('alive') else ''}")
    if not rows:
        typer.echo(f"no run in {folder.resolve()}")


def payoffs(
    run: Run,
    task: Annotated[str | None, typer.Option("--task", help="One task; by default every one that has payoffs.")] = None,
    by: Annotated[
        Literal["agent", "version"], typer.Option("--by", help="Pool an agent's versions, or keep them apart.")
    ] = "agent",
    as_json: Json = False,
) -> None:
    """Win rates, teaching gains and joint returns between agents, and what teaching caused."""
    from league.errors import UserError, nearest
    from league.reporting.queries.channel_audit import channel_audit
    from league.reporting.queries.competence import competence_matrix
    from league.reporting.queries.payoff_matrices import contest_matrix, pair_matrix, teaching_interaction
    from league.reporting.text.channel_audit import audit_json, audit_tables
    from league.store.reader import RunReader

    with RunReader.read(run) as reader:
        slots = sorted({(relation, name) for relation, name, _, _ in reader.payoff_slots()})
        names = sorted({name for _, name in slots})
        if task is not None and task not in names:
            raise UserError(f"task '{task}' has no payoffs in {run}{nearest(task, names) or NOTHING_YET}")
        shown = [(relation, name) for relation, name in slots if task in (None, name)]
        matrices = [
            contest_matrix(reader, name, by) if relation == "contest" else pair_matrix(reader, relation, name)
            for relation, name in shown
        ]
        interactions = {name: teaching_interaction(reader, name) for relation, name in shown if relation == "teaching"}
        state = reader.state() if task is None else {}
        audit, competence = channel_audit(state), competence_matrix(state)
        if as_json:
            rows = []
            for (relation, name), matrix in zip(shown, matrices, strict=True):
                more = {"interaction": _interaction(interactions[name])} if relation == "teaching" else {}
                rows.append({"task": name, "relation": relation, **_matrix(matrix), **more})
            if audit is not None:
                rows.append({"task": None, "relation": "audit", **_matrix(audit.channels), "audit": audit_json(audit)})
            if competence is not None:
                rows.append({"task": None, "relation": "competence", **_matrix(competence)})
            _json(rows)
            return
        from league.reporting.text.tables import interaction_line, matrix_table

        for (relation, name), matrix in zip(shown, matrices, strict=True):
            _print(matrix_table(matrix))
            if relation == "teaching" and (interaction := interactions[name]) is not None:
                _print(interaction_line(interaction))
        if not matrices:
            typer.echo("no match has been counted yet")
        if competence is not None:
            _print(matrix_table(competence))
        if state:
            _print(audit_tables(audit))


def cycles(
    run: Run,
    task: Annotated[
        str | None, typer.Option("--task", help="The contest to look at; by default the one with most games.")
    ] = None,
    alpha: Annotated[
        float, typer.Option("--alpha", min=1e-9, max=0.5, help="Family-wise error rate of certified edges.")
    ] = 0.05,
    as_json: Json = False,
) -> None:
    """Certified non-transitive cycles between versions, with every statistic that goes with them."""
    from league.errors import UserError, nearest
    from league.reporting.queries.cycles import cycles as find_cycles
    from league.reporting.views import CertifiedCycles
    from league.store.reader import RunReader

    with RunReader.read(run) as reader:
        contests = sorted({name for relation, name, _, _ in reader.payoff_slots() if relation == "contest"})
        if task is not None and task not in contests:
            raise UserError(f"task '{task}' has no contests in {run}{nearest(task, contests) or NOTHING_YET}")
        view = find_cycles(reader, task, alpha)
        if as_json:
            _json(_plain(asdict(view or CertifiedCycles((), ()))))
            return
        if view is None:
            typer.echo("no contest has been counted yet")
            return
        from league.reporting.text.tables import cycles_view

        _print(cycles_view(view))


def ladder(
    run: Run, every: Annotated[bool, typer.Option("--all", help="Frozen versions too.")] = False, as_json: Json = False
) -> None:
    """TrueSkill ratings, one ladder per zero-sum task and one overall."""
    from league.reporting.queries.run_status import ladder as read_ladder
    from league.store.reader import RunReader

    with RunReader.read(run) as reader:
        rows = read_ladder(reader, every=every)
        if as_json:
            _json([asdict(row) for row in rows])
            return
        from league.reporting.text.tables import ladder_table

        _print(ladder_table(rows))


def lineage(
    run: Run,
    updates: Annotated[bool, typer.Option("--updates", help="Plain updates too.")] = False,
    agent: Annotated[
        str | None, typer.Option("--agent", help="Only what this agent or version (name or name@step) came from.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Which version came from which, when and why."""
    from league.reporting.queries.model_card_facts import ancestry
    from league.reporting.queries.run_status import lineage as read_lineage
    from league.store.named_versions import stored_version
    from league.store.reader import RunReader

    with RunReader.read(run) as reader:
        if agent is None:
            edges = read_lineage(reader, updates=updates or as_json)
        else:
            edges = ancestry(reader, stored_version(reader, agent))
        if as_json:
            _json([asdict(edge) for edge in edges])
            return
        from league.reporting.text.tables import lineage_view

        _print(lineage_view(edges, all_updates=updates))


def evaluate(
    run: Run,
    agents: Annotated[
        list[str] | None, typer.Argument(help="Agents or versions (name@step); by default all live ones and the base.")
    ] = None,
    problems: Annotated[int, typer.Option("--problems", min=1, help="Problems per domain.")] = 100,
    split: Annotated[Literal["validation", "test"], typer.Option("--split", help="Held-out split.")] = "test",
    as_json: Json = False,
) -> None:
    """Held-out accuracy per agent and domain, greedy and unaided, measured now. Nothing is stored."""
    from league.evaluation.on_demand import exam_now

    found: dict[str, Any] = exam_now(run, agents or [], split, problems)
    if as_json:
        _json(found)
        return
    typer.echo(f"{'agent':<24} {'domain':<20} accuracy  95% interval   ({problems} {split} problems a domain)")
    for row in found["results"]:
        typer.echo(
            f"{row['version']:<24} {row['domain']:<20} {row['accuracy']:8.3f}  [{row['low']:.3f}, {row['high']:.3f}]"
        )
    for reason in found["void"]:
        typer.echo(f"not held: {reason}", err=True)


def _matrix(matrix: "Matrix") -> dict[str, object]:
    arrays = {"values": matrix.values, "low": matrix.low, "high": matrix.high, "n": matrix.n}
    return {
        "title": matrix.key,
        "unit": matrix.unit,
        "rows": matrix.rows,
        "cols": matrix.cols,
        **{name: None if array is None else _plain(array.tolist()) for name, array in arrays.items()},
    }


def _interaction(found: "TeachingInteraction | None") -> dict[str, object] | None:
    """In percentage points but `share`; the matrix has the order of the payoffs' rows and columns."""
    if found is None:
        return None
    return {
        "share": found.share,
        "mean": found.mean,
        "teacher": dict(zip(found.teachers, found.teacher_T.tolist(), strict=True)),
        "student": dict(zip(found.students, found.student_S.tolist(), strict=True)),
        "values": _plain(found.interaction_TS.tolist()),
    }


def _plain(value: Any) -> Any:
    """JSON has no NaN: unknown is null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and value != value else value


def _json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _print(renderable: "RenderableType") -> None:
    from rich.console import Console

    Console().print(renderable)
