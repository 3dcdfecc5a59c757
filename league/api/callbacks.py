"""What is called after each round: by dotted path in the config, or objects given to `league.train`.

A callback hears of a round once its commit has returned. It may look at everything and changes nothing: what it raises
is noted in events.jsonl and said once, and the run goes on. `StopTraining`, or returning False, ends the run as
`league stop` does. Callbacks run between rounds, in the process and the thread of the run, so a slow one makes the run
slow; a round that was committed before a kill is not told again.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType, MappingProxyType

from league.api.run import OpenRun
from league.config import Config
from league.errors import UserError
from league.preflight.callbacks import make_callback
from league.round.values import Audience, RoundReport
from league.runtime.league import League, LeagueState
from league.store.run import request_stop

log = logging.getLogger("league.callbacks")


class StopTraining(Exception):
    """Raised by a callback to end the run after this round, as `league stop` does.

    Its message is kept as the reason.
    """


@dataclass(frozen=True)
class RoundEnd:
    """A committed round, as a callback sees it."""

    round: int
    rounds: int
    """The last round that is planned."""
    scalars: Mapping[str, float]
    """Of this round, read-only."""
    run: OpenRun
    """The run as it stands now, read-only."""


Callback = Callable[[RoundEnd], object]
"""Gets the round's end. False ends the run; whatever else it returns means nothing."""


def with_callbacks(audience: Audience, config: Config, more: Sequence[Callback] = ()) -> Audience:
    """The audience, and behind it the config's callbacks and those given.

    The audience itself where there are none.
    Raises UserError for what cannot be called.
    """
    named = [(path, make_callback(path)) for path in config.league.callbacks]
    for callback in more:
        if not callable(callback):
            raise UserError(f"callback {callback!r:.80} cannot be called; give a function, or an object with __call__")
        named.append((_name(callback), callback))
    return CallbackAudience(audience, named) if named else audience


class CallbackAudience:
    """Tells an audience, then every callback in order."""

    def __init__(self, audience: Audience, callbacks: Sequence[tuple[str, Callback]]):
        self._audience, self._callbacks = audience, tuple(callbacks)
        self._failed: dict[int, int] = {}
        """Place of a callback → how often it raised."""

    def opens(self, league: League, state: LeagueState) -> None:
        self._audience.opens(league, state)

    def phase(self, league: League, number: int, text: str) -> None:
        self._audience.phase(league, number, text)

    def round(self, league: League, report: RoundReport) -> None:
        self._audience.round(league, report)
        folder = league.store.folder
        for place, (name, callback) in enumerate(self._callbacks):
            scalars = MappingProxyType(dict(report.scalars))
            try:
                if callback(RoundEnd(report.round, report.rounds, scalars, OpenRun(folder))) is False:
                    raise StopTraining
            except StopTraining as stop:
                request_stop(folder, f"callback {name}" + (f": {stop}" if str(stop) else ""))
            except (Exception, SystemExit) as error:  # noqa: BLE001 (code that is not ours: noted, and the run goes on)
                self._note(league, report.round, place, error)

    def _note(self, league: League, number: int, place: int, error: BaseException) -> None:
        name, _ = self._callbacks[place]
        reason = f"{type(error).__name__}: {error}"
        count = self._failed[place] = self._failed.get(place, 0) + 1
        league.store.event("callback failed", round=number, callback=name, count=count, reason=reason[:500])
        if count == 1:
            log.warning(
                "callback %s failed in round %d and the run goes on (%s); later failures are only counted, in %s",
                name,
                number,
                reason,
                league.store.folder / "events.jsonl",
            )


def _name(callback: Callback) -> str:
    """What to call a callback object in messages."""
    return callback.__qualname__ if isinstance(callback, FunctionType | type) else type(callback).__qualname__
