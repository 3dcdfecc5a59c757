"""A matrix as a heat map: payoffs, teaching gains, accuracies, win rates, meetings.

Numbers stand in the cells while they fit, names while they fit, and beyond that only heat, strongest first. An unknown
cell is hatched, never coloured. Bold means that the 95% interval leaves out the value that would mean "nothing" (0, or
½ for win rates). Colours fade as the interval grows against the effect, so that what may be chance does not look like a
finding (after the value-suppressing palettes of Correll, Moritz & Heer 2018).
"""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize, TwoSlopeNorm, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from league.reporting.figures.style import CARD, INK, UNKNOWN, Canvas, new_figure, shorten_all, styled
from league.reporting.views import Floats, Matrix

DIVERGING, SEQUENTIAL = "RdBu", "YlGnBu"
CENTRED = ("signed", "winrate", "points")
"""Scales on which one value means "nothing"."""
UNSURE = 0.15
"""What a cell keeps of its colour whose interval is unknown: one item, or items that are all equal."""


@styled
def heatmap(matrix: Matrix, canvas: Canvas = CARD) -> Figure:
    """Draw one matrix; 0 rows or columns give a figure that says so."""
    figure = new_figure(canvas)
    axes = figure.add_subplot()
    axes.set_title(f"{matrix.title}\n({matrix.unit})", wrap=True)
    if not matrix.rows or not matrix.cols:
        return _empty(axes, figure, "nobody to show yet")
    size = max(len(matrix.rows), len(matrix.cols))
    if size > canvas.names:
        matrix = by_strength(matrix, columns=len(matrix.cols) > canvas.names)
    norm, colours = _scale(matrix)
    axes.patch.set(facecolor=UNKNOWN, hatch="////", edgecolor="#c9ced4", linewidth=0)
    axes.imshow(np.ma.masked_invalid(matrix.values), norm=norm, cmap=colours, aspect="auto", interpolation="none")
    veil_RC4 = _veil(matrix, norm, colours)
    axes.imshow(veil_RC4, aspect="auto", interpolation="none")
    _label(axes, matrix, size, canvas)
    if size <= canvas.numbers:
        spacious = size * 6 <= canvas.width * 7  # 5 agents on a card, 7 on a page
        _number(axes, matrix, _painted(matrix, norm, colours, veil_RC4), spacious)
    elif size <= canvas.names:
        axes.set_xticks(np.arange(len(matrix.cols) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(matrix.rows) + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=0.8)
        axes.tick_params(which="minor", length=0)
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=axes, fraction=0.05, pad=0.02, aspect=30)
    bar.ax.yaxis.set_major_locator(MaxNLocator(5, integer=matrix.scale == "count"))
    bar.outline.set_visible(False)
    return figure


def _empty(axes: Axes, figure: Figure, text: str) -> Figure:
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, wrap=True)
    return figure


def by_strength(matrix: Matrix, columns: bool = True) -> Matrix:
    """Reorder rows (and columns) by mean value, highest first.

    A square matrix over one set of names keeps its diagonal.
    """
    row_order = np.argsort(-_mean(matrix.values, axis=1), kind="stable")
    col_order = np.argsort(-_mean(matrix.values, axis=0), kind="stable") if columns else np.arange(len(matrix.cols))
    if matrix.rows == matrix.cols:
        col_order = row_order

    def pick(array: Floats | None) -> Floats | None:
        return None if array is None else array[np.ix_(row_order, col_order)]

    return replace(
        matrix,
        rows=tuple(matrix.rows[i] for i in row_order),
        cols=tuple(matrix.cols[i] for i in col_order),
        values=matrix.values[np.ix_(row_order, col_order)],
        low=pick(matrix.low),
        high=pick(matrix.high),
        n=pick(matrix.n),
    )


def _mean(values: Floats, axis: int) -> Floats:
    """Mean over known cells; −∞ where none is known, so that it sorts last."""
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), -np.inf)


def _scale(matrix: Matrix) -> tuple[Normalize, Colormap]:
    known = matrix.values[np.isfinite(matrix.values)]
    if matrix.scale == "signed":
        return TwoSlopeNorm(0.0, -1.0, 1.0), mpl.colormaps[DIVERGING]
    if matrix.scale == "winrate":
        return TwoSlopeNorm(0.5, 0.0, 1.0), mpl.colormaps[DIVERGING]
    if matrix.scale == "points":
        # noise must not look like a strong effect
        reach = matrix.reach or max(10.0, float(np.abs(known).max()) if known.size else 0.0)
        return TwoSlopeNorm(0.0, -reach, reach), mpl.colormaps[DIVERGING]
    top = 1.0 if matrix.scale == "share" else max(1.0, float(known.max()) if known.size else 0.0)
    return Normalize(0.0, top), mpl.colormaps[SEQUENTIAL]


def sureness(matrix: Matrix) -> Floats:
    """How much of its colour each cell keeps, 0…1 (rows, cols).

    1 everywhere in a matrix without intervals, else
    (e² / (e² + h²))², where h is the interval's half that points towards "nothing" and e the cell's distance from it:
    0.92 where the interval is a fifth of the effect, ¼ where it just touches "nothing", 0.01 where it is three times
    as wide. On the scale "share", where no value means "nothing", e is half of the scale. A cell without an interval,
    among others with one, keeps UNSURE.
    """
    if matrix.low is None or matrix.high is None:
        return np.ones(matrix.values.shape)
    if matrix.scale in CENTRED:
        effect_RC = np.abs(matrix.values - matrix.centre)
        half_RC = np.where(matrix.values >= matrix.centre, matrix.values - matrix.low, matrix.high - matrix.values)
    else:
        effect_RC, half_RC = np.full(matrix.values.shape, 0.5), (matrix.high - matrix.low) / 2
    squares_RC = effect_RC**2 + half_RC**2
    kept_RC = np.divide(effect_RC**2, squares_RC, out=np.ones_like(squares_RC), where=squares_RC > 0)
    return np.where(np.isnan(half_RC), UNSURE, kept_RC**2)


def _veil(matrix: Matrix, norm: Normalize, colours: Colormap) -> Floats:
    """What lies over the colours, (rows, cols, RGBA).

    It has the colour of "nothing", or the grey of the unknown, and is opaque where nothing is sure.
    """
    centred = matrix.scale in CENTRED
    veil_RC4 = np.empty((*matrix.values.shape, 4))
    veil_RC4[...] = colours(norm(matrix.centre)) if centred else to_rgba(UNKNOWN)
    veil_RC4[..., 3] = np.where(np.isnan(matrix.values), 0.0, 1.0 - sureness(matrix))
    return veil_RC4


def _painted(matrix: Matrix, norm: Normalize, colours: Colormap, veil_RC4: Floats) -> Floats:
    """The colours as they are seen through the veil, (rows, cols, RGB)."""
    full_RC3, over_RC1 = colours(norm(matrix.values))[..., :3], veil_RC4[..., 3:]
    painted_RC3: Floats = (1 - over_RC1) * full_RC3 + over_RC1 * veil_RC4[..., :3]
    return painted_RC3


def _label(axes: Axes, matrix: Matrix, size: int, canvas: Canvas) -> None:
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    limit = 16 if size <= 4 else 12
    _label_columns(axes, matrix, limit, canvas)
    if len(matrix.rows) > canvas.names:
        axes.set_yticks([])
        axes.set_ylabel(f"{matrix.row_axis} ({len(matrix.rows)}, highest mean first)")
    else:
        axes.set_yticks(range(len(matrix.rows)), shorten_all(matrix.rows, limit))
        axes.set_ylabel(matrix.row_axis)


def _label_columns(axes: Axes, matrix: Matrix, limit: int, canvas: Canvas) -> None:
    if len(matrix.cols) > canvas.names:
        axes.set_xticks([])
        axes.set_xlabel(f"{matrix.col_axis} ({len(matrix.cols)})")
        return
    names = shorten_all(matrix.cols, limit)
    upright = max(map(len, names)) * 0.095 < canvas.width * 0.6 / len(names)
    slanted = not upright and len(names) <= 8
    axes.set_xticks(range(len(names)), names, rotation=0 if upright else 50 if slanted else 90)
    if slanted:
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
            label.set_rotation_mode("anchor")
    axes.set_xlabel(matrix.col_axis)


def _number(axes: Axes, matrix: Matrix, painted_RC3: Floats, spacious: bool) -> None:
    certain = matrix.certain
    for row in range(len(matrix.rows)):
        for col in range(len(matrix.cols)):
            cell = matrix.estimate(row, col)
            if cell is None:
                continue
            text = number(cell.value, matrix.scale, spacious)
            if spacious and cell.low is not None and cell.high is not None:
                text += "\n±" + number((cell.high - cell.low) / 2, matrix.scale, spacious).lstrip("+")
            red, green, blue = painted_RC3[row, col]
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            weight = "bold" if certain[row, col] and matrix.scale in CENTRED else "normal"
            text = text.replace("-", "\N{MINUS SIGN}")  # a hyphen is lost at the size of a card
            axes.text(
                col,
                row,
                text,
                ha="center",
                va="center",
                color="white" if dark else INK,
                weight=weight,
                linespacing=1.05,
            )


def number(value: float, scale: str, spacious: bool = True) -> str:
    """A cell's number in as few characters as say it: `.62`, `+3.1`, `12k`."""
    if scale == "count":
        return f"{value:.0f}" if value < 10_000 else f"{value / 1000:.0f}k"
    if scale == "points":
        digits = 1 if spacious and abs(value) < 9.95 else 0
        return f"{round(value, digits) + 0.0:+.{digits}f}"  # + 0.0 turns −0 into 0
    text = f"{value:+.2f}" if scale == "signed" else f"{value:.2f}"
    return text.replace("0.", ".", 1) if abs(float(text)) < 1 else text
