"""docs/results/magrpo.md from what `benchmarks.magrpo` measured.

Means over seeds and held-out problems with 95% bootstrap intervals.

The bootstrap resamples seeds, then problems within each (the same problems before and after), so an interval covers
both; with three seeds it is a rough one. Prose stands in the page itself between the tables and is not touched: this
prints the tables only.

    python -m benchmarks.magrpo.page docs/results/magrpo.json
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.magrpo.probes import ARMS, SHOWN
from league.seeds import generator

REPLICATES = 4000
NAMES = {
    "aligned": "MAGRPO, one turn, aligned",
    "cross": "MAGRPO, one turn, cross",
    "multiturn": "MAGRPO, two turns",
    "independent": "independent agents",
    "sequential": "sequential",
    "discussion": "one-round discussion",
    "single": "single agent, GRPO",
}
PROMPTED = {
    "aligned": "naive concatenation",
    "sequential": "sequential",
    "discussion": "one-round discussion",
    "multiturn": "two turns",
    "single": "single agent",
}
Rows = Sequence[Mapping[str, float]]


def estimate(seeds: Sequence[Sequence[float]], key: str) -> tuple[float, float, float]:
    """(mean, low, high) of values by seed and problem."""
    rng = generator(0, "magrpo-page", key)
    kept = [np.asarray(values, dtype=float) for values in seeds if len(values)]
    draws = np.empty(REPLICATES)
    for place in range(REPLICATES):
        chosen = [kept[index] for index in rng.integers(len(kept), size=len(kept))]
        draws[place] = fmean(float(values[rng.integers(len(values), size=len(values))].mean()) for values in chosen)
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(np.concatenate(kept).mean()), float(low), float(high)


def cell(seeds: Sequence[Sequence[float]], key: str, sign: bool = False) -> str:
    mean, low, high = estimate(seeds, key)
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]" if sign else f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def column(found: Sequence[Any], when: str, metric: str) -> list[list[float]]:
    return [[row[metric] for row in record[when] if metric in row] for record in found]


def gains(found: Sequence[Any]) -> list[list[float]]:
    """After minus before, problem by problem."""
    both = [zip(record["before"], record["after"], strict=True) for record in found]
    return [[b["return"] - a["return"] for a, b in pairs if "return" in a and "return" in b] for pairs in both]


def records(results: Mapping[str, Any], family: str) -> dict[str, list[Any]]:
    """arm → its records by seed, arms in order."""
    found: dict[str, list[Any]] = {arm: [] for arm in ARMS}
    for key in sorted(results):
        owner, _, rest = key.partition("/")
        arm, _, seed = rest.partition("/")
        if owner == family and arm in found and seed:
            found[arm].append(results[key])
    return {arm: rows for arm, rows in found.items() if rows}


def family_tables(results: Mapping[str, Any], family: str) -> list[str]:
    arms = records(results, family)
    if not arms:
        return [f"Not measured: {family}."]
    metrics = SHOWN[family]
    head = "| arm | seeds × problems | " + " | ".join(metrics) + " |"
    rule = "|---" * (len(metrics) + 2) + "|"

    def rows(names: Mapping[str, str], when: str) -> list[str]:
        made = []
        for arm, found in arms.items():
            if arm in names:
                cells = [cell(column(found, when, metric), f"{family}{arm}{when}{metric}") for metric in metrics]
                made.append(f"| {names[arm]} | {len(found)} × {len(found[0][when])} | " + " | ".join(cells) + " |")
        return made

    lines = ["Prompted, after the warm-up that all share:", "", head, rule, *rows(PROMPTED, "before")]
    lines += ["", "Trained:", "", head, rule, *rows(NAMES, "after")]
    lines += [
        "",
        "| arm | gain in return (after − before) | trained tokens | sampled tokens | rounds | CPU-s per answer |",
        "|---" * 6 + "|",
    ]
    for arm, found in arms.items():
        seconds = next((record["seconds_per_answer"] for record in found if record["seconds_per_answer"]), None)
        trained, sampled, rounds = (
            fmean(record[what] for record in found) for what in ("trained", "sampled", "rounds")
        )
        lines.append(
            f"| {NAMES[arm]} | {cell(gains(found), family + arm, sign=True)} | {trained:.0f} | {sampled:.0f} | "
            f"{rounds:.1f} | "
            f"{f'{seconds:.2f}' if seconds else '–'} |"
        )
    return lines + clock_lines(results, family) + cross_table(results.get(f"{family}/cross-play"))


def clock_lines(results: Mapping[str, Any], family: str) -> list[str]:
    clocks = [found for key, found in results.items() if key.startswith(f"{family}/clock/")]
    total = {name: sum(clock[name] for clock in clocks) for name in clocks[0]} if clocks else {}
    if not total or not total["generate"] or not total["update"]:
        return []
    return [
        "",
        f"{total['sampled'] / total['generate']:.0f} sampled tokens per CPU-second of generation, "
        f"{total['trained'] / total['update']:.0f} "
        f"trained tokens per CPU-second of update, arms and seeds in one batch; scoring took {total['score']:.0f} "
        "CPU-seconds of this process "
        f"(code is graded in others), "
        f"warm-ups {total['warm-up']:.0f}, exams {total['exam']:.0f}.",
    ]


def cross_table(found: Mapping[str, Rows] | None) -> list[str]:
    if not found:
        return []
    seeds = sorted({key.split(",")[0] for key in found})
    lines = [
        "",
        "First writer of one seed (rows) with the second writer of another (columns), both trained as `aligned`: "
        "mean return.",
        "",
    ]
    lines += ["| | " + " | ".join(f"seed {seed}" for seed in seeds) + " |", "|---" * (len(seeds) + 1) + "|"]
    for one in seeds:
        lines.append(
            f"| seed {one} | "
            + " | ".join(f"{fmean(row['return'] for row in found[f'{one},{two}']):.2f}" for two in seeds)
            + " |"
        )
    if len(seeds) == 1:
        return lines
    gaps = []
    for seed in seeds:
        apart = [found[key] for other in seeds if other != seed for key in (f"{seed},{other}", f"{other},{seed}")]
        gaps.append(
            [
                row["return"] - fmean(rows[i]["return"] for rows in apart)
                for i, row in enumerate(found[f"{seed},{seed}"])
            ]
        )
    by_seed = ", ".join(f"{fmean(gap):+.2f}" for gap in gaps)
    return lines + ["", f"Trained together minus trained apart: {cell(gaps, 'gap', sign=True)}; by seed {by_seed}."]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="JSON that benchmarks.magrpo wrote")
    results = json.loads(parser.parse_args().results.read_text())
    for family in SHOWN:
        print("\n".join([f"## {family}", "", *family_tables(results, family), ""]))
    if rows := results.get("humaneval"):
        print(f"## HumanEval, base model, greedy, {len(rows)} problems\n")
        print("| " + " | ".join(SHOWN["coding"]) + " |\n" + "|---" * len(SHOWN["coding"]) + "|")
        print("| " + " | ".join(cell([[row[m] for row in rows if m in row]], f"he{m}") for m in SHOWN["coding"]) + " |")


if __name__ == "__main__":
    main()
