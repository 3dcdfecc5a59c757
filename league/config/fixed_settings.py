"""Settings that cannot change once a run has begun: its agents, its problems, its random streams.

A person may change a run's settings between two processes (`league resume RUN key=value`, or an edit of config.yaml).
Most changes take effect from then on. The committed rounds already rest on the settings listed here: a change would do
nothing, or would give stored numbers another meaning. So it is refused with its reason, not ignored.
"""

from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

from league.config.base import Section
from league.config.sections import AgentConfig, Config

PATHS: Mapping[str, str] = {
    "seed": "every random stream of the stored rounds begins with it",
    "adapter": "the stored weights have its shape",
    "warmup": "it is over, and the problems of matches are numbered behind it; who joins may have its own",
}
"""Paths of single settings → why they stay; agents, domains and tasks are compared one by one.

Not the model's name and no checkpoint's: folders move, and the model's content is known by its hash.
"""
AGENT_FIELDS: Mapping[str, str] = {
    "role": "its matches and ratings are those of this role",
    "domain": "it was trained and examined in this domain",
    "system": "its payoffs were played with this prompt",
    "adapter": "its stored weights have this shape",
    "train": "an optimizer is kept only of agents that train",
    "warmup": "it is over",
}
DOMAIN = "what was learned and measured in this domain would mean something else"
KIND = "its payoffs would be those of two kinds of match"
OTHERS = "its stored payoffs rest on it"


def changed_fixed_settings(before: Config, after: Config) -> tuple[str, ...]:
    """One line for each of these settings whose value has changed.

    Agents and domains may have left, and others may have joined: those are not looked at here.
    """
    return tuple(
        f"{path}: was {_shown(old)} when the run began, is {_shown(new)}; "
        f"this cannot change any more ({why}): put it back, or start a new run"
        for path, why, old, new in _pairs(before, after)
        if old != new
    )


def _pairs(before: Config, after: Config) -> Iterator[tuple[str, str, Any, Any]]:
    """(path, why it stays, value before, value after)."""
    for path, why in PATHS.items():
        yield path, why, attrgetter(path)(before), attrgetter(path)(after)
    for name in before.domains.keys() & after.domains.keys():
        yield f"domains.{name}", DOMAIN, before.domains[name], after.domains[name]
    for name in before.tasks.keys() & after.tasks.keys():
        yield f"tasks.{name}.kind", KIND, before.tasks[name].kind, after.tasks[name].kind
    gone = before.agents.keys() - after.agents.keys()
    for name, old in before.agents.items():
        if (new := after.agents.get(name)) is not None:
            fields = AGENT_FIELDS.items()
            yield from ((f"agents.{name}.{key}", why, getattr(old, key), getattr(new, key)) for key, why in fields)
            yield f"agents.{name}.targets", OTHERS, _left(old, gone), new.targets
            yield f"agents.{name}.branch", OTHERS, None if old.branch in gone else old.branch, new.branch


def _left(agent: AgentConfig, gone: set[str]) -> object:
    """An exploiter's targets without those who left; without any it exploits the whole league."""
    if not isinstance(agent.targets, tuple):
        return agent.targets
    return tuple(target for target in agent.targets if target not in gone) or "league"


def _shown(value: Any) -> str:
    if isinstance(value, Section):
        value = value.model_dump(mode="json", exclude_defaults=True)
    return str(value)
