"""Rock-paper-scissors in the live league as a picture.

Each run's learners in the triangle of the three moves, and what can be exploited.

A learner that goes round shows as a spiral about the centre. Left out: numbers with intervals, which
`benchmarks.games.live_league report` prints.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from league.reporting.figures.style import COLOURS, FAINT, styled

CORNERS = np.array([[0.0, 1.0], [-(3**0.5) / 2, -0.5], [3**0.5 / 2, -0.5]])
"""Where rock, paper and scissors stand."""
SHOWN = {
    "learner": "a learner as it is",
    "nash": "Nash mixture of the pasts, measured payoffs",
    "average": "all pasts alike",
    "exact": "Nash mixture, exact payoffs",
}


@styled
def draw(runs: Mapping[str, Mapping[str, Any]], file: Path) -> None:
    """One row an arm: a triangle per seed, then exploitability over rounds.

    Thin lines are seeds, the thick one is their mean.
    """
    arms = list(dict.fromkeys(name.rpartition("-")[0] for name in runs))
    seeds = max(sum(name.rpartition("-")[0] == arm for name in runs) for arm in arms)
    figure = Figure(figsize=(2.3 * seeds + 4.6, 2.9 * len(arms) + 0.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(arms), seeds + 1, squeeze=False, width_ratios=[1.0] * seeds + [1.9])
    for row, arm in zip(grid, arms, strict=True):
        mine = {name: run["curve"] for name, run in runs.items() if name.rpartition("-")[0] == arm}
        for axes in row[:seeds]:
            axes.set_axis_off()
        for axes, (name, curve) in zip(row, mine.items(), strict=False):
            _triangle(axes, name, curve)
        _curves(row[-1], arm, list(mine.values()))
    figure.legend(
        *grid[0][-1].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9
    )
    figure.savefig(file)


def _triangle(axes: Axes, name: str, curve: list[Mapping[str, Any]]) -> None:
    """The two learners' policies round by round, from the ring to the dot.

    The centre is where nobody can be exploited.
    """
    axes.set_title(name, fontsize=10)
    axes.plot(*np.vstack([CORNERS, CORNERS[:1]]).T, color=FAINT, linewidth=0.8)
    for move, (x, y) in zip(("rock", "paper", "scissors"), CORNERS, strict=True):
        axes.text(x * 1.12, y * 1.12 - (0.06 if y < 0 else 0.0), move, ha="center", va="center", fontsize=9)
    for learner, colour in zip(range(len(curve[0]["policies"])), COLOURS, strict=False):
        path = np.array([point["policies"][learner] for point in curve]) @ CORNERS
        axes.plot(*path.T, color=colour, linewidth=0.9, alpha=0.8)
        axes.plot(*path[0], "o", mfc="white", color=colour, markersize=5)
        axes.plot(*path[-1], "o", color=colour, markersize=5)
    axes.plot(0, 0, "+", color="black", markersize=7)
    axes.set_aspect("equal")
    axes.set_xlim(-1.15, 1.15)
    axes.set_ylim(-0.8, 1.25)


def _curves(axes: Axes, arm: str, curves: list[list[Mapping[str, Any]]]) -> None:
    axes.set_title(f"{arm}: exploitability", fontsize=10)
    rounds = [point["round"] for point in curves[0]]
    for (key, label), colour in zip(SHOWN.items(), (COLOURS[1], COLOURS[0], COLOURS[2], FAINT), strict=True):
        values = np.array([[point[key] for point in curve] for curve in curves])
        axes.plot(rounds, values.T, color=colour, linewidth=0.6, alpha=0.45)
        axes.plot(rounds, values.mean(axis=0), color=colour, linewidth=2.0, label=label)
    axes.set_ylim(0, 1)
    axes.set_xlabel("round")
    axes.grid(True, axis="y", linewidth=0.5, alpha=0.5)
