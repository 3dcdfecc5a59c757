"""The rules of every kind of match.

A closed list of kinds, and a user's own by dotted path ("package.module:Class").

A kind is a frozen dataclass under `tasks.task.Task` whose fields are its settings.
"""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from league.errors import Foreign, UserError
from league.registry import Registry, build, check
from tasks.domains import Domain
from tasks.task import Task

__all__ = ["TASKS", "Task", "check_task", "make_task"]

TASKS: dict[str, str] = {
    "teaching": "tasks.teaching:Teaching",
    "worked_replies": "tasks.worked_replies:WorkedReplies",
    "contest": "tasks.contest:Contest",
    "matrix_game": "tasks.games.matrix_games:MatrixGame",
    "kuhn_poker": "tasks.games.kuhn_poker:KuhnPoker",
    "openspiel": "tasks.openspiel.task:OpenSpielGame",
    "verifiers": "tasks.verifiers.task:VerifiersEnvironment",
    "writing": "tasks.writing.task:Writing",
    "coding": "tasks.coding.task:Coding",
}
"""Kind → "module:Class", imported when used: a command that plays no match imports no task."""

KINDS: Registry[Task] = Registry(
    what="task kind",
    entries=TASKS,
    expected="a frozen dataclass under tasks.task.Task",
    accepts=lambda found: isinstance(found, type) and issubclass(found, Task) and is_dataclass(found),
)


def check_task(kind: str, settings: Mapping[str, object]) -> list[str]:
    """Problems with a task's kind and the names and types of its settings, each `key: what is wrong`."""
    return check(KINDS, kind, settings)


def make_task(kind: str, name: str, settings: Mapping[str, Any], domains: Mapping[str, Domain]) -> Task:
    """Build a task with its settings and the run's domains.

    Raises UserError listing every problem with the settings.
    """
    try:
        given = {"name": name} | ({"domains": domains} if KINDS.find(kind).uses_domains else {})
        task = build(KINDS, kind, settings, **given)
        with Foreign(f"task kind '{kind}': its check fails"):
            problems = [f"settings.{line}" for line in task.check()]
    except UserError as error:
        problems = str(error).splitlines()
    if problems:
        raise UserError("\n".join(f"tasks.{name}.{line}" for line in problems))
    return task
