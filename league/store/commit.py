"""One round as one transaction: everything a round is, or nothing of it.

The blobs a record names are on the disk, renamed and fsynced, before `RoundWriter.write` begins, so whatever the
database says exists does exist. What the retention policy no longer keeps goes in the same transaction, except for
files, which are deleted after the commit (`garbage.py`).
"""

import math
import time
from collections.abc import Iterable

from league.errors import LeagueError
from league.store import codec, fs, match_rows, table_sums
from league.store.digests import SIZE, checkpoint_digest, part_digest, rating_sum, sealed_digest, stored_digest
from league.store.garbage import versions_in
from league.store.reader import RunReader
from league.store.records import Retention, RoundRecord
from league.types import MatchResult, Outcome, Version

TRIM_EVERY = 64
"""Rounds between trims of the payoff table (a full scan of it)."""

UPSERT_PAYOFF = """
INSERT INTO payoffs (slot, row, col, wins, draws, losses, n, total, total_sq) VALUES (?,?,?,?,?,?,?,?,?)
ON CONFLICT (slot, row, col) DO UPDATE SET wins = wins + excluded.wins, draws = draws + excluded.draws,
    losses = losses + excluded.losses, n = n + excluded.n,
    total = total + excluded.total, total_sq = total_sq + excluded.total_sq
"""


class RoundWriter:
    """Writes one record through one connection, inside a transaction the caller opened."""

    def __init__(self, reader: RunReader, retention: Retention):
        self.reader = reader
        self.db = reader.db
        self.blobs = reader.blobs
        self.retention = retention
        self._versions: dict[Version, int] = {}
        self._slots: dict[tuple[str, str, str, str], int] = {}

    def write(self, record: RoundRecord) -> None:
        check_record(record)
        fs.execute(
            self.db,
            "INSERT INTO rounds (round, seconds, at, matches, block, scalars, digest) VALUES (?,?,?,?,?,?,?)",
            (record.round, record.seconds, time.time(), len(record.matches), b"", self._scalars(record), b""),
        )
        self._write_versions(record)
        block = codec.pack_matches(record.matches, self.version_id, self.slot_id)
        fs.execute(self.db, "UPDATE rounds SET block = ? WHERE round = ?", (block, record.round))
        match_rows.fill_round(self.reader, record.round)
        self._write_details(record)
        self._write_payoffs(record)
        with table_sums.changing(self.db, "ladders"):
            self._write_ratings(record)
        self._write_checkpoint(record)
        seal(self.reader, record.round)
        self._trim(record.round)

    # ------------------------------------------------------------------------------------------------ ids
    def version_id(self, version: Version) -> int:
        if version not in self._versions:
            found = self.reader.version_id(version)
            if found is None:
                raise LeagueError(
                    f"version {version} is not stored; put its VersionRow into the record of the round that makes it"
                )
            self._versions[version] = found
        return self._versions[version]

    def slot_id(self, outcome: Outcome) -> int:
        key = (outcome.relation, outcome.task, outcome.situation, outcome.domain)
        if key not in self._slots:
            self._slots[key] = self._name_id("slots", ("relation", "task", "situation", "domain"), key)
        return self._slots[key]

    def _name_id(self, table: str, columns: tuple[str, ...], key: tuple[str, ...]) -> int:
        where = " AND ".join(f"{column} = ?" for column in columns)
        row = self.db.execute(f"SELECT id FROM {table} WHERE {where}", key).fetchone()
        if row is None:
            marks = ",".join("?" * len(columns))
            cursor = fs.execute(
                self.db, f"INSERT INTO {table} ({','.join(columns)}) VALUES ({marks}) RETURNING id", key
            )
            row = cursor.fetchone()
        return int(row[0])

    # --------------------------------------------------------------------------------------------- tables
    def _scalars(self, record: RoundRecord) -> bytes:
        known = dict(self.db.execute("SELECT name, id FROM scalar_names"))
        for name in sorted(set(record.scalars) - set(known)):
            known[name] = self._name_id("scalar_names", ("name",), (name,))
        if len(known) > 65_000:
            raise LeagueError("more than 65,000 scalar names; use one name for one quantity, without numbers that grow")
        return codec.pack_scalars(record.scalars, known)

    def _write_versions(self, record: RoundRecord) -> None:
        for row in record.versions:
            agent = self._name_id("agents", ("name",), (row.version.agent,))
            cursor = fs.execute(
                self.db,
                "INSERT INTO versions (agent, step, role, round, blob, optimizer, reason) VALUES (?,?,?,?,?,?,?) "
                "RETURNING id",
                (agent, row.version.step, row.role, record.round, _raw(row.blob), _raw(row.optimizer), row.reason),
            )
            self._versions[row.version] = cursor.fetchone()[0]
        parents = [
            (self.version_id(row.version), position, self.version_id(parent))
            for row in record.versions
            for position, parent in enumerate(row.parents)
        ]
        fs.executemany(self.db, "INSERT INTO parents (child, position, parent) VALUES (?,?,?)", parents)
        hashes = sorted({sha for row in record.versions for sha in (row.blob, row.optimizer) if sha})
        for sha in hashes:
            if not self.blobs.has(sha):
                raise LeagueError(f"blob {sha} is not in {self.blobs.folder}; write it before the round that names it")
        rows = [(bytes.fromhex(sha), self.blobs.size(sha)) for sha in hashes]
        fs.executemany(self.db, "INSERT INTO blobs (sha, bytes) VALUES (?,?) ON CONFLICT DO NOTHING", rows)

    def _write_details(self, record: RoundRecord) -> None:
        if record.matches and self.retention.detail_rounds:
            fs.execute(self.db, "INSERT INTO details VALUES (?,?)", (record.round, codec.pack_details(record.matches)))
        if record.figures is not None and self.retention.figure_rounds:
            fs.execute(
                self.db, "INSERT INTO figures VALUES (?,?)", (record.round, codec.pack_json(record.figures, "figures"))
            )
        rows = []
        for result in record.matches:
            if (
                result.transcript is not None
                and self.retention.transcript_rounds
                and self.retention.transcript_megabytes
            ):
                block = codec.pack_json(result.transcript, f"the transcript of match {result.match.id}")
                rows.append((record.round, result.match.id, len(block), block))
        fs.executemany(self.db, "INSERT INTO transcripts (round, match, bytes, block) VALUES (?,?,?,?)", rows)

    def _write_payoffs(self, record: RoundRecord) -> None:
        rows = [codec.outcome_row(o, self.version_id, self.slot_id) for o in counted(record.matches)]
        fs.executemany(self.db, UPSERT_PAYOFF, rows)

    def _write_ratings(self, record: RoundRecord) -> None:
        horizon = record.round - max(2, self.retention.rounds) + 1
        for rating in record.ratings:
            ladder = self._name_id("ladders", ("name",), (rating.ladder,))
            key = (ladder, self.version_id(rating.version))
            current = self.db.execute(
                "SELECT mu, sigma, games FROM ratings WHERE ladder = ? AND version = ? ORDER BY round DESC LIMIT 1", key
            ).fetchone()
            if current == (rating.mu, rating.sigma, rating.games):
                continue
            mu, sigma = float(rating.mu), float(rating.sigma)
            crc = rating_sum(ladder=key[0], version=key[1], number=record.round, mu=mu, sigma=sigma, games=rating.games)
            fs.execute(
                self.db,
                "INSERT INTO ratings (ladder, version, round, mu, sigma, games, crc) VALUES (?,?,?,?,?,?,?)",
                (*key, record.round, mu, sigma, rating.games, crc),
            )
            fs.execute(  # superseded before the oldest round that can still be fallen back to
                self.db,
                "DELETE FROM ratings WHERE ladder = ?1 AND version = ?2 AND round < "
                "(SELECT max(round) FROM ratings WHERE ladder = ?1 AND version = ?2 AND round <= ?3)",
                (*key, horizon),
            )

    def _write_checkpoint(self, record: RoundRecord) -> None:
        state = codec.pack_json(dict(record.state), "the round's state")
        fs.execute(self.db, "INSERT INTO checkpoints (round, state, digest) VALUES (?,?,?)", (record.round, state, b""))
        rows = [
            (record.round, self._name_id("agents", ("name",), (agent,)), self.version_id(version))
            for agent, version in sorted(record.live.items())
        ]
        fs.executemany(self.db, "INSERT INTO live (round, agent, version) VALUES (?,?,?)", rows)
        gone = self.db.execute(
            "SELECT a.name, v.step FROM live l JOIN versions v ON v.id = l.version JOIN agents a ON a.id "
            "= v.agent WHERE l.round = ? "
            "AND ((v.blob IS NOT NULL AND v.blob NOT IN (SELECT sha FROM blobs)) "
            "OR (v.optimizer IS NOT NULL AND v.optimizer NOT IN (SELECT sha FROM blobs)))",
            (record.round,),
        ).fetchone()
        if gone is not None:
            raise LeagueError(f"version {gone[0]}@{gone[1]} cannot be live: its weights were collected as garbage")
        fs.execute(
            self.db,
            "UPDATE versions SET retired = ?1 WHERE id IN (SELECT version FROM live WHERE round = ?1 - 1 "
            "UNION SELECT id FROM versions WHERE round = ?1) AND id NOT IN (SELECT version FROM live WHERE round = ?1)",
            (record.round,),
        )
        self._bring_back(record.round)

    def _bring_back(self, now: int) -> None:
        """A version that left and is a member again keeps its cells.

        If they were trimmed, the table is built anew.
        """
        back = "retired IS NOT NULL AND id IN (SELECT version FROM live WHERE round = ?)"
        oldest = self.db.execute(f"SELECT min(retired) FROM versions WHERE {back}", (now,)).fetchone()[0]
        if oldest is not None:
            query = f"SELECT DISTINCT retired FROM versions WHERE {back}"
            left = [row[0] for row in self.db.execute(query, (now,)).fetchall()]
            fs.execute(self.db, f"UPDATE versions SET retired = NULL WHERE {back}", (now,))
            for number in left:
                seal_leavers(self.reader, number)
            if oldest <= payoff_horizon(now - 1, self.retention):
                rebuild_payoffs(self.reader)
                trim_payoffs(self.reader, now, self.retention)

    def _trim(self, now: int) -> None:
        retention = self.retention
        oldest = now - max(2, retention.rounds) + 1
        fs.execute(self.db, "DELETE FROM live WHERE round < ?", (oldest,))
        fs.execute(self.db, "DELETE FROM checkpoints WHERE round < ?", (oldest,))
        fs.execute(self.db, "DELETE FROM details WHERE round <= ?", (now - retention.detail_rounds,))
        fs.execute(self.db, "DELETE FROM figures WHERE round <= ?", (now - retention.figure_rounds,))
        fs.execute(self.db, "DELETE FROM transcripts WHERE round <= ?", (now - retention.transcript_rounds,))
        self._cap_transcripts()
        if now % TRIM_EVERY == 0:
            trim_payoffs(self.reader, now, retention)

    def _cap_transcripts(self) -> None:
        excess = (
            self.db.execute("SELECT coalesce(sum(bytes), 0) FROM transcripts").fetchone()[0]
            - self.retention.transcript_megabytes * 1e6
        )
        for number, size in self.db.execute(
            "SELECT round, sum(bytes) FROM transcripts GROUP BY round ORDER BY round"
        ).fetchall():
            if excess <= 0:
                return
            fs.execute(self.db, "DELETE FROM transcripts WHERE round = ?", (number,))
            excess -= size


def seal(reader: RunReader, number: int) -> None:
    """Store the digests of a round and its checkpoint, computed from what the database now says."""
    fs.execute(reader.db, "UPDATE rounds SET digest = ? WHERE round = ?", (sealed_digest(reader, number), number))
    if number in reader.kept_rounds():
        fs.execute(
            reader.db, "UPDATE checkpoints SET digest = ? WHERE round = ?", (checkpoint_digest(reader, number), number)
        )


def seal_leavers(reader: RunReader, number: int) -> None:
    """Store anew who left in a round. Rounds of older versions say nothing about it."""
    if stored_digest(reader, number)[1]:
        row = reader.db.execute("SELECT digest FROM rounds WHERE round = ?", (number,)).fetchone()
        digest = row[0][:-SIZE] + part_digest(reader, "leavers", number)
        fs.execute(reader.db, "UPDATE rounds SET digest = ? WHERE round = ?", (digest, number))


def counted(matches: Iterable[MatchResult]) -> Iterable[Outcome]:
    """Outcomes that count: those of matches that are not void."""
    return (outcome for result in matches if result.void is None for outcome in result.outcomes)


def payoff_horizon(now: int, retention: Retention) -> int:
    """The newest round of leaving whose versions have lost their payoff cells by round `now`.

    Pins play no part: they keep weights, and an export must not change what the run holds.
    """
    return (now // TRIM_EVERY) * TRIM_EVERY - retention.payoff_rounds


def trim_payoffs(reader: RunReader, now: int, retention: Retention) -> None:
    """Drop cells of versions that left the league `payoff_rounds` ago.

    Their outcomes stay in the rounds' blocks.

    Who is named in the round's state (frozen pasts that are still met) has not left.
    """
    horizon = payoff_horizon(now, retention)
    named = ",".join(str(key) for key in versions_in(reader.db, reader.state(now)))
    stale = f"SELECT id FROM versions WHERE retired <= ? AND id NOT IN ({named})"
    fs.execute(reader.db, f"DELETE FROM payoffs WHERE row IN ({stale}) OR col IN ({stale})", (horizon, horizon))


def rebuild_payoffs(reader: RunReader) -> None:
    """Fill the payoff table from the stored outcomes."""
    sums = reader.recompute_payoffs()
    fs.execute(reader.db, "DELETE FROM payoffs")
    fs.executemany(reader.db, UPSERT_PAYOFF, [(*key, *values) for key, values in sums.items()])


def check_record(record: RoundRecord) -> None:
    """Refuse what must never be committed, before the transaction writes anything.

    Raises LeagueError.
    """
    for outcome in (o for result in record.matches for o in result.outcomes):
        if not (math.isfinite(outcome.total) and math.isfinite(outcome.total_sq)):
            raise LeagueError(f"outcome {outcome.row} – {outcome.col} in task '{outcome.task}' is not finite")
    for rating in record.ratings:
        if not (math.isfinite(rating.mu) and math.isfinite(rating.sigma)):
            raise LeagueError(f"rating of {rating.version} in ladder '{rating.ladder}' is not finite")
    for agent, version in record.live.items():
        if version.agent != agent:
            raise LeagueError(f"live['{agent}'] is {version}, a version of another agent")
    if not math.isfinite(record.seconds) or record.seconds < 0:
        raise LeagueError(f"round {record.round} took {record.seconds} seconds")


def _raw(sha: str | None) -> bytes | None:
    return bytes.fromhex(sha) if sha else None
