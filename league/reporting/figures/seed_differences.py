"""Differences between two groups of runs: a bar of uncertainty a domain, and a dot a seed."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from league.reporting.figures.style import COLOURS, FAINT, GRID, INK, PAGE, Canvas, new_figure, shorten, styled
from league.reporting.queries.seed_groups import SeedComparison


@styled
def seed_differences(rows: Sequence[SeedComparison], first: str, second: str, canvas: Canvas = PAGE) -> Figure:
    """Per domain first − second in percentage points, with its 95% interval and the single seeds."""
    figure = new_figure(canvas, height=1.4 + 0.5 * max(1, len(rows)))
    axes = figure.add_subplot()
    axes.axvline(0, color=FAINT, linewidth=1.0, zorder=1)
    for place, row in enumerate(reversed(rows)):
        seeds = list(row.by_seed.values())
        axes.scatter(
            [100 * value for value in seeds], [place] * len(seeds), s=18, color=COLOURS[5], zorder=2, linewidths=0
        )
        found = row.comparison.difference
        if found is None:
            continue
        if found.low is not None and found.high is not None:
            axes.plot([100 * found.low, 100 * found.high], [place, place], color=INK, linewidth=1.6, zorder=3)
        axes.plot([100 * found.value], [place], marker="D", markersize=6, color=COLOURS[0], zorder=4)
    axes.set_yticks(range(len(rows)), [shorten(row.comparison.domain, 24) for row in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(axis="x", color=GRID)
    over = rows[0].over if rows else "seeds"
    count = len(rows[0].by_seed) if rows else 0
    axes.set_xlabel(f"{shorten(first, 28)} − {shorten(second, 28)}, percentage points")
    axes.set_title(f"Held-out accuracy, 95% intervals over {over} ({count} seed{'s' if count != 1 else ''})")
    return figure
