"""The rules of every kind of match: a closed dict of kinds, and a user's own by dotted path
("package.module:Class").

A task is pure: it knows no model and no tensors. A kind is a frozen dataclass whose fields are its settings; `name`
is the task's name in this run, `domains` the run's domains where the kind uses them. It offers `seats`, `problems`,
`open`, `follow`, `score` (see league.types.Task), `check()`, a list of problems with its settings, and `relation`,
the kind of payoff it yields.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from league.errors import Foreign, UserError, nearest
from league.registry import find

TASKS: dict[str, str] = {
    "teaching": "tasks.teaching:Teaching",
    "contest": "tasks.contest:Contest",
    "matrix_game": "tasks.games.matrix_games:MatrixGame",
    "kuhn_poker": "tasks.games.kuhn_poker:KuhnPoker",
    "writing": "tasks.writing.task:Writing",
    "coding": "tasks.coding.task:Coding",
}
"""kind → "module:Class", imported when used: a command that plays no match imports no task."""

RESERVED = frozenset({"name", "domains", "relation", "fluency", "grader"})
"""Fields that are not settings: the run fills them in."""

RULES = ("seats", "problems", "open", "follow", "score", "check", "relation")
"""What a kind offers."""


def task_class(kind: str) -> type:
    """Look a kind up by name or dotted path. Raises UserError naming the nearest valid kind."""
    where = TASKS.get(kind, kind)
    if ":" not in where:
        raise UserError(
            f"unknown task kind '{kind}'{nearest(kind, list(TASKS))} (or your own as 'package.module:Class')"
        )
    cls = find(where, "task kind")
    expected = f"task kind '{kind}': expected a frozen dataclass with {', '.join(RULES)}"
    if not isinstance(cls, type) or not is_dataclass(cls):
        raise UserError(f"{expected}; found {type(cls).__name__}, which is none")
    missing = [
        method for method in RULES if not hasattr(cls, method) and method not in {field.name for field in fields(cls)}
    ]
    if missing:
        raise UserError(f"{expected}; found none of {', '.join(missing)}")
    return cls


def any_number(task: Any) -> bool:
    """Whether the task seats any number of players: its one seat is a pattern such as "player-*"."""
    return str(task.seats()[0]).endswith("*")


def seat_names(task: Any, count: int) -> tuple[str, ...]:
    """The task's seats, a pattern filled in for `count` players."""
    names = tuple(task.seats())
    return tuple(names[0].replace("*", str(place)) for place in range(1, count + 1)) if any_number(task) else names


def check_task(kind: str, settings: Mapping[str, object]) -> list[str]:
    """Problems with a task's kind and the names and types of its settings, each `key: what is
    wrong`."""
    try:
        return _typed(kind, task_class(kind), settings)[1]
    except UserError as error:
        return [f"kind: {error}"]


def make_task(kind: str, name: str, settings: Mapping[str, Any], domains: Mapping[str, Any]) -> Any:
    """Build a task with its settings and the run's domains. Raises UserError listing every problem
    with the settings."""
    cls = task_class(kind)
    values, problems = _typed(kind, cls, settings)
    if not problems:
        bound: dict[str, Any] = {"name": name, **values}
        if any(field.name == "domains" for field in fields(cls)):
            bound["domains"] = domains
        with Foreign(f"tasks.{name}: task kind '{kind}' cannot be made"):
            task = cls(**bound)
            problems = [f"settings.{line}" for line in task.check()]
    if problems:
        raise UserError("\n".join(f"tasks.{name}.{line}" for line in problems))
    return task


def _typed(kind: str, cls: type, settings: Mapping[str, object]) -> tuple[dict[str, Any], list[str]]:
    """(settings in the types their fields declare, problems). Lax, as the config is: YAML reads
    `1e-3` as a string."""
    with Foreign(f"task kind '{kind}': the types of its fields cannot be read"):
        hints = get_type_hints(cls)
    known = [field.name for field in fields(cls) if field.init and field.name not in RESERVED]
    values, problems = {}, []
    for key, value in settings.items():
        if key not in known:
            problems.append(f"settings.{key}: unknown setting of task kind '{kind}'{nearest(key, known)}")
            continue
        try:
            values[key] = TypeAdapter(hints[key]).validate_python(value)
        except ValidationError as error:
            problems.append(f"settings.{key}: {error.errors()[0]['msg'].lower()}, found {value!r}")
            continue
        if isinstance(values[key], float) and not math.isfinite(values[key]):
            problems.append(f"settings.{key}: expected a finite number, found {value!r}")
        if isinstance(value, bool) and not isinstance(values[key], bool):
            problems.append(f"settings.{key}: expected a number, found {value!r}")
    return values, problems
