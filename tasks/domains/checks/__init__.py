"""How replies to a data set's questions are judged, one file a check. `CHECKS` is the closed list.

A user's own check is a function by its dotted path, "package.module:function" (`own`).
"""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from league.errors import ConfigError, UserError
from league.registry import Registry, build, names_code
from league.registry import check as settings_problems
from tasks.domains.checks.check import ReplyCheck, Unusable
from tasks.domains.checks.choice import ChoiceCheck
from tasks.domains.checks.exact import ExactCheck
from tasks.domains.checks.math_expression import MathCheck
from tasks.domains.checks.number import NumberCheck
from tasks.domains.checks.own import OwnCheck
from tasks.domains.checks.rubric import RubricCheck
from tasks.domains.checks.set_of_items import SetCheck
from tasks.domains.checks.spelling import SpellingCheck

__all__ = ["CHECKS", "ReplyCheck", "Unusable", "make_check"]

CHECKS: dict[str, type[ReplyCheck]] = {
    "exact": ExactCheck,
    "number": NumberCheck,
    "choice": ChoiceCheck,
    "set": SetCheck,
    "math": MathCheck,
    "spelling": SpellingCheck,
    "rubric": RubricCheck,
}


def _accepts(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, ReplyCheck) and is_dataclass(found)


_KINDS: Registry[ReplyCheck] = Registry(
    what="check", entries=CHECKS, expected="a frozen dataclass under tasks.domains.checks.ReplyCheck", accepts=_accepts
)
_OWN: Registry[ReplyCheck] = Registry(what="check", entries={"own": OwnCheck}, expected="a function", accepts=_accepts)


def make_check(chosen: str | Mapping[str, Any]) -> ReplyCheck:
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
