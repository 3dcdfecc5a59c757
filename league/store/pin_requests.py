"""Asking the writer of a live run to pin versions or let them go: one small durable file a request.

A run folder has one writer, so another process never touches the database: it leaves `pin-<time>-<pid>.json`, and
the writer takes it up before it deletes anything (`RunStore.collect_garbage`). A request is granted once or more
often, never half: the file goes after the pins are in the database.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from league.errors import RunFolderError, UserError
from league.store import fs
from league.types import Version


@dataclass(frozen=True)
class PinRequest:
    """Versions to pin, and why; no versions where the file says nothing that can be read."""

    path: Path
    versions: tuple[Version, ...]
    why: str
    off: bool = False
    """Take their pins away."""


def leave_request(folder: Path, versions: Sequence[Version], why: str, *, off: bool = False) -> None:
    """Leave a request, on the disk when this returns. Raises RunFolderError where it cannot be written."""
    name = f"pin-{time.time_ns():020d}-{os.getpid()}.json"
    temporary = folder / f".{name}.{os.getpid()}.tmp"
    asked = {"versions": [str(version) for version in versions], "why": why[:100]} | ({"off": True} if off else {})
    data = json.dumps(asked).encode()
    try:
        fs.write_file(temporary, data)
        fs.rename(temporary, folder / name)
        fs.fsync_folder(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunFolderError(f"cannot leave a request to pin in {folder}: {error.strerror}") from error


def waiting(folder: Path) -> Iterator[PinRequest]:
    """Requests that no writer has taken up yet, oldest first."""
    for path in sorted(folder.glob("pin-*.json")):
        try:
            text = json.loads(fs.read_file(path))
            versions = tuple(Version.parse(name) for name in text["versions"])
            yield PinRequest(path, versions, str(text["why"]), text.get("off") is True)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, UserError):
            yield PinRequest(path, (), "")
