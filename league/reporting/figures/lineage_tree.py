"""Who came from whom: one lane per agent over rounds, a mark per version by its reason, lines from
parents of another agent.

Plain updates are small dots, so that what changed a population stands out; the figure grows with its lanes. Left out:
what happened to weights inside a round.
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

MARKS: Mapping[str, str] = {
    "snapshot": "s",
    "exploit": "^",
    "merge": "P",
    "merge refused": "x",
    "rollback": "v",
    "reset": "X",
    "import": "D",
    "warm-up": "d",
    "created": "o",
    "update": ".",
}
LANE = 0.17
"""Inches a named lane needs."""
AROUND = 1.5
"""Inches for the title, the rounds and the legend."""


@styled
def lineage_tree(edges: Sequence[LineageEdge], palette: Palette | None = None, canvas: Canvas = CARD) -> Figure:
    """Lanes of `canvas`'s height, or as high as its names need, in a card at most two and a half
    times as high."""
    lanes = lane_order(edges)
    height = min(max(canvas.height, LANE * len(lanes) + AROUND), 2.5 * CARD.height if canvas is CARD else 100.0)
    figure = new_figure(canvas, height)
    axes = figure.add_subplot()
    axes.set_title("Lineage (one mark a version)", wrap=True)
    palette = palette or Palette(lanes)
    _draw_lanes(axes, edges, lanes, palette)
    _draw_marks(axes, edges, lanes, palette)
    _draw_frame(axes, edges, lanes, height)
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        legend = figure.legend(
            handles, labels, loc="outside lower center", ncols=4, frameon=False, handletextpad=0.2, columnspacing=0.9
        )
        for handle in legend.legend_handles:
            if isinstance(handle, PathCollection):
                handle.set(color=INK, sizes=[36])
    return figure


def _draw_lanes(axes: Axes, edges: Sequence[LineageEdge], lanes: Mapping[str, int], palette: Palette) -> None:
    """From each agent's first version to its last, and across lanes from a parent to its child."""
    lives: dict[str, list[int]] = {}
    born = {edge.child: edge.round for edge in edges}
    for edge in edges:
        name = agent_of(edge.child)
        lives.setdefault(name, []).append(edge.round)
        for parent in edge.parents:
            if agent_of(parent) != name and parent in born:
                axes.plot(
                    [born[parent], edge.round],
                    [lanes[agent_of(parent)], lanes[name]],
                    color=FAINT,
                    linewidth=1.0,
                    zorder=0,
                )
    for name, rounds in lives.items():
        width = 1.6 if len(lanes) <= 32 else 1.0
        axes.plot([min(rounds), max(rounds)], [lanes[name]] * 2, color=palette.colour(name), linewidth=width, zorder=1)


def _draw_marks(axes: Axes, edges: Sequence[LineageEdge], lanes: Mapping[str, int], palette: Palette) -> None:
    size = 42 if len(lanes) <= 16 else 26
    for reason in dict.fromkeys(edge.reason for edge in edges):
        marked = [edge for edge in edges if edge.reason == reason]
        plain = reason == "update"
        axes.scatter(
            [edge.round for edge in marked],
            [lanes[agent_of(edge.child)] for edge in marked],
            s=14 if plain else size,
            c=[palette.colour(edge.child) for edge in marked],
            marker=MARKS.get(reason, "o"),
            edgecolors=None if plain or reason == "merge refused" else "white",
            linewidths=1.2 if reason == "merge refused" else 0.4,
            label=reason,
            zorder=2 if plain else 3,
        )
    gone = [edge for edge in edges if edge.retired is not None]
    if gone:
        at = [lanes[agent_of(edge.child)] for edge in gone]
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


def _draw_frame(axes: Axes, edges: Sequence[LineageEdge], lanes: Mapping[str, int], height: float) -> None:
    axes.set_xlabel("round")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    step = max(1, -(-len(lanes) // max(1, int((height - AROUND) / LANE))))
    axes.set_yticks(range(0, len(lanes), step), shorten_all(lanes, 16)[::step])
    axes.set_ylim(len(lanes) - 0.4, -0.6)
    rounds = [edge.round for edge in edges] or [0]
    axes.set_xlim(min(rounds) - 0.5, max(max(rounds), min(rounds) + 4) + 0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def lane_order(edges: Sequence[LineageEdge]) -> dict[str, int]:
    """Lane per agent: children stand right after the agent they came from, so that lines cross
    little."""
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
    return {name: lane for lane, name in enumerate(order)}
