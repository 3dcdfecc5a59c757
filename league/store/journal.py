"""The journal of what remote players replied in the round under way.

`journal/<round>.jsonl` holds one fsynced line a reply.

A reply is durable before it is used, so a round that was interrupted replays what it had already heard and ends the
same. A reply counts for its round only: the same question in a later round is asked again, whether or not the run was
interrupted between. Lines that are torn or damaged are as if they were never written. Once a round is committed its
journal only serves a fall back to the round before.
"""

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path

from league.errors import RunFolderError
from league.store import fs
from league.types import Reply


class ReplyJournal:
    """`now` tells the number of the round under way."""

    def __init__(self, folder: Path, now: Callable[[], int]):
        self.folder = folder
        self._now = now
        self._round = -1
        self._known: dict[str, Reply] = {}

    def find(self, key: str) -> Reply | None:
        """What was replied to this request in the round under way."""
        self._turn_to(self._now())
        return self._known.get(key)

    def keep(self, key: str, reply: Reply) -> None:
        """Make a reply durable. Raises RunFolderError when the disk does not take it."""
        self._turn_to(self._now())
        self._known[key] = reply
        fields = [key, reply.text, reply.finish]
        line = json.dumps([*fields, _sum(fields)], separators=(",", ":")).encode() + b"\n"
        path = self._path(self._round)
        try:
            self.folder.mkdir(exist_ok=True)
            fresh = not path.exists()
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)
            try:
                size = os.fstat(descriptor).st_size
                torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
                fs.append(descriptor, b"\n" * torn + line)
            finally:
                os.close(descriptor)
            if fresh:
                fs.fsync_folder(self.folder)
                fs.fsync_folder(self.folder.parent)
        except OSError as error:
            raise RunFolderError(
                f"a reply could not be stored in {path}: {error.strerror} ({fs.remedy(self.folder.parent)})"
            ) from error

    def trim(self, oldest: int) -> None:
        """Delete the journals of rounds before `oldest`."""
        if self.folder.is_dir():
            for path in self.folder.glob("*.jsonl"):
                if path.stem.isdigit() and int(path.stem) < oldest:
                    path.unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number}.jsonl"

    def _turn_to(self, number: int) -> None:
        if number != self._round:
            self._round, self._known = number, _load(self._path(number))


def _load(path: Path) -> dict[str, Reply]:
    try:
        lines = fs.read_file(path).split(b"\n")
    except OSError:
        return {}
    return dict(entry for line in lines if (entry := _entry(line)) is not None)


def _entry(line: bytes) -> tuple[str, Reply] | None:
    try:
        key, text, finish, found = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return None
    return (key, Reply(text, finish)) if found == _sum([key, text, finish]) else None


def _sum(fields: list[str]) -> int:
    return zlib.crc32(json.dumps(fields).encode())
