"""Who certainly beats whom, and who came from whom.

The cycle graph stands winners above losers: layers are those of the condensation (each strongly connected component is one point of a
directed acyclic graph), and a component is drawn as a circle in its layer, in the order of its longest listed cycle.
"""

import math
from collections.abc import Container, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.ticker import MaxNLocator

from league.reporting.style import CARD, FAINT, GRID, HIGHLIGHT, INK, Canvas, Palette, agent_of, new_figure, shorten_all, styled
from league.reporting.views import CertifiedEdge, Cycles, LineageEdge

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
Point = tuple[float, float]


@styled
def cycle_graph(view: Cycles, palette: Palette | None = None, canvas: Canvas = CARD) -> Figure:
    """Certified edges winner → loser; edges that lie on a cycle are orange. Agents outside cycles go when all do not fit."""
    figure = new_figure(canvas)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_title(_cycle_title(view), wrap=True)
    if not view.edges:
        axes.text(0.5, 0.5, f"none of {view.pairs} pairs is certain yet", ha="center", va="center", transform=axes.transAxes, color=FAINT)
        return figure
    layers = component_layers(view)
    cyclic = {name for layer in layers for component in layer if len(component) > 1 for name in component}
    places = _places(layers)
    crowded = len(places) > canvas.names * 5 // 8 or _height(places) > 1.5 * canvas.height
    if crowded and not cyclic:
        text = f"{len(view.edges)} of {view.pairs} pairs certain,\nno cycle among them"
        axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
        return figure
    if crowded:
        layers = [kept for layer in layers if (kept := [component for component in layer if len(component) > 1])]
        places = _places(layers)
    _draw_edges(axes, view, essential(view, places), places)
    _draw_nodes(axes, [component for layer in layers for component in layer], places, palette or Palette(view.names), canvas)
    hidden = len(view.names) - len(places)
    if hidden:
        figure.supxlabel(f"{hidden} agents in no certain {'cycle' if crowded else 'pair'} are not drawn", fontsize=10, color=FAINT)
    return figure


def _cycle_title(view: Cycles) -> str:
    count = f"{len(view.cycles)}{'+' if view.truncated else ''}"
    if not view.cycles:
        return f"No certified cycle ({len(view.edges)} of {view.pairs} pairs certain)"
    return f"{count} certified cycle{'s' if len(view.cycles) != 1 else ''} (arrow: beats, win rate)"


def component_layers(view: Cycles) -> list[list[list[str]]]:
    """Layers of strongly connected components, winners first; each component in the order of its longest listed cycle."""
    import networkx as nx

    graph = nx.DiGraph([(edge.winner, edge.loser) for edge in view.edges])
    condensed = nx.condensation(graph)
    order = {name: place for place, name in enumerate(view.names)}
    layers = []
    for generation in nx.topological_generations(condensed):
        components = []
        for node in sorted(generation, key=lambda n: min(order.get(m, len(order)) for m in condensed.nodes[n]["members"])):
            members: set[str] = condensed.nodes[node]["members"]
            inside = [cycle for cycle in view.cycles if set(cycle) <= members]
            longest = max(inside, key=len, default=())
            components.append([*longest, *sorted(members - set(longest), key=lambda m: order.get(m, len(order)))])
        layers.append(components)
    return layers


def essential(view: Cycles, shown: Container[str]) -> list[CertifiedEdge]:
    """The edges inside components, and between components only those that no longer chain implies (transitive reduction)."""
    import networkx as nx

    graph = nx.DiGraph([(e.winner, e.loser) for e in view.edges if e.winner in shown and e.loser in shown])
    condensed = nx.condensation(graph)
    of = condensed.graph["mapping"]
    needed = set(nx.transitive_reduction(condensed).edges)
    out, joined = [], set()
    for edge in sorted(view.edges, key=lambda e: -e.n):
        if edge.winner not in of or edge.loser not in of:
            continue
        pair = (of[edge.winner], of[edge.loser])
        if pair[0] == pair[1] or (pair in needed and pair not in joined):
            out.append(edge)
            joined.add(pair)
    return out


def _places(layers: Sequence[Sequence[Sequence[str]]]) -> dict[str, Point]:
    """Coordinates: layers downwards, components side by side, each on a circle that grows with its size."""
    places: dict[str, Point] = {}
    top = 0.0
    for layer in layers:
        radii = [0.0 if len(component) == 1 else 0.5 + 0.16 * len(component) for component in layer]
        widths = [max(0.5, radius) * 2 + 0.6 for radius in radii]
        left, tallest = -sum(widths) / 2, max(radii)
        for component, radius, width in zip(layer, radii, widths, strict=True):
            x, y = left + width / 2, top - tallest
            for i, name in enumerate(component):
                angle = math.pi / 2 - 2 * math.pi * i / len(component)
                places[name] = (x + radius * math.cos(angle), y + radius * math.sin(angle))
            left += width
        top -= 2 * tallest + (1.1 if tallest == 0 else 1.5)  # a circle's lowest and highest names stand outside it
    return places


def _height(places: Mapping[str, Point]) -> float:
    heights = [y for _, y in places.values()]
    return max(heights) - min(heights)


def _draw_edges(axes: Axes, view: Cycles, edges: Sequence[CertifiedEdge], places: Mapping[str, Point]) -> None:
    on_cycle = {(a, b) for cycle in view.cycles for a, b in zip(cycle, (*cycle[1:], cycle[0]), strict=True)}
    label = len(on_cycle) <= 8
    for edge in edges:
        hot = (edge.winner, edge.loser) in on_cycle
        start, stop = places[edge.winner], places[edge.loser]
        axes.add_patch(
            FancyArrowPatch(
                start,
                stop,
                arrowstyle="-|>",
                mutation_scale=13 if hot else 9,
                shrinkA=13,
                shrinkB=13,
                linewidth=1.8 if hot else 0.9,
                color=HIGHLIGHT if hot else "#b6bec6",
                connectionstyle="arc3,rad=0.06",
                zorder=2 if hot else 1,
            )
        )
        if hot and label:
            middle = ((start[0] + stop[0]) / 2, (start[1] + stop[1]) / 2)
            box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"}
            axes.text(*middle, f"{edge.rate:.2f}".replace("0.", "."), ha="center", va="center", color=HIGHLIGHT, bbox=box, zorder=3)


def _draw_nodes(axes: Axes, components: Sequence[Sequence[str]], places: Mapping[str, Point], palette: Palette, canvas: Canvas) -> None:
    named = len(places) <= canvas.names
    crowns = {max(component, key=lambda n: places[n][1]) for component in components if len(component) > 1}
    for (name, (x, y)), short in zip(places.items(), shorten_all(places, 14), strict=True):
        axes.plot(x, y, "o", markersize=11 if named else 6, color=palette.colour(name), markeredgecolor="white", zorder=4)
        if named:
            box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
            above = name in crowns
            axes.annotate(
                short,
                (x, y),
                (0, 9 if above else -9),
                textcoords="offset points",
                ha="center",
                va="bottom" if above else "top",
                bbox=box,
                zorder=5,
            )
    xs, ys = zip(*places.values(), strict=True)
    axes.set_xlim(min(xs) - 0.9, max(xs) + 0.9)
    axes.set_ylim(min(ys) - 0.7, max(ys) + 0.7)


@styled
def lineage_tree(edges: Sequence[LineageEdge], palette: Palette | None = None, canvas: Canvas = CARD) -> Figure:
    """One lane per agent over rounds; a mark per version by its reason, a line from each parent of another agent."""
    figure = new_figure(canvas)
    axes = figure.add_subplot()
    axes.set_title("Lineage (one mark a version)", wrap=True)
    axes.set_xlabel("round")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    lanes = lane_order(edges)
    palette = palette or Palette(lanes)
    born = {edge.child: edge.round for edge in edges}
    for name, lane in lanes.items():
        rounds = [edge.round for edge in edges if agent_of(edge.child) == name]
        axes.plot(
            [min(rounds), max(rounds)], [lane, lane], color=palette.colour(name), linewidth=1.6 if len(lanes) <= 32 else 0.8, zorder=1
        )
    for edge in edges:
        name = agent_of(edge.child)
        for parent in edge.parents:
            if agent_of(parent) != name and parent in born:
                ends = [lanes[agent_of(parent)], lanes[name]]
                axes.plot([born[parent], edge.round], ends, color=FAINT, linewidth=1.0, zorder=0)
    for reason in dict.fromkeys(edge.reason for edge in edges):
        marked = [edge for edge in edges if edge.reason == reason]
        axes.scatter(
            [edge.round for edge in marked],
            [lanes[agent_of(edge.child)] for edge in marked],
            s=42 if len(lanes) <= 16 else 10,
            c=[palette.colour(edge.child) for edge in marked],
            marker=MARKS.get(reason, "o"),
            edgecolors="white",
            linewidths=0.4,
            label=reason,
            zorder=2,
        )
    gone = [edge for edge in edges if edge.retired is not None]
    if gone:
        at = [lanes[agent_of(edge.child)] for edge in gone]
        axes.scatter([float(edge.retired or 0) for edge in gone], at, s=42, c=FAINT, marker="|", linewidths=1.6, label="retired", zorder=2)
    step = max(1, -(-len(lanes) // canvas.names))
    axes.set_yticks(range(0, len(lanes), step), shorten_all(lanes, 16)[::step])
    axes.set_ylim(len(lanes) - 0.4, -0.6)
    rounds = [edge.round for edge in edges] or [0]
    axes.set_xlim(min(rounds) - 0.5, max(max(rounds), min(rounds) + 4) + 0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        legend = figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, handletextpad=0.2, columnspacing=0.9)
        for handle in legend.legend_handles:
            if isinstance(handle, PathCollection):
                handle.set(color=INK, sizes=[36])
    return figure


def lane_order(edges: Sequence[LineageEdge]) -> dict[str, int]:
    """Lane per agent: children stand right after the agent they came from, so that lines cross little."""
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
