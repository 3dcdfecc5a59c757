"""Settings that cannot change once a run has begun: its agents, its problems, its random streams.

A person may edit a run's config.yaml between two processes. Most edits take effect from then on. The committed rounds
already rest on the settings listed here: an edit would change nothing, or would give stored numbers another meaning.
So it is refused, not ignored.
"""

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from league.config.base import Section
from league.config.sections import AgentConfig, Config, DomainConfig

PATHS = ("seed", "adapter", "warmup", "learning.learning_rate", "learning.teacher_learning_rate", "learning.kl")
"""Paths of single settings; agents and domains are compared one by one.

Not the model's name and no checkpoint's: folders move, and the model's content is known by its hash.
"""
AGENT_FIELDS = ("role", "domain", "system", "adapter", "learning_rate", "train", "warmup")


def changed_fixed_settings(before: Config, after: Config) -> tuple[str, ...]:
    """One line for each of these settings whose value has changed.

    Agents and domains may have left. New ones are not looked at here.
    """
    return tuple(
        f"{path}: was {_shown(old)} when the run began, is {_shown(new)}; "
        "this cannot change any more: put it back, or start a new run"
        for path, old, new in _pairs(before, after)
        if old != new
    )


def _pairs(before: Config, after: Config) -> Iterator[tuple[str, Any, Any]]:
    for path in PATHS:
        yield path, attrgetter(path)(before), attrgetter(path)(after)
    for name in before.domains.keys() & after.domains.keys():
        yield f"domains.{name}", _content(before.domains[name]), _content(after.domains[name])
    gone = before.agents.keys() - after.agents.keys()
    for name, old in before.agents.items():
        if (new := after.agents.get(name)) is not None:
            yield from ((f"agents.{name}.{key}", getattr(old, key), getattr(new, key)) for key in AGENT_FIELDS)
            yield f"agents.{name}.targets", _left(old, gone), new.targets
            yield f"agents.{name}.branch", None if old.branch in gone else old.branch, new.branch


def _content(domain: DomainConfig) -> DomainConfig:
    """A domain without the place of its data, which may move: what the data holds is known by its digest."""
    if domain.kind != "dataset":
        return domain
    kept = {key: value for key, value in domain.settings.items() if key != "path"}
    return domain.model_copy(update={"settings": kept})


def _left(agent: AgentConfig, gone: set[str]) -> object:
    """An exploiter's targets without those who left; without any it exploits the whole league."""
    if not isinstance(agent.targets, tuple):
        return agent.targets
    return tuple(target for target in agent.targets if target not in gone) or "league"


def _shown(value: Any) -> str:
    if isinstance(value, Section):
        value = value.model_dump(mode="json", exclude_defaults=True)
    return str(value)
