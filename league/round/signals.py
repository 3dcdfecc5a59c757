"""A polite end: SIGTERM and SIGINT are remembered and finish the round; a second one stops at once."""

import signal
from collections.abc import Callable
from types import FrameType


class Signals:
    """Use as a context manager around the rounds; `received` names the first signal, or is None.

    A second signal raises KeyboardInterrupt, which loses at most the uncommitted round.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> "Signals":
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name
