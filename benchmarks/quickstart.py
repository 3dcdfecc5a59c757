"""The main experiment over several seeds, and the honest baseline beside it.

Writes docs/results/quickstart.md.

    python -m benchmarks.quickstart --seeds 1 2 3 [--baseline] [--runs DIR] [key.sub=value …]

Finished runs in DIR are read and not repeated, so the command can be interrupted. Every seed is a process of its own;
its wall time and largest memory are the operating system's. Gains are paired by test problem; the interval over seeds
is Student's t on the seeds' means, and the pooled one treats problems of all seeds as one sample (each seed has its
own test problems). What stands above the line "Command:" of the page is written by hand and kept.
"""

import argparse
import json
import math
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean, stdev

from league.reporting.queries.estimates import mean, t_quantile
from league.reporting.queries.exam_results import compare_runs, gains, learners, overall_gain, read_exam
from league.reporting.queries.spending import spending
from league.reporting.queries.teaching_gains import gains_by_explanation, teaching_over_run
from league.reporting.text.spending import count
from league.reporting.views import Estimate
from league.store.reader import RunReader

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs" / "results" / "quickstart.md"
OWN_WORK = ("schedule", "score", "evolve", "commit", "report")


def play(config: str, name: str, runs: Path, overrides: list[str]) -> None:
    """Train one run unless it is there, and keep what it cost beside it."""
    cost = runs / f"{name}.cost.json"
    if cost.exists():
        return
    command = [
        sys.executable,
        "-m",
        "league",
        "train",
        str(ROOT / "configs" / config),
        f"name={name}",
        f"runs={runs}",
        *overrides,
    ]
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cost.write_text(
        json.dumps({"wall_s": time.perf_counter() - started, "cpu_s": cpu, "peak_gb": after.ru_maxrss / 2**20})
    )


def shown(estimate: Estimate | None, scale: float = 100.0) -> str:
    if estimate is None:
        return "–"
    text = f"{scale * estimate.value:+.1f}"
    return (
        text
        if estimate.low is None or estimate.high is None
        else f"{text} [{scale * estimate.low:+.1f}, {scale * estimate.high:+.1f}]"
    )


def level(estimate: Estimate | None) -> str:
    return "–" if estimate is None else f"{100 * estimate.value:.1f}"


def over_seeds(values: list[float]) -> str:
    """Mean over seeds with Student's t interval."""
    if len(values) < 2:
        return f"{values[0]:+.1f} (one seed)" if values else "–"
    half = float(t_quantile(len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return f"{fmean(values):+.1f} [{fmean(values) - half:+.1f}, {fmean(values) + half:+.1f}]"


def report(seeds: list[int], runs: Path, overrides: list[str], with_baseline: bool) -> str:
    names = [f"quickstart-{seed}" for seed in seeds]
    states = {}
    for name in names:
        with RunReader.read(runs / name) as reader:
            states[name] = reader.state()
    command = (
        f"python -m benchmarks.quickstart --seeds {' '.join(map(str, seeds))}{' --baseline' if with_baseline else ''}"
    )
    lines = [
        f"Command: `{' '.join([command, *overrides])}`. Machine: {platform.machine()}, {_cores()} cores, Python "
        f"{platform.python_version()}.",
        "",
    ]
    lines += (
        _gains(names, states)
        + _teaching(names, states)
        + _experts(names[0], states[names[0]])
        + _cost(names, states, runs)
    )
    if with_baseline:
        lines += _baseline(seeds, runs)
    return "\n".join(lines) + "\n"


def _gains(names: list[str], states: dict) -> list[str]:
    lines = ["## Students' held-out accuracy, greedy and unaided (percent)", ""]
    lines += [
        "| run | domain | base model | start (after format warm-up) | end | gain, paired by problem [95%] |",
        "|---|---|---|---|---|---|",
    ]
    pooled: list[float] = []
    for name in names:
        state = states[name]
        start, end = read_exam(state, "start"), read_exam(state, "end")
        assert start is not None and end is not None, f"{name} has not sat its last exam"
        who = learners(state)
        for domain in end.domains():
            before, after = start.shares_right(who, domain), end.shares_right(who, domain)
            difference = mean([b - a for a, b in zip(before, after, strict=True)])
            lines.append(
                f"| {name} | {domain} | {level(start.accuracy('base', domain))} | {100 * fmean(before):.1f} | "
                f"{100 * fmean(after):.1f} | {shown(difference)} |"
            )
        pooled += [b - a for a, b in zip(start.shares_right(who, "all"), end.shares_right(who, "all"), strict=True)]
        total = overall_gain(state)
        assert total is not None
        lines.append(
            f"| **{name}** | **all** | | **{100 * total.start.value:.1f}** | **{100 * total.end.value:.1f}** | "
            f"**{shown(total.gain)}** |"
        )
    means = [100 * overall_gain(states[name]).gain.value for name in names]
    lines += [
        "",
        f"Over seeds: {over_seeds(means)} points (t interval on {len(means)} seed means); pooled over all problems: "
        f"{shown(mean(pooled))} points.",
        "",
    ]
    each = [f"{g.agent} {shown(g.gain)}" for name in names for g in gains(states[name]) if g.domain == "all"]
    return [*lines, f"Per student and seed: {'; '.join(each)}.", ""]


def _teaching(names: list[str], states: dict) -> list[str]:
    lines = ["## Teaching: improvement Δ caused by one explanation (points)", ""]
    lines += ["| run | student | Δ start | Δ end | change, paired |", "|---|---|---|---|---|"]
    changes = []
    for name in names:
        found = teaching_over_run(states[name])
        for label, who in (("live", "live students"), ("held_out", "held-out student, never trained")):
            lines.append(
                f"| {name} | {who} | {shown(found.get(f'{label}_start'), 1)} | {shown(found.get(f'{label}_end'), 1)} "
                f"| {shown(found.get(f'{label}_change'), 1)} |"
            )
        if "live_change" in found:
            changes.append(found["live_change"].value)
        control = gains_by_explanation(states[name], "end", held_out=False, arm="shuffled")
        if control:
            items = [100 * item for item in control]
            lines.append(f"| {name} | live students, *shuffled* explanation | | {shown(mean(items), 1)} | |")
    return [*lines, "", f"Change of Δ over seeds, live students: {over_seeds(changes)} points.", ""]


def _experts(name: str, state: dict) -> list[str]:
    start = read_exam(state, "start")
    assert start is not None
    lines = [
        f"## Expert × domain accuracy after warm-up ({name}, percent)",
        "",
        "| agent | " + " | ".join(start.domains()) + " |",
        "|---" * (len(start.domains()) + 1) + "|",
    ]
    for agent in start.agents():
        lines.append(
            f"| {agent} | " + " | ".join(level(start.accuracy(agent, domain)) for domain in start.domains()) + " |"
        )
    return [*lines, ""]


def _cost(names: list[str], states: dict, runs: Path) -> list[str]:
    lines = [
        "## Cost",
        "",
        "| run | wall min | CPU min | peak GB | generation | update | measuring | the league's own work | tokens "
        "sampled in matches / trained, warm-up included |",
        "|---" * 9 + "|",
    ]
    for name in names:
        cost, clock, tokens = (
            json.loads((runs / f"{name}.cost.json").read_text()),
            states[name]["clock"],
            states[name]["tokens"],
        )
        total = sum(clock.values())
        update = clock.get("update", 0) + clock.get("warm-up", 0)
        shares = [
            clock.get("generate", 0),
            update,
            clock.get("evaluate", 0),
            sum(clock.get(phase, 0) for phase in OWN_WORK),
        ]
        lines.append(
            f"| {name} | {cost['wall_s'] / 60:.1f} | {cost['cpu_s'] / 60:.1f} | {cost['peak_gb']:.2f} | "
            + " | ".join(f"{100 * s / total:.1f}%" for s in shares)
            + f" | {tokens['sampled']:,} / {tokens['trained']:,} |"
        )
    return [
        *lines,
        "",
        "Update includes the supervised warm-up; the league's own work is scheduling, scoring, payoffs, evolution, "
        "database and reporting.",
        "",
    ]


def _baseline(seeds: list[int], runs: Path) -> list[str]:
    lines = [
        "## League against the honest baseline (one adapter on all the data)",
        "",
        "| seed | domain | league's students | baseline after its warm-up | baseline | difference at the end [95%] |",
        "|---|---|---|---|---|---|",
    ]
    totals = []
    for seed in seeds:
        with RunReader.read(runs / f"quickstart-{seed}") as one, RunReader.read(runs / f"baseline-{seed}") as two:
            starts = {row.domain: row.start for row in gains(two.state())}
            for row in compare_runs(one, two):
                lines.append(
                    f"| {seed} | {row.domain} | {level(row.first)} | {level(starts[row.domain])} | "
                    f"{level(row.second)} | {shown(row.difference)} |"
                )
                if row.domain == "all" and row.difference is not None:
                    totals.append(100 * row.difference.value)
            ours, theirs = (spending(reader.state()) for reader in (one, two))
            lines += [
                f"| {seed} | *tokens sampled / trained* | {count(ours.sampled)} / {count(ours.trained)} | | "
                f"{count(theirs.sampled)} / {count(theirs.trained)} | |",
                f"| {seed} | *distinct solutions / FLOPs* | {count(ours.solutions)} / {count(ours.flops)} | | "
                f"{count(theirs.solutions)} / {count(theirs.flops)} | |",
            ]
    return [*lines, "", f"Students minus baseline over seeds: {over_seeds(totals)} points.", ""]


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--baseline",
        action="store_true",
        help="also train configs/baseline_mixed.yaml with the same seeds and as many tokens",
    )
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    parser.add_argument("--report-only", action="store_true")
    parser.add_argument("overrides", nargs="*")
    chosen = parser.parse_args()
    for seed in chosen.seeds:
        if not chosen.report_only:
            play("quickstart.yaml", f"quickstart-{seed}", chosen.runs, [f"seed={seed}", *chosen.overrides])
        if chosen.baseline and not chosen.report_only:
            with RunReader.read(chosen.runs / f"quickstart-{seed}") as reader:
                budget = spending(reader.state()).budget
            limits = [f"league.token_budget={budget}", "league.rounds=1000", "evaluation.every=1000"]
            shared = [item for item in chosen.overrides if item.startswith(("model.", "evaluation.final_problems"))]
            play("baseline_mixed.yaml", f"baseline-{seed}", chosen.runs, [f"seed={seed}", *limits, *shared])
    OUT.parent.mkdir(parents=True, exist_ok=True)
    above = (
        OUT.read_text(encoding="utf-8").partition("Command: ")[0]
        if OUT.is_file()
        else "# Quickstart: does the league teach?\n\n"
    )
    OUT.write_text(above + report(chosen.seeds, chosen.runs, chosen.overrides, chosen.baseline), encoding="utf-8")
    print(OUT.read_text())


if __name__ == "__main__":
    main()
