"""Where the code lies that a run's config names by dotted path: beside the config's file.

A run folder may come from elsewhere, and nothing in it may say what code is run here. So the folder of the config a
run was started from is remembered on this machine, in the cache, by the place of the run, and a run that was moved is
started where its code lies.
"""

import hashlib
from pathlib import Path

from league.model.folder import cache_root
from league.registry import add_code_folders


def remember_code(run: Path, folder: Path) -> None:
    """Note that the run was started from a config in `folder`. A cache that cannot be written is no error."""
    place = _place(run)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(str(folder.resolve()), encoding="utf-8")
    except OSError:
        return


def look_for_code(run: Path) -> None:
    """Let dotted paths of a run's config name modules where it was started from.

    And in the current folder.
    """
    try:
        noted = [Path(_place(run).read_text(encoding="utf-8"))]
    except (OSError, ValueError):
        noted = []
    add_code_folders(Path.cwd(), *(folder for folder in noted if folder.is_dir()))


def _place(run: Path) -> Path:
    return cache_root() / "code" / hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:32]
