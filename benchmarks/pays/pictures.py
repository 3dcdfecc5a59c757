"""The two pictures of docs/results/pays.md: the map of regimes, and all arms of *private* seed by seed."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from benchmarks.pays.cells import Cell
from benchmarks.pays.hypotheses import HYPOTHESES, Lead
from league.reporting.figures.style import COLOURS, FAINT, GRID, INK, UNKNOWN, styled

AHEAD, BEHIND, OPEN = COLOURS[2], COLOURS[1], COLOURS[7]
CEILINGS = ("experts", "pooled")
LEAGUES = ("league", "league_as_it_was")
LABELS = {each.name: f"{each.name} ({each.unit})" for each in HYPOTHESES}


@styled
def map_of_regimes(leads: Mapping[str, Lead | None]) -> Figure:
    """One row a hypothesis: how far the league is ahead of the best baseline, with its 95% interval."""
    figure = Figure(figsize=(9.0, 0.62 * len(leads) + 1.5), dpi=110, layout="constrained")
    axes = figure.subplots()
    bounds = [0.0]
    for place, found in enumerate(leads.values()):
        if found is None:
            axes.axhspan(place - 0.4, place + 0.4, color=UNKNOWN, linewidth=0)
            axes.text(
                0.5, place, "not run", transform=axes.get_yaxis_transform(), ha="center", va="center", color=FAINT
            )
            continue
        mean, low, high = found.found.mean, found.found.low, found.found.high
        several = found.found.seeds > 1
        colour = {"ahead": AHEAD, "behind": BEHIND}.get(found.verdict, OPEN)
        bounds += [mean, low, high] if several else [mean]
        if several:
            axes.plot([low, high], [place, place], color=colour, linewidth=4, solid_capstyle="round", alpha=0.55)
        axes.plot(mean, place, "o", color=colour, mfc=colour if several else "white", markersize=10, mew=2)
        against = f"{mean:+.1f} over {found.baseline}, {found.found.seeds} seed{'s' * several}: {found.verdict}"
        axes.annotate(
            against,
            (mean, place),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=9,
            color=INK,
            bbox={"boxstyle": "square,pad=0.1", "color": "white", "linewidth": 0},
        )
    room = max(max(bounds) - min(bounds), 10.0)
    axes.set_xlim(min(bounds) - 0.25 * room, max(bounds) + 0.25 * room)
    axes.set_ylim(len(leads) - 0.5, -0.75)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(range(len(leads)), [LABELS.get(name, name) for name in leads])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("← the baseline is ahead        points (95% interval over seeds)        the league is ahead →")
    axes.set_title("Where a league pays: league − best baseline", loc="left")
    axes.grid(axis="x", color=GRID)
    axes.set_axisbelow(True)
    return figure


@styled
def all_arms(by_arm: Mapping[str, Sequence[Cell]], title: str) -> Figure:
    """One bar an arm, its mean; a dot for each seed. Best on top."""
    figure = Figure(figsize=(9.0, 0.42 * max(len(by_arm), 3) + 1.5), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left")
    if not by_arm:
        axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center", va="center", color=FAINT)
        axes.set_axis_off()
        return figure
    means = {arm: 100 * fmean(cell.accuracy() for cell in cells) for arm, cells in by_arm.items()}
    order = sorted(means, key=lambda arm: -means[arm])
    for place, arm in enumerate(order):
        colour = COLOURS[0] if arm in LEAGUES else FAINT if arm in CEILINGS else COLOURS[4]
        seeds = [100 * cell.accuracy() for cell in by_arm[arm]]
        axes.barh(place, means[arm], height=0.62, color=colour, alpha=0.35, linewidth=0)
        axes.plot([means[arm]] * 2, [place - 0.31, place + 0.31], color=colour, linewidth=2.5)
        axes.plot(seeds, [place] * len(seeds), "o", color=colour, markersize=5, mec="white", mew=0.7)
        axes.text(max(seeds) + 1.0, place, f"{means[arm]:.1f} ({len(seeds)})", va="center", fontsize=9, color=INK)
    axes.set_yticks(range(len(order)), order)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xlim(0, min(108.0, 1.15 * max(100 * cell.accuracy() for cells in by_arm.values() for cell in cells) + 4))
    axes.set_xlabel("held-out accuracy, %: bar = mean, dots = seeds (their number in brackets)")
    kinds = ((COLOURS[0], "league"), (COLOURS[4], "start, baseline or control"), (FAINT, "ceiling"))
    patches = [Patch(color=colour, alpha=0.6, label=name) for colour, name in kinds]
    axes.legend(handles=patches, loc="lower right", frameon=False)
    axes.grid(axis="x", color=GRID)
    axes.set_axisbelow(True)
    return figure
