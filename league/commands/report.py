"""`league report RUN`: one self-contained HTML page, and a rebuilt TensorBoard folder on demand."""

import os
from pathlib import Path
from typing import Annotated

import typer

LONG = 200
"""Characters of a path that a message quotes."""


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
    from league.store.reader import RunReader

    target = out or Path("report.html")
    _check_target(target)
    if tensorboard is not None:
        _check_board(tensorboard, run)
    with RunReader.read(run) as reader:
        _require_free(target, reader.identity())
        page = render(build_report(reader))
        if tensorboard is not None:
            rebuild_board(reader, tensorboard)
    try:
        replace_file(target, page.encode())
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}; name another file with --out") from error
    typer.echo(f"{target} ({len(page) // 1024} kB)")


def _check_target(target: Path) -> None:
    """Raises UserError where no page can be written: a folder, link or pipe, or a file of a run."""
    from league.errors import UserError
    from league.store.opening import run_around

    try:
        kind = "link" if target.is_symlink() else "folder" if target.is_dir() else None
        if kind is None and not target.is_file() and os.path.lexists(target):
            kind = "pipe or a device"
        inside = target.suffix != ".html" and run_around(target) is not None
    except (OSError, ValueError) as error:  # a name too long, a zero byte in it
        raise UserError(f"cannot write {str(target)[:LONG]!r}: {error}; name another file with --out") from error
    if kind is not None:
        raise UserError(f"{target} is a {kind}; name a file with --out")
    if inside:
        raise UserError(f"{target} would be a file of a run; name one that ends in .html with --out")


def _check_board(board: Path, run: Path) -> None:
    """Raises UserError for a folder that is not empty, and one in which a run keeps its own files."""
    from league.errors import UserError
    from league.store.opening import run_around

    try:
        kind = "link" if board.is_symlink() else "file" if os.path.lexists(board) and not board.is_dir() else None
        full = kind is None and board.exists() and any(board.iterdir())
        around = run_around(board)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write into {str(board)[:LONG]!r}: {error}; name another folder") from error
    if kind is not None:
        raise UserError(f"{board} is a {kind}; --tensorboard names an empty folder")
    if full:
        raise UserError(f"{board} is not empty; TensorBoard would show both boards: name an empty folder")
    if around is not None and board.absolute() != run.absolute() / "tb":
        raise UserError(f"{board} would be a folder of the run {around}; name one outside of it")


def _require_free(target: Path, identity: str) -> None:
    """Only an earlier report of the same run is replaced. Raises UserError for any other file."""
    from league.errors import UserError
    from league.reporting.text.html import HEAD, run_of

    try:
        with target.open("rb") as file:
            there = run_of(file.read(HEAD))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {target}, which is there already: {error}; name another file with --out"
        ) from error
    if there != identity:
        what = "not a report" if there is None else "the report of another run"
        raise UserError(f"{target} is there already and is {what}; name another file with --out, or remove it")
