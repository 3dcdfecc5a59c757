"""`league verify RUN`: check a run folder, and with --repair fall back to its newest whole round."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from league.store.records import PlayedOutcome, VerifyReport
    from league.types import Rating


def verify(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    repair: Annotated[
        bool, typer.Option("--repair", help="Fall back to the newest whole round and say what was dropped.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    skip_ratings: Annotated[
        bool,
        typer.Option("--skip-ratings", help="Do not rate every game again: that takes about a second per 1,000 games."),
    ] = False,
) -> None:
    """Check every hash, reference, payoff and rating of a run. Exit code 1 when something is wrong."""
    from league.store.repair import repair as repair_run
    from league.store.verify import verify as check

    rate = None if skip_ratings else _rate
    report = repair_run(run, rate) if repair else check(run, rate)
    base = _base_problem(run)
    if base is not None:
        report.problems.append(base)
        report.digest = None
    typer.echo(json.dumps(_as_dict(report), indent=2) if as_json else _as_text(report, repair))
    if not report.sound:
        raise typer.Exit(1)


def _rate(played: "Iterable[PlayedOutcome]") -> "Iterable[Rating]":
    """Every rating from the stored outcomes alone."""
    from league.payoffs.ratings import Ratings

    return Ratings().update(each.outcome for each in played).rows()


def _base_problem(run: Path) -> str | None:
    """What is wrong with the base model's weights, where they lie on this machine.

    They are hashed again, and must be those that the run's adapters name.
    """
    from league.config import load_config
    from league.errors import LeagueError, ModelUnavailable
    from league.model.fetch import locate_model
    from league.model.folder import fresh_weight_hash
    from league.store.reader import RunReader
    from league.store.schema import DAMAGE

    try:
        with RunReader.read(run) as reader:
            rows = [reader.version_row(version) for version in reader.live().values()]
            named = {reader.blobs.read_blob(row.blob)[1].get("base") for row in rows if row.blob is not None}
        if not named:
            return None
        if not (run / "config.yaml").is_file():
            return None
        folder = locate_model(load_config(run / "config.yaml").model.name, allow_download=False)
    except (LeagueError, *DAMAGE):
        return None  # not on this machine; or damage, which the report tells
    try:
        found = fresh_weight_hash(folder)
    except ModelUnavailable as error:
        return f"base model: {error}"
    if found in named:
        return None
    return f"base model: the weights in {folder} are not those that this run's adapters were trained over"


def _as_dict(report: "VerifyReport") -> dict[str, object]:
    return {
        "run": report.folder,
        "sound": report.sound,
        "digest": report.digest,
        "round": report.round,
        "checked": report.checked,
        "problems": report.problems,
        "dropped": report.dropped,
    }


def _as_text(report: "VerifyReport", repaired: bool) -> str:
    checked = ", ".join(f"{count:,} {what}" for what, count in report.checked.items())
    lines = [f"{report.folder}: {'sound' if report.sound else 'damaged'}, newest round {report.round}"]
    lines += [f"  checked: {checked}"] if checked else []
    lines += [f"  problem: {problem}" for problem in report.problems]
    lines += [f"  dropped: {what}" for what in report.dropped]
    if not report.sound and not repaired:
        lines.append(f"  `league verify {report.folder} --repair` falls back to the newest whole round")
    return "\n".join(lines)
