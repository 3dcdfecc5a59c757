"""The one way to make a match, and the one place where match ids are made.

An id is `round-task-place…`: unique in its run, and the same whenever the same run plays the same match.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from league.types import Match, Problem, RewardMix, Version


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
