"""A run's whole report from its store, and what TensorBoard gets of each round.

Rebuilding a board makes the same calls for every round.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from league.reporting.queries import cycles, history, payoff_matrices, run_status, teaching_gains
from league.reporting.queries.channel_audit import channel_audit
from league.reporting.queries.competence import competence_matrix
from league.reporting.queries.exam_results import accuracy_matrix, gains, overall_gain
from league.reporting.tensorboard import Board
from league.reporting.views import Matrix, Report, TeachingInteraction
from league.reporting.write_schedule import WriteSchedule
from league.store.reader import RunReader

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRANSCRIPTS = 4


def build_report(reader: RunReader) -> Report:
    """Everything `league report` shows.

    Works on a run of any age: what was not measured is left out, never invented.
    """
    state = reader.state()
    known = "population" in state
    teaching = teaching_gains.teaching_over_run(state) if known else {}
    panels, masses = cycles.over_time(reader)
    versions = reader.folder / "versions.txt"
    return Report(
        status=run_status.status(reader),
        identity=reader.identity(),
        headline=overall_gain(state) if known else None,
        gains=gains(state) if known else (),
        teaching=teaching.get("live_end") or teaching_gains.teaching_now(reader),
        gain_beyond_shuffled=teaching_gains.gain_beyond_shuffled(reader),
        teaching_held_out=teaching.get("held_out_end"),
        teaching_gain=teaching.get("live_change"),
        interactions=interactions(reader),
        audit=channel_audit(state),
        matrices=matrices(reader),
        ladder=run_status.ladder(reader),
        rating_history=history.rating_panels(reader),
        cycles=cycles.cycles(reader),
        structure=panels,
        masses=masses,
        logprob_gain=teaching_gains.logprob_difference(reader, "control"),
        logprob_own_share=teaching_gains.logprob_difference(reader, "shuffled"),
        curves=[*history.learning_curves(reader), *history.teaching_curves(reader)],
        lineage=run_status.lineage(reader, updates=False),
        transcripts=newest_transcripts(reader, TRANSCRIPTS),
        config=reader.config_text(),
        versions=versions.read_text(encoding="utf-8", errors="replace") if versions.is_file() else "",
        agents=run_status.agents_in_order(reader),
    )


def matrices(reader: RunReader) -> list[Matrix]:
    """Every matrix of a run that has something in it, the most telling first."""
    state = reader.state()
    found = [
        teaching_gains.teaching_matrix(reader),
        teaching_gains.teaching_matrix(reader, "shuffled"),
        accuracy_matrix(reader, "end"),
        accuracy_matrix(reader, "start"),
        competence_matrix(state),
        *(
            payoff_matrices.contest_matrix(reader, task, by)
            for task in payoff_matrices.tasks_with(reader, "contest")
            for by in ("agent", "version")
        ),
        *(
            payoff_matrices.pair_matrix(reader, relation, task)
            for relation in ("teaching", "cooperation")
            for task in payoff_matrices.tasks_with(reader, relation)
        ),
        payoff_matrices.meetings(reader),
    ]
    return [matrix for matrix in found if matrix is not None and matrix.rows and matrix.cols]


def interactions(reader: RunReader) -> list[TeachingInteraction]:
    """The interaction of teachers with students in every teaching task that was played."""
    found = (
        payoff_matrices.teaching_interaction(reader, task) for task in payoff_matrices.tasks_with(reader, "teaching")
    )
    return [each for each in found if each is not None]


def newest_transcripts(reader: RunReader, count: int) -> list[object]:
    """The newest transcripts, one per task before a second of any."""
    kept = reader.transcript_ids()[::-1][:200]
    by_task: dict[str, list[object]] = {}
    for _, name in kept:
        shown = reader.transcript(name)
        if isinstance(shown, dict):
            by_task.setdefault(str(shown.get("task")), []).append(shown)
    ranked = sorted(((place, task) for task, shown in by_task.items() for place in range(len(shown))))
    return [by_task[task][place] for place, task in ranked[:count]]


# -------------------------------------------------------------------------------------------------- TensorBoard
def rating_now(reader: RunReader) -> dict[str, float]:
    """Newest rating of every member by tag."""
    return {
        f"rating/{rating.ladder}/{rating.version.agent}": rating.mu for rating in run_status.current_ratings(reader)
    }


def board_figures(reader: RunReader) -> Iterator[tuple[str, "Figure"]]:
    """Tags and figures of the run as it stands, drawn for TensorBoard's cards, one at a time."""
    from league.reporting.figures import curves, graphs, lineage_tree
    from league.reporting.figures.heatmaps import heatmap
    from league.reporting.figures.style import Palette

    palette = Palette(run_status.agents_in_order(reader))
    audit = channel_audit(reader.state())
    caused = [] if audit is None else [matrix for matrix in (audit.channels, audit.teachers) if matrix.rows]
    for matrix in [*caused, *matrices(reader)]:
        yield f"payoffs/{_tag(matrix.key)}", heatmap(matrix)
    for panel in (*history.learning_curves(reader), *history.teaching_curves(reader)):
        yield f"learning/{_tag(panel.title)}", curves.lines(panel, palette)
    for panel in history.rating_panels(reader):
        yield f"ratings/{_tag(panel.title)}", curves.lines(panel, palette)
    found = cycles.cycles(reader)
    if found is not None:
        yield "structure/certified_cycles", graphs.cycle_graph(found, palette)
    shares, masses = cycles.over_time(reader)
    for panel in shares:
        yield f"structure/{_tag(panel.title)}", curves.share_over_time(panel)
    for panel in masses:
        yield f"structure/{_tag(panel.title)}", curves.mass_over_time(panel, palette)
    yield "lineage", lineage_tree.lineage_tree(run_status.lineage(reader, updates=False), palette)


def _tag(title: str) -> str:
    """A title as a TensorBoard tag: lower-case words joined by underscores, Greek letters by name."""
    named = title.lower().replace("δ", "delta").replace("α", "alpha")
    return "_".join("".join(char if char.isalnum() else " " for char in named).split())


def publish_round(
    board: Board,
    reader: RunReader,
    number: int,
    *,
    figures: bool,
    ratings: Mapping[str, float] | None = None,
    schedule: WriteSchedule | None = None,
) -> int:
    """Write one committed round to the board, as `schedule` allows.

    That is its scalars, ratings, one transcript, and with `figures` the run's figures as they stand now. `ratings`
    defaults to those of the live members, right for the newest round; `schedule` to one that leaves nothing out.
    Returns the bytes of the figures.
    """
    schedule, written = schedule or WriteSchedule(number), 0
    try:
        for at, name in reader.transcript_ids(number)[:1] if schedule.text(number) else ():
            shown = reader.transcript(name)
            if at == number and isinstance(shown, dict):
                board.transcript(f"transcripts/{_tag(str(shown.get('task')))}", number, shown)
        written = sum(board.figure(tag, number, figure) for tag, figure in board_figures(reader)) if figures else 0
    finally:  # scalars come last: where they are, the round is whole; and a figure that fails costs no scalar
        scalars = {**reader.round_scalars(number), **(rating_now(reader) if ratings is None else ratings)}
        board.scalars(number, schedule.scalars(number, scalars))
        board.flush()
    return written


def lacking(
    rounds: Sequence[int], reader: RunReader, last: int, schedule: WriteSchedule
) -> tuple[int, list[int]] | None:
    """What a board that shows these rounds, in this order, lacks of the rounds up to `last`.

    (the step from which to forget, the rounds to be written from there); None where none is missing at the end and all
    are in order. Points closer or wider than `schedule` wants are no fault: a run that goes on for more rounds than it
    began with writes fewer of them from there on, and pictures of earlier rounds could not be drawn again.
    """
    if last < 0 and not rounds:
        return None
    wanted = [
        number
        for number, _, _ in reader.round_times()
        if number <= last and schedule.scalars(number, reader.round_scalars(number))
    ]
    ordered = _in_order(rounds, last)
    wrong = min(rounds[ordered:], default=None)
    whole = max((number for number in rounds[:ordered] if wrong is None or number < wrong), default=-1)
    missing = [number for number in wanted if number > whole]
    if wrong is None and not missing:
        return None
    first = min(missing[:1] if wrong is None else [wrong, *missing[:1]])
    return first, [number for number in wanted if number >= first]


def _in_order(rounds: Sequence[int], last: int) -> int:
    """How many rounds from the beginning are each later than the one before, and none later than `last`."""
    pairs = zip((-1, *rounds), rounds, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] < pair[1] <= last, pairs))


def complete_board(board: Board, reader: RunReader, last: int, schedule: WriteSchedule) -> None:
    """Write from the store what the board lacks of the rounds up to `last`, or shows out of order.

    A process that was killed between a commit and the board, a full disk, a clock that went back: the board is whole
    and in order afterwards. Pictures of earlier rounds cannot be drawn again.
    """
    found = lacking(board.rounds, reader, last, schedule)
    if found is None:
        return
    first, numbers = found
    board.forget(first)
    ratings = history.ratings_by_round(reader)
    for number in numbers:
        publish_round(board, reader, number, figures=False, ratings=ratings[number], schedule=schedule)
    board.flush()


def rebuild_board(reader: RunReader, folder: Path) -> None:
    """Write a board from the store alone.

    It gets every round's scalars, ratings and a transcript, and the figures of the newest round. `folder` must hold no
    events yet: TensorBoard would show both.
    """
    latest, ratings = reader.latest_round(), history.ratings_by_round(reader)
    schedule = WriteSchedule(latest or 0)
    with Board(folder) as board:
        for number, _, _ in reader.round_times():
            publish_round(board, reader, number, figures=number == latest, ratings=ratings[number], schedule=schedule)
