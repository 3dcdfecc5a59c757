"""Whose fault an unexpected error is while a run is read: the run's, or this code's.

A run folder may be damaged, changed by hand, or a stranger's. What then comes of reading it is hardly foreseen at each
place. So the program looks at the whole run when its reading ended in an error of that sort: where the run is not as
this code writes it, that is what the user is told; where it is, the error is an internal one.
"""

from pathlib import Path

from league.errors import LeagueError
from league.store.reader import READING, RunReader
from league.store.state_shape import state_problems
from league.store.verify import UNREADABLE, check_config, verify


def fault_of_a_run(error: Exception) -> str | None:
    """What is wrong with the run whose reading ended in this error; None where nothing is."""
    if not isinstance(error, UNREADABLE):
        return None
    for note in getattr(error, "__notes__", ()):
        if note.startswith(READING) and (found := _fault(Path(note.removeprefix(READING)))) is not None:
            return found
    return None


def _fault(folder: Path) -> str | None:
    if problems := _damage(folder):
        return (
            f"{folder} is damaged, or was changed by hand: {_first(problems)}; `league verify {folder}` says all, and "
            "with --repair it falls back to the newest whole round"
        )
    if odd := _odd_states(folder):
        return f"{folder} was written by other code, or changed by hand: {_first(odd)}; restore it from a copy"
    return None


def _first(problems: list[str]) -> str:
    return problems[0] + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else "")


def _damage(folder: Path) -> list[str]:
    """What is wrong with a run; that its configuration was edited is no damage."""
    problems: list[str] = []
    try:
        problems += verify(folder).problems
        with RunReader.read(folder) as reader:
            edited = check_config(reader)
    except LeagueError as error:
        return [*problems, str(error)]
    except UNREADABLE as error:
        return [*problems, f"database: {error}"]
    return [line for line in problems if line not in edited]


def _odd_states(folder: Path) -> list[str]:
    """Where the states of its rounds have not the shape that this code gives them."""
    with RunReader.read(folder) as reader:
        return [f"round {n}, state: {line}" for n in reader.kept_rounds() for line in state_problems(reader.state(n))]
