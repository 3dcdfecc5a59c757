"""Where the data files lie that a config names: in the current folder, or beside the config's file.

A run keeps the whole path, so that it can be resumed from anywhere.
"""

from pathlib import Path

from league.config import Config

KIND = "dataset"
"""The kind of domain that reads files."""
KEYS = ("path", "hub")
"""Its settings that may name a file or a folder."""


def with_whole_paths(config: Config, beside: Path) -> Config:
    """The same configuration, with the whole path of every data file or folder that is there."""
    domains = {}
    for name, domain in config.domains.items():
        found = dict(domain.settings)
        for key in KEYS if domain.kind == KIND else ():
            given = found.get(key)
            if isinstance(given, str) and (place := _place(given, beside)) is not None:
                found[key] = str(place)
        domains[name] = domain.model_copy(update={"settings": found})
    return config.model_copy(update={"domains": domains})


def data_of(config: Config) -> tuple[str, ...]:
    """What the configuration's data sets are read from."""
    named = [domain.settings.get(key) for domain in config.domains.values() if domain.kind == KIND for key in KEYS]
    return tuple(dict.fromkeys(each for each in named if isinstance(each, str)))


def _place(given: str, beside: Path) -> Path | None:
    try:
        path = Path(given).expanduser()
        return next((each.resolve() for each in (path, beside / path) if each.exists()), None)
    except (OSError, RuntimeError, ValueError):
        return None  # no path of this machine: the check of the domain says so
