"""The closed list of matchmaking rules, and the checking of a mixture of them in a config."""

from collections.abc import Mapping
from typing import Any

from league.errors import ConfigError, UserError
from league.matchmaking.pairing import Mixture, Rule
from league.registry import Registry, build

MATCHMAKERS: dict[str, str] = {
    "active": "league.matchmaking.active:Active",
    "cycle": "league.matchmaking.cycle:CycleNeighbours",
    "dissimilar": "league.matchmaking.dissimilar:Dissimilar",
    "forgotten": "league.matchmaking.forgotten:Forgotten",
    "gain": "league.matchmaking.gain:GainPerToken",
    "live": "league.matchmaking.live:Live",
    "pasts": "league.matchmaking.pasts:Pasts",
    "pfsp": "league.matchmaking.pfsp:Pfsp",
    "self_play": "league.matchmaking.self_play:SelfPlay",
    "solver": "league.matchmaking.solver:SolverWeighted",
    "student": "league.matchmaking.student:Student",
    "teacher": "league.matchmaking.teacher:Teacher",
    "uniform": "league.matchmaking.uniform:Uniform",
}
"""Name → "module:Class"; a user's own is named by its dotted path."""

RULES: Registry[Rule] = Registry(
    what="matchmaking rule",
    entries=MATCHMAKERS,
    expected="a frozen dataclass under league.matchmaking.Rule",
    accepts=lambda found: isinstance(found, type) and issubclass(found, Rule),
)


def make_rule(name: str, settings: Mapping[str, Any] | None = None) -> Rule:
    """The rule of that name or dotted path with its parameters. Raises ConfigError listing every problem."""
    try:
        return build(RULES, name, settings or {})
    except UserError as error:
        lines = str(error).splitlines()
        raise ConfigError(f"matchmaking rule '{name}'", [line.removeprefix("settings.") for line in lines]) from error


def make_mixture(weights: Mapping[str, float], parameters: Mapping[str, Mapping[str, Any]]) -> Mixture:
    """The rules with a weight above 0, with their parameters. Raises ConfigError listing every problem."""
    chosen = {name: weight for name, weight in weights.items() if weight > 0}
    return Mixture(chosen, {name: make_rule(name, parameters.get(name)) for name in chosen})


def check_rules(mixture: Mapping[str, float], parameters: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Problems of a mixture {rule: weight} and its {rule: {parameter: value}}.

    Empty when matches can be drawn.
    """
    problems = []
    for name, weight in mixture.items():
        if name not in parameters:
            problems += [f"matchmaking.{name}: {line}" for line in _problems(name, {})]
        if not weight >= 0:
            problems.append(f"matchmaking.{name}: weight must be 0 or more, found {weight}")
    if not any(weight > 0 for weight in mixture.values()):
        problems.append("matchmaking: give at least one rule a weight above 0")
    for name, settings in parameters.items():
        problems += [f"rules.{name}.{line}" for line in _problems(name, settings)]
        if name not in mixture:
            problems.append(f"rules.{name}: has parameters but no weight under matchmaking")
    return problems


def _problems(name: str, settings: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        make_rule(name, settings)
    except ConfigError as error:
        return error.problems
    return ()
