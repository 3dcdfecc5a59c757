"""Whose fault an unexpected error is while a run is read: the run's, or this code's.

A run folder may be damaged, changed by hand, or a stranger's. What then comes of reading it is hardly foreseen at each
place. So a reader that ends in an error of that sort looks at the whole run: where the run is not as this code writes
it, that is what the user is told; where it is, the error is an internal one.
"""

from pathlib import Path

from league.errors import LeagueError, RunFolderError


def require_soundness(folder: Path, error: BaseException | None) -> None:
    """Raises RunFolderError where the run in `folder` is unsound and `error` is what comes of that."""
    from league.store.verify import UNREADABLE  # verify rests on the reader, which calls this

    if not isinstance(error, UNREADABLE):
        return
    problems = _problems(folder)
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise RunFolderError(
            f"{folder} is damaged, or was changed by hand: {problems[0]}{more}; `league verify {folder}` says all, and "
            "with --repair it falls back to the newest whole round"
        ) from error


def _problems(folder: Path) -> list[str]:
    """What is wrong with a run, what an edit of its configuration comes to left aside."""
    from league.store.reader import RunReader
    from league.store.state_shape import state_problems
    from league.store.verify import UNREADABLE, check_config, verify

    found: list[str] = []
    try:
        reader = RunReader.read(folder)
        try:
            for number in reader.kept_rounds():
                found += [f"round {number}, state: {line}" for line in state_problems(reader.state(number))]
            edited = check_config(reader)
        finally:
            reader.close()
        return found + [line for line in verify(folder).problems if line not in edited]
    except LeagueError as error:
        return [*found, str(error)]
    except UNREADABLE:
        return found + verify(folder).problems
