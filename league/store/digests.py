"""What a round says, as canonical JSON with every name spelled out, and digests over it.

SQLite has no checksums: a flipped bit in a number or a name passes its own integrity check. So each round carries the
sha256 of its content as it was committed; names are spelled out, so damage to the tables of names shows too. Behind it
stand sums of what the round keeps for a while, and of who left in it (`PARTS`); runs of older versions lack them.
`run_digest` joins the contents into one value for a whole run, without clocks: two runs that did the same have the
same digest. `future_digest` adds the settings by which a run goes on.
"""

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

from league.config.yaml_values import parse_yaml
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


SIZE = 32
"""Bytes of a sha256."""
KEPT = ("details", "figures", "transcripts")
PARTS = (*KEPT, "leavers")
"""What stands behind the digest of a round's content, SIZE bytes each.

Zeros where the round has none of it.
"""
NOTHING = bytes(SIZE)


def part_digest(reader: RunReader, part: str, number: int) -> bytes:
    """sha256 of one part of a round as the database has it now."""
    rows: list[tuple[Any, ...]]
    if part == "leavers":
        query = (
            "SELECT a.name, v.step FROM versions v JOIN agents a ON a.id = v.agent WHERE v.retired = ? ORDER BY 1, 2"
        )
        rows = reader.db.execute(query, (number,)).fetchall()
    elif part == "transcripts":
        query = "SELECT match, block FROM transcripts WHERE round = ? ORDER BY id"
        rows = [(match, _sum(block)) for match, block in reader.db.execute(query, (number,))]
    else:
        rows = [
            (_sum(block),) for (block,) in reader.db.execute(f"SELECT block FROM {part} WHERE round = ?", (number,))
        ]
    return hashlib.sha256(_canonical(rows)).digest() if rows else NOTHING


def sealed_digest(reader: RunReader, number: int) -> bytes:
    """What a round is stored with: the digest of its content, then its PARTS."""
    return round_digest(reader, number) + b"".join(part_digest(reader, part, number) for part in PARTS)


def stored_digest(reader: RunReader, number: int) -> tuple[bytes, dict[str, bytes]]:
    """(digest of the content, part → digest) as committed; no parts in rounds of older versions."""
    stored = reader.db.execute("SELECT digest FROM rounds WHERE round = ?", (number,)).fetchone()[0]
    if not isinstance(stored, bytes) or len(stored) not in (SIZE, SIZE * (1 + len(PARTS))):
        return b"", {}
    parts = [stored[place : place + SIZE] for place in range(SIZE, len(stored), SIZE)]
    return stored[:SIZE], dict(zip(PARTS, parts, strict=False))


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


PLACES = ("name", "runs")
"""Settings that say where a run lies, not what it does."""


def future_digest(folder: Path) -> str:
    """One sha256 over all that determines a run's results and its future.

    `league verify --json` prints it. It covers `run_digest`, the settings, who left when, and seeds, problems and
    metrics of the matches that still have them. Left out, besides clocks: the run's name and place, the model's place
    (its weights enter by the hash that every adapter names), the place of checkpoints that agents began from, pins,
    transcripts and figures.
    """
    whole = hashlib.sha256(run_digest(folder).encode())
    with RunReader.read(folder) as reader:
        whole.update(_canonical(settled(reader.config_text())))
        query = (
            "SELECT a.name, v.step, v.retired FROM versions v JOIN agents a ON a.id = v.agent "
            "WHERE v.retired IS NOT NULL ORDER BY 1, 2"
        )
        whole.update(_canonical(reader.db.execute(query).fetchall()))
        for number, block in reader.db.execute("SELECT round, block FROM details ORDER BY round"):
            whole.update(_canonical([number, codec.unpack_json(block, f"details of round {number}")]))
    return whole.hexdigest()


def settled(config: str) -> object:
    """The settings of a configuration (YAML) without the places that it names."""
    data = parse_yaml(config)
    if not isinstance(data, dict):
        return data
    model, agents = data.get("model"), data.get("agents")
    without = {key: value for key, value in data.items() if key not in PLACES}
    if isinstance(model, dict):
        without["model"] = {key: value for key, value in model.items() if key != "name"}
    if isinstance(agents, dict):
        without["agents"] = {name: _without_checkpoint(agent) for name, agent in agents.items()}
    return without


def _without_checkpoint(agent: object) -> object:
    return {key: value for key, value in agent.items() if key != "checkpoint"} if isinstance(agent, dict) else agent


def _sum(block: bytes) -> str:
    return hashlib.sha256(block).hexdigest()


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
