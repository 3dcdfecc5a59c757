"""Plain SQL reads what the store decodes: by the views, in new runs and in migrated ones, damaged or not."""

import json
import math
import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from league.store import codec, match_rows, schema, sql_views
from league.store.digests import future_digest
from league.store.page_bits import PAGE
from league.store.reader import RunReader
from league.store.repair import repair
from league.store.run import RunStore
from league.store.verify import verify
from tests.chaos.scripted import Script, rate, run_to

FIXTURE = Path(__file__).parents[1] / "fixtures" / "store" / "schema_v1"
SCRIPT = Script(matches=8)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "run"
    run_to(folder, 9, SCRIPT)
    with RunStore.open(folder) as store:
        store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


@pytest.fixture
def run(base: Path, tmp_path: Path) -> Path:
    shutil.copytree(base, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def migrated(tmp_path: Path) -> Path:
    """A run that the first schema's code began and this one went on with."""
    shutil.copytree(FIXTURE, tmp_path / "old")
    run_to(tmp_path / "old", 7, Script())
    with RunStore.open(tmp_path / "old") as store:
        store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return tmp_path / "old"


def plain(run: Path, query: str) -> list[tuple]:
    """What somebody sees who knows nothing of this code."""
    with closing(sqlite3.connect(run / "league.db")) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("which", ["run", "migrated"])
def test_the_views_say_what_the_reader_says(which: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(which)
    with RunReader.read(folder) as reader:
        matches = list(reader.matches())
        outcomes = [(o.round, o.match, o.outcome) for o in reader.outcomes()]
        scalars = {
            (n, name): value for n, *_ in reader.round_times() for name, value in reader.round_scalars(n).items()
        }
        cells = {
            (*slot, str(row), str(col)): sums
            for slot, row, col, sums in reader.payoff_cells()
        }  # fmt: skip
        versions = [(str(row.version), row.role, row.round, row.reason) for row in reader.versions()]
        rated = {(r.ladder, r.version.agent, r.version.step): (r.mu, r.sigma, r.games) for r in reader.ratings()}
    assert any(match.void for match in matches) or which == "migrated", "else void matches are not tried"
    found = plain(folder, "SELECT round, match, task, purpose, situation, seats, void FROM matches_view")
    assert [(*row[:5], json.loads(row[5]), row[6]) for row in found] == [
        (m.round, m.id, m.task, m.purpose, m.situation, {seat: str(v) for seat, v in m.seats.items()}, m.void)
        for m in matches
    ]
    assert plain(folder, "SELECT round, match, seat, agent, step FROM seats_view") == [
        (m.round, m.id, seat, v.agent, v.step) for m in matches for seat, v in m.seats.items()
    ]
    found = plain(folder, "SELECT round, match, row, col, wins, draws, losses, n, total, total_sq FROM outcomes_view")
    assert found == [
        (number, match, str(o.row), str(o.col), o.wins, o.draws, o.losses, o.n, o.total, o.total_sq)
        for number, match, o in outcomes
    ]
    assert {row[:2]: row[2] for row in plain(folder, "SELECT * FROM scalars_view")} == scalars
    payoffs = plain(folder, "SELECT * FROM payoffs_view")
    assert {row[:6]: row[6:12] for row in payoffs} == cells
    assert all(row[12] == (row[6] + row[7] / 2) / (row[6] + row[7] + row[8]) for row in payoffs if row[0] == "contest")
    assert plain(folder, "SELECT version, role, round, reason FROM versions_view ORDER BY id") == versions
    newest = plain(folder, "SELECT ladder, agent, step, mu, sigma, games FROM ratings_view ORDER BY round")
    assert {row[:3]: row[3:] for row in newest} == rated


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=40, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=30))
@example(
    [0.0, 1.0, -1.0, 5e-324, -5e-324, 2.2250738585072014e-308, 2.225073858507201e-308, 1.7976931348623157e308, 0.1]
)
def test_scalars_are_decoded_to_the_last_bit(values: list[float]) -> None:
    """Zero, numbers below the normal ones, and the largest: a view reads each as the codec does."""
    with closing(schema.fresh(":memory:", len(schema.MIGRATIONS))) as connection:
        names = {f"s{index}": 300 * index + 1 for index in range(len(values))}
        connection.executemany("INSERT INTO scalar_names (name, id) VALUES (?,?)", names.items())
        block = codec.pack_scalars(dict(zip(names, values, strict=True)), names)
        for number, stored in enumerate((block, b"")):
            connection.execute("INSERT INTO rounds VALUES (?,0,0,0,x'',?,x'')", (number, stored))
        found = connection.execute("SELECT round, name, value FROM scalars_view").fetchall()
    read = {name: struct.pack("<d", value + 0.0) for number, name, value in found if number == 0}
    # SQLite keeps no sign of zero
    assert read == {name: struct.pack("<d", value + 0.0) for name, value in zip(names, values, strict=True)}
    assert len(found) == len(values)


def test_many_scalars_and_rounds_are_read(tmp_path: Path) -> None:
    """More scalars in a round than there are powers of two to look up."""
    with closing(schema.fresh(":memory:", len(schema.MIGRATIONS))) as connection:
        names = {f"s{index}": index + 1 for index in range(1500)}
        connection.executemany("INSERT INTO scalar_names (name, id) VALUES (?,?)", names.items())
        block = codec.pack_scalars({name: math.sqrt(key) for name, key in names.items()}, names)
        connection.execute("INSERT INTO rounds VALUES (3,0,0,0,x'',?,x'')", (block,))
        found = connection.execute("SELECT round, name, value FROM scalars_view").fetchall()
    assert {(number, name): value for number, name, value in found} == {
        (3, name): math.sqrt(key) for name, key in names.items()
    }


def test_the_schema_of_a_new_run_fits_into_the_page_that_a_repair_puts_back(run: Path) -> None:
    assert plain(run, "SELECT count(*) FROM dbstat WHERE name = 'sqlite_schema'") == [(1,)]


def test_rows_depend_on_nothing_and_no_digest_on_them(run: Path) -> None:
    before = future_digest(run)
    with closing(sqlite3.connect(run / "league.db")) as connection, connection:
        for table in sql_views.TABLES:
            connection.execute(f"DELETE FROM {table}")
    assert future_digest(run) == before
    assert "plain match rows" in verify(run, rate).problems[0]
    RunStore.open(run).close()
    assert verify(run, rate).sound


CHANGES = {
    "a seat": "UPDATE match_rows SET seats = replace(seats, 'agent-1', 'agent-2') WHERE round = 2",
    "a match": "UPDATE match_rows SET match = 'r2m9' WHERE round = 2 AND place = 1",
    "why it is void": "UPDATE match_rows SET void = 'x' WHERE round = 2 AND place = 1",
    "a win": "UPDATE match_outcomes SET wins = wins + 1 WHERE round = 3",
    "a lost match": "DELETE FROM match_rows WHERE round = 4 AND place = 0",
    "a lost round": "DELETE FROM match_rows WHERE round = 4",
    "a doubled outcome": "INSERT INTO match_outcomes SELECT round,place,99,slot,row,col,wins,draws,losses,n,total,"
    "total_sq FROM match_outcomes WHERE round = 5",
    "a round that is not there": "INSERT INTO match_rows SELECT 99,place,match,task,purpose,situation,individual,team,"
    "competitive,seats,void FROM match_rows WHERE round = 5",
    "another view": "DROP VIEW scalars_view",
}


@pytest.mark.parametrize("what", CHANGES)
def test_changed_rows_are_found_and_computed_again(run: Path, what: str) -> None:
    expected, rows = future_digest(run), plain(run, "SELECT * FROM match_rows")
    with closing(sqlite3.connect(run / "league.db")) as connection, connection:
        connection.execute(CHANGES[what])
    assert not verify(run, rate).sound
    report = repair(run, rate)
    assert report.sound and report.digest == expected, report.problems
    assert plain(run, "SELECT * FROM match_rows") == rows


@pytest.mark.parametrize("place", ["schema", "header", "rows"])
def test_a_damaged_migrated_run_is_repaired(migrated: Path, place: str) -> None:
    """Its tables of matches lie elsewhere than in a new run, so the first page of a new one is not its own."""
    expected = future_digest(migrated)
    raw = bytearray((migrated / "league.db").read_bytes())
    if place == "schema":
        raw[raw.index(b"CREATE TABLE rounds") + 3] ^= 1
    elif place == "header":
        raw[3] ^= 4
    else:
        (number,) = plain(migrated, "SELECT pageno FROM dbstat WHERE name = 'match_rows' AND pagetype = 'leaf'")[0]
        raw[(number - 1) * PAGE : (number - 1) * PAGE + 200] = bytes(200)
    (migrated / "league.db").write_bytes(raw)
    assert not verify(migrated, rate).sound
    report = repair(migrated, rate)
    assert report.sound and report.digest == expected, report.problems + report.dropped
    run_to(migrated, 9, Script())
    assert verify(migrated).sound


@pytest.mark.parametrize("place", ["sound", "schema", "a payoff"])
def test_a_run_of_the_first_schema_is_read_as_it_is_and_repaired(tmp_path: Path, place: str) -> None:
    shutil.copytree(FIXTURE, tmp_path / "run")
    run = tmp_path / "run"
    before, expected = (run / "league.db").read_bytes(), future_digest(run)
    with RunReader.read(run) as reader:
        assert schema.user_version(reader.db) == 1 and not match_rows.check_rows(reader)
    assert verify(run, rate).sound and (run / "league.db").read_bytes() == before
    raw = bytearray(before)
    if place == "schema":
        raw[raw.index(b"CREATE TABLE rounds") + 3] ^= 1
    (run / "league.db").write_bytes(raw)
    if place == "a payoff":
        with closing(sqlite3.connect(run / "league.db")) as connection, connection:
            connection.execute("UPDATE payoffs SET wins = wins + 1")
    report = repair(run, rate)
    assert report.sound and report.digest == expected, report.problems + report.dropped
    if place != "sound":
        assert len(plain(run, "SELECT * FROM matches_view")) == 20


def test_what_a_server_said_of_a_void_match_may_be_any_text(tmp_path: Path) -> None:
    from league.store.records import RoundRecord
    from league.types import Match, MatchResult, Version, VersionRow

    version = Version("ada", 0)
    row = VersionRow(version, "student", 0, blob=None, optimizer=None, parents=(), reason="created")
    match = Match("0-game-0", "game", 0, {"one": version}, (), seed=1)
    void = "it said \ud800 'and' \"\x00\" and ⚑"
    record = RoundRecord(
        round=0,
        versions=(row,),
        matches=(MatchResult(match, {}, (), None, void),),
        ratings=(),
        scalars={},
        live={"ada": version},
        state={},
    )
    with RunStore.create(tmp_path / "run", "name: run\n") as store:
        store.commit(record)
    assert verify(tmp_path / "run").sound
    ((found,),) = plain(tmp_path / "run", "SELECT void FROM matches_view")
    assert found == void.replace("\ud800", "\\ud800")
