"""The live progress of a run: one line per round.

On a terminal, one moving line below it says what is happening now. Without a terminal (a pipe, a log file) the same
lines are written plainly, without escape codes; instead of the moving line, what is happening now is said when it
changes, at most once in `QUIET` seconds, so that a long first phase is not silence.
"""

import math
import statistics
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from league.reporting.text.tables import duration, text
from league.reporting.views import RoundLine

HEADER_EVERY = 25
QUIET = 30.0
"""Seconds between two lines about what is happening now, where there is no terminal."""
REST = "rest"
"""The time column of what no other one shows."""
Column = tuple[str, int, Callable[[RoundLine], str]]


class Progress:
    """Use as a context manager around the rounds.

    `rounds` is the number of the last round; `first` the round before the first one to be played (0, or the round
    resumed from).
    """

    def __init__(
        self, rounds: int, first: int = 0, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ):
        self._rounds, self._first = rounds, first
        self._console = console or Console()
        self._columns: list[Column] = []
        self._printed = 0
        self._seconds: list[float] = []
        self._start: RoundLine | None = None
        self._exam = 0.0
        self._live: Live | None = None
        self._clock, self._said = clock, -QUIET

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live = Live(Text(""), console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def stage(self, name: str, done: int | None = None, total: int | None = None) -> None:
        """Say what is happening now."""
        count = "" if done is None else f" {done}" + ("" if total is None else f"/{total}")
        if self._live is not None:
            self._live.update(text(f"  {name}{count}", "dim"))
        elif self._clock() - self._said >= QUIET:
            self._console.print(text(f"  {name}{count}", "dim"), soft_wrap=True)
            self._said = self._clock()

    def note(self, message: str, style: str = "yellow") -> None:
        """A line between rounds: a snapshot, an alarm, a new agent."""
        self._console.print(text(f"  {message}", style), soft_wrap=True)

    def round(self, line: RoundLine) -> None:
        """Print one round.

        The first one fixes the columns: a role that appears later adds its column and a new header.
        """
        self._start = self._start or line
        if line.round > 0:
            self._seconds.append(line.seconds)
        else:  # the warm-up and the first exam; the last round ends with as long an exam
            self._exam = line.shares.get("measure", 0.0) * line.seconds
        columns = self._fit(self._all_columns(line))
        if [c[0] for c in columns] != [c[0] for c in self._columns] or self._printed % HEADER_EVERY == 0:
            self._columns = columns
            self._console.print(
                Text("  ".join(title.rjust(width) for title, width, _ in columns), style="bold"), soft_wrap=True
            )
        self._printed += 1
        self._said = self._clock()
        row = "  ".join(show(line).rjust(width) for _, width, show in columns)
        self._console.print(Text(row), soft_wrap=True)

    def seconds_left(self, line: RoundLine) -> float | None:
        """Median of the last five rounds times the rounds to come, and the last exam.

        None before the first round.
        """
        recent, rounds = self._seconds[-5:], self._rounds_left(line)
        return statistics.median(recent) * rounds + (self._exam if rounds else 0.0) if recent else None

    def _rounds_left(self, line: RoundLine) -> int:
        """Rounds to come.

        By the number of rounds, or by what a round has used of the limit in tokens or hours where that comes first.
        """
        rounds = max(0, self._rounds - line.round)
        if self._start is None or line.used <= self._start.used:
            return rounds
        a_round = (line.used - self._start.used) / (line.round - self._start.round)
        return min(rounds, math.ceil((1 - line.used) / a_round - 1e-9))

    def _left(self, line: RoundLine) -> str:
        seconds = self.seconds_left(line)
        return "" if seconds is None else duration(seconds)

    def _all_columns(self, line: RoundLine) -> list[tuple[int, Column]]:
        """Priorities and columns in the order in which they stand; priority 0 is never dropped."""
        width = len(str(self._rounds))
        columns: list[tuple[int, Column]] = [
            (0, ("round", max(5, 2 * width + 1), lambda r: f"{r.round}/{self._rounds}"))
        ]
        for place, role in enumerate(line.rewards):
            columns.append((1 + (place > 3) * 6, (f"R {role}"[:12], max(6, len(f"R {role}"[:12])), _reward(role))))
        columns.append((0, ("alone", 6, lambda r: _percent(r.alone))))
        columns.append((0, ("accuracy", 8, lambda r: _percent(r.accuracy))))
        columns.append((3, ("win rate", 8, lambda r: _percent(r.win_rate))))
        columns.append((0, ("Δ points", 8, lambda r: "" if r.delta is None else f"{r.delta:+.1f}")))
        columns.append((2, ("tok/s", 6, lambda r: "" if r.tokens_per_s is None else f"{r.tokens_per_s:,.0f}")))
        for place, name in enumerate(line.shares):
            if name == REST:
                columns.append((5, (REST, 4, self._rest)))
            else:
                columns.append((5 + place, (name[:8], max(4, len(name[:8])), _share(name))))
        columns.append((4, ("took", 7, lambda r: duration(r.seconds))))
        columns.append((0, ("left", 7, self._left)))
        return columns

    def _rest(self, line: RoundLine) -> str:
        """What the time columns that are shown leave of the round: together they are all of it."""
        shown = {title for title, _, _ in self._columns}
        whole = [round(100 * share) for name, share in line.shares.items() if name[:8] in shown - {REST}]
        return f"{max(0, 100 - sum(whole))}%"

    def _fit(self, columns: list[tuple[int, Column]]) -> list[Column]:
        """Drop the least important columns until the line fits the terminal; a file takes them all."""
        kept = list(columns)
        while (
            self._console.is_terminal
            and sum(column[1] + 2 for _, column in kept) - 2 > self._console.width
            and max(p for p, _ in kept) > 0
        ):
            worst = max(range(len(kept)), key=lambda i: kept[i][0])
            del kept[worst]
        return [column for _, column in kept]


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}%"


def _reward(role: str) -> Callable[[RoundLine], str]:
    return lambda line: f"{line.rewards[role]:+.3f}" if role in line.rewards else ""


def _share(name: str) -> Callable[[RoundLine], str]:
    return lambda line: f"{100 * line.shares[name]:.0f}%" if name in line.shares else ""
