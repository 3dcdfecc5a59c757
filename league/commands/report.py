"""`league report RUN`: one self-contained HTML page, and a rebuilt TensorBoard folder on demand."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; by default report.html in the current folder.")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option("--tensorboard", help="Also rebuild the event files, into this empty folder.")
    ] = None,
) -> None:
    """Write the run's report: did it learn, win rates, what was said."""
    from league.errors import UserError
    from league.reporting.report import build_report, rebuild_board
    from league.reporting.text.html import render
    from league.store.fs import replace_file
    from league.store.opening import DATABASE
    from league.store.reader import RunReader

    target = out or Path("report.html")
    if target.is_symlink() or target.is_dir():
        raise UserError(f"{target} is a {'link' if target.is_symlink() else 'folder'}; name a file with --out")
    if tensorboard is not None and tensorboard.is_symlink():
        raise UserError(f"{tensorboard} is a link; --tensorboard names an empty folder")
    if tensorboard is not None and tensorboard.exists() and not tensorboard.is_dir():
        raise UserError(f"{tensorboard} is a file; --tensorboard names an empty folder")
    if tensorboard is not None and tensorboard.exists() and any(tensorboard.iterdir()):
        raise UserError(f"{tensorboard} is not empty; TensorBoard would show both boards: name an empty folder")
    if target.suffix != ".html" and any((folder / DATABASE).exists() for folder in target.absolute().parents):
        raise UserError(f"{target} would be a file of a run; name one that ends in .html with --out")
    with RunReader.read(run) as reader:
        _require_free(target, reader.identity())
        page = render(build_report(reader))
        if tensorboard is not None:
            rebuild_board(reader, tensorboard)
    try:
        replace_file(target, page.encode())
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}") from error
    typer.echo(f"{target} ({len(page) // 1024} kB)")


def _require_free(target: Path, identity: str) -> None:
    """Only an earlier report of the same run is replaced. Raises UserError for any other file."""
    from league.errors import UserError
    from league.reporting.text.html import HEAD, run_of

    try:
        with target.open("rb") as file:
            there = run_of(file.read(HEAD))
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"cannot read {target}, which is there already: {error.strerror}") from error
    if there != identity:
        what = "not a report" if there is None else "the report of another run"
        raise UserError(f"{target} is there already and is {what}; name another file with --out, or remove it")
