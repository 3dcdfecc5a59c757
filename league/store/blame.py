"""Whose fault an unexpected error is while a run is read: the run's, or this code's.

A run folder may be damaged, changed by hand, or a stranger's. What then comes of reading it is hardly foreseen at each
place. So a reader that ends in an error of that sort looks at the whole run: where the run is not as this code writes
it, that is what the user is told; where it is, the error is an internal one.
"""

from contextlib import closing
from pathlib import Path

from league.errors import LeagueError, RunFolderError


def require_soundness(folder: Path, error: BaseException | None) -> None:
    """Raises RunFolderError where the run in `folder` is unsound and `error` is what comes of that."""
    from league.store.verify import UNREADABLE  # verify rests on the reader, which calls this

    if not isinstance(error, UNREADABLE):
        return
    problems = _damage(folder)
    if problems:
        raise RunFolderError(
            f"{folder} is damaged, or was changed by hand: {_first(problems)}; `league verify {folder}` says all, and "
            "with --repair it falls back to the newest whole round"
        ) from error
    if odd := _odd_states(folder):
        raise RunFolderError(
            f"{folder} was written by other code, or changed by hand: {_first(odd)}; restore it from a copy"
        ) from error


def _first(problems: list[str]) -> str:
    return problems[0] + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else "")


def _damage(folder: Path) -> list[str]:
    """What is wrong with a run; that its configuration was edited is no damage."""
    from league.store.reader import RunReader
    from league.store.verify import UNREADABLE, check_config, verify

    problems: list[str] = []
    try:
        problems += verify(folder).problems
        with closing(RunReader.read(folder)) as reader:
            edited = check_config(reader)
    except LeagueError as error:
        return [*problems, str(error)]
    except UNREADABLE as error:
        return [*problems, f"database: {error}"]
    return [line for line in problems if line not in edited]


def _odd_states(folder: Path) -> list[str]:
    """Where the states of its rounds have not the shape that this code gives them."""
    from league.store.reader import RunReader
    from league.store.state_shape import state_problems

    with closing(RunReader.read(folder)) as reader:
        return [f"round {n}, state: {line}" for n in reader.kept_rounds() for line in state_problems(reader.state(n))]
