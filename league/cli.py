"""The `league` program: registers the commands, and turns errors into messages and exit codes.

0: done. 1: a check found something (verify), or training stopped. 2: the user's error, one message, no traceback. 70:
an internal error: one message, and the traceback in a file that it names. 130: interrupted.

Commands import what they need when they run: `--help` and everything that needs no model answers without torch.
"""

import os
import sys
import threading

import typer

from league import commands
from league.errors import Interrupted, LeagueError, UserError
from league.store.schema import DAMAGE

app = typer.Typer(
    name="league",
    help="Train a population of language-model agents that teach, help and beat one another, over one frozen base "
    "model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for name, command in commands.COMMANDS.items():
    app.command(name)(command)


def main() -> None:
    """Entry point of `league` and `python -m league`."""
    threading.excepthook = _note
    try:
        _check_text(sys.argv[1:])
        app()
    except UserError as error:
        _fail(f"error: {error}", 2)
    except Interrupted as error:
        _fail(str(error), 130)
    except LeagueError as error:
        _fail(f"stopped: {error}", 1)
    except DAMAGE as error:
        _fail(
            f"error: the run's database is damaged ({error}); `league verify RUN` says where, `--repair` falls back "
            "to the newest whole round",
            2,
        )
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(141) from None
    except OSError as error:
        _fail(
            f"error: {error.filename or 'a file'}: {error.strerror or error} (is there room, and may you write there?)",
            2,
        )
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != 130:  # which is how typer passes an interrupt on
            raise
        _fail("interrupted", 130)
    except Exception as error:  # noqa: BLE001 (the outermost boundary: logged with its cause, told in words)
        from league.store.blame import fault_of_a_run

        if (fault := fault_of_a_run(error)) is not None:
            _fail(f"error: {fault}", 2)
        _fail(
            f"internal error: {type(error).__name__}: {error}\nthis is a fault in league; the details are in "
            f"{_logged(error)}",
            70,
        )


def _note(error: threading.ExceptHookArgs) -> None:
    """What ends a thread (TensorBoard's writer on a full disk) is a line, not a traceback.

    Who needs the thread is told when it is missed.
    """
    if error.exc_type is not SystemExit:
        typer.echo(f"note: {error.exc_type.__name__}: {error.exc_value}", err=True)


def _check_text(words: list[str]) -> None:
    """What is no UTF-8 could be neither stored nor printed."""
    for word in words:
        if any("\ud800" <= char <= "\udfff" for char in word):
            raise UserError(f"the argument {word[:60]!a} is not UTF-8 text; rename what it names")


def _logged(error: Exception) -> str:
    """Write the traceback where it can be found; returns the place."""
    import tempfile
    import traceback

    descriptor, name = tempfile.mkstemp(prefix="league-error-", suffix=".txt")
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
        file.write("".join(traceback.format_exception(error)))
    return name


def _fail(message: str, code: int) -> None:
    from league.reporting.text.transcripts import clean

    typer.echo(clean(message), err=True)  # it may quote a stranger's file, and a terminal obeys control characters
    raise SystemExit(code)
