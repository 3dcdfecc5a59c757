"""Reading a run, in every command that needs no model.

It is safe on a live run and on a folder this process may not write.

Each query is one short read, so a reader never holds the write-ahead log back. The writer (`run.RunStore`) has the
same queries on its own connection.
"""

import hashlib
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from league.errors import LeagueError, RunFolderError
from league.store import codec, config_history, fs, schema
from league.store.blobs import BlobStore
from league.store.lock import owner_alive, read_owner
from league.store.opening import DATABASE, check_names, migrated_copy, open_read_only, require_run
from league.store.payoff_table import PayoffQueries
from league.store.records import AgentRow, Heartbeat, PlayedOutcome, StoredMatch
from league.types import Rating, Role, Version, VersionRow

READING = "while this run was read: "
"""How the note begins that an error gets which ends the reading; the run's folder follows."""
NAMES_CACHED = 4000
"""Names of versions a reader remembers: every update makes new ones, and a run may last for weeks."""
_VERSION = (
    "SELECT v.id, a.name, v.step, v.role, v.round, v.blob, v.optimizer, v.reason FROM versions "
    "v JOIN agents a ON a.id = v.agent "
)


class RunReader(PayoffQueries):
    """Queries over one run. Use as a context manager, or `close` it."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, scratch: Path | None = None):
        self.folder = folder
        self.db = connection
        self.blobs = BlobStore(folder / "blobs")
        self._names: dict[int, Version] = {}
        self._slot_names: dict[int, tuple[str, str, str, str]] = {}
        self._scratch = scratch

    @classmethod
    def read(cls, folder: Path) -> "RunReader":
        """Open read-only. Raises RunFolderError when it is no run, or newer than this code."""
        folder = Path(folder)
        path = require_run(folder)
        connection, scratch = open_read_only(path)
        try:
            if schema.check_version(connection, path) == 0:
                raise RunFolderError(f"{path} holds no league; expected a run folder made by `league train`")
            if not schema.is_readable(connection):
                connection, scratch = migrated_copy(connection, scratch)
            check_names(connection, path)
        except BaseException:
            connection.close()
            raise
        return cls(folder, connection, scratch)

    def close(self) -> None:
        self.db.close()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if isinstance(error, Exception):
            error.add_note(f"{READING}{self.folder}")

    # ------------------------------------------------------------------------------------------- the round
    def config_text(self) -> str:
        """The resolved configuration by which the run goes now."""
        return self.meta("config")

    def earlier_configs(self) -> list[tuple[int, str]]:
        """(last round that was played under it, YAML) of each configuration that was changed, oldest first."""
        return config_history.configs(self.db)

    def config_of(self, number: int) -> str:
        """The configuration (YAML) under which a round was played."""
        return next((text for last, text in self.earlier_configs() if number <= last), self.config_text())

    def identity(self) -> str:
        """What tells the run from every other, of other names or other beginnings: 32 hex digits."""
        # older runs have no id, only the time at which they were created
        query = "SELECT value FROM meta WHERE key IN ('id', 'created') ORDER BY key DESC LIMIT 1"
        (beginning,) = self.db.execute(query).fetchone() or ("",)
        return hashlib.sha256(f"{self.folder.resolve().name}\0{beginning}".encode()).hexdigest()[:32]

    def meta(self, key: str) -> str:
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise RunFolderError(f"{self.folder / DATABASE} has no '{key}'; the run was not created completely")
        return str(row[0])

    def latest_round(self) -> int | None:
        """Number of the newest committed round, None before the first."""
        return self.db.execute("SELECT max(round) FROM rounds").fetchone()[0]

    def kept_rounds(self) -> list[int]:
        """Rounds that can be fallen back to, oldest first."""
        return [row[0] for row in self.db.execute("SELECT round FROM checkpoints ORDER BY round")]

    def round_times(self) -> list[tuple[int, float, float]]:
        """(round, seconds, Unix time of the commit), oldest first."""
        return list(self.db.execute("SELECT round, seconds, at FROM rounds ORDER BY round"))

    def state(self, number: int | None = None) -> dict[str, Any]:
        """The state committed with a round (default: the newest); {} before the first."""
        row = self.db.execute(
            "SELECT round, state FROM checkpoints WHERE round <= ? ORDER BY round DESC LIMIT 1", (_or_last(number),)
        )
        found = row.fetchone()
        if found is None or (number is not None and found[0] != number):
            if number is not None:
                raise LeagueError(f"round {number} is not kept; kept rounds: {self.kept_rounds()}")
            return {}
        return codec.unpack_json(found[1], f"state of round {found[0]}")

    def begun(self) -> dict[str, Any]:
        """The newest state.

        Raises RunFolderError before the first committed round, when there is nothing to look at.
        """
        state = self.state()
        if not state:
            raise RunFolderError(f"{self.folder} has no committed round yet; `league resume {self.folder}` plays it")
        return state

    def live(self, number: int | None = None) -> dict[str, Version]:
        """agent → version for every member at a kept round (default: the newest), by name."""
        number = self.latest_round() if number is None else number
        rows = self.db.execute(
            "SELECT a.name, v.step FROM live l JOIN versions v ON v.id = l.version JOIN agents a ON a.id = l.agent "
            "WHERE l.round = ? ORDER BY a.name",
            (number,),
        )
        return {name: Version(name, step) for name, step in rows}

    # -------------------------------------------------------------------------------------------- versions
    def versions(
        self, agent: str | None = None, since: int = 0, until: int | None = None, lineage: bool = False
    ) -> list[VersionRow]:
        """Versions in order of creation.

        Of one agent, of rounds since…until (inclusive), or without plain updates (`lineage`).
        """
        where = ["v.round BETWEEN ? AND ?"]
        parameters: list[object] = [since, _or_last(until)]
        if agent is not None:
            where.append("a.name = ?")
            parameters.append(agent)
        if lineage:
            where.append("v.reason <> 'update'")
        rows = self.db.execute(_VERSION + "WHERE " + " AND ".join(where) + " ORDER BY v.id", parameters).fetchall()
        return self._version_rows(rows)

    def version_row(self, version: Version) -> VersionRow:
        """Raises LeagueError for a version that is not stored."""
        rows = self.db.execute(_VERSION + "WHERE a.name = ? AND v.step = ?", (version.agent, version.step)).fetchall()
        if not rows:
            raise LeagueError(f"{version} is not a version of {self.folder}")
        return self._version_rows(rows)[0]

    def _version_rows(self, rows: list[tuple]) -> list[VersionRow]:
        parents: dict[int, list[Version]] = {}
        query = (
            "SELECT p.child, a.name, v.step FROM parents p JOIN versions v ON v.id = p.parent JOIN agents "
            "a ON a.id = v.agent "
            "WHERE p.child BETWEEN ? AND ? ORDER BY p.child, p.position"
        )
        if rows:
            for child, name, step in self.db.execute(query, (min(r[0] for r in rows), max(r[0] for r in rows))):
                parents.setdefault(child, []).append(Version(name, step))
        return [
            VersionRow(
                version=Version(name, step),
                role=role,
                round=number,
                blob=_hex(blob),
                optimizer=_hex(optimizer),
                parents=tuple(parents.get(key, ())),
                reason=reason,
            )
            for key, name, step, role, number, blob, optimizer, reason in rows
        ]

    def agents(self) -> list[AgentRow]:
        """Every agent there ever was, by name, at its newest (for members: its live) version."""
        live = self.live()
        pinned = {version.agent for version, _ in self.pins()}
        query = (
            "SELECT a.name, min(v.round), max(v.step), (SELECT role FROM versions w WHERE w.agent = a.id "
            "ORDER BY step DESC LIMIT 1) "
            "FROM agents a JOIN versions v ON v.agent = a.id GROUP BY a.id ORDER BY a.name"
        )
        found = self.db.execute(query).fetchall()
        rows: list[tuple[str, int, int, Role]] = [(name, created, step, role) for name, created, step, role in found]
        return [
            AgentRow(
                name=name,
                role=role,
                version=live.get(name, Version(name, step)),
                created=created,
                member=name in live,
                pinned=name in pinned,
            )
            for name, created, step, role in rows
        ]

    def pins(self) -> list[tuple[Version, str]]:
        """Versions kept whatever happens, and why ("export", "best", …)."""
        query = (
            "SELECT a.name, v.step, p.why FROM pins p JOIN versions v ON v.id = p.version JOIN agents "
            "a ON a.id = v.agent "
            "ORDER BY a.name, v.step, p.why"
        )
        return [(Version(name, step), why) for name, step, why in self.db.execute(query)]

    # ------------------------------------------------------------------------------------ what was measured
    def ratings(self, ladder: str | None = None) -> list[Rating]:
        """The last rating of every version that was ever rated, best mu first.

        A member's present version may have none: after an update or a snapshot it carries on that of its newest rated
        one.
        """
        query = (
            "SELECT d.name, a.name, v.step, r.mu, r.sigma, r.games, max(r.round) FROM ratings r JOIN ladders "
            "d ON d.id = r.ladder "
            "JOIN versions v ON v.id = r.version JOIN agents a ON a.id = v.agent WHERE (?1 IS NULL OR d.name = ?1) "
            "GROUP BY r.ladder, r.version ORDER BY d.name, r.mu DESC, a.name, v.step"
        )
        rows = self.db.execute(query, (ladder,))
        return [Rating(name, Version(agent, step), mu, sigma, games) for name, agent, step, mu, sigma, games, _ in rows]

    def rating_history(self, ladder: str, since: int = 0) -> list[tuple[int, Rating]]:
        """(round, rating) as committed.

        Superseded ratings of one version are kept only a few rounds.
        """
        query = (
            "SELECT r.round, a.name, v.step, r.mu, r.sigma, r.games FROM ratings r JOIN ladders d ON d.id = r.ladder "
            "JOIN versions v ON v.id = r.version JOIN agents a ON a.id = v.agent WHERE d.name = ? AND "
            "r.round >= ? ORDER BY r.round, a.name"
        )
        rows = self.db.execute(query, (ladder, since))
        return [
            (number, Rating(ladder, Version(agent, step), mu, sigma, games))
            for number, agent, step, mu, sigma, games in rows
        ]

    def scalar_names(self) -> list[str]:
        return [row[0] for row in self.db.execute("SELECT name FROM scalar_names ORDER BY name")]

    def scalars(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(rounds, values) of one scalar, where it was recorded."""
        key = self.db.execute("SELECT id FROM scalar_names WHERE name = ?", (name,)).fetchone()
        rounds, values = [], []
        for number, block in self.db.execute("SELECT round, scalars FROM rounds ORDER BY round") if key else ():
            array = codec.unpack_scalars(block)
            hit = array["value"][array["id"] == key[0]]
            if hit.size:
                rounds.append(number)
                values.append(float(hit[0]))
        return np.array(rounds, np.int64), np.array(values, np.float64)

    def round_scalars(self, number: int | None = None) -> dict[str, float]:
        """All scalars of one round (default: the newest)."""
        number = self.latest_round() if number is None else number
        names = dict(self.db.execute("SELECT id, name FROM scalar_names"))
        row = self.db.execute("SELECT scalars FROM rounds WHERE round = ?", (number,)).fetchone()
        return {names[int(key)]: float(value) for key, value in codec.unpack_scalars(row[0])} if row else {}

    def figures(self, number: int | None = None) -> Any:
        """Figure data of a round (default: the newest that has any); None when there is none."""
        row = self.db.execute(
            "SELECT round, block FROM figures WHERE round <= ?1 AND (?2 OR round = ?1) ORDER BY round DESC LIMIT 1",
            (_or_last(number), number is None),
        ).fetchone()
        return codec.unpack_json(row[1], f"figures of round {row[0]}") if row else None

    # --------------------------------------------------------------------------------------------- matches
    def matches(
        self,
        since: int = 0,
        until: int | None = None,
        task: str | None = None,
        agent: str | None = None,
        newest_first: bool = False,
    ) -> Iterator[StoredMatch]:
        """Matches of rounds since…until (inclusive), in playing order or newest round first.

        Of one task or with one agent where they are named.
        """
        numbers = [
            row[0]
            for row in self.db.execute(
                "SELECT round FROM rounds WHERE round BETWEEN ? AND ? ORDER BY round", (since, _or_last(until))
            )
        ]
        for number in reversed(numbers) if newest_first else numbers:
            for match in self._round_matches(number):
                if (task is None or match.task == task) and (
                    agent is None or any(v.agent == agent for v in match.seats.values())
                ):
                    yield match

    def _round_matches(self, number: int) -> list[StoredMatch]:
        block = self.db.execute("SELECT block FROM rounds WHERE round = ?", (number,)).fetchone()[0]
        rows = codec.unpack_rows(block, f"matches of round {number}")
        found = self.db.execute("SELECT block FROM details WHERE round = ?", (number,)).fetchone()
        details = codec.unpack_json(found[0], f"details of round {number}") if found else None
        return codec.unpack_matches(number, rows, details, self.version_name, self.slot_name)

    def outcomes(self, since: int = 0, until: int | None = None) -> Iterator[PlayedOutcome]:
        """Outcomes that count, in the order they were committed.

        They are the raw material of payoffs and ratings.
        """
        for match in self.matches(since, until):
            if match.void is None:
                for outcome in match.outcomes:
                    yield PlayedOutcome(match.round, match.id, match.purpose, outcome)

    def transcript(self, match: str) -> Any | None:
        """The transcript of one match, None when it was not kept or has been rotated out."""
        row = self.db.execute("SELECT block FROM transcripts WHERE match = ?", (match,)).fetchone()
        return codec.unpack_json(row[0], f"transcript of match {match}") if row else None

    def transcript_ids(self, since: int = 0) -> list[tuple[int, str]]:
        """(round, match id) of the transcripts kept."""
        return list(self.db.execute("SELECT round, match FROM transcripts WHERE round >= ? ORDER BY id", (since,)))

    def match_count(self) -> int:
        return int(self.db.execute("SELECT coalesce(sum(matches), 0) FROM rounds").fetchone()[0])

    def version_name(self, key: int) -> Version:
        """Version of a database id, as they stand in blocks and payoff cells."""
        if key not in self._names:
            if len(self._names) > NAMES_CACHED:
                self._names.clear()
            query = (
                "SELECT v.id, a.name, v.step FROM versions v JOIN agents a ON a.id = v.agent WHERE v.id BETWEEN ? AND ?"
            )
            for found, name, step in self.db.execute(query, (key - 500, key + 500)):
                self._names[found] = Version(name, step)
        if key not in self._names:
            raise RunFolderError(
                f"a match of {self.folder} names version {key}, which does not exist (run `league verify --repair`)"
            )
        return self._names[key]

    def slot_name(self, key: int) -> tuple[str, str, str, str]:
        """(relation, task, situation, domain) of a database id."""
        if key not in self._slot_names:
            query = "SELECT id, relation, task, situation, domain FROM slots"
            self._slot_names = {row[0]: row[1:] for row in self.db.execute(query)}
        if key not in self._slot_names:
            raise RunFolderError(
                f"an outcome of {self.folder} names slot {key}, which does not exist (run `league verify --repair`)"
            )
        return self._slot_names[key]

    def forget(self) -> None:
        """Drop cached names: after a rollback they may no longer exist."""
        self._names.clear()
        self._slot_names.clear()

    # ----------------------------------------------------------------------------------------- signs of life
    def heartbeat(self) -> Heartbeat | None:
        """The writer's last sign of life.

        A live run gives one every few seconds. Where it has been for long, by `since`, it is stalled or slow.
        """
        owner = read_owner(self.folder / "lock")
        try:
            beat: Mapping[str, Any] = json.loads(fs.read_file(self.folder / "heartbeat.json"))
            alive = owner_alive(self.folder / "lock") and owner is not None and owner["pid"] == beat["pid"]
            age = time.time() - float(beat["at"])
            return Heartbeat(
                pid=int(beat["pid"]),
                round=int(beat["round"]),
                phase=str(beat["phase"]),
                detail=str(beat.get("detail", "")),
                at=float(beat["at"]),
                alive=alive,
                age=age,
                since=float(beat.get("since", beat["at"])),
            )
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None

    def stop_requested(self) -> str | None:
        """ "stop" or "pause" when a person asked for it."""
        wish = self._stop_file().get("wish")
        return wish if wish in ("stop", "pause") else None

    def stop_reason(self) -> str | None:
        """Why, in that person's words."""
        reason = self._stop_file().get("reason")
        return None if reason is None else str(reason)

    def _stop_file(self) -> dict[str, Any]:
        try:
            text = json.loads(fs.read_file(self.folder / "stop"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError):
            text = None
        return text if isinstance(text, dict) else {"wish": "stop", "reason": "the file `stop` is there"}


def _hex(raw: bytes | None) -> str | None:
    return raw.hex() if raw is not None else None


def _or_last(number: int | None) -> int:
    return 2**62 if number is None else number
