"""What several tasks ask of their settings, as lines of ``key: what is wrong (remedy)``."""

from collections.abc import Mapping, Sequence
from typing import Any

from league.errors import nearest
from tasks.multiturn.feedback import TRANSITIONS


def unknown(task: Any, choices: Mapping[str, Sequence[str]]) -> list[str]:
    """Settings that are none of their choices."""
    return [
        f"{key}: '{getattr(task, key)}' is unknown{nearest(getattr(task, key), valid)}"
        for key, valid in choices.items()
        if getattr(task, key) not in valid
    ]


def too_small(task: Any, least: Mapping[str, int]) -> list[str]:
    """Settings below their least value."""
    return [
        f"{key}: must be at least {low}, found {getattr(task, key)}"
        for key, low in least.items()
        if getattr(task, key) < low
    ]


def without_variety(task: Any, *keys: str) -> list[str]:
    """Temperatures at which all samples of a group would be the same."""
    return [
        f"{key}: must be above 0 so that samples differ, found {getattr(task, key)}"
        for key in keys
        if not getattr(task, key) > 0
    ]


def check_writers(task: Any, choices: Mapping[str, Sequence[str]]) -> list[str]:
    """The settings that writing and coding share; `choices` are those of the task's own."""
    shared = {
        "arrangement": ("parallel", "sequential", "discussion", "single"),
        "credit": ("joint", "own"),
        "transition": TRANSITIONS,
        "joint": ("aligned", "cross"),
    }
    problems = unknown(task, {**choices, **shared})
    problems += too_small(task, {"turns": 1, "items": 1, "samples": 1, "branch": 1, "max_tokens": 8})
    problems += without_variety(task, "temperature")
    if not 0 < task.top_p <= 1:
        problems.append(f"top_p: must be in (0, 1], found {task.top_p}")
    if task.turns == 1 and task.transition != "plain":
        problems.append(f"transition: '{task.transition}' needs turns of at least 2, found 1")
    if task.arrangement == "single" and task.credit == "own":
        problems.append("credit: 'own' needs two writers (use 'joint' with arrangement 'single')")
    return problems
