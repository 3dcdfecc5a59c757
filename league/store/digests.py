"""What a round says, as canonical JSON with every name spelled out, and digests over it.

SQLite has no checksums: a flipped bit in a number or a name passes its own integrity check. So each round carries the
sha256 of its content as it was committed; names are spelled out, so damage to the tables of names shows too.
`run_digest` joins the same contents into one value for a whole run, without clocks: two runs that did the same have
the same digest.
"""

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

from league.store import codec
from league.store.reader import RunReader
from league.store.records import CLOCK


def round_content(reader: RunReader, number: int) -> dict[str, Any]:
    """Everything of a round that is kept for ever, except its times.

    Raises RunFolderError when it cannot be decoded.
    """
    row = reader.db.execute("SELECT matches, block FROM rounds WHERE round = ?", (number,)).fetchone()
    matches = codec.unpack_rows(row[1], f"matches of round {number}")
    for match in matches:
        match[5] = {seat: str(reader.version_name(key)) for seat, key in match[5].items()}
        match[7] = [
            [*reader.slot_name(slot), str(reader.version_name(first)), str(reader.version_name(second)), *numbers]
            for slot, first, second, *numbers in match[7]
        ]
    return {
        "round": number,
        "count": row[0],
        "matches": matches,
        "scalars": reader.round_scalars(number),
        "versions": [
            [str(v.version), v.role, v.round, v.blob, v.optimizer, [str(parent) for parent in v.parents], v.reason]
            for v in reader.versions(since=number, until=number)
        ],
    }


def round_digest(reader: RunReader, number: int) -> bytes:
    """sha256 of a round's content and times."""
    times = reader.db.execute("SELECT seconds, at FROM rounds WHERE round = ?", (number,)).fetchone()
    return hashlib.sha256(_canonical([round_content(reader, number), list(times)])).digest()


def checkpoint_digest(reader: RunReader, number: int) -> bytes:
    """sha256 of what a kept round is resumed from: its state and its members."""
    live = {agent: str(version) for agent, version in reader.live(number).items()}
    return hashlib.sha256(_canonical([reader.state(number), live])).digest()


def rating_sum(*, ladder: int, version: int, number: int, mu: float, sigma: float, games: int) -> int:
    """CRC-32 of one rating row, by database ids."""
    return zlib.crc32(repr((ladder, version, number, float(mu), float(sigma), games)).encode())


def run_digest(folder: Path) -> str:
    """One sha256 over a run's final state.

    It covers rounds, members with the content of their weights, state, payoffs and ratings.

    Left out: times (`seconds`, the state's key `clock`, scalars named `clock/…`), transcripts, and whatever is not a
    source of truth (TensorBoard, events). Equal digests mean equal runs, bit by bit, since weights enter by their
    hash, which is checked.
    """
    with RunReader.read(folder) as reader:
        whole = hashlib.sha256()
        latest = reader.latest_round()
        for (number,) in reader.db.execute("SELECT round FROM rounds ORDER BY round").fetchall():
            content = round_content(reader, number)
            content["scalars"] = {
                name: value for name, value in content["scalars"].items() if not name.startswith(f"{CLOCK}/")
            }
            whole.update(_canonical(content))
        members = {}
        for agent, version in reader.live().items():
            row = reader.version_row(version)
            for sha in (row.blob, row.optimizer):
                if sha is not None:
                    reader.blobs.read_blob(sha)
            members[agent] = [str(version), row.blob, row.optimizer]
        state = {name: value for name, value in reader.state().items() if name != CLOCK}
        cells = {
            str((reader.slot_name(slot), str(reader.version_name(row)), str(reader.version_name(col)))): sums
            for (slot, row, col), sums in reader.stored_payoffs().items()
        }
        ratings = [[r.ladder, str(r.version), r.mu, r.sigma, r.games] for r in reader.ratings()]
        whole.update(_canonical([latest, members, state, cells, ratings]))
        return whole.hexdigest()


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
