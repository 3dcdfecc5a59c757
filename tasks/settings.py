"""What several tasks ask of their settings, as lines of ``key: what is wrong (remedy)``."""

from collections.abc import Mapping, Sequence

from league.errors import nearest
from tasks.task import Task


def unknown(task: Task, choices: Mapping[str, Sequence[str]]) -> list[str]:
    """Settings that are none of their choices."""
    return [
        f"{key}: '{getattr(task, key)}' is unknown{nearest(getattr(task, key), valid)}"
        for key, valid in choices.items()
        if getattr(task, key) not in valid
    ]


def too_small(task: Task, least: Mapping[str, int]) -> list[str]:
    """Settings below their least value."""
    return [
        f"{key}: must be at least {low}, found {getattr(task, key)}"
        for key, low in least.items()
        if getattr(task, key) < low
    ]


def without_variety(task: Task, *keys: str) -> list[str]:
    """Temperatures at which all samples of a group would be the same."""
    return [
        f"{key}: must be above 0 so that samples differ, found {getattr(task, key)}"
        for key in keys
        if not getattr(task, key) > 0
    ]
