"""How far the warm-up of round 0 has come: `warm-up.json`, and the blobs it names.

A warm-up may take hours, and the round is committed behind it. So it leaves its weights and optimizers here as it
goes, and a process that comes after goes on from there. So it is with agents that join later. This is no source of
truth: a warm-up ends the same from wherever it begins, so a file that is torn, damaged or of another plan costs time
and nothing else. The next commit ends its use.
"""

import json
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from league.errors import LeagueError, RunFolderError
from league.store import fs
from league.store.blobs import BlobStore

FILE = "warm-up.json"


@dataclass(frozen=True, kw_only=True)
class WaveProgress:
    """One fused pass of the warm-up after one of its steps."""

    plan: str
    """sha256 of all that decides how the pass goes on; another plan has no use for this."""
    step: int
    blobs: Mapping[str, tuple[str, str]]
    """agent → (adapter, optimizer), by hash."""
    spent: Mapping[str, Any]
    """JSON of what the pass took so far."""
    seconds: float
    """How long it took so far."""
    done: int
    """Steps of the whole warm-up that are kept, this pass and those before it."""
    steps: int
    """Steps of the whole warm-up."""


class WarmupProgress:
    """The progress in one run folder. Only its writer changes it.

    `committed` tells the hashes of blobs that rounds name: agents that join a run are warmed up beside them.
    """

    def __init__(self, folder: Path, blobs: BlobStore, committed: Callable[[], set[str]]):
        self.path = folder / FILE
        self._blobs = blobs
        self._committed = committed

    def find(self, plan: str) -> WaveProgress | None:
        """What is kept of this pass, all of its blobs whole; None where nothing is."""
        for wave in _load(self.path):
            named = [sha for pair in wave.blobs.values() for sha in pair]
            if wave.plan == plan and not any(map(self._blobs.problem, named)):
                return wave
        return None

    def keep(self, wave: WaveProgress) -> None:
        """Make it durable in place of what was kept of the same pass, whose blobs go.

        The blobs it names are written already. Passes before it stay. Raises RunFolderError when the disk is full.
        """
        waves = [*(each for each in _load(self.path) if each.plan != wave.plan), wave]
        rows = [asdict(each) for each in waves]
        data = json.dumps({"waves": rows, "sum": _sum(rows)}, separators=(",", ":")).encode()
        temporary = self.path.with_name(f".{FILE}.{os.getpid()}.tmp")
        try:
            temporary.unlink(missing_ok=True)
            fs.write_file(temporary, data)
            fs.rename(temporary, self.path)
            fs.fsync_folder(self.path.parent)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise RunFolderError(
                f"the warm-up could not be stored in {self.path}: {error.strerror} "
                f"(free space or repair the disk, then `league resume {self.path.parent}`)"
            ) from error
        named = {sha for each in waves for pair in each.blobs.values() for sha in pair}
        for sha in set(self._blobs.hashes()) - named - self._committed():
            self._blobs.remove(sha)

    def forget(self) -> None:
        """Round 0 is committed, and holds all of it."""
        self.path.unlink(missing_ok=True)


def steps_kept(folder: Path) -> tuple[int, int] | None:
    """(steps that are kept, steps in all) of a warm-up under way; None where nothing is kept."""
    waves = _load(folder / FILE)
    return max(((wave.done, wave.steps) for wave in waves), default=None)


def _load(path: Path) -> list[WaveProgress]:
    """The passes in the order in which they were done; none where the file cannot be trusted."""
    try:
        data = json.loads(fs.read_file(path))
        if data["sum"] != _sum(data["waves"]):
            return []
        return [_wave(row) for row in data["waves"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, LeagueError):
        return []


def _wave(row: Mapping[str, Any]) -> WaveProgress:
    blobs = {str(agent): (str(adapter), str(optimizer)) for agent, (adapter, optimizer) in row["blobs"].items()}
    numbers = {name: int(row[name]) for name in ("step", "done", "steps")}
    return WaveProgress(**{**row, **numbers, "blobs": blobs, "seconds": float(row["seconds"])})


def _sum(rows: object) -> int:
    return zlib.crc32(json.dumps(rows, sort_keys=True).encode())
