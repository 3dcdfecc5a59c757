"""Asking for an agent to join or to leave between two rounds: one small durable file a request.

A run folder has one writer, so another process leaves `agents-<number>-<pid>.json`, and the writer takes requests up in
their order before it begins a round: of a live run the next one, else the first after `league resume`. A request goes
after the configuration that it asks for is on the disk, so it is taken up once or more often, never half.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from league.config.changes import Joining, Leaving, MembershipChange
from league.errors import RunFolderError
from league.store import fs
from league.types import is_name

NAME = r"agents-[0-9]{1,12}-[0-9]{1,12}\.json"


@dataclass(frozen=True)
class AgentRequest:
    """What is asked; None where the file says nothing that can be read."""

    path: Path
    change: MembershipChange | None


def leave_agent_request(folder: Path, change: MembershipChange) -> None:
    """Leave a request, on the disk when this returns. Raises RunFolderError where it cannot be written."""
    last = max((int(path.name.split("-")[1]) for path in _files(folder)), default=0)
    name = f"agents-{last + 1:06d}-{os.getpid()}.json"
    temporary = folder / f".{name}.{os.getpid()}.tmp"
    try:
        fs.write_file(temporary, json.dumps(_to_json(change)).encode())
        fs.rename(temporary, folder / name)
        fs.fsync_folder(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunFolderError(f"cannot leave a request in {folder}: {error.strerror}") from error


def waiting_agent_requests(folder: Path) -> Iterator[AgentRequest]:
    """Requests that no writer has taken up yet, oldest first."""
    for path in sorted(_files(folder)):
        try:
            yield AgentRequest(path, _from_json(json.loads(path.read_bytes())))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            yield AgentRequest(path, None)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("agents-*-*.json") if re.fullmatch(NAME, path.name))


def _to_json(change: MembershipChange) -> Mapping[str, Any]:
    if isinstance(change, Leaving):
        return {"retire": change.name}
    domains = {name: dict(section) for name, section in change.domains.items()}
    return {"add": change.name, "agent": dict(change.agent), "domains": domains}


def _from_json(data: Mapping[str, Any]) -> MembershipChange | None:
    name = data.get("retire", data.get("add"))
    if not isinstance(name, str) or not is_name(name):
        return None
    if "retire" in data:
        return Leaving(name)
    return Joining(name, dict(data["agent"]), {key: dict(section) for key, section in data["domains"].items()})
