"""How replies to a data set's questions are judged, one file a check. `CHECKS` is the closed list.

A user's own check is a function by its dotted path, "package.module:function" (`own`).
"""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from league.errors import ConfigError, UserError
from league.registry import Registry, build, names_code
from league.registry import check as settings_problems
from tasks.domains.checks.check import Check, Unusable
from tasks.domains.checks.choice import Choice
from tasks.domains.checks.exact import Exact
from tasks.domains.checks.math_expression import MathExpression
from tasks.domains.checks.number import Number
from tasks.domains.checks.own import Own
from tasks.domains.checks.rubric import Rubric
from tasks.domains.checks.set_of_items import SetOfItems
from tasks.domains.checks.spelling import Spelling

__all__ = ["CHECKS", "Check", "Unusable", "make_check"]

CHECKS: dict[str, type[Check]] = {
    "exact": Exact,
    "number": Number,
    "choice": Choice,
    "set": SetOfItems,
    "math": MathExpression,
    "spelling": Spelling,
    "rubric": Rubric,
}


def _accepts(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, Check) and is_dataclass(found)


_KINDS: Registry[Check] = Registry(
    what="check", entries=CHECKS, expected="a frozen dataclass under tasks.domains.checks.Check", accepts=_accepts
)
_OWN: Registry[Check] = Registry(what="check", entries={"own": Own}, expected="a function", accepts=_accepts)


def make_check(chosen: str | Mapping[str, Any]) -> Check:
    """A check from its name, or from an object with `kind` and its settings.

    Raises ConfigError, a line `check…: what is wrong` for each problem.
    """
    settings = {"kind": chosen} if isinstance(chosen, str) else dict(chosen)
    kind = settings.pop("kind", None)
    if not isinstance(kind, str):
        raise ConfigError("check", [f"check.kind: name one of {', '.join(CHECKS)}, or a 'package.module:function'"])
    registry = _KINDS
    if kind not in CHECKS and names_code(kind):
        registry, settings, kind = _OWN, {**settings, "function": kind}, "own"
    problems = [f"check.{line.removeprefix('settings.')}" for line in settings_problems(registry, kind, settings)]
    if problems:
        raise ConfigError("check", problems)
    try:
        made = build(registry, kind, settings)
    except UserError as error:
        raise ConfigError("check", [f"check: {error}"]) from error
    if problems := made.problems():
        raise ConfigError("check", problems)
    return made
