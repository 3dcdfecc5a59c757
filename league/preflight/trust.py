"""What a run's configuration names that a stranger could misuse, and whether this user allows it.

Addresses that are asked and the keys they are sent, code by dotted path, data that is read, and models that would be
fetched. A run that names none of these can be played and resumed by anybody. Commands that only read a run never ask.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

from league.config import Config
from league.errors import RunFolderError
from league.model.fetch import is_here, is_on_hub
from league.preflight.data_files import data_of
from league.registry import names_code
from league.store.trusted import Access, trust, trusted_uses

log = logging.getLogger("league.trust")
NAMES_CODE = {"verifiers": ("environment", "python")}
"""Task kind → its settings that name code without a colon: a module, or a program."""
TEXT = ("system", "says", "remote")
"""Settings of an agent that hold words or addresses, never code."""


def uses_of(config: Config) -> tuple[Access, ...]:
    """Everything that a configuration names and trust is needed for, in its order, each once.

    A model of the hub is named whether or not it was fetched already: the cache may be cleared.
    """
    found = [
        Access("address", agent.remote.base_url, agent.remote.key or "")
        for agent in config.agents.values()
        if agent.remote is not None
    ]
    found += [Access("code", path) for path in _code(config.model_dump(mode="json"))]
    found += [Access("data", each) for each in data_of(config)]
    for task in config.tasks.values():
        named = (task.settings.get(setting) for setting in NAMES_CODE.get(task.kind, ()))
        found += [Access("code", str(value)) for value in named if value]
    if any(agent.can.has_weights for agent in config.agents.values()) and is_on_hub(config.model.name):
        found.append(Access("model", config.model.name))
    return tuple(dict.fromkeys(found))


def foreign_uses(folder: Path, config: Config) -> tuple[Access, ...]:
    """What the run in `folder` names and was not allowed. A model that is here need not be fetched."""
    if not (uses := uses_of(config)):
        return ()
    allowed = trusted_uses(folder)
    return tuple(use for use in uses if use not in allowed and not (use.kind == "model" and is_here(use.value)))


def require_trust(folder: Path, config: Config) -> None:
    """Raises RunFolderError where the run names what this user did not allow it."""
    if foreign := foreign_uses(folder, config):
        lines = "\n".join(f"  - {use.words}" for use in foreign)
        raise RunFolderError(
            f"{folder} was not begun here, or its config.yaml was changed since, and it names what a stranger could "
            f"misuse. It\n{lines}\nIf that is what you want: `league trust {folder}`, then this command again (status, "
            "payoffs, report, verify and the like need no trust)"
        )


def trust_own(folder: Path, config: Config) -> None:
    """A run that was begun here is trusted. Where that cannot be noted, a warning says what to do."""
    if not (uses := uses_of(config)):
        return
    try:
        trust(folder, uses)
    except OSError as error:
        log.warning(
            "cannot note that %s was begun here (%s), so `league resume` will take it for a stranger's; set "
            "LEAGUE_STATE to a folder you may write and run `league trust %s`",
            folder,
            error.strerror,
            folder,
        )


def _code(value: object, *path: str) -> Iterator[str]:
    """Dotted paths anywhere in a configuration, as keys and as values, but for the texts of agents."""
    if isinstance(value, str) and names_code(value):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if not (len(path) == 2 and path[0] == "agents" and name in TEXT):
                yield from _code(name)
                yield from _code(inner, *path, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _code(inner, *path)
