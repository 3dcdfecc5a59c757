"""The closed dict of rules, and the making and checking of one from its parameters in a config."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, get_args, get_origin, get_type_hints

from league.errors import ConfigError, UserError, nearest
from league.matchmaking.active import Active
from league.matchmaking.cycle import CycleNeighbours
from league.matchmaking.dissimilar import Dissimilar
from league.matchmaking.forgotten import Forgotten
from league.matchmaking.live import Live
from league.matchmaking.pairing import Rule
from league.matchmaking.pfsp import Pfsp
from league.matchmaking.self_play import SelfPlay
from league.matchmaking.solver import SolverWeighted
from league.matchmaking.student import Student
from league.matchmaking.teacher import Teacher
from league.matchmaking.uniform import Uniform

MATCHMAKERS: dict[str, Callable[..., Rule]] = {
    "active": Active,
    "cycle": CycleNeighbours,
    "dissimilar": Dissimilar,
    "forgotten": Forgotten,
    "live": Live,
    "pfsp": Pfsp,
    "self_play": SelfPlay,
    "solver": SolverWeighted,
    "student": Student,
    "teacher": Teacher,
    "uniform": Uniform,
}

STEADY = frozenset({"cycle", "dissimilar", "live", "self_play", "solver", "uniform"})
"""Rules that draw nothing themselves: their weights are the same for every match of a round, and
computed once."""

RANGES: dict[str, tuple[float, float]] = {
    "floor": (0.0, 1.0),
    "alpha": (1e-9, 0.5),
    "behind": (0.0, 1.0),
    "half_life": (0.0, 1e6),
    "min_games": (0.0, 1e6),
    "min_items": (0.0, 1e6),
    "prior": (1e-6, 10.0),
    "noise": (1e-6, 10.0),
    "horizon": (0.0, 1e3),
    "staleness": (0.0, 10.0),
    "window": (3, 1e6),
}


def check_rules(mixture: Mapping[str, float], parameters: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Problems of a mixture {rule: weight} and its {rule: {parameter: value}}; empty when it can be
    scheduled with."""
    problems = [
        f"matchmaking.{name}: unknown rule{nearest(name, list(MATCHMAKERS))}"
        for name in mixture
        if name not in MATCHMAKERS
    ]
    problems += [
        f"matchmaking.{name}: weight must be 0 or more, found {weight}"
        for name, weight in mixture.items()
        if not weight >= 0
    ]
    if not any(weight > 0 for weight in mixture.values()):
        problems.append("matchmaking: give at least one rule a weight above 0")
    for name, settings in parameters.items():
        if name not in MATCHMAKERS:
            problems.append(f"rules.{name}: unknown rule{nearest(name, list(MATCHMAKERS))}")
        else:
            problems += [f"rules.{name}.{problem}" for problem in _problems(name, settings)]
            if name not in mixture:
                problems.append(f"rules.{name}: has parameters but no weight under matchmaking")
    return problems


def make_rule(name: str, settings: Mapping[str, Any] | None = None) -> Rule:
    """The rule called `name` with parameters. Raises ConfigError listing every problem."""
    settings = settings or {}
    if name not in MATCHMAKERS:
        raise ConfigError("matchmaking", [f"{name}: unknown rule{nearest(name, list(MATCHMAKERS))}"])
    problems = _problems(name, settings)
    if problems:
        raise ConfigError(f"matchmaking rule '{name}'", problems)
    return MATCHMAKERS[name](**settings)


def _problems(name: str, settings: Mapping[str, Any]) -> list[str]:
    kind: Any = MATCHMAKERS[name]
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    problems = []
    for key, value in settings.items():
        if key not in known:
            problems.append(
                f"{key}: unknown parameter{nearest(key, known)}" if known else f"{key}: this rule has no parameters"
            )
        elif wrong := _wrong(value, key, hints[key]):
            problems.append(f"{key}: {wrong}")
    if not problems:
        try:
            kind(**settings)
        except UserError as error:
            problems.append(str(error))
    return problems


def _wrong(value: Any, key: str, hint: Any) -> str | None:
    if get_args(hint) and get_origin(hint) is not None:
        return None if value in get_args(hint) else f"'{value}' is not one of {', '.join(map(str, get_args(hint)))}"
    if hint is str:
        return None if isinstance(value, str) else f"expected a name, found {value!r}"
    if isinstance(value, bool) or not isinstance(value, int if hint is int else (int, float)):
        return f"expected {'a whole number' if hint is int else 'a number'}, found {value!r}"
    low, high = RANGES[key]
    return None if low <= value <= high else f"must lie in [{low:g}, {high:g}], found {value}"
