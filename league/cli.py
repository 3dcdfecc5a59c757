"""The `league` program: registers the commands and is the outermost boundary, where errors become messages and exit codes.

0: done. 1: a check found something (verify). 2: the user's error, one message, no traceback. 130: interrupted.

Commands import what they need when they run: `--help` and everything that needs no model answers without torch.
"""

import sys

import typer

from league import commands
from league.errors import LeagueError, UserError
from league.store.schema import DAMAGE

app = typer.Typer(
    name="league",
    help="Train a population of language-model agents that teach, help and beat one another, over one frozen base model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for name, command in commands.COMMANDS.items():
    app.command(name)(command)


def main() -> None:
    """Entry point of `league` and `python -m league`."""
    try:
        app()
    except UserError as error:
        _fail(f"error: {error}", 2)
    except LeagueError as error:
        _fail(f"stopped: {error}", 1)
    except DAMAGE as error:
        _fail(
            f"error: the run's database is damaged ({error}); `league verify RUN` says where, `--repair` falls back to the newest whole round",
            2,
        )
    except KeyboardInterrupt:
        _fail("interrupted; the last committed round is safe: `league resume RUN` continues", 130)
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(141) from None


def _fail(message: str, code: int) -> None:
    typer.echo(message, err=True)
    raise SystemExit(code)
