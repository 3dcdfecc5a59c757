"""Short forms of the proofs by fault; `python -m tests.chaos` runs the long ones."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from league.errors import RunFolderError
from league.store.digests import run_digest
from league.store.reader import RunReader
from league.store.repair import repair
from league.store.run import RunStore
from league.store.verify import verify
from tests.chaos.damage import blob_files, flip
from tests.chaos.faults import Steps
from tests.chaos.scripted import Script, play_round, rate, run_to

ROOT = Path(__file__).parents[2]


def chaos(*words: str) -> dict:
    """Run one fault in a process of its own: it forks, and this one may hold a tensor library."""
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "run"
    run_to(folder, 7, Script())
    return folder


@pytest.fixture
def run(base: Path, tmp_path: Path) -> Path:
    shutil.copytree(base, tmp_path / "run")
    return tmp_path / "run"


def test_killed_at_any_step_nothing_is_lost_or_doubled() -> None:
    found = chaos("tests.chaos.points", "9")
    assert found["steps"] > 60 and found["tried"] >= 18 and found["failures"] == []


def test_a_broken_transaction_is_noticed() -> None:
    found = chaos("tests.chaos.points", "16", "broken")
    assert len(found["failures"]) >= 3


def test_killed_at_random_it_ends_as_if_never_killed() -> None:
    found = chaos("tests.chaos.kills", "scripted", "4")
    assert found["kills"] == 4 and found["rounds lost"] == 0 and found["failures"] == []


def test_full_disks_end_in_words_and_the_run_goes_on() -> None:
    found = chaos("tests.chaos.disk", "400")
    for kind in found.values():
        assert kind.get("skipped") or (kind["filled"] >= 3 and kind["failures"] == [])


def test_every_byte_is_on_the_disk_before_the_round_exists(run: Path) -> None:
    steps = Steps()
    try:
        with RunStore.open(run, Script().retention) as store:
            assert store.db.execute("PRAGMA synchronous").fetchone()[0] == 2
            assert store.db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
            assert store.db.execute("PRAGMA foreign_keys").fetchone()[0] == 1
            play_round(store, Script())
    finally:
        steps.remove()
    trace = steps.trace
    begin, commit = trace.index("execute BEGIN IMMEDIATE"), trace.index("execute COMMIT")
    files = [line.split()[1] for line in trace[:begin] if line.startswith("write_file")]
    renames = [line.split()[1:] for line in trace[:begin] if line.startswith("rename")]
    assert len(renames) == 6 and len(files) == 12  # three agents' adapters and optimizers
    for temporary, final in renames:
        renamed = trace.index(f"rename {temporary} {final}")
        inside = [file for file in files if file.startswith(temporary + "/")]
        synced = [trace.index(f"fsync {file}") for file in inside] + [trace.index(f"fsync {temporary}")]
        assert len(inside) == 2 and max(synced) < renamed
        assert f"fsync {Path(final).parent}" in trace[renamed:begin]
    assert not any(line.startswith(("write_file", "fsync")) for line in trace[begin:commit])
    removals = [number for number, line in enumerate(trace) if line.startswith("remove_tree") and "/.del-" in line]
    assert removals and min(removals) > commit  # garbage goes only after the commit


@pytest.mark.parametrize("kind", range(4))
def test_a_flipped_bit_in_any_kind_of_blob_is_found(run: Path, kind: int) -> None:
    newest = {
        str(row.version): row for row in RunReader.read(run).versions() if row.version.step == 6 and row.optimizer
    }
    row = next(iter(newest.values()))
    assert row.blob and row.optimizer
    name = ("tensors.safetensors", "meta.json")[kind % 2]
    flip(run / "blobs" / (row.blob, row.optimizer)[kind // 2] / name, 9, 3)
    report = verify(run, rate)
    assert any(str(row.version) in problem for problem in report.problems)
    repaired = repair(run, rate)
    assert (
        repaired.sound
        and repaired.round == 5
        and any("round 6 with its 4 matches" == what for what in repaired.dropped)
    )
    run_to(run, 9, Script())
    assert verify(run, rate).sound


def test_kinds_of_blob_files_are_all_tried(run: Path) -> None:
    kinds = {kind for kind, _ in blob_files(run)}
    assert kinds == {
        f"{owner} {name}" for owner in ("adapter", "optimizer") for name in ("meta.json", "tensors.safetensors")
    }


CHANGES = {
    "a rating": ("UPDATE ratings SET mu = mu + 1 WHERE round = 6", "was changed"),
    "a payoff": ("UPDATE payoffs SET wins = wins + 1 WHERE rowid_is_absent", "does not follow"),
    "a lost payoff": (
        "DELETE FROM payoffs WHERE row IN (SELECT version FROM live) AND col IN (SELECT version FROM live)",
        "is missing",
    ),
    "a scalar": ("UPDATE rounds SET scalars = zeroblob(length(scalars)) WHERE round = 6", "round 6"),
    "a step": ("UPDATE versions SET step = step + 100 WHERE round = 6", "round 6"),
    "a weight's hash": ("UPDATE versions SET blob = (SELECT max(sha) FROM blobs) WHERE round = 6", "round 6"),
    "a name": ("UPDATE agents SET name = 'mallory' WHERE name = 'agent-1'", "not what was committed"),
    "a member": ("UPDATE live SET version = (SELECT min(version) FROM live) WHERE round = 6", "not what was committed"),
    "a lost round": ("DELETE FROM rounds WHERE round = 3", "missing"),
    "the state": (
        "UPDATE checkpoints SET state = (SELECT state FROM checkpoints WHERE round = 5) WHERE round = 6",
        "not what was committed",
    ),
    "the configuration": ("UPDATE meta SET value = 'x' WHERE key = 'config'", "configuration was changed"),
    "matches": ("UPDATE rounds SET block = (SELECT block FROM rounds WHERE round = 4) WHERE round = 5", "round 5"),
    "a transcript": ("UPDATE transcripts SET block = x'00'", "transcript"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_value_is_found_and_repaired_or_refused(run: Path, what: str) -> None:
    import sqlite3

    sql, problem = CHANGES[what]
    with sqlite3.connect(run / "league.db") as connection:
        connection.execute(sql.replace(" WHERE rowid_is_absent", ""))
    connection.close()
    report = verify(run, rate)
    assert any(problem in line for line in report.problems), report.problems
    try:
        repaired = repair(run, rate)
    except RunFolderError as error:
        assert "cannot be repaired" in str(error) or "restore" in str(error)
    else:
        assert repaired.sound and repaired.dropped
        assert any(
            (run / name).exists() for name in [line.split()[-1][:-1] for line in repaired.dropped if "kept as" in line]
        )
        run_to(run, 10, Script())
        assert verify(
            run
        ).sound  # without `rate`: the scripted league's state goes on from the ratings before the repair


def test_verify_changes_nothing_and_repair_leaves_a_sound_run_alone(run: Path) -> None:
    before = run_digest(run)
    report = repair(run, rate)
    assert report.sound and report.dropped == [] and run_digest(run) == before
    assert report.checked["rounds"] == 7 and report.checked["matches"] == 28 and report.checked["frozen adapters"] >= 2
    assert not list(run.glob("*damaged*"))


def test_repair_waits_for_no_living_writer(run: Path) -> None:
    with RunStore.open(run), pytest.raises(RunFolderError, match="in use by process"):
        repair(run)


def test_the_command_says_what_is_wrong(run: Path) -> None:
    row = RunReader.read(run).versions()[-1]
    assert row.blob
    shutil.rmtree(run / "blobs" / row.blob)
    command = [sys.executable, "-m", "league", "verify", str(run)]
    done = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and not json.loads(done.stdout)["sound"]
    done = subprocess.run([*command, "--repair"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "dropped: round 6" in done.stdout, done.stdout + done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "league", "verify", "nowhere"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr and "no run folder" in done.stderr
