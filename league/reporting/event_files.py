"""TensorBoard's event files: what a folder of them shows, and one more that is read after all of them.

TensorBoard reads the files of a folder in the order of their names, which begin with the time at which each was made.
So where the clock went back, a name made from it would be read too early: a new name is later than every one there,
and so are the times of its events. Records are gathered and written whole; what a killed process left torn at the end
of a file is skipped by every reader. Leaves out what the events say (`tensorboard.py`).
"""

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PREFIX = "events.out.tfevents."
_LENGTH = struct.Struct("<QI")


@dataclass(frozen=True)
class Shown:
    """What TensorBoard shows of a folder."""

    rounds: tuple[int, ...] = ()
    """Steps with scalars, in the order of reading, without those that a later file purged."""
    stamp: int = 0
    """The newest time in a file's name."""
    wall_time: float = 0.0
    """The newest time of an event."""


def shown_in(folder: Path) -> Shown:
    """What a folder shows; nothing where there is none."""
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    rounds: list[int] = []
    stamp, wall_time = 0, 0.0
    for path in sorted(folder.glob(f"{PREFIX}*")):
        word = path.name.removeprefix(PREFIX).partition(".")[0]
        stamp = max(stamp, int(word) if word.isdecimal() else 0)
        for record in _records(path):
            try:
                event = Event.FromString(record)
            except DecodeError:
                break
            wall_time = max(wall_time, event.wall_time)
            if event.session_log.status == SessionLog.START:
                rounds = [number for number in rounds if number < event.step]
            elif any(value.HasField("simple_value") for value in event.summary.value):
                rounds.append(event.step)
    return Shown(tuple(rounds), stamp, wall_time)


def _records(path: Path) -> Iterator[bytes]:
    """The whole records of a file."""
    with suppress(OSError), path.open("rb") as file:
        while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
            length, _ = _LENGTH.unpack(head)
            body = file.read(length + 4)
            if len(body) < length + 4:
                return
            yield body[:length]


class EventFile:
    """A new event file in `folder`, read after those that are there (`after`).

    Nothing is on the disk before `flush`. A flush that fails leaves a torn end: write no more, open another.
    """

    def __init__(self, folder: Path, after: Shown):
        from tensorboard.summary.writer.record_writer import RecordWriter

        stamp = max(int(time.time()), after.stamp + 1)
        self.path = folder / f"{PREFIX}{stamp:010d}.{socket.gethostname()}.{os.getpid()}.0"
        self._file = self.path.open("xb", buffering=0)
        self._pending = bytearray()
        self._records: Any = RecordWriter(self)
        self._wall_time = after.wall_time
        self.add(file_version="brain.Event:2")

    def add(self, **fields: object) -> None:
        """One event, with its time; a clock that goes back stands still here."""
        from tensorboard.compat.proto.event_pb2 import Event

        self._wall_time = max(time.time(), self._wall_time)
        self._records.write(Event(wall_time=self._wall_time, **fields).SerializeToString())

    def write(self, record: bytes) -> None:
        """What TensorBoard's record writer calls."""
        self._pending += record

    def flush(self) -> None:
        """Write what was added. Raises OSError where the disk does not take it."""
        while self._pending:
            del self._pending[: self._file.write(self._pending)]

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._file.close()
