"""A run's stored configuration, changed: single settings, an agent that joins, an agent that leaves.

Each takes the YAML as it is stored and gives the checked `Config` with the YAML to store in its place. Only what was
asked for changes in the text, so that a run tells exactly what was changed, and when. Whether a change is allowed is
decided elsewhere: `fixed_settings` says what stays, `league.preflight` what can be played.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from league.config import yaml_values
from league.config.reading import parse_config
from league.config.sections import Config
from league.errors import ConfigError, UserError, nearest

PLACES = {
    "name": "a run is called as its folder: rename the folder",
    "runs": "a run lies where its folder is: move the folder",
}
"""Settings that say where a run lies → what to do in place of setting them."""


@dataclass(frozen=True)
class Joining:
    """An agent that is to join: its section, and sections of domains that come with it."""

    name: str
    agent: Mapping[str, Any]
    domains: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Leaving:
    """An agent that is to leave."""

    name: str


MembershipChange = Joining | Leaving


def with_settings(text: str, overrides: Sequence[str], source: str) -> tuple[Config, str]:
    """The configuration with `key.sub=value` overrides. Raises ConfigError with all that is wrong."""
    for override in overrides:
        key = override.partition("=")[0]
        if key in PLACES:
            raise UserError(f"{key}: {PLACES[key]}")
    config, data = parse_config(text, source, overrides), _parsed(text, source)
    resolved = config.model_dump(mode="json")
    for override in overrides:
        _take_over(resolved, data, override.partition("=")[0].split("."))
    return config, _dumped(data)


def with_membership(text: str, change: MembershipChange, source: str) -> tuple[Config, str]:
    """The configuration after an agent joined or left.

    Raises UserError for a name that is taken or not there, ConfigError where what is left cannot be a league.
    """
    data = _parsed(text, source)
    if isinstance(change, Leaving):
        return _without(data, parse_config(text, source), change.name, source)
    agents, domains = _section(data, "agents"), _section(data, "domains")
    if change.name in agents:
        raise UserError(f"agents.{change.name}: the name is taken in this run; choose another")
    for name in change.domains:
        if name in domains:
            raise UserError(
                f"domains.{name}: the run has this domain already, and it cannot change; take its settings out, or "
                "choose another name"
            )
    agents[change.name] = dict(change.agent)
    domains |= {name: dict(section) for name, section in change.domains.items()}
    config = parse_config(_dumped(data), source)
    resolved = config.model_dump(mode="json")
    agents[change.name] = resolved["agents"][change.name]
    domains |= {name: resolved["domains"][name] for name in change.domains}
    return config, _dumped(data)


def _without(data: dict[str, Any], before: Config, name: str, source: str) -> tuple[Config, str]:
    """Take an agent out, and its name from wherever it stands.

    The problems of later matches stay numbered behind the warm-up that it had.
    """
    agents = _section(data, "agents")
    if name not in agents:
        raise UserError(f"'{name}' is not an agent of this run's configuration{nearest(name, list(agents))}")
    del agents[name]
    for other in agents.values():
        targets = other.get("targets")
        if isinstance(targets, list) and name in targets:
            other["targets"] = [target for target in targets if target != name] or "league"
        if other.get("branch") == name:
            other["branch"] = None
    for task in _section(data, "tasks").values():
        if seats := task.get("seats"):
            task["seats"] = {seat: [agent for agent in named if agent != name] for seat, named in seats.items()}
    after = parse_config(_dumped(data), source)
    if after.warmed_up < before.warmed_up:
        _section(data, "league")["skip_problems"] = max(before.warmed_up, before.league.skip_problems)
        after = parse_config(_dumped(data), source)
    return after, _dumped(data)


def _take_over(resolved: Mapping[str, Any], data: dict[str, Any], path: Sequence[str]) -> None:
    """Copy one value into `data`, with the section around it where that is not there yet."""
    for part in path[:-1]:
        if part not in resolved or not isinstance(data.get(part), dict):
            break
        resolved, data = resolved[part], data[part]
        path = path[1:]
    if path[0] in resolved:
        data[path[0]] = resolved[path[0]]
    else:  # a setting at its default that is not written out
        data.pop(path[0], None)


def _parsed(text: str, source: str) -> dict[str, Any]:
    try:
        data = yaml_values.parse_yaml(text)
    except ValueError as error:
        raise ConfigError(source, [f"not valid YAML: {error}"]) from error
    if not isinstance(data, dict):
        raise ConfigError(source, [f"expected a mapping of sections at the top, found {type(data).__name__}"])
    return data


def _section(data: dict[str, Any], key: str) -> dict[str, Any]:
    if not isinstance(data.get(key), dict):
        data[key] = {}
    found: dict[str, Any] = data[key]
    return found


def _dumped(data: object) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
