"""docs/results/magrpo.md from what `benchmarks.magrpo` measured: means over seeds and held-out problems with 95% bootstrap intervals.

The bootstrap resamples seeds, then problems within each (the same problems before and after), so an interval covers both; with three seeds it
is a rough one. Prose stands in the page itself between the tables and is not touched: this prints the tables only.

    python -m benchmarks.magrpo_page docs/results/magrpo.json
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.magrpo import ARMS, SHOWN
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


def column(waves: Sequence[Any], arm: str, when: str, metric: str) -> list[list[float]]:
    return [[row[metric] for row in wave["arms"][arm][when] if metric in row] for wave in waves]


def gains(waves: Sequence[Any], arm: str) -> list[list[float]]:
    """After minus before, problem by problem."""
    both = [(wave["arms"][arm]["before"], wave["arms"][arm]["after"]) for wave in waves]
    return [[b["return"] - a["return"] for a, b in zip(*pair, strict=True) if "return" in a and "return" in b] for pair in both]


def mean_of(waves: Sequence[Any], arm: str, what: str) -> float:
    return fmean(wave["arms"][arm][what] for wave in waves)


def family_tables(results: Mapping[str, Any], family: str) -> list[str]:
    waves = [found for key, found in sorted(results.items()) if key.startswith(f"{family}/") and "arms" in found]
    if not waves:
        return [f"Not measured: {family}."]
    metrics = SHOWN[family]
    arms = [arm for arm in ARMS if all(arm in wave["arms"] for wave in waves)]
    problems = len(waves[0]["arms"][arms[0]]["after"])
    head = "| arm | " + " | ".join(metrics) + " |"
    rule = "|---" * (len(metrics) + 1) + "|"
    lines = [f"{len(waves)} seeds × {problems} held-out problems.", "", "Prompted, after the warm-up that all share:", "", head, rule]

    def rows(names: Mapping[str, str], when: str) -> None:
        for arm in arms:
            if arm in names:
                lines.append(
                    f"| {names[arm]} | " + " | ".join(cell(column(waves, arm, when, m), f"{family}{arm}{when}{m}") for m in metrics) + " |"
                )

    rows(PROMPTED, "before")
    lines += ["", "Trained:", "", head, rule]
    rows(NAMES, "after")
    seconds = next((wave["seconds_per_answer"] for wave in waves if wave["seconds_per_answer"]), {})
    lines += [
        "",
        "| arm | gain in return (after − before) | trained tokens | sampled tokens | rounds | CPU-s per answer |",
        "|---" * 6 + "|",
    ]
    for arm in arms:
        spent = f"{seconds[arm]:.2f}" if arm in seconds else "–"
        lines.append(
            f"| {NAMES[arm]} | {cell(gains(waves, arm), family + arm, sign=True)} | {mean_of(waves, arm, 'trained'):.0f} | "
            f"{mean_of(waves, arm, 'sampled'):.0f} | {mean_of(waves, arm, 'rounds'):.1f} | {spent} |"
        )
    clock = {name: sum(wave["clock"][name] for wave in waves) for name in waves[0]["clock"]}
    sampled, trained = (sum(arm[what] for wave in waves for arm in wave["arms"].values()) for what in ("sampled", "trained"))
    lines += [
        "",
        f"All arms of a seed share one batch: {sampled / clock['generate']:.0f} sampled tokens per CPU-second of generation, "
        f"{trained / clock['update']:.0f} trained tokens per CPU-second of update; scoring took {clock['score']:.0f} CPU-seconds in all, "
        f"warm-ups {clock['warm-up']:.0f}, exams {clock['exam']:.0f}.",
    ]
    return lines + cross_table(results.get(f"{family}/cross-play"))


def cross_table(found: Mapping[str, Rows] | None) -> list[str]:
    if not found:
        return []
    seeds = sorted({key.split(",")[0] for key in found})
    lines = ["", "First writer of one seed (rows) with the second writer of another (columns), both trained as `aligned`: mean return.", ""]
    lines += ["| | " + " | ".join(f"seed {seed}" for seed in seeds) + " |", "|---" * (len(seeds) + 1) + "|"]
    for one in seeds:
        lines.append(
            f"| seed {one} | " + " | ".join(f"{fmean(row['return'] for row in found[f'{one},{two}']):.2f}" for two in seeds) + " |"
        )
    problems = range(len(next(iter(found.values()))))
    gap = [
        fmean(found[k][i]["return"] for k in found if len(set(k.split(","))) == 1)
        - fmean(found[k][i]["return"] for k in found if len(set(k.split(","))) == 2)
        for i in problems
    ] if len(seeds) > 1 else []  # fmt: skip
    return lines + (
        ["", f"Trained together minus trained apart: {cell([gap], 'gap', sign=True)} (bootstrap over problems)."] if gap else []
    )


def main() -> None:
    results = json.loads(Path(sys.argv[1]).read_text())
    for family in SHOWN:
        print("\n".join([f"## {family}", "", *family_tables(results, family), ""]))
    if rows := results.get("humaneval"):
        print(f"## HumanEval, base model, greedy, {len(rows)} problems\n")
        print("| " + " | ".join(SHOWN["coding"]) + " |\n" + "|---" * len(SHOWN["coding"]) + "|")
        print("| " + " | ".join(cell([[row[m] for row in rows if m in row]], f"he{m}") for m in SHOWN["coding"]) + " |")


if __name__ == "__main__":
    main()
