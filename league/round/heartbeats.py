"""Signs of life while a run is open: a thread says every few seconds that the process is there.

What the run is doing is said by the run itself (`RunStore.beat`), and how long it has been there is kept with it, so a
run that hangs still looks like one.
"""

import threading
from types import TracebackType

from league.errors import LeagueError
from league.store.run import RunStore

EVERY = 3.0
"""Seconds between two signs of life."""


class Heartbeats:
    """Use as a context manager around everything that a writer of a run does."""

    def __init__(self, store: RunStore, every: float = EVERY):
        self._store, self._every = store, every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeats", daemon=True)

    def __enter__(self) -> "Heartbeats":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(self._every):
            try:
                self._store.beat_again()
            except LeagueError:  # a full disk: the run itself meets it, and says so
                continue
