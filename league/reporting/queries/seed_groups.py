"""Two groups of runs that differ in their seeds, compared seed by seed.

A group is one run, a folder of runs (a sweep's arm), or several of either. A run of the first group is paired with the
run of the second that has the same seed: both begin alike and sit the same test problems. With d_s the difference of
their accuracies in a domain (first − second, the mean over learners and problems), n seeds in common, and s the
standard deviation of d over seeds:

    difference = mean of d_s,   interval = ± t(97.5%, n − 1) · s / √n      (Student 1908, paired)

With one seed in common there is no variation between seeds to see; then the interval is that of `compare_runs`, over
problems, and says nothing about another seed.

Fails where seeds are few and differ much in kind: the t interval takes the d_s as normal.
"""

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from league.errors import UserError
from league.reporting.queries.estimates import mean
from league.reporting.queries.exam_results import ALL, compare_runs, learners, read_exam, same_problems
from league.reporting.views import Comparison
from league.store.environment import flat
from league.store.opening import DATABASE
from league.store.reader import RunReader

APART = ("seed", "model.name", "model.threads")
"""Settings in which the runs of one group may differ: the seed, and where and how they were run."""


@dataclass(frozen=True)
class SeedRun:
    """A run of a group."""

    path: Path
    seed: int
    state: Mapping[str, Any]


@dataclass(frozen=True)
class SeedComparison:
    """One domain in two groups, and per seed in common the difference first − second."""

    comparison: Comparison
    over: Literal["seeds", "problems"]
    """What the interval of the difference is over: problems where there is one seed."""
    by_seed: Mapping[int, float]


@dataclass(frozen=True)
class GroupComparison:
    """Two groups of runs compared."""

    pairs: tuple[tuple[SeedRun, SeedRun], ...]
    """By seed."""
    rows: tuple[SeedComparison, ...]
    warnings: tuple[str, ...]


def find_runs(text: str) -> list[Path]:
    """The run folders that a word of the command line stands for.

    A run; a folder of runs; a pattern with `*`, `?` or `[…]`; or several of these with commas between. Raises UserError
    where there is none.
    """
    if Path(text).exists() or ("," not in text and not glob.has_magic(text)):
        return _in_folder(Path(text))
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        places = sorted(glob.glob(part)) if glob.has_magic(part) and not Path(part).exists() else [part]
        runs = [run for place in places for run in _in_folder(Path(place), strict=place == part)]
        if not runs:
            raise UserError(f"no run matches '{part[:200]}'; expected run folders, or a folder of runs")
        found += runs
    if not found:
        raise UserError(f"'{text[:200]}' names no run")
    return list(dict.fromkeys(found))


def _in_folder(place: Path, *, strict: bool = True) -> list[Path]:
    """The folder itself where it is a run, else the runs in it.

    What a pattern found besides runs is left out (not `strict`)."""
    if (place / DATABASE).is_file() or not place.is_dir():
        return [place] if strict or (place / DATABASE).is_file() else []
    runs = sorted(path.parent for path in place.glob(f"*/{DATABASE}"))
    if not runs and strict:
        arms = sorted({path.parent.parent.name for path in place.glob(f"*/*/{DATABASE}")})
        inside = f"; it holds sweep arms, name one: {', '.join(arms[:20])}" if arms else ""
        raise UserError(f"{place} is neither a run nor a folder of runs{inside}")
    return runs


def read_group(paths: Sequence[Path]) -> list[SeedRun]:
    """The runs of a group by seed. Raises UserError where two of them have the same."""
    runs: dict[int, SeedRun] = {}
    for path in paths:
        with RunReader.read(path) as reader:
            state = reader.begun()
            seed = int(state["config"]["seed"])
        if seed in runs:
            raise UserError(
                f"{runs[seed].path} and {path} both have seed {seed}; a group has one run a seed, so name one arm of a "
                "sweep at a time"
            )
        runs[seed] = SeedRun(path, seed, state)
    return [runs[seed] for seed in sorted(runs)]


def compare_groups(first: Sequence[SeedRun], second: Sequence[SeedRun]) -> GroupComparison:
    """The two groups, domain by domain, over the seeds that both have.

    Raises UserError where no seed is in both, or no pair of runs has sat its last exam.
    """
    others = {run.seed: run for run in second}
    common = [(run, others[run.seed]) for run in first if run.seed in others]
    if not common:
        raise UserError(
            f"the groups have no seed in common: {_numbers(first)} and {_numbers(second)}; runs are paired by seed"
        )
    warnings = [*_unmatched(first, second), *_mixed(first), *_mixed(second)]
    pairs = []
    for one, other in common:
        without = [run.path for run in (one, other) if read_exam(run.state, "end") is None]
        if without:
            warnings.append(f"seed {one.seed} is left out: no last exam in {' and '.join(map(str, without))}")
            continue
        if not same_problems(one.state, other.state):
            warnings.append(
                f"seed {one.seed}: {one.path} and {other.path} sat different test problems (`domains` or "
                "`evaluation.final_problems` differ)"
            )
        pairs.append((one, other))
    if not pairs:
        raise UserError("no pair of runs has sat its last exam: " + "; ".join(warnings))
    return GroupComparison(tuple(pairs), tuple(_rows(pairs)), tuple(warnings))


def _rows(pairs: Sequence[tuple[SeedRun, SeedRun]]) -> Iterator[SeedComparison]:
    """A row per domain that all these runs have, and one for all domains together."""
    if len(pairs) == 1:
        ((one, other),) = pairs
        with RunReader.read(one.path) as mine, RunReader.read(other.path) as theirs:
            rows = compare_runs(mine, theirs)
        for row in rows:
            if row.first is not None and row.second is not None:
                yield SeedComparison(row, "problems", {one.seed: row.first.value - row.second.value})
        return
    sat = [[_accuracies(run.state) for run in pair] for pair in pairs]
    shared = set.intersection(*(set(each) for pair in sat for each in pair))
    for domain in [name for name in sat[0][0] if name in shared]:
        values = [[each[domain] for each in pair] for pair in sat]
        by_seed = {pair[0].seed: one - other for pair, (one, other) in zip(pairs, values, strict=True)}
        first, second = (mean([pair[side] for pair in values]) for side in (0, 1))
        yield SeedComparison(Comparison(domain, first, second, mean(list(by_seed.values()))), "seeds", by_seed)


def _accuracies(state: Mapping[str, Any]) -> dict[str, float]:
    """Domain → the learners' accuracy at the last exam; ALL comes last."""
    exam = read_exam(state, "end")
    assert exam is not None
    found = {domain: exam.shares_right(learners(state), domain) for domain in [*exam.domains(), ALL]}
    return {domain: fmean(right) for domain, right in found.items() if right}


def _unmatched(first: Sequence[SeedRun], second: Sequence[SeedRun]) -> Iterator[str]:
    seeds = [{run.seed for run in group} for group in (first, second)]
    for own, other, words in ((seeds[0], seeds[1], "first"), (seeds[1], seeds[0], "second")):
        if only := sorted(own - other):
            yield f"only the {words} group has seed {', '.join(map(str, only))}: left out"


def _mixed(group: Sequence[SeedRun]) -> Iterator[str]:
    """Runs of one group should be of one config."""
    head = group[0]
    for run in group[1:]:
        configs = [flat(each.state["config"]) for each in (head, run)]
        keys = [
            key
            for key in dict.fromkeys([*configs[0], *configs[1]])
            if key not in APART and configs[0].get(key) != configs[1].get(key)
        ]
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            yield f"{head.path} and {run.path} differ in more than their seed: {', '.join(keys[:3])}{more}"


def _numbers(group: Sequence[SeedRun]) -> str:
    return "seeds " + ", ".join(str(run.seed) for run in group)
