"""What is settled when a run begins: who its agents are, which problems there are, and every random
stream.

A person may edit a run's config.yaml between two processes. Most of it holds from then on; of what is listed here the
committed rounds hold the result, so an edit would change nothing, or would give stored numbers another meaning. Then
it is better said than ignored.
"""

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from league.config.sections import AgentConfig, Config

WHOLE = ("seed", "adapter", "warmup", "learning.learning_rate", "learning.teacher_learning_rate", "learning.kl")
"""Not the model's name and no checkpoint's: folders move, and what is in the model's is known by
its hash."""
AGENT = ("role", "domain", "system", "adapter", "learning_rate", "train")


def unsettled(before: Config, now: Config) -> tuple[str, ...]:
    """One line for each such setting that is another now. Agents and domains may have left; who is
    new is not looked at here."""
    return tuple(
        f"{path}: was {_shown(old)} when the run began, is {_shown(new)}; this cannot change any more: put it back, "
        "or start a new run"
        for path, old, new in _pairs(before, now)
        if old != new
    )


def _pairs(before: Config, now: Config) -> Iterator[tuple[str, Any, Any]]:
    for path in WHOLE:
        yield path, attrgetter(path)(before), attrgetter(path)(now)
    for name in before.domains.keys() & now.domains.keys():
        yield f"domains.{name}", before.domains[name], now.domains[name]
    gone = before.agents.keys() - now.agents.keys()
    for name, old in before.agents.items():
        if (new := now.agents.get(name)) is not None:
            yield from ((f"agents.{name}.{key}", getattr(old, key), getattr(new, key)) for key in AGENT)
            yield f"agents.{name}.targets", _left(old, gone), new.targets


def _left(agent: AgentConfig, gone: set[str]) -> object:
    """An exploiter's targets without those who left; without any it exploits the whole league."""
    if not isinstance(agent.targets, tuple):
        return agent.targets
    return tuple(target for target in agent.targets if target not in gone) or "league"


def _shown(value: Any) -> str:
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json", exclude_defaults=True)
    return str(value)
