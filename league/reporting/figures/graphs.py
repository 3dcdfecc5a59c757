"""Certified wins as a graph: an arrow from winner to loser.

The cycle graph stands winners above losers: layers are those of the condensation (each strongly connected component is
one point of a directed acyclic graph), and a component is drawn as a circle in its layer, in the order of its longest
listed cycle. A league whose cycles would be a ball of wool shows some of them instead, as many as have room, and says
so.
"""

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from league.reporting.figures.style import CARD, FAINT, HIGHLIGHT, Canvas, Palette, new_figure, shorten_all, styled
from league.reporting.views import CertifiedCycles, CertifiedEdge

Point = tuple[float, float]


@styled
def cycle_graph(view: CertifiedCycles, palette: Palette | None = None, canvas: Canvas = CARD) -> Figure:
    """Certified edges winner → loser; edges that lie on a cycle are orange.

    Agents outside cycles are left out when all do not fit.
    """
    figure = new_figure(canvas)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_title(_cycle_title(view), wrap=True)
    if not view.edges:
        axes.text(
            0.5,
            0.5,
            f"none of {view.pairs} pairs is certain yet",
            ha="center",
            va="center",
            transform=axes.transAxes,
            color=FAINT,
        )
        return figure
    room = canvas.names * 5 // 8
    few = some_cycles(view.cycles, canvas.names * 3 // 8) if len(_on(view.cycles)) > 2 * room else view.cycles
    if len(few) < len(view.cycles):
        return _some_of(figure, axes, view, few, palette=palette or Palette(view.names), canvas=canvas)
    layers = component_layers(view)
    cyclic = {name for layer in layers for component in layer if len(component) > 1 for name in component}
    places = _places(layers)
    crowded = len(places) > room or _height(places) > 1.5 * canvas.height
    if crowded and not cyclic:
        text = f"{len(view.edges)} of {view.pairs} pairs certain,\nno cycle among them"
        axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
        return figure
    if crowded:
        layers = [kept for layer in layers if (kept := [component for component in layer if len(component) > 1])]
        places = _places(layers)
    _draw_edges(axes, view, essential(view, places), places)
    _draw_nodes(
        axes, [component for layer in layers for component in layer], places, palette or Palette(view.names), canvas
    )
    hidden = len(view.names) - len(places)
    if hidden:
        figure.supxlabel(
            f"{hidden} agents in no certain {'cycle' if crowded else 'pair'} are not drawn", fontsize=10, color=FAINT
        )
    return figure


def _cycle_title(view: CertifiedCycles, drawn: int | None = None) -> str:
    count = f"{len(view.cycles)}{'+' if view.truncated else ''}"
    if not view.cycles:
        return f"No certified cycle ({len(view.edges)} of {view.pairs} pairs certain)"
    if drawn is not None:
        return f"{count} certified cycles, {drawn} of them drawn (arrow: beats)"
    return f"{count} certified cycle{'s' if len(view.cycles) != 1 else ''} (arrow: beats, win rate)"


def _some_of(
    figure: Figure,
    axes: Axes,
    view: CertifiedCycles,
    few: tuple[tuple[str, ...], ...],
    *,
    palette: Palette,
    canvas: Canvas,
) -> Figure:
    """Only the cycles `few`, their agents on one circle in the order in which the cycles go."""
    edges = _on(few)
    shown = replace(view, cycles=few, edges=tuple(edge for edge in view.edges if (edge.winner, edge.loser) in edges))
    circle = list(dict.fromkeys(name for cycle in few for name in cycle))
    places = _places([[circle]])
    axes.set_title(_cycle_title(view, len(few)), wrap=True)
    _draw_edges(axes, shown, shown.edges, places)
    _draw_nodes(axes, [circle], places, palette, canvas)
    more = len({name for cycle in view.cycles for name in cycle}) - len(circle)
    figure.supxlabel(
        f"{more} more agents on cycles, {len(view.names) - len(circle) - more} on none", fontsize=10, color=FAINT
    )
    return figure


def some_cycles(cycles: Sequence[tuple[str, ...]], room: int) -> tuple[tuple[str, ...], ...]:
    """A few of the listed cycles, as many as have room for their agents.

    Each in turn that brings an agent not yet there, while at most `room` agents are; one at least.
    """
    found: list[tuple[str, ...]] = []
    there: set[str] = set()
    for cycle in cycles:
        if not there.issuperset(cycle) and (not found or len(there | set(cycle)) <= room):
            found.append(cycle)
            there |= set(cycle)
    return tuple(found)


def _on(cycles: Sequence[Sequence[str]]) -> set[tuple[str, str]]:
    """The edges of the cycles."""
    return {(a, b) for cycle in cycles for a, b in zip(cycle, (*cycle[1:], cycle[0]), strict=True)}


def component_layers(view: CertifiedCycles) -> list[list[list[str]]]:
    """Layers of strongly connected components, winners first.

    Each component stands in the order of its longest listed cycle.
    """
    import networkx as nx

    graph = nx.DiGraph([(edge.winner, edge.loser) for edge in view.edges])
    condensed = nx.condensation(graph)
    order = {name: place for place, name in enumerate(view.names)}
    layers = []
    for generation in nx.topological_generations(condensed):
        components = []
        for node in sorted(
            generation, key=lambda n: min(order.get(m, len(order)) for m in condensed.nodes[n]["members"])
        ):
            members: set[str] = condensed.nodes[node]["members"]
            inside = [cycle for cycle in view.cycles if set(cycle) <= members]
            longest = max(inside, key=len, default=())
            components.append([*longest, *sorted(members - set(longest), key=lambda m: order.get(m, len(order)))])
        layers.append(components)
    return layers


def essential(view: CertifiedCycles, shown: Container[str]) -> list[CertifiedEdge]:
    """The edges inside components, and between components those that no longer chain implies.

    The latter by transitive reduction.
    """
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
    """Coordinates: layers downwards, components side by side.

    Each component is on a circle that grows with its size.
    """
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


def _draw_edges(axes: Axes, view: CertifiedCycles, edges: Sequence[CertifiedEdge], places: Mapping[str, Point]) -> None:
    on_cycle = _on(view.cycles)
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
            axes.text(
                *middle,
                f"{edge.rate:.2f}".replace("0.", "."),
                ha="center",
                va="center",
                color=HIGHLIGHT,
                bbox=box,
                zorder=3,
            )


def _draw_nodes(
    axes: Axes, components: Sequence[Sequence[str]], places: Mapping[str, Point], palette: Palette, canvas: Canvas
) -> None:
    named = len(places) <= canvas.names
    crowns = {max(component, key=lambda n: places[n][1]) for component in components if len(component) > 1}
    for (name, (x, y)), short in zip(places.items(), shorten_all(places, 14), strict=True):
        axes.plot(
            x, y, "o", markersize=11 if named else 6, color=palette.colour(name), markeredgecolor="white", zorder=4
        )
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
