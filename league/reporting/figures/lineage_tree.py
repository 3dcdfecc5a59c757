"""Which version came from which: a row per agent over rounds, a marker per version.

A marker's shape tells the reason; lines lead from parents of another agent. Plain updates are small dots, so that what
changed a population stands out; the figure grows with its rows. Left out: what happened to weights inside a round.
"""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from league.reporting.figures.style import (
    CARD,
    FAINT,
    GRID,
    INK,
    Canvas,
    Palette,
    agent_of,
    new_figure,
    shorten_all,
    styled,
)
from league.reporting.views import LineageEdge

MARKERS: Mapping[str, str] = {
    "snapshot": "s",
    "exploit": "^",
    "merge": "P",
    "merge refused": "x",
    "rollback": "v",
    "reset": "X",
    "import": "D",
    "warm-up": "d",
    "branch": ">",
    "created": "o",
    "update": ".",
}
ROW_HEIGHT = 0.17
"""Inches that a named row needs."""
AROUND = 1.5
"""Inches for the title, the rounds and the legend."""


@styled
def lineage_tree(edges: Sequence[LineageEdge], palette: Palette | None = None, canvas: Canvas = CARD) -> Figure:
    """A row per agent, in a figure of the canvas's height, or as high as its names need.

    A card is at most two and a half times as high.
    """
    rows = agent_rows(edges)
    height = min(max(canvas.height, ROW_HEIGHT * len(rows) + AROUND), 2.5 * CARD.height if canvas is CARD else 100.0)
    figure = new_figure(canvas, height)
    axes = figure.add_subplot()
    axes.set_title("Lineage (one marker per version)", wrap=True)
    palette = palette or Palette(rows)
    _draw_agents(axes, edges, rows, palette)
    _draw_versions(axes, edges, rows, palette)
    _draw_frame(axes, edges, rows, height)
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        legend = figure.legend(
            handles, labels, loc="outside lower center", ncols=4, frameon=False, handletextpad=0.2, columnspacing=0.9
        )
        for handle in legend.legend_handles:
            if isinstance(handle, PathCollection):
                handle.set(color=INK, sizes=[36])
    return figure


def _draw_agents(axes: Axes, edges: Sequence[LineageEdge], rows: Mapping[str, int], palette: Palette) -> None:
    """From each agent's first version to its last, and across rows from a parent to its child."""
    lives: dict[str, list[int]] = {}
    born = {edge.child: edge.round for edge in edges}
    for edge in edges:
        name = agent_of(edge.child)
        lives.setdefault(name, []).append(edge.round)
        for parent in edge.parents:
            if agent_of(parent) != name and parent in born:
                axes.plot(
                    [born[parent], edge.round],
                    [rows[agent_of(parent)], rows[name]],
                    color=FAINT,
                    linewidth=1.0,
                    zorder=0,
                )
    for name, rounds in lives.items():
        width = 1.6 if len(rows) <= 32 else 1.0
        axes.plot([min(rounds), max(rounds)], [rows[name]] * 2, color=palette.colour(name), linewidth=width, zorder=1)


def _draw_versions(axes: Axes, edges: Sequence[LineageEdge], rows: Mapping[str, int], palette: Palette) -> None:
    size = 42 if len(rows) <= 16 else 26
    for reason in dict.fromkeys(edge.reason for edge in edges):
        marked = [edge for edge in edges if edge.reason == reason]
        plain = reason == "update"
        axes.scatter(
            [edge.round for edge in marked],
            [rows[agent_of(edge.child)] for edge in marked],
            s=14 if plain else size,
            c=[palette.colour(edge.child) for edge in marked],
            marker=MARKERS.get(reason, "o"),
            edgecolors=None if plain or reason == "merge refused" else "white",
            linewidths=1.2 if reason == "merge refused" else 0.4,
            label=reason,
            zorder=2 if plain else 3,
        )
    gone = [edge for edge in edges if edge.retired is not None]
    if gone:
        at = [rows[agent_of(edge.child)] for edge in gone]
        axes.scatter(
            [float(edge.retired or 0) for edge in gone],
            at,
            s=size,
            c=FAINT,
            marker="|",
            linewidths=1.6,
            label="retired",
            zorder=2,
        )


def _draw_frame(axes: Axes, edges: Sequence[LineageEdge], rows: Mapping[str, int], height: float) -> None:
    axes.set_xlabel("round")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    step = max(1, -(-len(rows) // max(1, int((height - AROUND) / ROW_HEIGHT))))
    axes.set_yticks(range(0, len(rows), step), shorten_all(rows, 16)[::step])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    rounds = [edge.round for edge in edges] or [0]
    axes.set_xlim(min(rounds) - 0.5, max(max(rounds), min(rounds) + 4) + 0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def agent_rows(edges: Sequence[LineageEdge]) -> dict[str, int]:
    """The row of each agent.

    Children stand right after the agent they came from, so that lines cross little.
    """
    parent_of: dict[str, str | None] = {}
    for edge in edges:
        name = agent_of(edge.child)
        if name not in parent_of:
            others = [agent_of(p) for p in edge.parents if agent_of(p) != name]
            parent_of[name] = others[0] if others else None
    children: dict[str | None, list[str]] = {}
    for name, parent in parent_of.items():
        children.setdefault(parent if parent in parent_of else None, []).append(name)
    order: list[str] = []
    stack = list(reversed(children.get(None, [])))
    while stack:
        name = stack.pop()
        order.append(name)
        stack.extend(reversed(children.get(name, [])))
    order.extend(name for name in parent_of if name not in set(order))
    return {name: row for row, name in enumerate(order)}
