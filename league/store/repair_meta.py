"""`league verify --repair`: who a run is, that is its configuration, its hash, and its id.

The configuration stands in config.yaml and in the table `meta`. Whatever else config.yaml holds, such as an edit of
the user's, is kept beside it.
"""

import hashlib
import os
import secrets
import sqlite3
from pathlib import Path

import yaml

from league.errors import RunFolderError
from league.store import fs, table_sums

EDITED = "config.yaml.edited"


def repair_meta(db: sqlite3.Connection, folder: Path, dropped: list[str]) -> None:
    """Put back both copies of the configuration, and give a run that lost its id a new one.

    Appends to `dropped` what was lost. Raises RunFolderError where no copy is whole, or config.yaml cannot be written.
    """
    had_sums = any(table_sums.stored_sum(db, table) is not None for table in table_sums.TABLES)
    raw = _content(folder / "config.yaml")
    whole = _whole_config(db, raw, folder, dropped)
    _set(db, {"config": whole, "config_sha256": _sha256(whole)})
    lost = not _has(db, "created") or (had_sums and table_sums.stored_sum(db, "meta") is None)
    if not _has(db, "id") and (lost or not table_sums.is_whole(db, "meta")):  # runs of older versions never had one
        _set(db, {"id": secrets.token_hex(16)})
        dropped.append(
            f"the run's id (it has a new one; where it names addresses, code or a model of the hub, allow them again: "
            f"`league trust {folder}`)"
        )
    try:
        if raw and raw != whole.encode():
            dropped.append(_keep_edited(folder, raw))
        fs.replace_file(folder / "config.yaml", whole.encode())
    except OSError as error:
        raise RunFolderError(
            f"{folder} cannot be repaired: config.yaml: {error.strerror}; nothing was changed; move it away"
        ) from error


def _whole_config(db: sqlite3.Connection, raw: bytes, folder: Path, dropped: list[str]) -> str:
    """The copy that has the stored hash.

    Where the hash is damaged or lost itself: the copy with which the sum over `meta` holds, two equal copies, or the
    only copy there is.
    """
    stored = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('config', 'config_sha256')").fetchall())
    text, wanted = str(stored.get("config", "")), stored.get("config_sha256")
    try:
        file = raw.decode("utf-8")
    except UnicodeDecodeError:
        file = ""
    copies = [copy for copy in (text, file) if copy]
    for copy in copies:
        if _sha256(copy) == wanted or (wanted is None and _fits_sum(db, copy)):
            return copy
    if copies and text == file:
        return text
    if wanted is not None and text and table_sums.bits_apart(_sha256(text), wanted) == 1:
        return text
    if wanted is None and len(copies) == 1 and _is_mapping(copies[0]):
        dropped.append("(one copy of the configuration and its hash are lost; the other copy is taken as it is)")
        return copies[0]
    raise RunFolderError(f"{folder}: both copies of the configuration are damaged; restore config.yaml from a copy")


def _keep_edited(folder: Path, raw: bytes) -> str:
    """Keep what config.yaml holds beside it, under a name that is free; returns what to say."""
    place, number = folder / EDITED, 1
    while os.path.lexists(place) and _content(place) != raw:
        number += 1
        place = folder / f"{EDITED}-{number}"
    fs.replace_file(place, raw)
    return (
        f"what differed in config.yaml from the configuration the run goes by (an edit? It is kept as {place.name}; to "
        f"go on with it, copy it over config.yaml, then `league resume {folder}`)"
    )


def _fits_sum(db: sqlite3.Connection, config: str) -> bool:
    """Whether the sum over `meta` holds with the hash of this configuration, which has no row."""
    rows = sorted([*table_sums.rows_of(db, "meta"), ("config_sha256", _sha256(config))], key=lambda row: str(row[0]))
    return table_sums.row_sum(rows) == table_sums.stored_sum(db, "meta")


def _content(path: Path) -> bytes:
    """The bytes of a file; none where it cannot be read."""
    try:
        return fs.read_file(path)
    except OSError:
        return b""


def _is_mapping(text: str) -> bool:
    try:
        return isinstance(yaml.safe_load(text), dict)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False


def _has(db: sqlite3.Connection, key: str) -> bool:
    return db.execute("SELECT 1 FROM meta WHERE key = ?", (key,)).fetchone() is not None


def _set(db: sqlite3.Connection, values: dict[str, str]) -> None:
    db.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?,?)", sorted(values.items()))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
