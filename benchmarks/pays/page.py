"""docs/results/pays.md and its picture, from the cells. What stands above "Command:" is written by hand and kept."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from benchmarks.pays import arms
from benchmarks.pays.cells import Cell, Cells
from benchmarks.pays.hypotheses import HYPOTHESES, Lead, arms_of, corrected, criteria, leads
from benchmarks.pays.pictures import all_arms, map_of_regimes
from benchmarks.pays.statistics import Difference, closed_share, difference

CONTRASTS = {
    "private": (
        ("league", "league_as_it_was"),
        ("league", "start"),
        ("wrong_domain", "start"),
        ("league", "magrpo"),
        ("league", "magrpo_selected"),
        ("league", "rejection"),
        ("league", "merge"),
        ("league", "pooled"),
        ("league", "experts"),
    ),
    "public": (("league", "start"), ("league", "magrpo"), ("league", "rejection")),
    "crowded": (("league", "start"), ("league", "magrpo"), ("league", "rejection"), ("league", "experts")),
    "sparse": (
        ("league", "start"),
        ("league", "magrpo"),
        ("league", "magrpo_selected"),
        ("league", "rejection"),
        ("league", "experts"),
    ),
    "nontransitive": (
        ("league", "self"),
        ("league", "self_average"),
        ("league", "league_plain"),
        ("self_average", "self"),
    ),
    "collaborative": (("league", "self"), ("league_own", "self_own"), ("league", "league_own"), ("self", "self_own")),
}
MEASURE = {
    "nontransitive": "Exploitability in percent: 0, nobody can win; 100, a pure move. Less is better.",
    "collaborative": "Return in percent: the share of rounds in which the colours agree. Chance is 25.",
}


def write_page(cells: Cells, place: Path) -> None:
    """Write the page and its pictures, keeping what stands by hand above the command."""
    kept = place.read_text(encoding="utf-8").split("Command:")[0] if place.exists() else "# Does a league pay?\n\n"
    found = list(cells)
    first, second = (place.with_name(f"{place.stem}_{name}.png") for name in ("map", "private"))
    map_of_regimes(leads(found)).savefig(first)
    all_arms(arms_of(found, "private"), "Private: all arms").savefig(second)
    lines = ["Command: `python -m benchmarks.pays run REGIME --seeds …`, then `python -m benchmarks.pays page`.", ""]
    lines += [f"![League minus best baseline in every regime]({first.name})", ""]
    lines += _hypotheses(leads(found))
    lines += _criteria(found)
    there = {cell.regime for cell in found}
    for regime in dict.fromkeys(each.regime for each in HYPOTHESES if each.regime in there):
        lines += _regime(regime, [cell for cell in found if cell.regime == regime])
        if regime == "private":
            lines += [f"![All arms of private, seed by seed]({second.name})", ""]
    place.write_text(kept + "\n".join(lines) + "\n", encoding="utf-8")


def _hypotheses(found: dict[str, Lead | None]) -> Iterator[str]:
    """How far the league is ahead of the best baseline, with Holm's correction over all hypotheses."""
    yield from ("## The hypotheses", "", "In points; above 0 the league is ahead of the best baseline.", "")
    yield "| hypothesis | of | best baseline | seeds | lead [95%] | flip p | Holm | t-test p | Holm | the league is |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    adjusted = corrected(found)
    for name, each in found.items():
        if each is None:
            yield f"| {name} | – | – | 0 | not run | – | – | – | – | – |"
            continue
        without = f" (without {', '.join(each.missing)})" if each.missing else ""
        flips, tests = adjusted[name]
        yield (
            f"| {name} | {each.hypothesis.unit} | {each.baseline}{without} | {each.found.seeds} | "
            f"{_interval(each.found)} | {each.found.p:.3f} | {flips:.3f} | {each.found.t_p:.2g} | {tests:.2g} | "
            f"{each.verdict} |"
        )
    yield from (
        "",
        "Holm's correction is over all seven hypotheses; one that was not run counts as p = 1. Seeds 1 and 2 of",
    )
    yield from ("private have informed the league and test no hypothesis; the tables below have all seeds.", "")


def _criteria(cells: Sequence[Cell]) -> Iterator[str]:
    """The criteria that were written down before, and whether they are met."""
    rows = criteria(cells)
    if rows:
        yield from ("| criterion | found | met |", "|---|---|---|")
        yield from (f"| {each.text} | {each.found} | {'yes' if each.met else 'no'} |" for each in rows)
        yield ""


def _regime(regime: str, cells: Sequence[Cell]) -> Iterator[str]:
    by_arm = arms_of(cells, regime)
    domains = list(dict.fromkeys(part for cell in cells for part in cell.parts))
    measure = MEASURE.get(regime, "Held-out accuracy in percent.")
    yield from (f"## {regime.capitalize()}", "", f"{measure} Means over seeds.", "")
    yield f"| arm | seeds | all | {' | '.join(domains)} | tokens | PFLOPs |"
    yield "|---|---|---|" + "---|" * (len(domains) + 2)
    for arm, own in sorted(by_arm.items(), key=lambda item: -fmean(cell.accuracy() for cell in item[1])):
        shares = " | ".join(_share(own, domain) for domain in domains)
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
    yield "| contrast | seeds | mean [95%] | bootstrap over seed × domain | sign-flip p | domains not worse |"
    yield "|---|---|---|---|---|---|"
    yield from (_row(name, found) for name, found in contrasts)
    if all(cell.right for cell in cells):
        yield from _eta(by_arm, domains)
    yield ""


def _share(cells: Sequence[Cell], part: str) -> str:
    known = [cell.accuracy(part) for cell in cells if part in cell.parts]
    return f"{100 * fmean(known):.0f}" if known else "–"


def _interval(found: Difference) -> str:
    """The mean with its interval, which one seed does not have."""
    several = f" [{found.low:+.1f}, {found.high:+.1f}]" if found.seeds > 1 else " (one seed)"
    return f"{found.mean:+.1f}{several}"


def _mean(cells: Sequence[Cell], *names: str, scale: float) -> str:
    known = [sum(cell.spent[name] for name in names) for cell in cells if all(name in cell.spent for name in names)]
    if not known:
        return "–"
    value = scale * fmean(known)
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _row(name: str, found: Difference) -> str:
    kept = sum(value >= 0 for value in found.domains.values())
    return (
        f"| {name} | {found.seeds} | {_interval(found)} | [{found.bootstrap[0]:+.1f}, {found.bootstrap[1]:+.1f}] | "
        f"{found.p:.3f} | {kept} of {len(found.domains)} |"
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
            "η: share of the gap between student and expert closed per 10,000 tokens (an arm's tokens count in equal",
        )
        yield from ("shares for its domains); – where the expert is less than five points ahead.", "")
        yield f"| arm | {' | '.join(domains)} |"
        yield "|---|" + "---|" * len(domains)
        yield from rows
