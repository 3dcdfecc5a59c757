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
    with RunReader.read(run) as reader:
        page = render(build_report(reader))
        if tensorboard is not None:
            rebuild_board(reader, tensorboard)
    try:
        replace_file(target, page.encode())
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}") from error
    typer.echo(f"{target} ({len(page) // 1024} kB)")
