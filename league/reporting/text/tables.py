"""Tables for the terminal, each a function of views.

Nothing here prints. Text from outside is made visible (`transcripts.clean`) and wrapped in `Text`, so that no name can
act as markup. No matplotlib, so that a command that prints a table starts at once.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from league.reporting.queries.channel_audit import channel_name
from league.reporting.queries.seed_groups import SeedComparison
from league.reporting.text.spending import spending_line
from league.reporting.text.transcripts import clean
from league.reporting.views import (
    CertifiedCycles,
    Comparison,
    Estimate,
    LadderRow,
    LineageEdge,
    Matrix,
    ReplayCost,
    Status,
    TeachingInteraction,
)
from league.types import Version

BETTER, WORSE, UNSURE = "bold blue", "bold red", ""
"""Blue and red, as in the heat maps: red and green look alike to many."""


def new_table(*columns: tuple[str, str]) -> Table:
    """A table whose columns are (header, "left" | "right")."""
    table = Table(box=box.SIMPLE_HEAD)
    for header, side in columns:
        table.add_column(
            Text(header), justify="right" if side == "right" else "left", no_wrap=side == "right", overflow="ellipsis"
        )
    return table


def titled(title: str, table: Table, note: str | None = None) -> Group:
    """The title above and the note below, as wide as the terminal rather than the table."""
    below = [Text(f"  {note}\n", style="dim")] if note else []
    return Group(Text(clean(title), style="bold"), table, *below)


def text(value: str, style: str = "") -> Text:
    return Text(clean(value).replace("\n", " "), style=style, overflow="ellipsis")


def duration(seconds: float) -> str:
    """`45 s`, `3:05`, `2:03:05`."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"


def percent(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{100 * value:.1f}%"


def interval(estimate: Estimate | None, kind: str = "percent", centre: float | None = None) -> Text:
    """An estimate with its interval: `41.0% [36.1, 46.0]`; blank when unknown.

    kind "percent": a fraction shown in per cent; "points": percentage points, signed; "plain". Coloured when the
    interval leaves `centre` out.
    """
    if estimate is None or math.isnan(estimate.value):
        return Text("–", style="dim")
    scale = 100.0 if kind == "percent" else 1.0
    shown = {"percent": f"{100 * estimate.value:.1f}%", "points": f"{estimate.value:+.1f}"}.get(
        kind, f"{estimate.value:.3g}"
    )
    digits = 2 if kind == "plain" else 1
    if estimate.low is None or estimate.high is None:
        return Text(shown)
    style = UNSURE
    if centre is not None:
        style = BETTER if estimate.low > centre else WORSE if estimate.high < centre else UNSURE
    return Text(f"{shown} [{scale * estimate.low:.{digits}f}, {scale * estimate.high:.{digits}f}]", style=style)


def status_table(view: Status) -> RenderableType:
    """Where a run stands: one line, then its agents."""
    of = "" if view.rounds is None else f" of {view.rounds}"
    counts = f"round {view.round}{of}  {view.matches} matches  {view.versions} versions  {duration(view.seconds)}"
    head = Text.assemble(text(view.name, "bold"), f"  {clean(view.state)}  {counts}", overflow="fold")
    columns = {
        "agent": "left", "role": "left", "step": "right", "games": "right", "rating": "right", "accuracy": "right",
    }  # fmt: skip
    table = new_table(*columns.items())
    for agent in view.agents:
        rating = "" if agent.rating is None else f"{agent.rating.value:.1f}"
        if agent.rating is not None and agent.rating.low is not None and agent.rating.high is not None:
            rating += f" ± {(agent.rating.high - agent.rating.low) / 2:.1f}"
        table.add_row(
            text(agent.name), text(agent.role), str(agent.step), str(agent.games), rating, percent(agent.accuracy)
        )
    lines = [taught_line(view.taught), "" if view.spending is None else spending_line(view.spending)]
    lines += ["" if view.replay is None else replay_line(view.replay)]
    below = [Text(f"  {line}", style="dim", overflow="fold") for line in lines if line]
    notes = [text(f"! {note}", "yellow") for note in view.notes]
    changes = [text(f"  changed {line}", "dim") for line in view.changes]
    return Group(head, table, *below, *_teaching_lines(view.teaching), *changes + notes)


def _teaching_lines(means: Mapping[str, float]) -> Iterator[Text]:
    """The mean Δ and the part of it beyond a shuffled explanation, in points and where known in nats."""
    for suffix, unit, scale, digits in (("", "points", 100, 1), ("_logprob", "nats per token", 1, 3)):
        shown = [
            f"{label} {scale * means[name + suffix]:+.{digits}f}"
            for name, label in (("delta", "Δ"), ("own_share", "beyond a shuffled explanation"))
            if name + suffix in means
        ]
        if shown:
            yield text(f"teaching: {', '.join(shown)} {unit}")


def replay_line(cost: ReplayCost) -> str:
    """`replayable: 12.3 kB a round (8.1 of replies, 4.2 of weights), 0.1 MB in 10 rounds`."""
    rounds = max(1, cost.rounds)
    parts = f"{cost.replies / rounds / 1000:,.1f} of replies, {cost.weights / rounds / 1000:,.1f} of weights"
    total = (cost.replies + cost.weights) / 1e6
    return f"replayable: {cost.a_round / 1000:,.1f} kB a round ({parts}), {total:,.1f} MB in {cost.rounds} rounds"


def taught_line(taught: Mapping[str, Estimate]) -> str:
    """`taught: +12.3 ± 4.0 points by worked replies, …`, the largest first; "" when nobody was."""
    ordered = sorted(taught.items(), key=lambda item: -abs(item[1].value))
    parts = [f"{found.value:+.1f}{_half(found)} points by {channel_name(name)}" for name, found in ordered]
    return f"taught: {', '.join(parts)}" if parts else ""


def _half(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f" ± {(estimate.high - estimate.low) / 2:.1f}"


def matrix_table(view: Matrix, width: int | None = None) -> RenderableType:
    """A payoff matrix with intervals while it fits `width` characters.

    When it does not, values alone, and beyond that a list of pairs. `width` defaults to that of the terminal.
    """
    width = width or Console().width
    room = (width - 3 - max((len(name) for name in view.rows), default=4)) // max(1, len(view.cols)) - 3
    if room < 5:
        return _pairs(view)
    coloured = view.scale in ("signed", "winrate", "points") and view.low is not None
    known = f"blue/red: the 95% interval leaves out {'1/2' if view.scale == 'winrate' else '0'}" if coloured else None
    table = new_table((f"{view.row_axis} \\ {view.col_axis}", "left"))
    for name in view.cols:
        table.add_column(text(name), justify="right", overflow="fold", max_width=min(room, 16))
    with_interval = view.low is not None and room >= 10
    for r, name in enumerate(view.rows):
        table.add_row(text(name), *(_cell(view, r, c, with_interval) for c in range(len(view.cols))))
    return titled(f"{view.title} ({view.unit})", table, known)


def _cell(view: Matrix, row: int, col: int, with_interval: bool) -> Text:
    estimate = view.estimate(row, col)
    if estimate is None:
        return Text("·", style="dim")
    shown = _short(estimate.value, view.scale)
    if with_interval and estimate.low is not None and estimate.high is not None:
        shown += f" ±{_short((estimate.high - estimate.low) / 2, view.scale).lstrip('+')}"
    style = ""
    if view.scale in ("signed", "winrate", "points") and view.certain[row, col]:
        style = BETTER if estimate.value > view.centre else WORSE
    return Text(shown, style=style)


def _short(value: float, scale: str) -> str:
    return {"count": f"{value:.0f}", "points": f"{value:+.1f}", "signed": f"{value:+.2f}"}.get(scale, f"{value:.2f}")


def _pairs(view: Matrix) -> RenderableType:
    """One line a pair, certain and far from the centre first; at most 40."""
    symmetric = view.rows == view.cols
    cells = [
        (abs(found.value - view.centre), bool(view.certain[r, c]), row, col, found)
        for r, row in enumerate(view.rows)
        for c, col in enumerate(view.cols)
        if (not symmetric or r < c) and (found := view.estimate(r, c)) is not None
    ]
    cells.sort(key=lambda cell: (not cell[1], -cell[0]))
    more = f"{len(cells) - 40} more pairs: use --json, or a wider terminal" if len(cells) > 40 else None
    table = new_table((view.row_axis, "left"), (view.col_axis, "left"), (view.unit, "right"), ("n", "right"))
    kind = {"points": "points", "count": "plain"}.get(view.scale, "percent")
    for _, _, row, col, found in cells[:40]:
        table.add_row(text(row), text(col), interval(found, kind, view.centre), str(found.n) if found.n else "")
    return titled(f"{view.title} ({view.unit})", table, more)


def interaction_line(view: TeachingInteraction) -> RenderableType:
    """How much it matters which teacher meets which student, under the matrix of their Δ."""
    if view.share is None:
        found = "undefined (too few pairs met, or their differences are within noise)"
    else:
        found = f"{view.share:.2f} (0: good teachers are good for everyone; 1: it only matters who meets whom)"
    return Text.assemble(f"  {clean(view.task)}: interaction share ", found, "\n", style="dim", overflow="fold")


def ladder_table(rows: Sequence[LadderRow]) -> RenderableType:
    """One table per ladder, strongest first by mean; the band is two standard deviations."""
    ladders = dict.fromkeys(row.ladder for row in rows)
    if not ladders:
        return Text("no rated matches yet")
    return Group(*(_one_ladder(name, [row for row in rows if row.ladder == name]) for name in ladders))


def _one_ladder(name: str, rows: Sequence[LadderRow]) -> Group:
    columns = {"": "right", "agent": "left", "role": "left", "rating": "right", "± 2σ": "right", "games": "right"}
    table = new_table(*columns.items())
    for place, row in enumerate(sorted(rows, key=lambda r: -r.mu), 1):
        table.add_row(
            str(place), text(row.name), text(row.role), f"{row.mu:.2f}", f"{2 * row.sigma:.2f}", str(row.games)
        )
    return titled(f"Ladder: {name} (TrueSkill)", table)


def lineage_view(edges: Sequence[LineageEdge], all_updates: bool = False) -> RenderableType:
    """A tree of versions; runs of plain updates are folded into one line unless `all_updates`."""
    kept = list(edges) if all_updates else _fold(edges)
    root = Tree(Text("lineage"), guide_style="dim")
    nodes: dict[str, Tree] = {}
    for edge in kept:
        parent = next((nodes[p] for p in edge.parents if p in nodes), root)
        label = Text.assemble(
            text(edge.child, "bold"), f"  round {edge.round}  {clean(edge.how)}  ", (clean(edge.role), "dim")
        )
        if len(edge.parents) > 1:
            label.append(f"  from {clean(', '.join(edge.parents))}")
        if edge.retired is not None:
            label.append(f"  retired in round {edge.retired}", "dim")
        nodes[edge.child] = parent.add(label)
    return root if kept else Text("no versions yet")


def _fold(edges: Sequence[LineageEdge]) -> list[LineageEdge]:
    """Leave out updates that nothing but the next update came from.

    Their children hang on the nearest kept ancestor.
    """
    by_child = {edge.child: edge for edge in edges}
    needed = {parent for edge in edges if edge.reason != "update" for parent in edge.parents}
    last = {Version.parse(edge.child).agent: edge.child for edge in edges}

    def keep(edge: LineageEdge) -> bool:
        return edge.reason != "update" or edge.child in needed or last[Version.parse(edge.child).agent] == edge.child

    def ancestor(name: str) -> str:
        while name in by_child and not keep(by_child[name]) and by_child[name].parents:
            name = by_child[name].parents[0]
        return name

    return [replace(e, parents=tuple(dict.fromkeys(ancestor(p) for p in e.parents))) for e in edges if keep(e)]


def comparison_table(rows: Sequence[Comparison], first: str, second: str) -> RenderableType:
    """Two runs side by side per domain; the difference is first − second in percentage points."""
    columns = (("domain", "left"), (clean(first), "right"), (clean(second), "right"), ("difference", "right"))
    table = new_table(*columns)
    for row in rows:
        table.add_row(text(row.domain), interval(row.first), interval(row.second), _points(row.difference))
    note = "difference in percentage points; blue: the first is better, red: the second"
    return titled("Held-out accuracy, 95% intervals", table, note)


def seed_comparison_table(rows: Sequence[SeedComparison], first: str, second: str) -> RenderableType:
    """Two groups of runs side by side per domain; the difference is first − second, paired by seed."""
    names = [shortened(name) for name in (first, second)]
    columns = (("domain", "left"), *((name, "right") for name in names), ("difference", "right"), ("seeds", "right"))
    table = new_table(*columns)
    for row in rows:
        one, other = interval(row.comparison.first), interval(row.comparison.second)
        difference = _points(row.comparison.difference)
        table.add_row(text(row.comparison.domain), one, other, difference, str(len(row.by_seed)))
    over = {"seeds": "over seeds, paired", "problems": "over problems: one seed says nothing about another"}
    how = over[rows[0].over] if rows else ""
    note = f"difference in percentage points; 95% intervals {how}; blue: the first is better, red: the second"
    return titled("Held-out accuracy", table, note)


def shortened(name: str, limit: int = 28) -> str:
    """The end of a long name, where paths differ."""
    shown = clean(name)
    return shown if len(shown) <= limit else f"…{shown[1 - limit :]}"


def _points(estimate: Estimate | None) -> Text:
    if estimate is None:
        return interval(None)
    low, high = (None if bound is None else 100 * bound for bound in (estimate.low, estimate.high))
    return interval(Estimate(100 * estimate.value, low, high, estimate.n), "points", 0.0)


def cycles_view(view: CertifiedCycles) -> RenderableType:
    """The certified cycles, and the statistics that stand beside them."""
    plural = "s" if len(view.cycles) != 1 else ""
    head = f"{len(view.edges)} of {view.pairs} pairs certain, {len(view.cycles)} certified cycle{plural}"
    lines: list[RenderableType] = [Text(head, style="bold")]
    lines += [text("  " + " → ".join((*cycle, cycle[0]))) for cycle in view.cycles[:20]]
    if len(view.cycles) > 20 or view.truncated:
        lines.append(Text(f"  and {len(view.cycles) - 20}{' or more' if view.truncated else ''} others: use --json"))
    lines += _statistics(view.statistics)
    if view.unmet:
        lines.append(
            Text(f"{view.unmet} of {view.pairs} pairs never met: what needs them all is undefined", style="dim")
        )
    return Group(*lines)


def _statistics(statistics: Mapping[str, Estimate | None]) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for name, value in statistics.items():
        found = Text("undefined", style="dim") if value is None else interval(value, "plain")
        lines.append(Text.assemble(text(f"{name}: "), found))
    return lines
