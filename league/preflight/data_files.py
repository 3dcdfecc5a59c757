"""Where the data files lie that a config names: in the current folder, or beside the config's file.

A run keeps the whole path, so that it can be resumed from anywhere.
"""

from collections.abc import Mapping
from pathlib import Path

from league.config import Config, DomainConfig

KEYS: Mapping[str, tuple[str, ...]] = {"dataset": ("path", "hub"), "programming": ("source",)}
"""Of the kinds of domain that read files: the settings that may name a file or a folder."""
NO_FILES = ("generated", "humaneval")
"""What these settings may say besides."""


def with_whole_paths(config: Config, beside: Path) -> Config:
    """The same configuration, with the whole path of every data file or folder that is there."""
    domains = {}
    for name, domain in config.domains.items():
        found = dict(domain.settings)
        for key, given in _named(domain).items():
            if (place := _place(given, beside)) is not None:
                found[key] = str(place)
        domains[name] = domain.model_copy(update={"settings": found})
    return config.model_copy(update={"domains": domains})


def data_of(config: Config) -> tuple[str, ...]:
    """What the configuration's domains are read from."""
    return tuple(dict.fromkeys(given for domain in config.domains.values() for given in _named(domain).values()))


def _named(domain: DomainConfig) -> dict[str, str]:
    """Settings of a domain that name what it reads."""
    found = {key: domain.settings.get(key) for key in KEYS.get(domain.kind, ())}
    return {key: given for key, given in found.items() if isinstance(given, str) and given and given not in NO_FILES}


def _place(given: str, beside: Path) -> Path | None:
    try:
        path = Path(given).expanduser()
        return next((each.resolve() for each in (path, beside / path) if each.exists()), None)
    except (OSError, RuntimeError, ValueError):
        return None  # no path of this machine: the check of the domain says so
