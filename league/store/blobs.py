"""Content-addressed blobs: `blobs/<sha256>/` holds `tensors.safetensors` and `meta.json`.

The hash covers both files, so a name is a promise about the content and every read checks it. A blob is written to a
temporary folder, fsynced, renamed to its hash, and the parent fsynced: it exists whole or not at all. Metadata is
kept in JSON with sorted keys, because safetensors writes its own metadata in a random order, which would change the
hash.
"""

import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from league.errors import LeagueError, RunFolderError
from league.store import fs

TENSORS = "tensors.safetensors"
META = "meta.json"
HASH_PATTERN = re.compile(r"[0-9a-f]{64}")
_serial = itertools.count()


class BlobDamaged(RunFolderError):
    """A blob that is missing or whose content does not match its name."""


def pack(tensors: Mapping[str, np.ndarray], meta: Mapping[str, str]) -> dict[str, bytes]:
    """The files of a blob, byte-identical for equal content.

    Tensors are numpy arrays of any shape, on little-endian types.
    """
    from safetensors.numpy import save

    for name, tensor in tensors.items():
        if not isinstance(tensor, np.ndarray | np.generic):
            raise LeagueError(f"tensor '{name}' is a {type(tensor).__name__}; blobs take numpy arrays")
    arrays = {name: np.require(np.asarray(tensors[name]), requirements=["C"]) for name in sorted(tensors)}
    text = json.dumps(dict(meta), sort_keys=True, ensure_ascii=False, indent=0)
    return {META: text.encode(), TENSORS: save(arrays)}


def digest(files: Mapping[str, bytes]) -> str:
    """sha256 over the sorted lines "sha256(file)  name", the form `sha256sum` prints."""
    lines = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


class BlobStore:
    """The `blobs/` folder of one run."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, sha: str) -> Path:
        if not HASH_PATTERN.fullmatch(sha):
            raise LeagueError(f"not a blob hash: {sha!r}")
        return self.folder / sha

    def has(self, sha: str) -> bool:
        return self.path(sha).is_dir()

    def hashes(self) -> Iterator[str]:
        """Names of all blobs present, sorted."""
        return iter(sorted(entry.name for entry in os.scandir(self.folder) if HASH_PATTERN.fullmatch(entry.name)))

    def size(self, sha: str) -> int:
        """Bytes of a blob's files; 0 when it is gone."""
        folder = self.path(sha)
        return sum(entry.stat().st_size for entry in os.scandir(folder)) if folder.is_dir() else 0

    def write_blob(self, tensors: Mapping[str, np.ndarray], meta: Mapping[str, str]) -> str:
        """Store tensors and metadata durably; returns the sha256.

        Writing the same content again is free.

        Raises RunFolderError when the disk is full; nothing of the blob is left then.
        """
        files = pack(tensors, meta)
        sha = digest(files)
        target = self.path(sha)
        if target.is_dir():
            if not self.problem(sha):
                return sha
            fs.rename(target, self.folder / f".damaged-{sha}-{os.getpid()}-{next(_serial)}")
        temporary = self.folder / f".tmp-{os.getpid()}-{next(_serial)}"
        try:
            temporary.mkdir()
            for name in sorted(files):
                fs.write_file(temporary / name, files[name])
            fs.fsync_folder(temporary)
            fs.rename(temporary, target)
        except OSError as error:
            fs.remove_tree(temporary)
            raise RunFolderError(
                f"weights could not be stored in {self.folder}: {error.strerror}; nothing of the round was kept "
                f"({fs.remedy(self.folder.parent)})"
            ) from error
        fs.fsync_folder(self.folder)
        return sha

    def read_blob(self, sha: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """Tensors and metadata, after checking the hash. Raises BlobDamaged."""
        files = self._files(sha)
        if (problem := self._compare(sha, files)) is not None:
            raise BlobDamaged(problem)
        from safetensors.numpy import load

        return load(files[TENSORS]), json.loads(files[META])

    def problem(self, sha: str) -> str | None:
        """What is wrong with a blob, or None."""
        try:
            return self._compare(sha, self._files(sha))
        except BlobDamaged as damage:
            return str(damage)

    def _files(self, sha: str) -> dict[str, bytes]:
        folder = self.path(sha)
        try:
            if folder.is_symlink():
                raise BlobDamaged(f"blob {folder} is a link; expected a folder (run `league verify --repair`)")
            names = sorted(os.listdir(folder))
            if names != [META, TENSORS]:
                raise BlobDamaged(
                    f"blob {folder} holds {names}; expected {[META, TENSORS]} (run `league verify --repair`)"
                )
            return {name: fs.read_file(folder / name) for name in names}
        except OSError as error:
            raise BlobDamaged(
                f"blob {folder} cannot be read: {error.strerror} (run `league verify --repair`)"
            ) from error

    def _compare(self, sha: str, files: Mapping[str, bytes]) -> str | None:
        found = digest(files)
        if found != sha:
            return (
                f"blob {self.path(sha)} is damaged: its content hashes to {found[:12]}… (run `league verify --repair`)"
            )
        return None

    def remove(self, sha: str) -> int:
        """Delete a blob; returns the bytes freed.

        Renamed away first, so that no half-deleted blob bears a hash.
        """
        size = self.size(sha)
        doomed = self.folder / f".del-{sha}-{os.getpid()}-{next(_serial)}"
        if self.has(sha):
            fs.rename(self.path(sha), doomed)
            fs.remove_tree(doomed)
        return size

    def sweep(self) -> int:
        """Delete what an interrupted write or delete left behind; returns the count.

        Only the writer calls this.
        """
        leftovers = [entry.path for entry in os.scandir(self.folder) if entry.name.startswith((".tmp-", ".del-"))]
        for path in leftovers:
            fs.remove_tree(Path(path))
        return len(leftovers)
