"""Matches as values: the one way to make one and its id, and what of a played one is kept.

An id is `round-task-place…`: unique in its run, and the same whenever the same run plays the same match.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from league.types import Episode, Match, MatchResult, Outcome, Problem, RewardMix, Score, Version


def match_id(number: int, task: str, *place: int | str) -> str:
    """The id of a match of round `number` (0 outside rounds); no other has its place in the task."""
    return "-".join(map(str, (number, task, *place)))


def make_match(
    task: str,
    *,
    at: tuple[int, *tuple[int | str, ...]],
    seats: Mapping[str, Version],
    problems: Iterable[Problem],
    seed: int,
    purpose: Literal["train", "evaluate"] = "train",
    situation: str = "default",
    rewards: RewardMix | None = None,
) -> Match:
    """A match of the task; `at` is (round, place…), which names it in the run.

    `seed` addresses its random stream.
    """
    number, *place = at
    return Match(
        id=match_id(number, task, *place),
        task=task,
        round=number,
        seats=seats,
        problems=tuple(problems),
        seed=seed,
        purpose=purpose,
        situation=situation,
        rewards=rewards or RewardMix(),
    )


def result_of(episode: Episode, score: Score | None, shown: object | None = None) -> MatchResult:
    """`score` is None for an episode that is void, `shown` the transcript to keep, if any."""
    if score is None:
        return MatchResult(episode.match, {}, (), None, episode.void)
    return MatchResult(episode.match, score.metrics, score.outcomes, shown)


def outcomes_of(results: Iterable[MatchResult]) -> list[Outcome]:
    """What counts for payoffs and ratings: nothing of a void match."""
    return [outcome for result in results if result.void is None for outcome in result.outcomes]
