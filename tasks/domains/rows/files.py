"""Which files a data set has, and which split each belongs to.

A folder may be laid out as the hub does it: a file or a folder named by its split (`train.jsonl`,
`data/train-00000-of-00002.parquet`, `default/test/0000.parquet`). Where no name says a split, all files are one pool
that the index divides. A data set of the hub is its Parquet copy, fetched to the hub's own cache.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from league.errors import DataError, nearest
from league.types import Split

FORMATS = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
}
BRANCH = "refs/convert/parquet"


@dataclass(frozen=True)
class DataFile:
    path: Path
    split: Split | None = None
    """None where its name does not say."""

    @property
    def stamp(self) -> tuple[str, int, int, int]:
        """Changes whenever the file is written: its path, size and times (ns). Raises DataError."""
        try:
            found = self.path.stat()
        except OSError as error:
            raise DataError(f"{self.path}: {error.strerror}") from error
        return str(self.path), found.st_size, found.st_mtime_ns, found.st_ctime_ns


def split_named(text: str) -> Split | None:
    """The split that a word of a file's or folder's name says; None without one, or with two that differ."""
    found = {_NAMES[word] for word in re.split(r"[^a-z]+", text.lower()) if word in _NAMES}
    return found.pop() if len(found) == 1 else None


def files_of(path: Path) -> list[DataFile]:
    """The files of a data set on this machine, in the order of their names. Raises DataError."""
    path = path.expanduser()
    if path.is_file():
        if path.suffix.lower() not in FORMATS:
            raise DataError(
                f"{path}: unknown format '{path.suffix}'; expected {', '.join(FORMATS)} (one JSON object a line, a "
                "table with a header, or Parquet)"
            )
        return [DataFile(path.resolve())]
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder; it is looked for in the current folder and beside the config")
    found = sorted(
        each
        for each in path.rglob("*")
        if each.suffix.lower() in FORMATS
        and each.is_file()
        and not any(part.startswith(".") for part in each.relative_to(path).parts)
    )
    if not found:
        raise DataError(f"{path}: no data file in this folder; expected files that end in {', '.join(FORMATS)}")
    return _divided([(each.relative_to(path).as_posix(), each.resolve()) for each in found], str(path))


def _divided(named: Sequence[tuple[str, Path]], where: str) -> list[DataFile]:
    """Files with the split that the nearest part of their name says; all of them, or none."""
    files = []
    for name, path in named:
        files.append(DataFile(path, _split_of(name)))
    unsaid = [name for (name, _), file in zip(named, files, strict=True) if file.split is None]
    if 0 < len(unsaid) < len(files):
        raise DataError(
            f"{where}: the name of '{unsaid[0]}' says no split, while others do; name it by its split (train, "
            "validation, test) or move it away"
        )
    return files


def _split_of(name: str) -> Split | None:
    """The split that the nearest part of a file's name within its data set says."""
    parts = name.rpartition(".")[0].split("/")[::-1]
    return next((split for part in parts if (split := split_named(part))), None)


# --------------------------------------------------------------------------------------------- from the hub
def hub_files(
    repository: str,
    subset: str | None = None,
    *,
    wanted: Split | None = None,
    instead: str = "a file on this machine (path: …)",
) -> list[DataFile]:
    """The files of the Parquet copy of a hub's data set.

    They are called `SUBSET/SPLIT/0000.parquet`, on the branch `refs/convert/parquet`.

    `repository` may also be a local folder in that layout. What was fetched once is found without a network. `wanted`:
    the one split to fetch. Raises DataError where there is no hub, no such data set or subset; `instead` names what
    needs none.
    """
    folder = Path(repository).expanduser()
    if folder.is_dir():
        names = [each.relative_to(folder).as_posix() for each in folder.rglob("*.parquet")]
        return _divided([(name, folder / name) for name in _subset(repository, names, subset)], repository)
    folder, fetched = _fetched(repository, subset, wanted, instead)
    return _divided([(name, folder / name) for name in fetched], repository)


def _subset(repository: str, names: Iterable[str], subset: str | None) -> list[str]:
    """The files of one subset. Raises DataError where it is not there, or must be chosen."""
    names = [name for name in names if name.endswith(".parquet")]
    if not names:
        raise DataError(f"data set '{repository}' has no Parquet copy; fetch its files and give them as `path`")
    subsets = sorted({name.split("/")[0] for name in names if name.count("/") >= 2}) or [""]
    if subset is None:
        if len(subsets) > 1 and "default" not in subsets:
            raise DataError(
                f"data set '{repository}' has the subsets {', '.join(subsets[:20])}; choose one with `subset`"
            )
        subset = "default" if "default" in subsets else subsets[0]
    if subset not in subsets:
        raise DataError(f"data set '{repository}' has no subset '{subset}'{nearest(subset, subsets)}")
    return sorted(name for name in names if not subset or name.startswith(f"{subset}/"))


def _fetched(repository: str, subset: str | None, wanted: Split | None, instead: str) -> tuple[Path, Sequence[str]]:
    """(folder, names) of the newest copy; of the one fetched before where the hub is out of reach."""
    from huggingface_hub import HfApi, snapshot_download

    from league.model import hub

    kind = "dataset"
    reason = hub.unreachable()
    try:
        if reason is not None:
            folder = Path(snapshot_download(repository, repo_type=kind, revision=BRANCH, local_files_only=True))
            names = [each.relative_to(folder).as_posix() for each in folder.rglob("*.parquet")]
            return folder, _subset(repository, names, subset)
        listed = HfApi().list_repo_files(repository, repo_type=kind, revision=BRANCH)
        names = _subset(repository, listed, subset)
        if wanted is not None:
            names = [name for name in names if _split_of(name) == wanted]
        if not names:
            return Path(), []
        return Path(snapshot_download(repository, repo_type=kind, revision=BRANCH, allow_patterns=names)), names
    except hub.client_errors() as error:
        why = f": {reason}" if reason else f" ({type(error).__name__})"
        use = ";" if reason else ":"
        raise DataError(f"data set '{repository}' is out of reach{why}{use} use {instead}") from error
