"""Matches as values: the one way to make one and its id, and what of a played one is kept.

An id is `round-task-place…`: unique in its run, and the same whenever the same run plays the same match.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from league.types import BetaBelief, Episode, Match, MatchResult, Outcome, Problem, RewardMix, Score, Split, Version

Place = Literal[Split, "merge", "versions", "lengths", "cross-play"]
"""The word that follows the task in an id; a match of a round's own schedule has its number there."""
At = tuple[int, int | Place, *tuple[int | str, ...]]
"""(round, place…): where a match stands in its run."""


def could_share_id(task: str, other: str) -> bool:
    """Whether `other` is `task` with the beginning of a place behind it, so that both could make one id."""
    word = other.removeprefix(f"{task}-").partition("-")[0]
    return other.startswith(f"{task}-") and (word.isdigit() or word in get_args(Place))


def make_match(
    task: str,
    *,
    at: At,
    seats: Mapping[str, Version],
    problems: Iterable[Problem],
    seed: int,
    purpose: Literal["train", "evaluate"] = "train",
    situation: str = "default",
    rewards: RewardMix | None = None,
    beliefs: Mapping[str, BetaBelief] | None = None,
) -> Match:
    """A match of the task; `at` is (round, place…), which names it in the run.

    `seed` addresses its random stream.
    """
    number, *place = at
    return Match(
        id="-".join(map(str, (number, task, *place))),
        task=task,
        round=number,
        seats=seats,
        problems=tuple(problems),
        seed=seed,
        purpose=purpose,
        situation=situation,
        rewards=rewards or RewardMix(),
        beliefs=beliefs or {},
    )


def result_of(episode: Episode, score: Score | None, shown: object | None = None) -> MatchResult:
    """`score` is None for an episode that is void, `shown` the transcript to keep, if any."""
    if score is None:
        return MatchResult(episode.match, {}, (), None, episode.void)
    return MatchResult(episode.match, score.metrics, score.outcomes, shown)


def outcomes_of(results: Iterable[MatchResult]) -> list[Outcome]:
    """What counts for payoffs and ratings: nothing of a void match."""
    return [outcome for result in results if result.void is None for outcome in result.outcomes]


def voids_of(results: Iterable[MatchResult]) -> dict[str, list[str]]:
    """task → why each match of it that does not count is void; without tasks all of whose matches count."""
    found: dict[str, list[str]] = {}
    for result in results:
        if result.void is not None:
            found.setdefault(result.match.task, []).append(result.void)
    return found
