"""What verify covers beside rounds and blobs, what repair puts right, and the digest of a run's future."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from league.errors import RunFolderError
from league.store import schema, table_sums
from league.store.digests import future_digest, settled
from league.store.repair import repair
from league.store.run import RunStore
from league.store.verify import verify
from league.types import Version
from tests.chaos.pages import contents, flip_everywhere
from tests.chaos.scripted import Script, rate, run_to

SCRIPT = Script()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "run"
    run_to(folder, 7, SCRIPT)
    with RunStore.open(folder) as store:
        store.pin(Version("agent-1", 6), "export")
        store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


@pytest.fixture
def run(base: Path, tmp_path: Path) -> Path:
    shutil.copytree(base, tmp_path / "run")
    return tmp_path / "run"


def by_hand(run: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(run / "league.db")) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        assert connection.execute(sql, values).rowcount > 0, "else nothing was changed"


def flip_in_file(file: Path, text: bytes, at: int, bit: int = 0) -> None:
    """Flip a bit of the first place where `text` stands, `at` bytes into it."""
    raw = bytearray(file.read_bytes())
    raw[raw.index(text) + at] ^= 1 << bit
    file.write_bytes(raw)


SMALL = {
    "who the run is": ("UPDATE meta SET value = 'g' || substr(value, 2) WHERE key = 'id'", None),
    "when it was created": ("UPDATE meta SET value = '3' || substr(value, 2) WHERE key = 'created'", "restored"),
    "a pin's version": ("UPDATE pins SET version = version + 1 - 2 * (version & 1)", "restored"),
    "a pin's reason": ("UPDATE pins SET why = 'dxport'", "restored"),
    "a sum": ("UPDATE meta SET value = '0' || substr(value, 2) WHERE key = 'sum/pins'", None),
    "a ladder": ("UPDATE ladders SET name = 'nverall'", "restored"),
    "the size of a blob": ("UPDATE blobs SET bytes = bytes + 1", "restored"),
    "the size of a transcript": ("UPDATE transcripts SET bytes = bytes + 1", "restored"),
    "which match a transcript is of": (
        "UPDATE transcripts SET match = 'x' WHERE id = (SELECT max(id) FROM transcripts)", None
    ),
    "a transcript of another match": (
        "UPDATE transcripts SET block = (SELECT block FROM transcripts ORDER BY id LIMIT 1)", None
    ),
    "details of another round": ("UPDATE details SET block = (SELECT block FROM details ORDER BY round LIMIT 1)", None),
    "figures of another round": ("UPDATE figures SET block = (SELECT block FROM figures ORDER BY round LIMIT 1)", None),
    "lost details": ("DELETE FROM details WHERE round = (SELECT max(round) FROM details)", None),
    "when a version left": ("UPDATE versions SET retired = retired + 1 WHERE id = 1", "restored"),
    "a name": ("UPDATE agents SET name = 'agent-3' WHERE name = 'agent-2'", "restored"),
    "a name that none can have": ("UPDATE agents SET name = 'agent,1' WHERE name = 'agent-1'", None),
    "a slot": ("UPDATE slots SET task = 'dtel'", "restored"),
    "a relation": ("UPDATE slots SET relation = 'aontest'", None),
    "a scalar's name": ("UPDATE scalar_names SET name = 'walue/1' WHERE name = 'value/1'", None),
    "a step": ("UPDATE versions SET step = step + 64 WHERE round = 6 AND agent = 1", "restored"),
    "a hash": ("UPDATE rounds SET digest = zeroblob(1) || substr(digest, 2) WHERE round = 2", None),
}  # fmt: skip


@pytest.mark.parametrize("what", SMALL)
def test_a_change_of_any_column_is_found_and_repaired(run: Path, what: str) -> None:
    sql, result = SMALL[what]
    expected = future_digest(run)
    by_hand(run, sql)
    assert not verify(run, rate).sound
    report = repair(run, rate)
    assert report.sound, report.problems
    if result == "restored":
        assert report.digest == expected, report.dropped
    run_to(run, (report.round or 0) + 3, SCRIPT)
    assert verify(run).sound


@pytest.mark.parametrize("text", [b"CREATE TABLE rounds", b"seconds REAL", b"CHECK(matches", b"payoffs_by_colpayoffs"])
def test_a_flipped_letter_of_the_schema_is_found_and_put_right(run: Path, text: bytes) -> None:
    before, expected = contents(run), future_digest(run)
    flip_in_file(run / "league.db", text, len(text) - 2)
    assert not verify(run, rate).sound
    report = repair(run, rate)
    assert report.sound and report.digest == expected, report.problems + report.dropped
    assert contents(run) == before
    run_to(run, 9, SCRIPT)
    assert verify(run).sound


@pytest.mark.parametrize("offset", [3, 16, 17, 18, 20, 44, 47, 56, 59, 60, 63])
def test_a_damaged_header_is_put_right(run: Path, offset: int) -> None:
    """Magic, page size, versions of the format, encoding, and the number of the schema."""
    expected = future_digest(run)
    raw = bytearray((run / "league.db").read_bytes())
    raw[offset] ^= 4
    (run / "league.db").write_bytes(raw)
    report = verify(run, rate)
    if not report.sound:
        report = repair(run, rate)
    assert report.sound and report.digest == expected


def test_a_write_ahead_log_is_part_of_what_is_repaired(run: Path) -> None:
    """The last round stands in the log alone when the first page breaks."""
    expected = future_digest(run)
    with RunStore.open(run) as store:
        store.db.execute("PRAGMA wal_autocheckpoint = 0")
        run_copy = run.parent / "copy"
        store.pin(Version("agent-0", 6), "best")
        shutil.copytree(run, run_copy)
    assert (run_copy / "league.db-wal").stat().st_size > 0
    (run_copy / "league.db-shm").unlink(missing_ok=True)
    flip_in_file(run_copy / "league.db", b"SQLite format", 2)
    report = repair(run_copy, rate)
    assert report.sound and report.digest == expected
    with RunStore.open(run_copy) as store:
        assert (Version("agent-0", 6), "best") in store.pins()


def test_a_schema_with_more_in_it_is_found_and_not_written(run: Path) -> None:
    """A trigger would act on the next commit."""
    with closing(sqlite3.connect(run / "league.db")) as connection, connection:
        connection.execute("CREATE TRIGGER t AFTER INSERT ON rounds BEGIN DELETE FROM payoffs; END")
    assert any("trigger t" in problem for problem in verify(run, rate).problems)
    with pytest.raises(RunFolderError, match="trigger t.*--repair"):
        RunStore.open(run)
    assert repair(run, rate).sound and verify(run, rate).sound
    with closing(sqlite3.connect(run / "league.db")) as connection, connection:
        connection.execute("ANALYZE")
    assert verify(run, rate).sound, "SQLite's own statistics do no harm"


# --------------------------------------------------------------------------------------- the configuration
CONFIGS: dict[str, Callable[[Path], None]] = {
    "the database's copy": lambda run: flip_in_file(run / "league.db", b"name: scripted\nseed", 3),
    "no text any more": lambda run: flip_in_file(run / "league.db", b"name: scripted\nseed", 3, 7),
    "the file": lambda run: flip_in_file(run / "config.yaml", b"seed", 1),
    "the hash": lambda run: by_hand(run, "UPDATE meta SET value = '0' || substr(value, 2) WHERE key = 'config_sha256'"),
    "no file": lambda run: (run / "config.yaml").unlink(),
}


@pytest.mark.parametrize("what", CONFIGS)
def test_the_configuration_comes_back_from_any_whole_copy(run: Path, what: str) -> None:
    text, expected = (run / "config.yaml").read_text(), future_digest(run)
    CONFIGS[what](run)
    assert not verify(run, rate).sound
    report = repair(run, rate)
    assert report.sound and report.digest == expected and (run / "config.yaml").read_text() == text


def test_two_damaged_copies_are_refused(run: Path) -> None:
    CONFIGS["the database's copy"](run)
    (run / "config.yaml").write_text("name: other\n")
    before = contents(run)
    with pytest.raises(RunFolderError, match="both copies"):
        repair(run, rate)
    assert contents(run) == before and (run / "config.yaml").read_text() == "name: other\n"


LOST = {
    "config": ("config",),
    "its hash": ("config_sha256",),
    "both": ("config", "config_sha256"),
    "both and the sum": ("config", "config_sha256", "sum/meta"),
}


@pytest.mark.parametrize("what", LOST)
def test_a_lost_row_of_the_configuration_comes_back_from_the_file(run: Path, what: str) -> None:
    text, expected, before = (run / "config.yaml").read_text(), future_digest(run), contents(run)
    for key in LOST[what]:
        by_hand(run, "DELETE FROM meta WHERE key = ?", key)
    assert not verify(run, rate).sound
    report = repair(run, rate)
    assert report.sound and report.digest == expected and (run / "config.yaml").read_text() == text
    assert contents(run) == before
    assert any("configuration and its hash are lost" in line for line in report.dropped) == (len(LOST[what]) == 3)


def test_a_lost_configuration_is_not_taken_from_what_is_none(run: Path) -> None:
    by_hand(run, "DELETE FROM meta WHERE key IN ('config', 'config_sha256')")
    for text in ("name: other\n", "[", ""):
        (run / "config.yaml").write_text(text)
        if text != "name: other\n":
            with pytest.raises(RunFolderError, match="both copies"):
                repair(run, rate)
    (run / "config.yaml").unlink()
    with pytest.raises(RunFolderError, match="both copies"):
        repair(run, rate)


def test_a_lost_id_is_replaced_and_said(run: Path) -> None:
    by_hand(run, "DELETE FROM meta WHERE key = 'id'")
    report = repair(run, rate)
    (line,) = [line for line in report.dropped if "the run's id" in line]
    assert report.sound and f"league trust {run}" in line
    assert "id" in dict(dict(contents(run))["meta"])


def test_an_older_run_without_an_id_gets_none(run: Path) -> None:
    """It may be trusted by the second in which it was created."""
    by_hand(run, "DELETE FROM meta WHERE key LIKE 'sum/%' OR key = 'id'")
    by_hand(run, "DELETE FROM meta WHERE key = 'config'")
    assert repair(run, rate).sound and "id" not in dict(dict(contents(run))["meta"])


def test_an_edit_of_the_configuration_is_kept_beside_it(run: Path) -> None:
    text = (run / "config.yaml").read_text()
    for name, edit in (("config.yaml.edited", "# mine\n"), ("config.yaml.edited-2", "# another\n")):
        (run / "config.yaml").write_text(edit + text)
        by_hand(run, "UPDATE rounds SET seconds = seconds + 1 WHERE round = 2")
        report = repair(run, rate)
        assert report.sound and (run / "config.yaml").read_text() == text
        assert (run / name).read_text() == edit + text
        assert [line for line in report.dropped if f"kept as {name};" in line]
    (run / "config.yaml").write_text("# mine\n" + text)
    assert repair(run, rate).sound and not (run / "config.yaml.edited-3").exists()


def test_what_nobody_knows_of_leavers_is_said(run: Path) -> None:
    """In round 8 the snapshot past-2 left for good: no later version says when its last one did."""
    run_to(run, 10, SCRIPT)
    where = "agent = (SELECT id FROM agents WHERE name = 'past-2')"
    by_hand(run, f"UPDATE versions SET retired = retired - 5 WHERE {where} AND retired = 8")
    report = repair(run, rate)
    assert report.sound and not any("taken from the versions" in line for line in report.dropped)
    assert any("a guess from what is stored" in line and "past-2@0 in round 3" in line for line in report.dropped)


# ------------------------------------------------------------------------------------------- older versions
def test_a_run_without_sums_is_sound_and_gets_them(run: Path) -> None:
    with closing(sqlite3.connect(run / "league.db")) as connection, connection:
        connection.execute("DELETE FROM meta WHERE key LIKE 'sum/%' OR key = 'id'")
        connection.execute("UPDATE rounds SET digest = substr(digest, 1, 32)")
    assert verify(run, rate).sound
    run_to(run, 9, SCRIPT)
    assert verify(run).sound
    by_hand(run, "UPDATE pins SET why = 'dxport'")
    assert not verify(run).sound


def test_a_change_never_covers_up_damage(run: Path) -> None:
    by_hand(run, "UPDATE pins SET why = 'dxport'")
    with RunStore.open(run) as store:
        store.pin(Version("agent-0", 6), "best")
    assert "database: the table pins was changed" in verify(run, rate).problems


def test_sums_follow_what_a_writer_changes(run: Path) -> None:
    with RunStore.open(run) as store:
        store.pin(Version("agent-0", 6), "best")
        store.adopt_config("name: scripted\nseed: 1\nx: 2\n")
        assert all(table_sums.is_whole(store.db, table) for table in table_sums.TABLES)
    (run / "config.yaml").write_text("name: scripted\nseed: 1\nx: 2\n")
    assert verify(run, rate).sound


# -------------------------------------------------------------------------------------------------- the digest
def test_equal_runs_have_equal_digests_whatever_their_name_and_place(tmp_path: Path) -> None:
    one, other, parts = tmp_path / "one", tmp_path / "deeper" / "other", tmp_path / "parts"
    run_to(one, 6, SCRIPT)
    run_to(other, 6, SCRIPT)
    for rounds in (2, 5, 6):
        run_to(parts, rounds, SCRIPT)
    text = "# a comment\nseed: 1\nruns: /elsewhere\nname: other\n"
    with RunStore.open(other) as store:
        store.adopt_config(text)
    (other / "config.yaml").write_text(text)
    assert {verify(folder, rate).digest for folder in (one, other, parts)} == {future_digest(one)}
    with RunStore.open(other) as store:
        store.adopt_config(text.replace("seed: 1", "seed: 2"))
    assert future_digest(other) != future_digest(one)


def test_places_are_no_settings() -> None:
    text = "name: a\nruns: b\nmodel: {name: /m, dtype: auto}\nagents: {x: {role: student, checkpoint: /c}}\nseed: 3\n"
    assert settled(text) == {"model": {"dtype": "auto"}, "agents": {"x": {"role": "student"}}, "seed": 3}


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE versions SET retired = retired + 1 WHERE id = 1",
        "UPDATE payoffs SET wins = wins + 1",
        "UPDATE ratings SET mu = mu + 1e-9",
        "UPDATE meta SET value = 'name: scripted\nseed: 2' WHERE key = 'config'",
    ],
)
def test_what_decides_the_future_is_in_the_digest(run: Path, sql: str) -> None:
    before = future_digest(run)
    by_hand(run, sql)
    assert future_digest(run) != before


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE rounds SET seconds = seconds + 1, at = at + 1",
        "UPDATE meta SET value = 'x' WHERE key IN ('id', 'created', 'league')",
        "DELETE FROM pins",
        "DELETE FROM transcripts",
    ],
)
def test_clocks_and_keepsakes_are_not_in_the_digest(run: Path, sql: str) -> None:
    before = future_digest(run)
    by_hand(run, sql)
    assert future_digest(run) == before


def test_the_command_prints_sound_problems_and_digest(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import typer

    from league.commands.verify import verify as command

    command(run, as_json=True, skip_ratings=True, repair=False)
    found = json.loads(capsys.readouterr().out)
    assert found["sound"] is True and found["problems"] == [] and found["digest"] == future_digest(run)
    by_hand(run, "UPDATE payoffs SET wins = wins + 1")
    with pytest.raises(typer.Exit):
        command(run, as_json=True, skip_ratings=True, repair=False)
    found = json.loads(capsys.readouterr().out)
    assert found["sound"] is False and found["problems"] and found["digest"] is None


def test_the_schema_of_a_new_database_is_the_same_wherever_it_is_made(run: Path) -> None:
    """Pages too: a repair takes the first page from a new database."""
    with (
        closing(schema.fresh(":memory:", len(schema.MIGRATIONS))) as new,
        closing(sqlite3.connect(run / "league.db")) as made,
    ):
        query = "SELECT type, name, rootpage, sql FROM sqlite_master"
        assert new.execute(query).fetchall() == made.execute(query).fetchall()


@pytest.mark.slow
def test_one_flip_in_a_place_is_found_or_harmless(tmp_path: Path) -> None:
    """Every third kind of place; `python -m tests.chaos.pages 1 7` does them all."""
    results = dict(flip_everywhere(tmp_path, 1, 7, every=3))
    assert len(results) >= 9 and not [line for found in results.values() for line in found.wrong]
