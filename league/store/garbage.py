"""Deleting blobs nothing needs any more.

Only after a commit, so a crash can leave too much, never too little.

Kept: adapters and optimizers of every member in every kept round; pinned versions; and whatever a kept round's state
names, as a hash or as `agent@step` (an evolution may hold on to a last good version). On request also the adapters,
without optimizers, of all versions in matches whose transcript is kept.
"""

import re
import sqlite3

from league.store import codec, fs
from league.store.blobs import BlobStore
from league.store.records import Collected

LOOK_EVERY = 64
"""Rounds between two looks at who sat in the rounds with transcripts (a scan of their matches)."""
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


def played_with_transcript(connection: sqlite3.Connection) -> set[str]:
    """Adapters of the versions that sat in the rounds from which a transcript is kept.

    Transcripts go by round, the oldest first, so the matches of a round have theirs or none has. Between the rounds in
    which it is looked at, all adapters stay.
    """
    (oldest,) = connection.execute("SELECT min(round) FROM transcripts").fetchone()
    adapters = dict(connection.execute("SELECT id, blob FROM versions WHERE blob IS NOT NULL").fetchall())
    if oldest is None:
        return set()
    (latest,) = connection.execute("SELECT max(round) FROM rounds").fetchone()
    rotated = connection.execute("SELECT 1 FROM rounds WHERE round < ? AND matches > 0", (oldest,)).fetchone()
    if latest % LOOK_EVERY or rotated is None:
        return {raw.hex() for raw in adapters.values()}
    cast: set[int] = set()
    for number, block in connection.execute("SELECT round, block FROM rounds WHERE round >= ?", (oldest,)):
        cast |= set(codec.unpack_json(block, f"matches of round {number}")["cast"])
    return {adapters[key].hex() for key in cast & adapters.keys()}


def collect(connection: sqlite3.Connection, blobs: BlobStore, *, with_transcripts: bool = False) -> Collected:
    """Take unwanted blobs out of the database, then off the disk.

    Those that no committed round ever named go too. `with_transcripts` keeps what `played_with_transcript` names.
    """
    keep = wanted(connection) | (played_with_transcript(connection) if with_transcripts else set())
    known = {row[0].hex() for row in connection.execute("SELECT sha FROM blobs")}
    unwanted = sorted(known - keep)
    if unwanted:
        fs.executemany(connection, "DELETE FROM blobs WHERE sha = ?", [(bytes.fromhex(sha),) for sha in unwanted])
    present = set(blobs.hashes())
    doomed = sorted(present - (known & keep))
    freed = sum(blobs.remove(sha) for sha in doomed)
    return Collected(blobs=len(doomed), bytes=freed, orphans=len(present - known))
