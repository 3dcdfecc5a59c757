"""One small tree of errors.

Everything a user can cause or repair is a `UserError`: the command line prints its message, without a traceback,
and exits with code 2. A message says what was expected, what was found, where, and the remedy.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from types import TracebackType


class LeagueError(Exception):
    """Root of every error this package raises on purpose."""


class UserError(LeagueError):
    """Bad input or a missing resource that the user can mend (exit code 2)."""


class ConfigError(UserError):
    """One or more problems in a configuration; all are listed at once.

    `problems` are lines of the form ``dotted.path: what is wrong (remedy)``.
    """

    def __init__(self, source: str, problems: Sequence[str]):
        self.source = source
        self.problems = tuple(problems)
        lines = "\n".join(f"  - {line}" for line in self.problems)
        count = f"{len(self.problems)} problem" + ("s" if len(self.problems) != 1 else "")
        super().__init__(f"{count} in {source}:\n{lines}")


class ModelUnavailable(UserError):
    """The base model could not be found by path, in the cache, on the hub or in the package index."""


class RunFolderError(UserError):
    """A run folder that is missing, taken, locked, unreadable or newer than this code."""


class AdapterRefused(UserError):
    """An adapter that its checks refused; the message names agent, file and reason."""


class DataError(UserError):
    """A problem set, CSV or JSON-lines file that cannot be used; the message names file and line."""


class BackendError(LeagueError):
    """A player could not answer for a reason that is not its own: the match is void, never a loss."""


class Unjudged(BackendError):
    """A verifier failed for a reason that is not the reply's: the match is void, never a loss."""


class PromptTooLong(UserError):
    """A prompt that leaves no room for a reply in the model's context."""


class TrainingDiverged(LeagueError):
    """A non-finite loss, gradient, log-probability or adapter.

    The message names the agent; so does `agent`, where it is one agent's.
    """

    def __init__(self, message: str, agent: str | None = None):
        self.agent = agent
        super().__init__(message)


class Interrupted(LeagueError):
    """A person ended the program at once (exit code 130); the message says what is safe."""


class Foreign:
    """The boundary around code that is not ours: a user's module, a generator, a file's parser.

    Such code may raise anything. Used as a context manager, it turns whatever comes out into a UserError that says
    `what` failed and why; our own errors pass.
    """

    def __init__(self, what: str):
        self._what = what

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, LeagueError) or not isinstance(error, (Exception, SystemExit)):
            return
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise UserError(f"{self._what}: {reason}") from error


LONG_NAME = 100
MANY_NAMES = 1000
LISTED_NAMES = 50


def nearest(name: str, valid: Sequence[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest valid name, or the list of valid names.

    The search takes the square of the lengths, so names beyond LONG_NAME characters and those after the first
    MANY_NAMES are not compared. At most LISTED_NAMES are listed.
    """
    short = [other for other in valid[:MANY_NAMES] if len(other) <= LONG_NAME]
    close = get_close_matches(name, short, n=1, cutoff=0.5) if len(name) <= LONG_NAME else []
    if close:
        return f"; did you mean '{close[0]}'?"
    listed = ", ".join(sorted(valid)[:LISTED_NAMES])
    more = f" and {len(valid) - LISTED_NAMES} more" if len(valid) > LISTED_NAMES else ""
    return f"; valid names: {listed}{more}" if valid else ""
