"""Whose fault an unexpected error is while a run is read: the run's, or this code's.

A run folder may be damaged, changed by hand, or a stranger's. What then comes of reading it is hardly foreseen at each
place. So a reader that ends in an error of that sort looks at the whole run: where the run is not as this code writes
it, that is what the user is told; where it is, the error is an internal one.
"""

from pathlib import Path

from league.errors import LeagueError, RunFolderError


def require_soundness(folder: Path, error: BaseException | None) -> None:
    """Raises RunFolderError where the run in `folder` is unsound and `error` is what comes of that."""
    from league.store.verify import UNREADABLE, verify  # verify rests on the reader, which calls this

    if not isinstance(error, UNREADABLE):
        return
    try:
        problems = verify(folder).problems or _odd_states(folder)
    except LeagueError as other:
        problems = [str(other)]
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise RunFolderError(
            f"{folder} is damaged, or was changed by hand: {problems[0]}{more}; `league verify {folder}` says all, and "
            "with --repair it falls back to the newest whole round"
        ) from error


def _odd_states(folder: Path) -> list[str]:
    """What no league writes into the states of its rounds."""
    from league.store.reader import RunReader
    from league.store.state_shape import state_problems

    reader = RunReader.read(folder)
    try:
        return [f"round {n}, state: {line}" for n in reader.kept_rounds() for line in state_problems(reader.state(n))]
    finally:
        reader.close()
