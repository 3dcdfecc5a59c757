"""Signal, noise, truth and cost of each reward from the tables of `measure`, and the page that shows them.

A reward is a table of (wording, problem). With w wordings and n problems, by a two-way analysis of variance in each
solved problem, pooled over them:

    signal²    (MS_wordings − MS_rest) / n       how much wordings of one problem truly differ
    noise²     MS_rest / M                       of a match of M problems, other problems and samples drawn
    redrawn²   mean variance of a sample / (K·M) of a match, the same problems and only the samples drawn anew

Signal to noise is signal / noise, reliability signal² / (signal² + noise²). What is common to all wordings (the
control arm, how hard a problem is) cancels in the advantage, so it is in neither. Correlations are between a reward
and the accuracy gain on the validation problems, both less their mean over the wordings of a solved problem; "a match"
takes M of the training problems, averaged over all disjoint choices. The interval is a bootstrap over solved
problems. Penalties and the leak guard are left out: they are the same for all rewards.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from league.seeds import generator

M, K = 2, 4
"""Problems of a match and answers to each, as tasks.teaching.Teaching has them by default."""
KINDS = ("accuracy", "expected_accuracy", "likelihood")
Floats = np.ndarray


# ---------------------------------------------------------------------------------------------------- statistics
def components(tables_PWQ: Sequence[Floats]) -> tuple[float, float]:
    """(variance between wordings, variance of the rest) of gains by wording and problem, pooled over the tables."""
    wordings, rest, count = 0.0, 0.0, tables_PWQ[0].shape[1]
    for gains_WQ in tables_PWQ:
        row_W, column_Q, mean = gains_WQ.mean(1), gains_WQ.mean(0), gains_WQ.mean()
        wordings += float(count * ((row_W - mean) ** 2).sum())
        rest += float(((gains_WQ - row_W[:, None] - column_Q + mean) ** 2).sum())
    freedom = sum(len(gains_WQ) - 1 for gains_WQ in tables_PWQ)
    within = rest / (freedom * (count - 1))
    return max((wordings / freedom - within) / count, 0.0), within


def correlation(rewards_PWQ: Sequence[Floats], truth_PW: Sequence[Floats], size: int) -> float:
    """Mean correlation of the reward of `size` problems with the truth, both centred by solved problem."""
    count = rewards_PWQ[0].shape[1] // size
    truth = np.concatenate([truth_W - truth_W.mean() for truth_W in truth_PW])
    found = []
    for part in range(count):
        mean_PW = [table[:, part * size : (part + 1) * size].mean(1) for table in rewards_PWQ]
        reward = np.concatenate([mean_W - mean_W.mean() for mean_W in mean_PW])
        spread = float(np.sqrt((reward**2).sum() * (truth**2).sum()))
        found.append(float((reward * truth).sum()) / spread if spread > 0 else 0.0)
    return float(np.mean(found))


def summary(result: Mapping[str, Any], plain: bool = False) -> dict[str, dict[str, float]]:
    """Per reward: signal, noise, reliability, correlations with their interval, what texts earn.

    `plain`: of the wordings that were sampled at temperature 1 only, where there are two.
    """
    w = result["wordings"]
    counts = [min(w, number) if plain else w for number in result["distinct"]]
    known = [(table, count) for table, count in zip(result["tables"], counts, strict=True) if count > 1]
    tables = [table for table, _ in known]
    truth_PW = [np.array(table["held"])[:count].mean(1) for table, count in known]
    stream, found = generator("teacher-signal", "bootstrap"), {}
    for kind in KINDS:
        gains = [np.array(table[kind])[:count] for table, count in known]
        asked = gains[0].shape[1]
        signal, rest = components(gains)
        draws = [stream.integers(len(tables), size=len(tables)) for _ in range(2000)]
        bounds = np.quantile(
            [correlation([gains[i] for i in draw], [truth_PW[i] for i in draw], asked) for draw in draws],
            [0.025, 0.975],
        )
        redrawn = float(np.mean([table[f"redrawn/{kind}"] for table in tables])) / (K * M)
        found[kind] = {
            "signal": signal**0.5,
            "noise": (rest / M) ** 0.5,
            "redrawn": redrawn**0.5,
            "signal_to_noise": (signal / (rest / M)) ** 0.5,
            "reliability": signal / (signal + rest / M),
            "correlation_match": correlation(gains, truth_PW, M),
            "correlation_all": correlation(gains, truth_PW, asked),
            "low": float(bounds[0]),
            "high": float(bounds[1]),
            "own": float(np.mean([table.mean() for table in gains])),
            "shuffled": float(np.mean([np.mean(table[kind][w]) for table in tables])),
            "empty": float(np.mean([np.mean(table[kind][w + 1]) for table in tables])),
        }
    held = [np.array(table["held"])[:count] for table, count in known]
    signal, rest = components(held)
    found["held"] = {
        "signal": signal**0.5,
        "reliability": signal / (signal + rest / held[0].shape[1]),
        "own": float(np.mean([table.mean() for table in held])),
    }
    return found


# ---------------------------------------------------------------------------------------------------------- page
def page(result: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    found, tables = summary(result), result["tables"]
    held = found["held"]
    domains = list(dict.fromkeys(table["domain"] for table in tables))
    lines = [
        "# How much a teacher's reward knows about an explanation",
        "",
        f"`{result['command']}`, then `page`; {result['cpu_seconds']} CPU-seconds, one thread, float32. "
        f"{len(tables)} solved problems of {', '.join(domains)}, {result['wordings']} wordings of each; the student "
        f"answers {len(tables[0]['accuracy'][0])} training and {len(tables[0]['held'][0])} validation problems after "
        f"each, {K} times. Its accuracy unaided is {np.mean([table['control'] for table in tables]):.2f}. "
        f"Of 16 explanations at temperature 1, {np.mean(result['distinct']):.1f} were different. Terms are defined in "
        "`benchmarks/teacher_signal/page.py`.",
        "",
        f"A match asks {M} problems, {K} times each. Gains are fractions of right answers, for `likelihood` nats per "
        "token. The correlation is with the accuracy gain on validation problems, within a solved problem.",
        *_reliability("All wordings, some of them sampled at temperature 1.5 or 2", found),
        *_reliability("Wordings sampled at temperature 1 only", summary(result, plain=True)),
    ]
    lines += [
        "",
        "## What pays, and what it costs",
        "",
        "What kinds of text earn on average, and what an explanation and a problem cost in tokens of the student "
        "(control arm and baselines included). The sampled answers train the student too.",
        "",
        "| reward | expert's own | of another problem | none but the answer | sampled | scored | through the model |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        row, cost = found[kind], result["tokens_per_cell"][kind]
        lines.append(
            f"| {kind} | {row['own']:+.3f} | {row['shuffled']:+.3f} | {row['empty']:+.3f} | "
            f"{cost['sampled']} | {cost['scored']} | {cost['computed']} |"
        )
    lines.append(f"| accuracy on validation | {held['own']:+.3f} | | | | | |")
    lines += ["", *_lasting(result, held["own"])]
    return "\n".join(line if line.startswith("|") else textwrap.fill(line, 118) for line in lines) + "\n"


def _above(row: Mapping[str, float]) -> str:
    """Whether the correlation is high enough to switch the reward on: with its interval, of one match, or neither."""
    if min(row["low"], row["correlation_match"]) > 0.3:
        return "yes"
    return "not shown" if row["correlation_match"] > 0.3 else "no"


def _reliability(title: str, found: Mapping[str, Mapping[str, float]]) -> list[str]:
    base, held = found["accuracy"]["signal_to_noise"], found["held"]
    lines = [
        "",
        f"## {title}",
        "",
        "| reward | signal | noise of a match | of it, samples only | signal to noise | × accuracy's | reliability |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        row = found[kind]
        times = f"{row['signal_to_noise'] / base:.1f}" if base > 0 else "accuracy has none"
        lines.append(
            f"| {kind} | {row['signal']:.3f} | {row['noise']:.3f} | {row['redrawn']:.3f} | "
            f"{row['signal_to_noise']:.2f} | {times} | {row['reliability']:.2f} |"
        )
    lines += [
        "",
        "| reward | correlation of one match | of all training problems | 95% interval | above 0.3 |",
        "|---|---|---|---|---|",
    ]
    for kind in KINDS:
        row = found[kind]
        lines.append(
            f"| {kind} | {row['correlation_match']:.2f} | {row['correlation_all']:.2f} | "
            f"[{row['low']:.2f}, {row['high']:.2f}] | {_above(row)} |"
        )
    return [
        *lines,
        "",
        f"The accuracy gain on validation problems has itself a reliability of {held['reliability']:.2f}.",
    ]


PROMPT = 60
"""Tokens of a student's prompt without an example."""


def _lasting(result: Mapping[str, Any], gain: float) -> list[str]:
    """Why the reward of a lesson that lasts is an estimate only."""
    taught = float(np.mean([table["control"] for table in result["tables"]])) + gain
    length = result["tokens_per_cell"]["accuracy"]["sampled"] / K
    right = K * M * max(taught, 0.0)
    passes = 5 * right * (PROMPT + length)
    likelihood = M * result["tokens_per_cell"]["likelihood"]["computed"]
    return [
        "## The reward of a lesson that lasts: an estimate, not built",
        "",
        "Its design: nudge a copy of the student by the gradient of the right taught answers on the untaught prompt, "
        "and pay for how much likelier they become. In the limit of a small nudge along its own gradient that is the "
        "norm of this gradient. So it pays most for right answers that the student finds unlikely, it is silent where "
        f"no taught answer was right, and which of the {K * M} answers of a match are right is the sampling noise "
        f"it was meant to avoid. Here {right:.1f} of them are. A forward and backward pass and two scoring passes over "
        f"those ({PROMPT} tokens of prompt, {length:.0f} of answer) are worth {passes:.0f} tokens through the model "
        f"for each explanation, besides a copy of the adapter. `likelihood` needs {likelihood:.0f}, "
        f"{passes / likelihood:.0f} times fewer.",
    ]
