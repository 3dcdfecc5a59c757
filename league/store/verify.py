"""Is a run folder sound?

Every hash, every reference, every number that can be computed again. Changes nothing.

Caught: damaged or missing blobs, damaged pages, values changed in place (by each round's digest), broken references,
payoffs, plain match rows and ratings that do not follow from the matches, members whose frozen weights changed. Not
caught: a folder replaced as a whole by another sound one.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

from league.errors import LeagueError, RunFolderError
from league.store import codec, match_rows, schema, table_sums
from league.store.digests import (
    KEPT,
    NOTHING,
    checkpoint_digest,
    future_digest,
    part_digest,
    rating_sum,
    round_digest,
    stored_digest,
)
from league.store.garbage import named_in
from league.store.opening import require_run
from league.store.reader import RunReader
from league.store.records import PlayedOutcome, VerifyReport
from league.types import Rating

UNREADABLE = (
    *schema.DAMAGE,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
    OverflowError,
    RecursionError,
)
"""What comes of decoding rows in which a bit flipped."""
Rate = Callable[[Iterable[PlayedOutcome]], Iterable[Rating]]
"""Ratings recomputed from all outcomes in order: the last rating of each (ladder, version)."""


def verify(folder: Path, rate: Rate | None = None) -> VerifyReport:
    """Check a run folder. Raises RunFolderError only when there is no run to check."""
    report = VerifyReport(str(folder), None)
    require_run(Path(folder))
    try:
        with RunReader.read(folder) as reader:
            _verify(reader, report, rate)
    except schema.NewerSchema:
        raise
    except RunFolderError as error:
        report.problems.append(str(error))
    except UNREADABLE as error:
        report.problems.append(f"database: {error}")
    if not report.problems:
        report.digest = future_digest(Path(folder))
    return report


def _verify(reader: RunReader, report: VerifyReport, rate: Rate | None) -> None:
    problems = check_structure(reader.db)
    report.problems += problems
    if problems:
        return
    report.round = reader.latest_round()
    report.problems += check_config(reader)
    numbers = [row[0] for row in reader.db.execute("SELECT round FROM rounds ORDER BY round")]
    damaged = {number: problem for number in numbers if (problem := check_round(reader, number))}
    report.problems += damaged.values()
    if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        report.problems.append(f"rounds are missing between {numbers[0]} and {numbers[-1]}")
    for number in reader.kept_rounds():
        report.problems += check_checkpoint(reader, number)
    report.problems += _check_extras(reader)
    report.problems += check_blobs(reader, report)
    report.checked |= {
        "rounds": len(numbers),
        "matches": reader.match_count(),
        "kept rounds": len(reader.kept_rounds()),
    }
    report.problems += check_rating_rows(reader)
    if not damaged:
        report.problems += match_rows.check_rows(reader)
        report.problems += check_payoffs(reader, report)
        if rate is not None:
            report.problems += check_ratings(reader, rate, report)


def check_structure(connection: sqlite3.Connection) -> list[str]:
    """The schema, and SQLite's own checks: pages, indexes, NOT NULL, CHECK and foreign keys."""
    if problems := schema.check_objects(connection):
        return problems
    try:
        lines = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
        if lines != ["ok"]:
            return [f"database: {line}" for line in lines]
        broken = connection.execute("PRAGMA foreign_key_check").fetchmany(5)
    except schema.DAMAGE as error:
        return [f"database: {error}"]
    return [f"database: row {row[1]} of table {row[0]} refers to a missing row of {row[2]}" for row in broken]


def check_round(reader: RunReader, number: int) -> str | None:
    """Whether a round is as it was committed."""
    try:
        if stored_digest(reader, number)[0] != round_digest(reader, number):
            return f"round {number}: its matches, scalars or versions are not what was committed"
    except (*UNREADABLE, LeagueError) as error:
        return f"round {number}: cannot be decoded ({error})"
    return None


def check_parts(reader: RunReader, number: int) -> list[str]:
    """Which PARTS of a round are not as they were committed.

    Details, figures and transcripts may be gone: the oldest rounds lose them first.
    """
    changed = []
    for part, digest in stored_digest(reader, number)[1].items():
        if part in KEPT and reader.db.execute(f"SELECT 1 FROM {part} WHERE round = ?", (number,)).fetchone() is None:
            older = reader.db.execute(f"SELECT 1 FROM {part} WHERE round < ?", (number,)).fetchone() is not None
            if older and digest != NOTHING:
                changed.append(part)
        elif part_digest(reader, part, number) != digest:
            changed.append(part)
    return changed


def check_checkpoint(reader: RunReader, number: int) -> list[str]:
    """Whether a kept round can be resumed from: its state, its members and all their blobs."""
    try:
        stored = reader.db.execute("SELECT digest FROM checkpoints WHERE round = ?", (number,)).fetchone()[0]
        if stored != checkpoint_digest(reader, number):
            return [f"kept round {number}: its state or members are not what was committed"]
        problems = []
        for agent, version in reader.live(number).items():
            row = reader.version_row(version)
            for kind, sha in (("adapter", row.blob), ("optimizer", row.optimizer)):
                if sha is not None and (problem := reader.blobs.problem(sha)):
                    problems.append(f"kept round {number}: {kind} of {agent} ({version}): {problem}")
        # A state may name versions whose optimizer was collected when they froze; what is still listed must be whole.
        listed = {row[0].hex() for row in reader.db.execute("SELECT sha FROM blobs")}
        for sha, name in named_in(reader.db, reader.state(number)).items():
            if sha in listed and (problem := reader.blobs.problem(sha)):
                problems.append(f"kept round {number}: {name}: {problem}")
        return problems
    except (*UNREADABLE, LeagueError) as error:
        return [f"kept round {number}: cannot be decoded ({error})"]


def check_blobs(reader: RunReader, report: VerifyReport) -> list[str]:
    """Every blob the database says it has, by content.

    Members and pinned versions must have theirs.
    """
    known = {row[0].hex() for row in reader.db.execute("SELECT sha FROM blobs")}
    problems = [problem for sha in sorted(known) if (problem := reader.blobs.problem(sha))]
    for sha, size in reader.db.execute("SELECT sha, bytes FROM blobs ORDER BY sha").fetchall():
        if reader.blobs.has(sha.hex()) and size != reader.blobs.size(sha.hex()):
            problems.append(f"blob {sha.hex()[:12]}…: the database says {size} bytes, which is not its size")
    query = (
        "SELECT a.name, v.step, v.blob, v.optimizer FROM versions v JOIN agents a ON a.id = v.agent "
        "WHERE v.id IN (SELECT version FROM live UNION SELECT version FROM pins)"
    )
    for name, step, blob, optimizer in reader.db.execute(query).fetchall():
        for sha in (blob, optimizer):
            if sha is not None and sha.hex() not in known:
                problems.append(f"{name}@{step}: its blob {sha.hex()[:12]}… is not in the database's list of blobs")
    frozen = (
        "SELECT count(*) FROM versions WHERE blob IN (SELECT sha FROM blobs) "
        "AND (optimizer IS NULL OR id NOT IN (SELECT version FROM live WHERE round = (SELECT max(round) FROM rounds)))"
    )
    report.checked |= {"blobs": len(known), "frozen adapters": reader.db.execute(frozen).fetchone()[0]}
    return problems


def check_payoffs(reader: RunReader, report: VerifyReport) -> list[str]:
    """The table against sums of the stored outcomes.

    Cells of versions that left the league may have been trimmed.
    """
    stored, computed = reader.stored_payoffs(), reader.recompute_payoffs()
    retired = {row[0] for row in reader.db.execute("SELECT id FROM versions WHERE retired IS NOT NULL")}
    report.checked |= {"payoff cells": len(stored)}
    wrong = [key for key, sums in stored.items() if computed.get(key) != sums]
    missing = [key for key in computed.keys() - stored.keys() if key[1] not in retired and key[2] not in retired]
    return [_cell_problem(reader, key, "does not follow from the matches") for key in wrong[:5]] + [
        _cell_problem(reader, key, "is missing") for key in missing[:5]
    ]


def _cell_problem(reader: RunReader, key: tuple[int, int, int], what: str) -> str:
    relation, task, situation, domain = reader.slot_name(key[0])
    where = (
        f"{relation} in {task}"
        + (f" ({situation})" if situation != "default" else "")
        + (f", {domain}" if domain else "")
    )
    return f"payoffs: {reader.version_name(key[1])} – {reader.version_name(key[2])}, {where}: the cell {what}"


def check_rating_rows(reader: RunReader) -> list[str]:
    """Rating rows against their checksums."""
    rows = reader.db.execute("SELECT ladder, version, round, mu, sigma, games, crc FROM ratings").fetchall()
    return [
        f"ratings: the row of {reader.version_name(version)} at round {number} was changed"
        for ladder, version, number, mu, sigma, games, crc in rows
        if crc != rating_sum(ladder=ladder, version=version, number=number, mu=mu, sigma=sigma, games=games)
    ]


def check_ratings(reader: RunReader, rate: Rate, report: VerifyReport) -> list[str]:
    """The last rating of every version against ratings recomputed from all outcomes.

    What members carry on are ratings of earlier versions.
    """
    computed = {(r.ladder, r.version): (r.mu, r.sigma, r.games) for r in rate(reader.outcomes())}
    stored = {(r.ladder, r.version): (r.mu, r.sigma, r.games) for r in reader.ratings()}
    report.checked |= {"ratings": len(stored)}
    problems = []
    for key, value in stored.items():
        other = computed.get(key)
        if other is None or any(abs(a - b) > 1e-9 * max(1.0, abs(b)) for a, b in zip(value, other, strict=True)):
            problems.append(f"ratings: {key[1]} in ladder '{key[0]}' is {value}, but the matches give {other}")
    return problems + [
        f"ratings: {version} in ladder '{ladder}' is missing"
        for ladder, version in sorted(computed.keys() - stored.keys())
    ]


def check_config(reader: RunReader) -> list[str]:
    """Whether the configuration is the one that was stored; a person may have edited the file."""
    text = reader.config_text()
    problems = []
    if hashlib.sha256(text.encode()).hexdigest() != reader.meta("config_sha256"):
        problems.append("database: the stored configuration was changed")
    file = reader.folder / "config.yaml"
    if not file.is_file() or file.read_bytes() != text.encode():
        problems.append(
            f"{file} is not the configuration the run goes by (`league resume` adopts an edit, `--repair` "
            f"puts the old one back)"
        )
    return problems


def _check_extras(reader: RunReader) -> list[str]:
    """Blocks that are kept for a while: details, figures, transcripts."""
    problems = []
    for table, label in (("details", "round"), ("figures", "round"), ("transcripts", "match")):
        for key, block in reader.db.execute(f"SELECT {label}, block FROM {table}"):
            try:
                codec.unpack_json(block, f"{table} of {label} {key}")
            except RunFolderError as error:
                problems.append(str(error))
    for number, *_ in reader.round_times():
        problems += [f"round {number}: its {part} are not what was committed" for part in check_parts(reader, number)]
    for (match,) in reader.db.execute("SELECT match FROM transcripts WHERE bytes <> length(block)"):
        problems.append(f"transcript of match {match}: the database says another size")
    return problems + [
        f"database: the table {table} was changed"
        for table in table_sums.TABLES
        if not table_sums.is_whole(reader.db, table)
    ]
