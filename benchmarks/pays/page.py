"""docs/results/pays.md and its picture, from the cells. What stands above "Command:" is written by hand and kept."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from benchmarks.pays import arms
from benchmarks.pays.cells import Cell, Cells
from benchmarks.pays.statistics import Difference, closed_share, difference, holm

BASELINES = {"private": ("magrpo", "magrpo_selected", "rejection", "merge"), "public": ("magrpo", "rejection")}
CONTRASTS = {
    "private": (
        ("league", "league_as_it_was"),
        ("league", "start"),
        ("wrong_domain", "start"),
        *(("league", each) for each in BASELINES["private"]),
        ("league", "pooled"),
        ("league", "experts"),
    ),
    "public": (("league", "start"), *(("league", each) for each in BASELINES["public"])),
}


def write_page(cells: Cells, place: Path) -> None:
    """Write the page, keeping what stands by hand above the command."""
    kept = place.read_text(encoding="utf-8").split("Command:")[0] if place.exists() else "# Does a league pay?\n\n"
    found = list(cells)
    lines = ["Command: `python -m benchmarks.pays run REGIME --seeds …`, then `python -m benchmarks.pays page`.", ""]
    for regime in dict.fromkeys(cell.regime for cell in found):
        lines += _regime(regime, [cell for cell in found if cell.regime == regime])
    place.write_text(kept + "\n".join(lines) + "\n", encoding="utf-8")


def _regime(regime: str, cells: Sequence[Cell]) -> Iterator[str]:
    by_arm: dict[str, list[Cell]] = {}
    for cell in cells:
        by_arm.setdefault(cell.arm, []).append(cell)
    domains = list(cells[0].right)
    yield from (f"## {regime.capitalize()}", "", "Held-out accuracy in percent, mean over seeds.", "")
    yield f"| arm | seeds | all | {' | '.join(domains)} | tokens | PFLOPs |"
    yield "|---|---|---|" + "---|" * (len(domains) + 2)
    for arm, own in sorted(by_arm.items(), key=lambda item: -fmean(cell.accuracy() for cell in item[1])):
        shares = " | ".join(f"{100 * fmean(cell.accuracy(d) for cell in own):.0f}" for d in domains)
        yield (
            f"| {arm} | {len(own)} | **{100 * fmean(cell.accuracy() for cell in own):.1f}** | {shares} | "
            f"{_mean(own, 'sampled', 'trained', scale=1.0)} | {_mean(own, 'flops', scale=1e-15)} |"
        )
    contrasts = [
        (f"{one} − {other}", found)
        for one, other in CONTRASTS.get(regime, ())
        if (found := difference(by_arm.get(one, []), by_arm.get(other, []))) is not None
    ]
    yield from ("", "Differences in points, paired by seed.", "")
    yield "| contrast | seeds | mean [95%] | bootstrap over seed × domain | sign-flip p | Holm | domains not worse |"
    yield "|---|---|---|---|---|---|---|"
    adjusted = holm({name: found.p for name, found in contrasts})
    yield from (_row(name, found, adjusted[name]) for name, found in contrasts)
    yield from _eta(by_arm, domains)
    yield ""


def _mean(cells: Sequence[Cell], *names: str, scale: float) -> str:
    known = [sum(cell.spent[name] for name in names) for cell in cells if all(name in cell.spent for name in names)]
    if not known:
        return "–"
    value = scale * fmean(known)
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _row(name: str, found: Difference, adjusted: float) -> str:
    interval = f" [{found.low:+.1f}, {found.high:+.1f}]" if found.seeds > 1 else " (one seed)"
    kept = sum(value >= 0 for value in found.domains.values())
    return (
        f"| {name} | {found.seeds} | {found.mean:+.1f}{interval} | [{found.bootstrap[0]:+.1f}, "
        f"{found.bootstrap[1]:+.1f}] | {found.p:.3f} | {adjusted:.3f} | {kept} of {len(found.domains)} |"
    )


def _eta(by_arm: dict[str, list[Cell]], domains: Sequence[str]) -> Iterator[str]:
    """The share of the gap to the expert that each trained arm closed, per 10,000 tokens and domain."""
    start = {cell.seed: cell for cell in by_arm.get("start", [])}
    expert = {cell.seed: cell for cell in by_arm.get("experts", [])}
    rows = []
    for arm in [arm for arm in by_arm if arm in arms.ARMS]:
        shown = []
        for domain in domains:
            shares = [
                closed_share(
                    start[cell.seed].accuracy(domain),
                    cell.accuracy(domain),
                    expert[cell.seed].accuracy(domain),
                    (cell.spent["sampled"] + cell.spent["trained"]) / len(domains),
                )
                for cell in by_arm[arm]
                if cell.seed in start and cell.seed in expert and "sampled" in cell.spent
            ]
            known = [share for share in shares if share is not None]
            shown.append(f"{fmean(known):+.2f}" if known else "–")
        rows.append(f"| {arm} | {' | '.join(shown)} |")
    if rows:
        yield from (
            "",
            "η: share of the gap between student and expert closed per 10,000 tokens (an eighth of an arm's",
        )
        yield from ("tokens counts for each domain); – where the expert is less than five points ahead.", "")
        yield f"| arm | {' | '.join(domains)} |"
        yield "|---|" + "---|" * len(domains)
        yield from rows
