"""Differences between arms, paired by seed: t interval, exact sign-flip test, bootstrap, Holm's correction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.stats import t as student

from benchmarks.pays.cells import Cell


@dataclass(frozen=True)
class Difference:
    """Mean difference over S paired seeds in points, with Student's 95% interval; NaN bounds with one seed."""

    mean: float
    low: float
    high: float
    seeds: int
    p: float
    """Two-sided, by flipping the signs of the seeds' differences in all 2^S ways."""
    t_p: float
    """Two-sided, by Student's t; 1 with one seed."""
    bootstrap: tuple[float, float]
    """95% of the mean over seeds and domains drawn anew."""
    domains: Mapping[str, float]
    """Domain (in games: part) → mean difference in points."""


def difference(one: Sequence[Cell], other: Sequence[Cell], *, draws: int = 10_000) -> Difference | None:
    """One arm minus another over the seeds that both have; None without any."""
    by_seed = {cell.seed: cell for cell in other}
    pairs = [(cell, by_seed[cell.seed]) for cell in one if cell.seed in by_seed]
    if not pairs:
        return None
    domains = list(pairs[0][0].parts)
    if any(set(cell.parts) != set(domains) for pair in pairs for cell in pair):
        domains = ["all"]  # measured on other parts: only their means can be compared
        gap_SD = np.array([[100 * (a.accuracy() - b.accuracy())] for a, b in pairs])
    else:
        gap_SD = np.array([[100 * (a.accuracy(d) - b.accuracy(d)) for d in domains] for a, b in pairs])
    gap_S = gap_SD.mean(1)
    mean, count = float(gap_S.mean()), len(gap_S)
    error = float(gap_S.std(ddof=1) / np.sqrt(count)) if count > 1 else float("nan")
    half = float(student.ppf(0.975, count - 1)) * error if count > 1 else float("nan")
    rng = np.random.default_rng(0)
    seeds_BS = rng.integers(count, size=(draws, count))
    domains_BD = rng.integers(len(domains), size=(draws, len(domains)))
    means_B = gap_SD[seeds_BS[:, :, None], domains_BD[:, None, :]].mean((1, 2))
    low, high = np.quantile(means_B, (0.025, 0.975))
    return Difference(
        mean=mean,
        low=mean - half,
        high=mean + half,
        seeds=count,
        p=sign_flip(gap_S.tolist()),
        t_p=t_test(mean, error, count),
        bootstrap=(float(low), float(high)),
        domains=dict(zip(domains, gap_SD.mean(0).tolist(), strict=True)),
    )


def t_test(mean: float, error: float, count: int) -> float:
    """Two-sided p-value of a mean of `count` values with this standard error; 1 for a single value."""
    if count < 2:
        return 1.0
    if error == 0:
        return float(mean == 0)
    return float(2 * student.sf(abs(mean) / error, count - 1))


def sign_flip(values: Sequence[float]) -> float:
    """Exact two-sided p-value of the mean under random signs; sampled beyond 16 values."""
    seen = abs(sum(values))
    if len(values) <= 16:
        flips = product((1.0, -1.0), repeat=len(values))
        sums = np.array([sum(s * v for s, v in zip(signs, values, strict=True)) for signs in flips])
    else:
        signs_BS = np.random.default_rng(0).choice((1.0, -1.0), size=(100_000, len(values)))
        sums = signs_BS @ np.array(values)
    return float((np.abs(sums) >= seen - 1e-9).mean())


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values (Holm 1979)."""
    found, largest = {}, 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p))
        found[name] = largest
    return found


def closed_share(start: float, end: float, expert: float, tokens: float) -> float | None:
    """η: the share of the gap between student and expert that was closed, per 10,000 tokens.

    None where the expert is less than five points ahead: the share means nothing there.
    """
    return (end - start) / (expert - start) / (tokens / 10_000) if expert - start >= 0.05 else None
