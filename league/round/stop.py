"""When a run ends: its limits in rounds, tokens and hours, no improvement, a signal, or a request.

Requests come from `league stop` and `league pause`. A signal is answered at once, and the round is finished.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from league.config import Config
from league.runtime.league import League, LeagueState


def limit_reached(config: Config, state: LeagueState, number: int) -> str | None:
    """Which of its limits ends the run with round `number`, in words, or None."""
    limits = config.league
    if number >= limits.rounds:
        return "all rounds played"
    if limits.token_budget and state.totals.budget >= limits.token_budget:
        return f"token budget of {limits.token_budget} spent"
    if limits.trained_tokens and state.totals.tokens["trained"] >= limits.trained_tokens:
        return f"trained on {limits.trained_tokens} tokens"
    if (rule := limits.early_stopping) is not None:
        known = state.improvement.of(rule.metric)
        if known.since >= rule.patience:
            return f"{rule.metric} has not improved for {known.since} measurements, since round {known.round}"
    if limits.max_hours and sum(state.clock.values()) >= 3600 * limits.max_hours:
        return f"{limits.max_hours} hours spent"
    return None


def share_spent(config: Config, state: LeagueState) -> float:
    """The share of the nearest limit in tokens or hours that is spent, 0…1; 0 where there is none.

    Rounds are not counted here.
    """
    limits = config.league
    shares = [0.0]
    if limits.token_budget:
        shares.append(state.totals.budget / limits.token_budget)
    if limits.trained_tokens:
        shares.append(state.totals.tokens["trained"] / limits.trained_tokens)
    if limits.max_hours:
        shares.append(sum(state.clock.values()) / (3600 * limits.max_hours))
    return min(1.0, max(shares))


class StoppedInWarmup(Exception):
    """The warm-up ends between two of its steps; says why.

    What was learned is kept, and the run can be resumed.
    """


def expected_seconds(config: Config, state: LeagueState, number: int) -> float | None:
    """How long round `number` will take, by the rounds before it; None where that is not known.

    The mean of each phase over the rounds that had it. Of the measurements the first is the longest, so a round that
    measures may well be quicker.
    """
    played, every = number - 1, config.evaluation.every
    if played < 1:
        return None
    usual = {phase: seconds / played for phase, seconds in state.clock.items() if phase not in ("warm-up", "evaluate")}
    measured = 1 + played // every
    exam = state.clock.get("evaluate", 0.0) / measured if number % every == 0 or number == config.league.rounds else 0.0
    return sum(usual.values()) + exam


class Signals:
    """Graceful shutdown: a first signal is answered, and what is under way is finished.

    For SIGTERM and SIGINT. Use as a context manager around the rounds; `received` names the first signal, or is None.
    `under_way` says what the answer names. A second signal raises KeyboardInterrupt, which stops at once and loses at
    most what was not kept.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._what = "finishing the round"
        self._until: float | None = None
        self._before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def under_way(self, what: str, seconds: float | None = None) -> None:
        """What a first signal waits for, and for about how long from now; None where nobody knows."""
        self._what, self._until = what, None if seconds is None else time.monotonic() + seconds

    def __enter__(self) -> "Signals":
        if threading.current_thread() is not threading.main_thread():
            return self  # Python hears signals in the main thread only
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
        left = "" if self._until is None else f" (about {max(1, round(self._until - time.monotonic()))} s)"
        with suppress(OSError):  # whoever listened may be gone; a print could be inside another one
            os.write(2, f"\n{self._what}{left}; again to stop now\n".encode())


def why_stop(league: League, state: LeagueState, signals: Signals) -> str | None:
    """Why no further round is played, or None; waits while the run is paused.

    A limit ends the run once the last exam has been held: time may run out behind it.
    """
    number = league.store.latest_round() or 0
    if (limit := limit_reached(league.config, state, number)) is not None and "end" in state.exams:
        return limit
    while (request := league.store.stop_requested()) == "pause" and not signals.received:
        signals.under_way("ending the pause")
        league.store.beat(number, "paused")
        time.sleep(1.0)
    if signals.received:
        return f"signal {signals.received}"
    if request is not None:
        return league.store.stop_reason() or "stop requested"
    return None
