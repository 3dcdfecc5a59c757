"""`league compare A B`: two runs, or two groups of runs, side by side per domain."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from league.reporting.queries.seed_groups import GroupComparison, SeedComparison
    from league.reporting.queries.spending import Equality

Equal = Literal["data", "tokens", "flops"]
PICTURES = (".png", ".svg", ".pdf")


def compare(
    first: Annotated[str, typer.Argument(help="Run folder, folder of runs, pattern, or several with commas between.")],
    second: Annotated[str, typer.Argument(help="What to compare it with; runs are paired by seed.")],
    equal: Annotated[
        Equal | None,
        typer.Option("--equal", help="What both are meant to have had the same of; warns where they had not."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Also draw the differences into this file, .png, .svg or .pdf.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Held-out accuracy of two runs or groups of runs per domain, and their difference.

    It comes with its interval, and with what each has spent."""
    from league.reporting.queries.seed_groups import find_runs

    _require_picture(out)
    if _plain(first) and _plain(second):
        _two_runs(Path(first), Path(second), equal, out, as_json=as_json)
    else:
        _two_groups((first, find_runs(first)), (second, find_runs(second)), equal, out, as_json=as_json)


def _plain(text: str) -> bool:
    """Whether a word names one run, or nothing that could be more: then it is compared as a run."""
    from league.reporting.queries.seed_groups import find_runs

    return find_runs(text) == [Path(text)]


def _require_picture(out: Path | None) -> None:
    """Raises UserError before anything is read where no picture could be written."""
    from league.errors import UserError
    from league.store.opening import DATABASE

    if out is None:
        return
    if out.suffix not in PICTURES:
        raise UserError(f"--out {out}: expected a file that ends in {', '.join(PICTURES)}")
    if out.is_symlink() or out.is_dir() or not out.absolute().parent.is_dir():
        raise UserError(f"--out {out}: expected a file in a folder that is there, and no link or folder")
    if any((folder / DATABASE).exists() for folder in out.absolute().parents):
        raise UserError(f"--out {out} would be a file of a run; name one outside of it")


# ------------------------------------------------------------------------------------------------------- two runs
def _two_runs(first: Path, second: Path, equal: Equal | None, out: Path | None, *, as_json: bool) -> None:
    from league.reporting.queries.exam_results import compare_runs
    from league.reporting.queries.seed_groups import SeedComparison
    from league.reporting.queries.spending import equality
    from league.reporting.text.spending import warnings
    from league.store.reader import RunReader

    with RunReader.read(first) as one, RunReader.read(second) as two:
        states = [one.begun(), two.begun()]
        rows = compare_runs(one, two)
        runs = [str(first), str(second)]
        spent = equality(states[0], states[1], equal)
        unfinished = [
            run for run, state in zip(runs, states, strict=True) if not state["marks"].get("end", {}).get("exams")
        ]
        without_exam = list(dict.fromkeys(unfinished))
        if out is not None:
            _draw(
                out, [SeedComparison(row, "problems", {}) for row in rows], first.resolve().name, second.resolve().name
            )
        if as_json:
            found = {
                "runs": runs,
                "domains": [asdict(row) for row in rows],
                "tokens": {run: state["tokens"] for run, state in zip(runs, states, strict=True)},
                "without_last_exam": without_exam,
                "equal": equal,
                "quantities": [asdict(each) | {"gap": each.gap} for each in spent.quantities],
                "warnings": warnings(spent, *runs),
            }
            typer.echo(json.dumps(found, indent=2))
            return
        from rich.console import Console

        from league.reporting.queries.spending import spending
        from league.reporting.text.spending import spending_line
        from league.reporting.text.tables import comparison_table

        Console().print(comparison_table(rows, first.resolve().name, second.resolve().name))
        for run, line in {run: spending_line(spending(state)) for run, state in zip(runs, states, strict=True)}.items():
            typer.echo(f"{run}: {line}")
        _say_equality(spent, runs)
        for run in without_exam:
            typer.echo(
                f"note: {run} has no last exam to compare: "
                f"it has not been trained to its end (`league resume {run}`), or nobody sits exams there"
            )


def _say_equality(spent: "Equality", runs: list[str]) -> None:
    """On what the runs are held equal, where they are not, and what else differs."""
    if spent.held is None:
        return
    from league.reporting.text.spending import other_differences, warnings

    found = warnings(spent, *runs)
    if not found:
        typer.echo(f"held equal: {spent.held.words}, {spent.held.gap:.1%} apart")
    for warning in found:
        typer.secho(f"warning: not equal in what --equal names. {warning}", fg="yellow")
    for note in other_differences(spent, *runs):
        typer.secho(f"  also different: {note}", dim=True)


# ----------------------------------------------------------------------------------------------------- two groups
def _two_groups(
    first: tuple[str, list[Path]],
    second: tuple[str, list[Path]],
    equal: Equal | None,
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """`first` and `second`: (as it was named, its runs)."""
    from league.reporting.queries.seed_groups import compare_groups, read_group

    names = [first[0], second[0]]
    found = compare_groups(read_group(first[1]), read_group(second[1]))
    spent = _spent_by_pair(found, equal)
    if out is not None:
        _draw(out, found.rows, *names)
    if as_json:
        typer.echo(json.dumps(_as_json(found, names, spent, equal), indent=2))
        return
    from rich.console import Console

    from league.reporting.text.tables import seed_comparison_table

    Console().print(seed_comparison_table(found.rows, *names))
    for warning in (*found.warnings, *(line for each in spent.values() for line in each[1])):
        typer.secho(f"warning: {warning}", fg="yellow")
    gaps = [each.held.gap for each, _ in spent.values() if each.held is not None and each.held.gap is not None]
    if gaps and not any(lines for _, lines in spent.values()):
        held = next(each.held for each, _ in spent.values())
        assert held is not None
        typer.echo(f"held equal: {held.words}, at most {max(gaps):.1%} apart in {len(gaps)} pairs of runs")


def _spent_by_pair(found: "GroupComparison", equal: Equal | None) -> dict[int, tuple["Equality", list[str]]]:
    """Seed → what its two runs have spent, and where they are not equal in what they should be."""
    from league.reporting.queries.spending import equality
    from league.reporting.text.spending import warnings

    spent = {}
    for one, other in found.pairs:
        each = equality(one.state, other.state, equal)
        lines = warnings(each, str(one.path), str(other.path))
        spent[one.seed] = each, [f"not equal in what --equal names. {line}" for line in lines]
    return spent


def _as_json(
    found: "GroupComparison", names: Sequence[str], spent: dict[int, tuple["Equality", list[str]]], equal: Equal | None
) -> dict[str, Any]:
    unequal = [line for _, lines in spent.values() for line in lines]
    return {
        "groups": list(names),
        "pairs": [{"seed": one.seed, "runs": [str(one.path), str(other.path)]} for one, other in found.pairs],
        "domains": [
            asdict(row.comparison) | {"interval_over": row.over, "by_seed": dict(row.by_seed)} for row in found.rows
        ],
        "equal": equal,
        "quantities": {
            seed: [asdict(each) | {"gap": each.gap} for each in pair.quantities] for seed, (pair, _) in spent.items()
        },
        "warnings": [*found.warnings, *unequal],
    }


def _draw(out: Path, rows: "Sequence[SeedComparison]", first: str, second: str) -> None:
    """The picture of the differences. The file is whole or not there."""
    from io import BytesIO

    from league.errors import UserError
    from league.reporting.figures.seed_differences import seed_differences
    from league.store.fs import replace_file

    image = BytesIO()
    seed_differences(rows, first, second).savefig(image, format=out.suffix[1:])
    try:
        replace_file(out, image.getvalue())
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}") from error
