"""Which version of each agent was best so far, and whether the league still gets better.

Looked at after every measurement on validation problems, at the end of the round: what a measurement found and the
round then rolled back or dropped is no version to keep. Test problems decide nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from league.config.steering import EarlyStoppingConfig
from league.evaluation.exams import ExamResult
from league.payoffs.ratings import OVERALL
from league.population.best_versions import Improvement
from league.round.values import RoundDraft
from league.runtime.league import League, LeagueState
from league.types import Version


def judge_progress(league: League, state: LeagueState, draft: RoundDraft) -> LeagueState:
    """The state with the best versions and the improvement that this round's measurement shows."""
    config = league.config
    exams = [exam for exam in draft.exams if exam.split == "validation"]
    if draft.number % config.evaluation.every or len(exams) < len(draft.exams):
        return state  # not measured, or on test problems
    by = config.evaluation.keep_best
    if by == "rating" or (by == "accuracy" and exams):
        found = mean_accuracies(exams) if by == "accuracy" else _ratings(league, state)
        kept = {version: score for version, score in found.items() if _stays(league, state, version)}
        state = replace(state, best=state.best.more(by, kept, draft.number))
        draft.scalars |= {f"best/{name}": each.score for name, each in state.best.versions.items()}
    rule = config.league.early_stopping
    if rule is None:
        state = replace(state, improvement=Improvement())
    elif (value := watched(rule, exams)) is not None:
        known = state.improvement.of(rule.metric)
        state = replace(state, improvement=known.measured(value, draft.number, rule.minimum_improvement))
        draft.scalars["early_stopping/since"] = float(state.improvement.since)
    return state


def mean_accuracies(exams: Sequence[ExamResult]) -> dict[Version, float]:
    """version → accuracy, the mean over the domains of its exam."""
    by_version: dict[Version, list[float]] = {}
    for exam in exams:
        by_version.setdefault(exam.version, []).append(exam.accuracy)
    return {version: fmean(found) for version, found in by_version.items()}


def watched(rule: EarlyStoppingConfig, exams: Sequence[ExamResult]) -> float | None:
    """The value that early stopping watches; None where nobody sat what it names."""
    _, agent, domain = rule.parts
    chosen = [exam for exam in exams if agent in (None, exam.version.agent) and domain in (None, exam.domain)]
    return fmean(mean_accuracies(chosen).values()) if chosen else None


def _ratings(league: League, state: LeagueState) -> dict[Version, float]:
    """Of each member with weights its newest rated version: mu − 3 sigma on the overall ladder."""
    table = state.ratings.beliefs.get(OVERALL, {})
    found: dict[Version, float] = {}
    for member in state.population.members.values():
        rated = [version for version in table if version.agent == member.name and version <= member.version]
        if rated and member.can.has_weights:
            newest = max(rated)
            found[newest] = table[newest].mu - 3 * table[newest].sigma
    return found


def _stays(league: League, state: LeagueState, version: Version) -> bool:
    """Whether a member's version has weights that this round's commit stores, or that an earlier one did."""
    if league.bank is None or version.agent not in state.population.members:
        return False
    if version in league.bank:
        return True
    row = next((row for row in league.store.versions(version.agent) if row.version == version), None)
    return row is not None and row.blob is not None and league.store.blobs.has(row.blob)
