"""A run's whole report from its store, and what TensorBoard gets of each round. Rebuilding a board
plays the same calls for every round."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from league.reporting.queries import cycles, measurements, overview
from league.reporting.queries.exam_results import gains, overall_gain, teaching
from league.reporting.tensorboard import Board
from league.reporting.views import Matrix, Report
from league.reporting.write_schedule import Pace
from league.store.reader import RunReader

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRANSCRIPTS = 4


def build_report(reader: RunReader) -> Report:
    """Everything `league report` shows. Works on a run of any age: what was not measured is left
    out, never invented."""
    state = reader.state()
    known = "population" in state
    lessons = teaching(state) if known else {}
    panels, masses = cycles.over_time(reader)
    versions = reader.folder / "versions.txt"
    return Report(
        status=overview.status(reader),
        headline=overall_gain(state) if known else None,
        gains=gains(state) if known else (),
        teaching=lessons.get("live_end") or measurements.teaching_now(reader),
        teaching_lesson=measurements.lesson_beyond_template(reader),
        teaching_held_out=lessons.get("held_out_end"),
        teaching_gain=lessons.get("live_change"),
        matrices=matrices(reader),
        ladder=overview.ladder(reader),
        rating_history=measurements.rating_panels(reader),
        cycles=cycles.cycles(reader),
        structure=panels,
        masses=masses,
        curves=measurements.learning_curves(reader),
        lineage=overview.lineage(reader, updates=False),
        transcripts=newest_transcripts(reader, TRANSCRIPTS),
        config=reader.config_text(),
        versions=versions.read_text(encoding="utf-8", errors="replace") if versions.is_file() else "",
        agents=overview.agents_in_order(reader),
    )


def matrices(reader: RunReader) -> list[Matrix]:
    """Every matrix of a run that has something in it, the most telling first."""
    found = [
        measurements.lesson_matrix(reader),
        measurements.lesson_matrix(reader, "shuffled"),
        measurements.accuracy_matrix(reader, "end"),
        measurements.accuracy_matrix(reader, "start"),
        *(
            overview.contest_matrix(reader, task, by)
            for task in overview.contest_tasks(reader)
            for by in ("agent", "version")
        ),
        *(
            overview.pair_matrix(reader, kind, task)
            for kind in ("teaching", "cooperation")
            for task in overview.contest_tasks(reader, kind)
        ),
        overview.meetings(reader),
    ]
    return [matrix for matrix in found if matrix is not None and matrix.rows and matrix.cols]


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
    """Tag → newest rating of every member."""
    return {f"rating/{rating.ladder}/{rating.version.agent}": rating.mu for rating in overview.current_ratings(reader)}


def ratings_by_round(reader: RunReader) -> dict[int, dict[str, float]]:
    """Round → every agent's rating after it; what a rebuilt board gets."""
    found: dict[int, dict[str, float]] = {}
    for panel in measurements.rating_panels(reader):
        ladder = panel.title.removeprefix("TrueSkill rating, ")
        for series in panel.series:
            for number, value in zip(series.rounds, series.values, strict=True):
                found.setdefault(number, {})[f"rating/{ladder}/{series.name}"] = value
    known: dict[str, float] = {}
    return {number: dict(known := known | found.get(number, {})) for number, _, _ in reader.round_times()}


def board_figures(reader: RunReader) -> Iterator[tuple[str, "Figure"]]:
    """(tag, figure) of the run as it stands, drawn for TensorBoard's cards, one at a time."""
    from league.reporting.figures import curves, graphs, lineage_tree
    from league.reporting.figures.heatmaps import heatmap
    from league.reporting.figures.style import Palette

    palette = Palette(overview.agents_in_order(reader))
    for matrix in matrices(reader):
        yield f"payoffs/{_tag(matrix.title)}", heatmap(matrix)
    for panel in measurements.learning_curves(reader):
        yield f"learning/{_tag(panel.title)}", curves.lines(panel, palette)
    for panel in measurements.rating_panels(reader):
        yield f"ratings/{_tag(panel.title)}", curves.lines(panel, palette)
    found = cycles.cycles(reader)
    if found is not None:
        yield "structure/certified_cycles", graphs.cycle_graph(found, palette)
    shares, masses = cycles.over_time(reader)
    for panel in shares:
        yield f"structure/{_tag(panel.title)}", curves.share_over_time(panel)
    for panel in masses:
        yield f"structure/{_tag(panel.title)}", curves.mass_over_time(panel, palette)
    yield "lineage", lineage_tree.lineage_tree(overview.lineage(reader, updates=False), palette)


def _tag(title: str) -> str:
    """A title as a TensorBoard tag: lower-case words joined by underscores, Greek letters by name."""
    named = title.lower().replace("δ", "delta").replace("α", "alpha")
    return "_".join("".join(char if char.isalnum() else " " for char in named).split())


def publish_round(
    board: Board,
    reader: RunReader,
    number: int,
    figures: bool,
    ratings: Mapping[str, float] | None = None,
    pace: Pace | None = None,
) -> int:
    """Write one committed round to the board, as `pace` allows: its scalars, ratings, one
    transcript, and the run's figures as they stand now.

    `ratings` defaults to those of the live members, right for the newest round. Returns the bytes of the figures.
    """
    pace = pace or Pace(number)
    board.scalars(
        number,
        pace.scalars(number, {**reader.round_scalars(number), **(rating_now(reader) if ratings is None else ratings)}),
    )
    for at, name in reader.transcript_ids(number)[:1] if pace.text(number) else ():
        shown = reader.transcript(name)
        if at == number and isinstance(shown, dict):
            board.transcript(f"transcripts/{_tag(str(shown.get('task')))}", number, shown)
    written = sum(board.figure(tag, number, figure) for tag, figure in board_figures(reader)) if figures else 0
    board.flush()
    return written


def rebuild_board(reader: RunReader, folder: Path) -> None:
    """Write a board from the store alone: every round's scalars, ratings and a transcript, and the
    figures of the newest round.

    `folder` must hold no events yet: TensorBoard would show both.
    """
    latest, ratings = reader.latest_round(), ratings_by_round(reader)
    with Board(folder) as board:
        for number, _, _ in reader.round_times():
            publish_round(board, reader, number, number == latest, ratings.get(number, {}), Pace(latest or 0))
