"""Callbacks that a config names by dotted path: whether each can be called, and how it is made.

`package.module:Name` names a function, an object that can be called, or a class, which is made without arguments. What
a callback is told, and what becomes of its errors, is `league.api.callbacks`.
"""

from collections.abc import Callable
from typing import Any

from league.config import Config
from league.errors import Foreign, UserError
from league.registry import find

WHAT = "callback"


def callback_problems(config: Config) -> list[str]:
    """What is wrong with the paths under `league.callbacks`, a line for each."""
    problems = []
    for path in config.league.callbacks:
        try:
            _callable(path)
        except UserError as error:
            problems.append(f"league.callbacks: {error}")
    return problems


def make_callback(path: str) -> Callable[[Any], object]:
    """The callback that a dotted path names. Raises UserError where it cannot be made or called."""
    found = _callable(path)
    if not isinstance(found, type):
        return found
    with Foreign(f"{WHAT} '{path}' cannot be made"):
        made = found()
    if not callable(made):
        raise UserError(f"{WHAT} '{path}': what the class makes cannot be called; give it a method __call__(self, end)")
    return made


def _callable(path: str) -> Any:
    found = find(path, WHAT)
    if not callable(found):
        raise UserError(f"{WHAT} '{path}': expected a function or a class, found {type(found).__name__}")
    return found
