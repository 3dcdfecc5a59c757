"""Values over rounds: learning curves, ratings with bands, cyclic share, Nash and α-rank mass.

A NaN is a gap, and under a cyclic share or a mixture it is shaded as "undefined". With more lines than colours the
strongest at the end are coloured and the others drawn grey, and the title says so.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from league.reporting.figures.style import (
    CARD,
    FAINT,
    GRID,
    INK,
    MAX_LINES,
    Canvas,
    Palette,
    new_figure,
    shorten_all,
    styled,
)
from league.reporting.views import LadderRow, Panel, Series

OTHERS = "#c4cad0"


@styled
def lines(panel: Panel, palette: Palette | None = None, canvas: Canvas = CARD) -> Figure:
    """One panel of lines with their intervals and, dashed, the baseline with its own."""
    figure = new_figure(canvas)
    axes = figure.add_subplot()
    _draw_lines(axes, panel, palette or Palette(s.name for s in panel.series))
    _legend(figure, axes)
    return figure


@styled
def line_grid(
    panels: Sequence[Panel], palette: Palette | None = None, canvas: Canvas = CARD, columns: int = 3
) -> Figure:
    """Small multiples with one shared legend: learning curves, one panel a domain."""
    palette = palette or Palette(s.name for panel in panels for s in panel.series)
    rows = max(1, -(-len(panels) // columns))
    figure = new_figure(canvas, height=canvas.height * (0.2 + 0.8 * rows))
    grid = figure.subplots(rows, min(columns, max(1, len(panels))), squeeze=False, sharex=True)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw_lines(axes, panel, palette)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    if panels:
        _legend(figure, *grid.flat)
    return figure


def _draw_lines(axes: Axes, panel: Panel, palette: Palette) -> None:
    shown = _strongest(panel.series, MAX_LINES)
    title = (
        panel.title
        if len(shown) == len(panel.series)
        else f"{panel.title}\n(top {len(shown)} of {len(panel.series)} coloured)"
    )
    axes.set_title(title, wrap=True)
    axes.set_ylabel(panel.unit)
    _axes(axes, panel.series)
    for series in panel.series:
        if series not in shown:
            axes.plot(series.rounds, series.values, color=OTHERS, linewidth=0.7, zorder=1)
    for series, label in zip(shown, shorten_all([s.name for s in shown], 18), strict=True):
        colour = palette.colour(series.name)
        if series.low is not None and series.high is not None:
            axes.fill_between(
                series.rounds,
                series.low,
                series.high,
                color=colour,
                alpha=min(0.15, 0.6 / len(shown)),
                linewidth=0,
                zorder=2,
            )
        marker = "o" if len(series.rounds) <= 12 else ""
        axes.plot(
            series.rounds,
            series.values,
            color=colour,
            linestyle=palette.dash(series.name),
            linewidth=1.8,
            marker=marker,
            markersize=3.5,
            label=label,
            zorder=3,
        )
    if panel.baseline is not None:
        _baseline(axes, panel)
    if panel.bounds is None:
        _frame(axes, shown)
    else:
        axes.set_ylim(*panel.bounds)
        if panel.bounds == (0.0, 1.0):
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _frame(axes: Axes, shown: Sequence[Series]) -> None:
    """Fit the y axis to the values and to the bands of the last half.

    A first rating's wide band would flatten all that follows.
    """
    ends = [np.asarray(s.values, dtype=float) for s in shown]
    ends += [
        np.asarray(band[len(band) // 2 :], dtype=float) for s in shown for band in (s.low, s.high) if band is not None
    ]
    known = np.concatenate(ends) if ends else np.empty(0)
    known = known[np.isfinite(known)]
    if known.size and np.ptp(known) > 0:
        margin = 0.06 * float(np.ptp(known))
        axes.set_ylim(float(known.min()) - margin, float(known.max()) + margin)


def _baseline(axes: Axes, panel: Panel) -> None:
    base = panel.baseline
    assert base is not None
    axes.axhline(base.value, color=INK, linestyle="--", linewidth=1.2, label=panel.baseline_label, zorder=2.5)
    if base.low is not None and base.high is not None:
        axes.axhspan(base.low, base.high, color=INK, alpha=0.08, linewidth=0, zorder=0)


def _axes(axes: Axes, series: Sequence[Series]) -> None:
    axes.set_xlabel("round")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.grid(True, axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    if not any(s.rounds for s in series):
        axes.text(0.5, 0.5, "no measurements yet", ha="center", va="center", transform=axes.transAxes, color=FAINT)


def _strongest(series: Sequence[Series], count: int) -> list[Series]:
    """The `count` series that end highest, in their given order."""
    if len(series) <= count:
        return list(series)
    best = sorted(range(len(series)), key=lambda i: -_last(series[i]))[:count]
    return [series[i] for i in sorted(best)]


def _last(series: Series) -> float:
    known = [v for v in series.values if not np.isnan(v)]
    return known[-1] if known else -np.inf


def _legend(figure: Figure, *axes: Axes) -> None:
    entries = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    if not entries:
        return
    per_row = max(1, int(figure.get_figwidth() / (0.45 + 0.075 * max(map(len, entries)))))
    figure.legend(
        entries.values(),
        entries.keys(),
        loc="outside lower center",
        ncols=min(per_row, len(entries)),
        frameon=False,
        handlelength=1.8,
        columnspacing=1.0,
    )


@styled
def share_over_time(panel: Panel, canvas: Canvas = CARD) -> Figure:
    """Cyclic share of the payoffs over rounds (Hodge split) with its bootstrap interval.

    Rounds without signal are shaded "undefined".
    """
    figure = new_figure(canvas)
    axes = figure.add_subplot()
    _draw_lines(axes, panel, Palette(s.name for s in panel.series))
    if panel.series:
        _shade(axes, _gaps(panel.series[0]), "undefined: no signal, or no loop of pairs")
    _legend(figure, axes)
    return figure


def _shade(axes: Axes, gaps: Sequence[tuple[float, float]], label: str) -> None:
    for place, (start, stop) in enumerate(gaps):
        axes.axvspan(
            start,
            stop,
            label=None if place else label,
            facecolor="none",
            hatch="////",
            edgecolor="#c9ced4",
            linewidth=0,
            zorder=0,
        )


def _gaps(series: Series) -> list[tuple[float, float]]:
    """Spans of rounds with NaN values, widened by half the distance to their neighbours."""
    rounds = series.rounds
    gaps: list[tuple[float, float]] = []
    for i, value in enumerate(series.values):
        if np.isnan(value):
            left = (rounds[i - 1] + rounds[i]) / 2 if i else rounds[i] - 0.5
            right = (rounds[i + 1] + rounds[i]) / 2 if i + 1 < len(rounds) else rounds[i] + 0.5
            if gaps and gaps[-1][1] >= left:
                gaps[-1] = (gaps[-1][0], right)
            else:
                gaps.append((left, right))
    return gaps


def _between(series: Series, gaps: Sequence[tuple[float, float]]) -> Iterator[tuple[list[float], list[int]]]:
    """Rounds, and places of their values, of each stretch without NaN.

    Its first and last values reach to the gaps around it.
    """
    edges = [-math.inf, *(edge for gap in gaps for edge in gap), math.inf]
    for left, right in zip(edges[::2], edges[1::2], strict=True):
        found = [
            i for i, value in enumerate(series.values) if not np.isnan(value) and left <= series.rounds[i] <= right
        ]
        if found:
            first, last = ([edge] if math.isfinite(edge) else [] for edge in (left, right))
            yield (
                [*first, *(series.rounds[i] for i in found), *last],
                [*found[: len(first)], *found, *found[len(found) - len(last) :]],
            )


@styled
def mass_over_time(panel: Panel, palette: Palette | None = None, canvas: Canvas = CARD) -> Figure:
    """Nash or α-rank mass, stacked to 1.

    The agents with the largest mean mass stand by name, all others in one grey band. All series must share their rounds
    (a mass of 0 before an agent existed); rounds in which one is NaN are shaded "undefined".
    """
    figure = new_figure(canvas)
    axes = figure.add_subplot()
    axes.set_title(panel.title, wrap=True)
    axes.set_ylabel(panel.unit)
    _axes(axes, panel.series)
    if not any(s.rounds for s in panel.series):
        return figure
    palette = palette or Palette(s.name for s in panel.series)
    by_mass = sorted(panel.series, key=lambda s: -float(np.nansum(s.values)))
    top = by_mass[: MAX_LINES - 1] if len(by_mass) > MAX_LINES else by_mass
    rest = by_mass[len(top) :]
    stack = [np.nan_to_num(s.values) for s in top] + ([np.nansum([s.values for s in rest], axis=0)] if rest else [])
    colours = [palette.colour(s.name) for s in top] + (["#d5d9de"] if rest else [])
    hatches = [palette.hatch(s.name) for s in top] + ([""] if rest else [])
    labels = shorten_all([s.name for s in top], 18) + ([f"{len(rest)} others"] if rest else [])
    whole = Series("", panel.series[0].rounds, tuple(np.sum([s.values for s in panel.series], axis=0)))
    gaps = _gaps(whole)
    for place, (rounds, cut) in enumerate(_between(whole, gaps)):
        names = labels if place == 0 else ["_"] * len(labels)  # named once in the legend
        axes.stackplot(
            rounds,
            *(band[cut] for band in stack),
            colors=colours,
            labels=names,
            linewidth=0.4,
            edgecolor="white",
            hatch=hatches,
        )
    _shade(axes, gaps, "undefined: pairs that never met")
    axes.set_ylim(0, 1)
    axes.margins(x=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _legend(figure, axes)
    return figure


@styled
def ladder_bars(rows: Sequence[LadderRow], palette: Palette | None = None, canvas: Canvas = CARD) -> Figure:
    """Ratings now: mu with a band of 2 sigma, strongest first.

    Beyond the canvas's names only every k-th is named.
    """
    figure = new_figure(canvas)
    axes = figure.add_subplot()
    rows = sorted(rows, key=lambda r: -r.mu)
    ladder = rows[0].ladder if rows else "overall"
    axes.set_title(f"TrueSkill ratings, {ladder}", wrap=True)
    axes.set_xlabel("rating, μ ± 2σ")
    axes.grid(True, axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    palette = palette or Palette(r.name for r in rows)
    for place, row in enumerate(rows):
        axes.errorbar(
            row.mu,
            place,
            xerr=2 * row.sigma,
            color=palette.colour(row.name),
            fmt="o",
            markersize=5 if len(rows) <= 32 else 3,
            elinewidth=2 if len(rows) <= 32 else 1,
        )
    step = max(1, -(-len(rows) // canvas.names))
    names = shorten_all([r.name for r in rows], 18)
    axes.set_yticks(range(0, len(rows), step), names[::step])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    return figure
