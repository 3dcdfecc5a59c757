"""Telling people about a run while it runs: the terminal and TensorBoard.

An audience hears of a round after its commit. Neither is a source of truth: both are drawn from the report and the
store, and a run goes on the same without them.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from types import TracebackType

from rich.console import Console

from league.errors import LeagueError
from league.reporting.event_files import shown_in
from league.reporting.report import complete_board, lacking, publish_round
from league.reporting.tensorboard import Board
from league.reporting.text.progress import REST, Progress
from league.reporting.time_budget import TimeBudget
from league.reporting.views import RoundLine
from league.reporting.write_schedule import WriteSchedule
from league.rollouts import voids_of
from league.round.forecast import forecast
from league.round.stop import limit_reached, share_spent
from league.round.values import RoundReport
from league.runtime.league import League, LeagueState
from league.store.reader import RunReader

TIME_COLUMNS = {
    "generate": ("generate",),
    "score": ("score",),
    "update": ("update", "warm-up"),
    "measure": ("evaluate",),
    "schedule": ("schedule",),
    "ratings": ("rate",),
}
"""Column of the terminal → phases of the clock. Evolution, commit and report are the rest."""


class LiveReport:
    """The audience of `league train` and `league resume`.

    Use as a context manager around the run. `first` is the last committed round of a resumed run.
    """

    def __init__(self, folder: Path, rounds: int, *, first: int | None = None, quiet: bool = False):
        self._folder, self._quiet = folder, quiet
        self._progress = Progress(rounds, 0 if first is None else first + 1, Console(quiet=quiet))
        self._board: Board | None = None
        self._began, self._budget, self._behind = time.perf_counter(), TimeBudget(), False

    def __enter__(self) -> "LiveReport":
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.__exit__(kind, error, trace)
        if self._board is not None:
            with suppress(OSError):
                self._board.close()

    def opens(self, league: League, state: LeagueState) -> None:
        """What data there is and what the run will take on this machine, unless nobody reads it."""
        for domain in league.domains.values():
            if domain.about is not None:
                self._progress.note(f"domain '{domain.name}': {domain.about}", "dim")
        if not self._quiet:
            self._progress.stage("trying out how fast this machine is")
            try:
                expected = forecast(league, state)
            except Exception as error:  # noqa: BLE001 (a forecast is no part of the run, and must not end it)
                league.store.event("no forecast", reason=f"{type(error).__name__}: {error}")
                self._progress.note("how long this run will take here could not be found out", "dim")
                return
            for line in str(expected).splitlines() if expected is not None else ():
                self._progress.note(line, "dim")

    def phase(self, league: League, number: int, text: str) -> None:
        self._progress.stage(f"round {number}: {text}")

    def complete(self, reader: RunReader, schedule: WriteSchedule) -> None:
        """Where this process played no round: write what an earlier one could not tell TensorBoard."""
        latest, folder = reader.latest_round(), self._folder / "tb"
        if self._board is not None or latest is None:
            return
        if lacking(shown_in(folder).rounds, reader, latest, schedule) is not None:
            with Board(folder) as board:
                complete_board(board, reader, latest, schedule)
            self._progress.note(f"TensorBoard has all rounds again, up to {latest}")

    def note(self, message: str) -> None:
        self._progress.note(message)

    def round(self, league: League, report: RoundReport) -> None:
        """One line on the terminal, and scalars and a transcript on the board.

        The board gets its figures after a measurement, when their time budget allows.
        """
        self._progress.round(round_line(league, report))
        try:
            schedule = WriteSchedule(report.rounds, league.config.evaluation.every)
            if self._board is None:
                self._board = Board(self._folder / "tb")
                complete_board(self._board, league.store, report.round - 1, schedule)
            self._behind = self._behind or ("evaluate" in report.clock and schedule.figures(report.round))
            drawn = limit_reached(league.config, report.state, report.round) is not None or (
                self._behind and self._budget.allows(time.perf_counter() - self._began)
            )
            started = time.perf_counter()
            publish_round(self._board, league.store, report.round, figures=drawn, schedule=schedule)
            if drawn:
                self._budget.add(time.perf_counter() - started)
                self._behind = False
        except (OSError, ValueError, LeagueError) as error:
            # a full disk, a figure that cannot be drawn: the round is committed all the same
            if isinstance(error, OSError):
                self._board = None  # its file may end in the middle of a record; the next one completes the board
            self._progress.note(f"TensorBoard has no picture of round {report.round}: {error}")
            league.store.event("report failed", round=report.round, reason=str(error))
        for line in void_lines(report):
            self._progress.note(line)
        for alarm in report.alarms:
            if alarm.action != "warn":
                self._progress.note(str(alarm))


def round_line(league: League, report: RoundReport) -> RoundLine:
    """What the terminal says of a round."""
    population = report.state.population
    taught = frozenset(member.name for member in population.members.values() if member.can.taught)
    students = taught or population.trainable()
    accuracies = [exam.accuracy for exam in report.exams if exam.version.agent in students]
    clock = report.clock
    spent = clock.get("generate", 0.0) + clock.get("update", 0.0)
    tokens = report.scalars.get("tokens/sampled", 0.0) + report.scalars.get("tokens/trained", 0.0)
    deltas = [gain.improvement for gain in report.gains]
    return RoundLine(
        round=report.round,
        rewards={
            name.removeprefix("reward/"): value
            for name, value in sorted(report.scalars.items())
            if name.startswith("reward/")
        },
        alone=_alone(report.state),
        accuracy=fmean(accuracies) if accuracies else None,
        win_rate=report.scalars.get("win_rate/past"),
        delta=100 * fmean(deltas) if deltas else None,
        tokens_per_s=tokens / spent if spent > 0 and tokens else None,
        seconds=report.seconds,
        shares=time_shares(report),
        used=share_spent(league.config, report.state),
    )


def void_lines(report: RoundReport) -> Iterator[str]:
    """One line for each task with matches that do not count, and the first reason."""
    for task, reasons in voids_of(report.matches).items():
        yield f"{task}: {len(reasons)} void match{'es' * (len(reasons) > 1)} in round {report.round}: {reasons[0]}"


def time_shares(report: RoundReport) -> dict[str, float]:
    """Share of the round's wall time by column; together they are 1."""
    total = report.seconds or 1.0
    found = {
        name: sum(report.clock.get(phase, 0.0) for phase in phases) / total for name, phases in TIME_COLUMNS.items()
    }
    return found | {REST: max(0.0, 1.0 - sum(found.values()))}


def _alone(state: LeagueState) -> float | None:
    """Posterior mean of the unaided accuracy of those who are taught.

    Over agents and the domains they answered in; None before anyone answered.
    """
    learners = {member.version for member in state.population.members.values() if member.can.taught and member.trains}
    known = [
        state.competence.mean(version, domain)
        for (version, domain), (_, answers) in state.competence.cells.items()
        if version in learners and answers > 0
    ]
    return fmean(known) if known else None
