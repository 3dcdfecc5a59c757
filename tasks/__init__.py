"""The rules of every kind of match: a closed dict of kinds, and a user's own by dotted path ("package.module:Class").

A task is pure: it knows no model and no tensors. A kind is a frozen dataclass whose fields are its settings; `name` is the task's name
in this run, `domains` the run's domains where the kind uses them. It offers `seats`, `problems`, `open`, `follow`, `score` (see
league.types.Task), `check()`, a list of problems with its settings, and `relation`, the kind of payoff it yields.
"""

import importlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from league.errors import UserError, nearest

TASKS: dict[str, str] = {
    "teaching": "tasks.teaching:Teaching",
    "contest": "tasks.contest:Contest",
    "matrix_game": "tasks.matrix_games:MatrixGame",
    "kuhn_poker": "tasks.kuhn_poker:KuhnPoker",
    "writing": "tasks.writing:Writing",
}
"""kind → "module:Class", imported when used: a command that plays no match imports no task."""

RESERVED = frozenset({"name", "domains", "relation"})


def task_class(kind: str) -> type:
    """Look a kind up by name or dotted path. Raises UserError naming the nearest valid kind."""
    where = TASKS.get(kind, kind)
    module, colon, name = where.partition(":")
    if not colon:
        raise UserError(f"unknown task kind '{kind}'{nearest(kind, list(TASKS))} (or your own as 'package.module:Class')")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"task kind '{kind}' cannot be imported: {error}") from error


def check_task(kind: str, settings: Mapping[str, object]) -> list[str]:
    """Problems with a task's kind and the names of its settings, each `key: what is wrong`."""
    try:
        cls = task_class(kind)
    except UserError as error:
        return [f"kind: {error}"]
    known = [field.name for field in fields(cls) if field.init and field.name not in RESERVED]
    return [f"{key}: unknown setting of task kind '{kind}'{nearest(key, known)}" for key in settings if key not in known]


def make_task(kind: str, name: str, settings: Mapping[str, Any], domains: Mapping[str, Any]) -> Any:
    """Build a task with its settings and the run's domains. Raises UserError listing every problem with the settings."""
    cls = task_class(kind)
    bound: dict[str, Any] = {"name": name, **settings}
    if any(field.name == "domains" for field in fields(cls)):
        bound["domains"] = domains
    task = cls(**bound)
    if problems := task.check():
        raise UserError(f"tasks.{name}: " + "; ".join(problems))
    return task
