"""How good everyone is alone, kept up to date through a round: answers counted, counts handed on to new versions."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from league.evaluation.exams import ExamResult
from league.runtime.league import LeagueState
from league.types import Episode, Score, VersionRow

LAST_PARENT = frozenset({"exploit", "rollback"})
"""Versions made by these have the weights of their last parent; others those of their first."""


def answered(state: LeagueState, episodes: Sequence[Episode], scores: Sequence[Score | None]) -> LeagueState:
    """Count the unaided answers of a round's training matches."""
    return replace(
        state,
        competence=state.competence.add(
            (episode.match.seats[each.seat], each.domain, each.right, each.n)
            for episode, score in zip(episodes, scores, strict=True)
            if score is not None and episode.match.purpose == "train"
            for each in score.unaided
        ),
    )


def examined(state: LeagueState, exams: Iterable[ExamResult]) -> LeagueState:
    """Count the answers of an exam on validation problems; test problems must decide nothing."""
    return replace(
        state,
        competence=state.competence.add(
            (exam.version, exam.domain, sum(exam.correct), len(exam.correct))
            for exam in exams
            if exam.split == "validation"
        ),
    )


def handed_on(state: LeagueState, made: Iterable[VersionRow], half_life: float) -> LeagueState:
    """Every new version takes over the counts of the version whose weights it began with, in the order they were made.

    After an update they are worth ½^(1 / half_life). Only versions that can still be met are kept.
    """
    found = state.competence
    for row in made:
        if row.parents:
            origin = row.parents[-1 if row.reason in LAST_PARENT else 0]
            found = found.inherited({origin: row.version}, 0.5 ** (1.0 / half_life) if row.reason == "update" else 1.0)
    return replace(state, competence=found.kept(state.opponents()))
