"""A run's configuration as `league resume RUN key=value …` is to go on with it.

Nothing is written here: the caller writes once all else has been checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from league.config import Config
from league.config.changes import with_settings
from league.runtime.assembly import read_config


@dataclass(frozen=True)
class ChangedConfig:
    """The configuration, and the text of config.yaml that says so; None where nothing was asked for."""

    config: Config
    text: str | None = None


def read_changed(folder: Path, overrides: Sequence[str]) -> ChangedConfig:
    """The stored configuration with these settings. Raises UserError with all that is wrong with them."""
    config = read_config(folder)
    if not overrides:
        return ChangedConfig(config)
    path = folder / "config.yaml"
    changed, text = with_settings(path.read_text(encoding="utf-8"), overrides, str(path))
    return ChangedConfig(changed.model_copy(update={"name": config.name, "runs": config.runs}), text)
