"""What `benchmarks.games.live_league` recorded, as tables.

Exploitability over rounds with intervals over seeds, turns, certificates.

Left out: running anything. All that is worked out here follows from the recorded policies.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import t as student

from league.payoffs.nash import max_entropy_nash
from tasks.games.matrix_games import MatrixGame
from tasks.games.normal_form import exploitability


def interval(values: Sequence[float], least: float = 0.0, most: float = 1.0) -> str:
    """Mean with Student's 95% interval over seeds, cut to where the values can lie."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:.2f}"
    half = float(student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return f"{mean:.2f} [{max(least, mean - half):.2f}, {min(most, mean + half):.2f}]"


PAIRED = (
    ("self", "learner", "self", "first"),
    ("league", "nash", "league", "first"),
    ("league", "average", "league", "first"),
    ("self", "learner", "league", "nash"),
    ("self", "learner", "self", "nash"),
    ("league", "learner", "self", "learner"),
    ("league", "nash", "self", "nash"),
)
"""(arm, what) against (arm, what), both over the last half.

"first" is the same thing before the first round.
"""


def paired(runs: Mapping[str, Any]) -> list[str]:
    """Differences seed by seed, for the seeds that both arms have, as rows of a table."""

    def late(name: str, key: str) -> float:
        curve = runs[name]["curve"]
        return float(np.mean([point[key] for point in curve[len(curve) // 2 :]]))

    rows = []
    for arm, key, other, what in PAIRED:
        seeds = [
            name.rpartition("-")[2]
            for name in runs
            if name.startswith(f"{arm}-") and f"{other}-{name.rpartition('-')[2]}" in runs
        ]
        if not seeds:
            continue
        before = [
            runs[f"{other}-{n}"]["curve"][0][key] if what == "first" else late(f"{other}-{n}", what) for n in seeds
        ]
        gaps = [late(f"{arm}-{n}", key) - value for n, value in zip(seeds, before, strict=True)]
        against = "itself before the first round" if what == "first" else f"{other}: {what}"
        rows.append(f"| {arm}: {key} | {against} | {interval(gaps, -1.0, 1.0)} |")
    return rows


def frozen_at(curve: Sequence[Mapping[str, Any]], number: int, every: int, kept: int) -> np.ndarray:
    """(versions, moves): exact policies of the frozen pasts after round `number`.

    A learner keeps its first and its most recent.
    """
    found: list[list[float]] = []
    for learner in range(len(curve[0]["policies"])):
        history = [
            point["policies"][learner] for point in curve if point["round"] % every == 0 and point["round"] <= number
        ]
        found += history if len(history) <= kept else [history[0], *history[len(history) - kept + 1 :]]
    return np.array(found)


def with_exact(result: Mapping[str, Any]) -> None:
    """Adds to every point `exact`, the exploitability of its pasts' Nash mixture.

    What it would be, were their payoffs known exactly.
    """
    payoff, every, kept = (
        MatrixGame("game").form.payoff_AA,
        int(result["settings"]["every"]),
        int(result["settings"]["kept"]),
    )
    for one in result["runs"].values():
        for point in one["curve"]:
            pasts = frozen_at(one["curve"], point["round"], every, kept)
            point["exact"] = exploitability(payoff, max_entropy_nash(pasts @ payoff @ pasts.T) @ pasts)


def turns(curve: Sequence[Mapping[str, Any]], learner: int) -> float:
    """How often a learner's policy went round the centre of the simplex.

    In the direction rock → paper → scissors.
    """
    policies = np.array([point["policies"][learner] for point in curve]) - 1 / 3
    angles = np.unwrap(np.arctan2(policies @ [0, 3**0.5 / 2, -(3**0.5) / 2], policies @ [1, -0.5, -0.5]))
    return float(angles[-1] - angles[0]) / (2 * np.pi)


def report(result: Mapping[str, Any]) -> str:
    """Markdown: curves over rounds, means over the last half, turns, certificates.

    Means carry intervals over seeds.
    """
    with_exact(result)
    runs = result["runs"]
    arms = list(dict.fromkeys(name.rpartition("-")[0] for name in runs))
    lines = []
    shown = [point["round"] for point in next(iter(runs.values()))["curve"]]
    shown = [number for number in shown if number % max(1, len(shown) // 7) == 0]
    lines += [
        "| arm | exploitability of the | " + " | ".join(f"round {n}" for n in shown) + " | last half |",
        "|" + "---|" * (len(shown) + 3),
    ]
    for arm in arms:
        curves = [run["curve"] for name, run in runs.items() if name.rpartition("-")[0] == arm]
        for key in ("learner", "average", "nash", "exact"):
            cells = [interval([curve[n][key] for curve in curves]) for n in shown]
            late = interval([float(np.mean([point[key] for point in curve[len(curve) // 2 :]])) for curve in curves])
            lines.append(f"| {arm} | {key} | " + " | ".join(cells) + f" | {late} |")
    lines += ["", "| last half of | minus | difference, seed by seed |", "|---|---|---|", *paired(runs)]
    lines += [
        "",
        "| run | turns of the learners | certified edges | of them true | certified cycles | tokens trained | CPU "
        "minutes |",
        "|" + "---|" * 7,
    ]
    for name, one in runs.items():
        found = one["certificate"]
        went = ", ".join(f"{turns(one['curve'], place):.1f}" for place in range(len(one["curve"][0]["policies"])))
        trained = sum(point["trained"] for point in one["curve"])
        lines.append(
            f"| {name} | {went} | {found['edges']} | {found['true_edges']} | {found.get('count', 0)} | "
            f"{trained:,.0f} | {one['cpu_seconds'] / 60:.1f} |"
        )
    return "\n".join(lines)
