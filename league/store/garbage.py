"""Deleting blobs nothing needs any more.

Only after a commit, so a crash can leave too much, never too little.

Kept: adapters and optimizers of every member in every kept round; pinned versions; and whatever a kept round's state
names, as a hash or as `agent@step` (an evolution may hold on to a last good version).
"""

import re
import sqlite3

from league.store import codec, fs
from league.store.blobs import BlobStore
from league.store.records import Collected

_HASH = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_VERSION = re.compile(r"(?<![a-z0-9_-])([a-z0-9][a-z0-9_-]{0,63})@([0-9]{1,18})(?![0-9])")


def named_in(connection: sqlite3.Connection, state: object) -> dict[str, str]:
    """Blobs a round's state refers to: hash → what names it."""
    found = {sha: "the state" for sha in _HASH.findall(str(state))}
    for key, name in versions_in(connection, state).items():
        row = connection.execute("SELECT blob, optimizer FROM versions WHERE id = ?", (key,)).fetchone()
        found |= {raw.hex(): name for raw in row if raw is not None}
    return found


def versions_in(connection: sqlite3.Connection, state: object) -> dict[int, str]:
    """Versions a round's state names as `agent@step`: id → name."""
    found = {}
    for name, step in sorted(set(_VERSION.findall(str(state)))):
        row = connection.execute(
            "SELECT v.id FROM versions v JOIN agents a ON a.id = v.agent WHERE a.name = ? AND v.step = ?",
            (name, int(step)),
        ).fetchone()
        if row is not None:
            found[int(row[0])] = f"{name}@{step}"
    return found


def wanted(connection: sqlite3.Connection) -> set[str]:
    """Hashes of all blobs that must stay."""
    rows = connection.execute(
        "SELECT blob, optimizer FROM versions WHERE id IN (SELECT version FROM live UNION SELECT version FROM pins)"
    ).fetchall()
    keep = {raw.hex() for row in rows for raw in row if raw is not None}
    for number, block in connection.execute("SELECT round, state FROM checkpoints").fetchall():
        keep |= named_in(connection, codec.unpack_json(block, f"state of round {number}")).keys()
    return keep


def collect(connection: sqlite3.Connection, blobs: BlobStore) -> Collected:
    """Take unwanted blobs out of the database, then off the disk.

    Those that no committed round ever named go too.
    """
    keep = wanted(connection)
    known = {row[0].hex() for row in connection.execute("SELECT sha FROM blobs")}
    unwanted = sorted(known - keep)
    if unwanted:
        fs.executemany(connection, "DELETE FROM blobs WHERE sha = ?", [(bytes.fromhex(sha),) for sha in unwanted])
    present = set(blobs.hashes())
    doomed = sorted(present - (known & keep))
    freed = sum(blobs.remove(sha) for sha in doomed)
    return Collected(blobs=len(doomed), bytes=freed, orphans=len(present - known))
