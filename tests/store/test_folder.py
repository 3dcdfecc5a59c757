"""A run folder in careless hands.

Taken, locked, read-only, newer, older, half-made, or watched while it is written.
"""

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from league.errors import RunFolderError
from league.store import environment, fs, schema, sql_views
from league.store.digests import run_digest
from league.store.lock import RunLock
from league.store.records import RoundRecord
from league.store.run import RunStore, request_stop
from league.store.verify import verify
from tests.chaos.faults import in_child
from tests.chaos.scripted import CONFIG, Script, play_round, rate, run_to

FIXTURE = Path(__file__).parents[1] / "fixtures" / "store" / "schema_v1"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run_to(tmp_path / "run", 3, Script())
    return tmp_path / "run"


def test_a_new_run_has_its_files_and_nothing_else(tmp_path: Path) -> None:
    RunStore.create(tmp_path / "runs" / "one", CONFIG).close()
    assert [entry.name for entry in (tmp_path / "runs").iterdir()] == ["one"]
    found = {entry.name for entry in (tmp_path / "runs" / "one").iterdir()}
    assert found == {"config.yaml", "versions.txt", "league.db", "blobs", "events.jsonl", "lock"}
    assert "numpy: " in (tmp_path / "runs" / "one" / "versions.txt").read_text()
    (tmp_path / "runs" / "two").mkdir()
    RunStore.create(tmp_path / "runs" / "two", CONFIG).close()  # an empty folder may be taken


def test_what_is_there_is_never_overwritten(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name, reason in (
        ("run", "already holds a run.*resume"),
        ("file", "is a file"),
        ("full", "not empty"),
        ("link", "is a link"),
    ):
        with pytest.raises(RunFolderError, match=reason):
            RunStore.create(tmp_path / name, CONFIG)
    assert (tmp_path / "file").read_text() == "mine" and not (tmp_path / "elsewhere").exists()
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")]


def test_a_failed_creation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("write_file", "rename", "executemany"):
        with monkeypatch.context() as patch:
            patch.setattr(fs, name, lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
            with pytest.raises(RunFolderError, match="No space left"):
                RunStore.create(tmp_path / "run", CONFIG)
        assert list(tmp_path.iterdir()) == []


def test_a_lock_without_room_for_the_owner_is_refused_and_let_go(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(RunFolderError, match="cannot be locked .* No space left"):
            RunStore.open(run)
    RunStore.open(run).close()


def test_one_writer_many_readers(run: Path) -> None:
    with RunStore.open(run) as store:
        code = f"from league.store.run import RunStore; RunStore.open({str(run)!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 1 and f"in use by process {os.getpid()} on" in done.stderr
        with RunStore.read(run) as reader:
            assert reader.latest_round() == 2
            play_round(store, Script())
            assert reader.latest_round() == 3
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                reader.db.execute("DELETE FROM rounds")
    RunStore.open(run).close()


def test_two_processes_race_for_one_name(tmp_path: Path) -> None:
    code = (
        f"from league.store.run import RunStore; s = RunStore.create({str(tmp_path / 'run')!r}, 'x'); "
        f"import time; time.sleep(2)"
    )
    racers = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(4)]
    codes = sorted(racer.wait() for racer in racers)
    assert codes == [0, 1, 1, 1]
    assert all(
        b"RunFolderError" in (racer.stderr.read() if racer.stderr else b"") for racer in racers if racer.returncode
    )
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]
    for racer in racers:
        if racer.stderr:
            racer.stderr.close()


def test_the_lock_dies_with_its_owner_not_with_its_children(run: Path) -> None:
    ready = run.parent / "ready"

    def owner() -> None:
        RunLock(run / "lock")
        if os.fork() == 0:
            time.sleep(5)  # an orphan that outlives its parent
            os._exit(0)
        ready.touch()
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(owner) == -signal.SIGKILL and ready.exists()
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        try:
            RunStore.open(run).close()
            return
        except RunFolderError:  # the orphan may not have closed its copy yet
            time.sleep(0.05)
    pytest.fail("the lock outlived its owner")


def test_a_renamed_live_run_says_so_and_leaves_the_run_in_its_place_alone(tmp_path: Path) -> None:
    """`mv runs/a runs/b` and a new run `a`, while the old one trains: paths now lead into the new one."""
    old, new = tmp_path / "a", tmp_path / "b"
    run_to(old, 2, Script())
    writer = RunStore.open(old)
    kept = run_digest(old)
    old.rename(new)
    with pytest.raises(RunFolderError, match="a cannot be written: .* moved, renamed or deleted meanwhile"):
        writer.event("nothing there")
    with pytest.raises(RunFolderError, match="moved, renamed or deleted meanwhile"):
        writer.blobs.write_blob({"w": np.zeros(2, np.float32)}, {})
    run_to(old, 2, Script(agents=2))
    other = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    empty = RoundRecord(round=2, versions=(), matches=(), ratings=(), scalars={}, live=writer.live(), state={})
    for write in (lambda: writer.beat(2, "generate"), lambda: writer.commit(empty), writer.collect_garbage):
        with pytest.raises(RunFolderError, match=f"{old} was moved to {new} .*`league resume {new}`"):
            write()
    writer.close()
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == other
    assert run_digest(new) == kept and not verify(new).problems and not verify(old).problems
    run_to(new, 3, Script())


def test_a_deleted_live_run_says_so(tmp_path: Path) -> None:
    with RunStore.create(tmp_path / "run", CONFIG) as writer:
        shutil.rmtree(tmp_path / "run")
        with pytest.raises(RunFolderError, match="moved or deleted while process"):
            writer.beat(1, "generate")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become nobody")
@pytest.mark.parametrize("crashed", [False, True])
def test_a_read_only_folder_can_be_read(run: Path, crashed: bool) -> None:
    if crashed:  # a write-ahead log is left behind

        def crash() -> None:
            play_round(RunStore.open(run), Script())
            os.kill(os.getpid(), signal.SIGKILL)

        in_child(crash)
        assert (run / "league.db-wal").stat().st_size > 0
        (run / "league.db-shm").unlink()
    with tempfile.TemporaryDirectory() as open_to_all:  # pytest's own folders are closed to other users
        copy = Path(open_to_all) / "run"
        shutil.copytree(run, copy)
        for path in (*copy.rglob("*"), copy, copy.parent):
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
        code = (  # import first: the interpreter may live where nobody may look
            "import os, encodings.idna, tempfile, shutil; from league.store.run import RunStore as R; os.setuid(65534);"
            f"r = R.read({str(copy)!r}); print(r.latest_round(), len(r.live()))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.stdout.split()[:1] == [str(3 if crashed else 2)], done.stderr
        assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before
        for path in (copy.parent, copy, *(path for path in copy.rglob("*") if path.is_dir())):
            path.chmod(0o755)


def test_reading_needs_nothing_slow(run: Path) -> None:
    code = (
        f"import sys; from league.store.run import RunStore; r = RunStore.read({str(run)!r}); r.live(), "
        f"r.state(), r.ratings();"
        "import league.store.verify, league.model.adapter_checks, league.store.repair; assert not "
        "{'torch', 'transformers', 'scipy', 'pandas'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("what", ["missing", "no database", "not a database", "empty database", "truncated"])
def test_what_is_no_run_is_named_in_words(run: Path, what: str) -> None:
    if what == "missing":
        shutil.rmtree(run)
    elif what == "no database":
        (run / "league.db").unlink()
    elif what == "not a database":
        (run / "league.db").write_bytes(b"hello" * 1000)
    elif what == "empty database":
        (run / "league.db").write_bytes(b"")
    else:
        (run / "league.db").write_bytes((run / "league.db").read_bytes()[:50])
    with pytest.raises(RunFolderError, match=str(run)):
        RunStore.read(run)


def test_newer_schemas_are_refused(run: Path) -> None:
    with sqlite3.connect(run / "league.db") as connection:
        connection.execute("CREATE TABLE of_newer_code (x)")
        connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    for way in (RunStore.read, RunStore.open):
        with pytest.raises(RunFolderError, match="newer than this code"):
            way(run)
    with sqlite3.connect(run / "league.db") as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == len(schema.MIGRATIONS) + 1


def test_the_released_schema_still_opens(tmp_path: Path) -> None:
    shutil.copytree(FIXTURE, tmp_path / "run")
    assert verify(tmp_path / "run", rate).sound
    assert run_digest(tmp_path / "run") == (FIXTURE / "DIGEST").read_text().strip()
    run_to(tmp_path / "run", 8, Script())
    run_to(tmp_path / "new", 8, Script())
    assert run_digest(tmp_path / "run") == run_digest(tmp_path / "new")


def test_the_released_schemas_do_not_change() -> None:
    """Neither the scripts nor what the released code wrote into its run."""
    for number, script in enumerate((schema.V1, sql_views.V2), 1):
        known = (FIXTURE.parent / f"schema_v{number}" / "SCHEMA").read_text().strip()
        assert hashlib.sha256(script.encode()).hexdigest() == known
    with closing(sqlite3.connect(f"file:{FIXTURE / 'league.db'}?mode=ro&immutable=1", uri=True)) as released:
        assert schema.objects(released) == schema.own_objects(1)


def test_migrating_keeps_a_backup_and_fails_whole(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, more = run_digest(run), "CREATE TABLE more (x);\nINSERT INTO more VALUES (1);"
    released = schema.MIGRATIONS
    monkeypatch.setattr(schema, "MIGRATIONS", [*released, lambda db: db.executescript(f"{more}\nBROKEN;")])
    with pytest.raises(RunFolderError):
        RunStore.open(run)
    monkeypatch.setattr(schema, "MIGRATIONS", [*released, lambda db: db.executescript(more)])
    with RunStore.read(run) as reader:  # an older run is read through a private copy
        assert reader.db.execute("SELECT x FROM more").fetchall() == [(1,)]
    with sqlite3.connect(run / "league.db") as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'more'").fetchone()[0] == 0
    RunStore.open(run).close()
    with sqlite3.connect(run / "league.db") as connection:
        assert connection.execute("SELECT x FROM more").fetchall() == [(1,)]
    monkeypatch.undo()
    backup = run / f"league.db.v{len(released)}.bak"
    for suffix in ("-wal", "-shm"):
        (run / f"league.db{suffix}").unlink(missing_ok=True)
    shutil.copy(backup, run / "league.db")
    assert run_digest(run) == before


def test_signs_of_life(run: Path) -> None:
    with RunStore.open(run) as store:
        store.beat(3, "play")
        with RunStore.read(run) as reader:
            beat = reader.heartbeat()
            assert (
                beat is not None
                and beat.alive
                and (beat.pid, beat.round, beat.phase) == (os.getpid(), 3, "play")
                and beat.age < 60
            )
        with (run / "events.jsonl").open("a") as file:
            file.write('{"torn')
        store.event("round", round=3, text="ü\n")
        store.event("stopped")
        lines = (run / "events.jsonl").read_text().splitlines()
        assert [json.loads(line)["event"] for line in lines[-2:]] == ["round", "stopped"] and lines[-3] == '{"torn'
        assert store.stop_requested() is None
        request_stop(run, "dinner")
        assert store.stop_requested() == "stop" and store.stop_reason() == "dinner"
        request_stop(run, wish="pause")
        assert store.stop_requested() == "pause"
        store.clear_stop()
        assert store.stop_requested() is None
    with RunStore.read(run) as reader:
        beat = reader.heartbeat()
        assert beat is not None and not beat.alive
    with pytest.raises(RunFolderError, match="no run folder"):
        request_stop(run / "nowhere")


def test_a_changed_environment_is_told(run: Path) -> None:
    assert environment.changes(run) == []
    text = (run / "versions.txt").read_text()
    (run / "versions.txt").write_text(text.replace("numpy: ", "numpy: 0.").replace("threads: ", "threads: 9"))
    assert [line.split()[0] for line in environment.changes(run)] == ["threads", "numpy"]
