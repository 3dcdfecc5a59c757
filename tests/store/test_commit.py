"""The store says back what it was told, whole or not at all, and forgets only what it may."""

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from league.errors import LeagueError, RunFolderError
from league.store.blobs import BlobDamaged
from league.store.digests import run_digest
from league.store.records import Retention, RoundRecord
from league.store.run import RunStore
from league.types import Match, MatchResult, Outcome, Problem, Rating, RewardMix, Version, VersionRow
from tests.chaos.scripted import Script, play_round, rate, run_to
from tests.helpers.payoff_cells import cell_matrix

A, B = Version("ada", 0), Version("bob", 0)


@pytest.fixture
def store(tmp_path: Path):
    run = RunStore.create(tmp_path / "run", "name: x\n")
    yield run
    run.close()


def record(store: RunStore, number: int = 0, **changes: object) -> RoundRecord:
    blob = store.blobs.write_blob({"w": np.arange(4, dtype=np.float32) + number}, {"agent": "ada"})
    optimizer = store.blobs.write_blob({"m": np.ones(3, np.float32) * number}, {"agent": "ada"})
    ada, bob = Version("ada", number), Version("bob", 0)
    outcome = Outcome(
        relation="contest",
        task="duel",
        situation="default",
        domain="math",
        row=ada,
        col=bob,
        wins=2,
        draws=1,
        losses=0,
        n=3,
        total=0.5,
        total_sq=0.25,
    )
    problem = Problem("math", "train", 7, "1+1", "2")
    match = Match(
        id=f"r{number}m0",
        task="duel",
        round=number,
        seats={"one": ada, "two": bob},
        problems=(problem,),
        seed=99,
        purpose="evaluate",
        situation="default",
        rewards=RewardMix(1, 0.5, 0),
    )
    new = [
        VersionRow(
            version=ada,
            role="student",
            round=number,
            blob=blob,
            optimizer=optimizer,
            parents=(Version("ada", number - 1),) if number else (),
            reason="update",
        )
    ]
    if number == 0:
        new.append(
            VersionRow(version=bob, role="scripted", round=0, blob=None, optimizer=None, parents=(), reason="created")
        )
    base = RoundRecord(
        round=number,
        versions=tuple(new),
        matches=(MatchResult(match, {"accuracy": 0.1 + 0.2}, (outcome,), {"text": "é \ud800 \x00"}),),
        ratings=(Rating("overall", ada, 25.0 + number, 8.0, number),),
        scalars={"loss": 0.1 * number},
        live={"ada": ada, "bob": bob},
        state={"count": number},
        figures={"matrix": [[1, None]]},
        seconds=1.5,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def test_a_round_comes_back_as_it_went_in(store: RunStore) -> None:
    given = record(store)
    store.commit(given)
    with RunStore.read(store.folder) as reader:
        assert reader.latest_round() == 0 and reader.state() == {"count": 0} and reader.live() == {"ada": A, "bob": B}
        assert tuple(reader.versions()) == given.versions and reader.version_row(A) == given.versions[0]
        (match,) = reader.matches()
        result = given.matches[0]
        assert (match.id, match.task, match.round, match.purpose) == ("r0m0", "duel", 0, "evaluate")
        assert match.seats == result.match.seats and match.rewards == (1, 0.5, 0) and match.outcomes == result.outcomes
        assert match.metrics == result.metrics and match.seed == 99 and match.problems == ("math/train/7",)
        assert reader.transcript("r0m0") == result.transcript and reader.transcript("nobody") is None
        assert reader.ratings() == list(given.ratings) and reader.figures() == given.figures
        assert reader.round_scalars() == given.scalars and reader.config_text() == "name: x\n"
        cells = reader.payoffs("contest", "duel")
        assert cells.versions == (A, B) and cells.slots == (("default", "math"),)
        assert cell_matrix(cells, cells.wins).tolist() == [[0, 2], [0, 0]]
        assert cell_matrix(cells, cells.total).tolist() == [[0, 0.5], [0, 0]]
        assert reader.payoff_row(B, "contest", "duel").wins.tolist() == [2]
        assert reader.payoffs("contest", "duel", "other").wins.size == 0
        assert [(agent.name, agent.role, agent.member) for agent in reader.agents()] == [
            ("ada", "student", True),
            ("bob", "scripted", True),
        ]


def _void(result: MatchResult) -> MatchResult:
    return replace(result, void="unreachable")


def test_void_matches_count_nowhere(store: RunStore) -> None:
    given = record(store)
    store.commit(replace(given, matches=(_void(given.matches[0]),)))
    assert list(store.outcomes()) == [] and store.payoffs("contest", "duel").n.size == 0
    assert [match.void for match in store.matches()] == ["unreachable"]


@pytest.mark.parametrize(
    "change",
    [
        {"scalars": {"loss": math.nan}},
        {"state": {"x": math.inf}},
        {"state": {"x": {1, 2}}},
        {"ratings": (Rating("overall", A, math.nan, 1.0, 0),)},
        {"ratings": (Rating("overall", Version("nobody", 3), 1.0, 1.0, 0),)},
        {"live": {"ada": Version("ada", 9)}},
        {"live": {"ada": B}},
        {"round": 7},
        {"seconds": -1.0},
        {
            "versions": (
                VersionRow(
                    version=A, role="student", round=0, blob="0" * 64, optimizer=None, parents=(), reason="created"
                ),
            )
        },
        {
            "versions": (
                VersionRow(
                    version=Version("../up", 0),
                    role="student",
                    round=0,
                    blob=None,
                    optimizer=None,
                    parents=(),
                    reason="created",
                ),
            )
        },
        {
            "versions": (
                VersionRow(version=A, role="student", round=0, blob=None, optimizer=None, parents=(), reason="x"),
                VersionRow(version=A, role="student", round=0, blob=None, optimizer=None, parents=(), reason="x"),
            )
        },
        {"figures": math.nan},
    ],
)
def test_an_impossible_record_changes_nothing(store: RunStore, change: dict) -> None:
    tables = [row[0] for row in store.db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    before = [store.db.execute(f"SELECT * FROM {table}").fetchall() for table in tables]
    with pytest.raises(LeagueError):
        store.commit(record(store, **change))
    assert [store.db.execute(f"SELECT * FROM {table}").fetchall() for table in tables] == before
    store.commit(record(store))
    assert store.latest_round() == 0


def test_rounds_follow_one_another(store: RunStore) -> None:
    store.commit(record(store, 0))
    for wrong in (0, 2):
        with pytest.raises(LeagueError, match="cannot follow round 0"):
            store.commit(record(store, 1, round=wrong))


def test_an_unstored_opponent_is_refused(store: RunStore) -> None:
    given = record(store)
    outcome = replace(given.matches[0].outcomes[0], col=Version("ghost", 1))
    with pytest.raises(LeagueError, match="ghost@1 is not stored"):
        store.commit(replace(given, matches=(replace(given.matches[0], outcomes=(outcome,)),)))


def test_garbage_keeps_what_can_be_returned_to(store: RunStore) -> None:
    for number in range(6):
        store.commit(record(store, number, state={"good": "ada@1"}))
        if number == 2:
            store.pin(Version("ada", 2), "export")
        store.collect_garbage()
    kept = {v.version.step for v in store.versions("ada") if v.blob and store.blobs.has(v.blob)}
    assert kept == {1, 2, 4, 5}  # named by the state, pinned, the last two rounds
    assert store.kept_rounds() == [4, 5] and store.live(4) == {"ada": Version("ada", 4), "bob": B}
    with pytest.raises(LeagueError, match="collected"):
        store.commit(record(store, 6, live={"ada": Version("ada", 3)}))
    with pytest.raises(RunFolderError, match="weights are gone"):
        store.pin(Version("ada", 3), "late")
    assert store.blobs.sweep() == 0


def test_a_blob_written_but_never_committed_goes(store: RunStore) -> None:
    store.commit(record(store))
    orphan = store.blobs.write_blob({"w": np.full(5, 9.0, np.float32)}, {})
    assert store.collect_garbage().orphans == 1 and not store.blobs.has(orphan)


def test_retention_bounds_what_grows(tmp_path: Path) -> None:
    script = Script(
        retention=Retention(
            payoff_rounds=3, detail_rounds=4, transcript_rounds=50, transcript_megabytes=0.002, figure_rounds=2
        )
    )
    run_to(tmp_path / "run", 70, script)
    with RunStore.read(tmp_path / "run") as reader:
        assert reader.db.execute("SELECT count(*) FROM details").fetchone()[0] == 4
        assert reader.db.execute("SELECT count(*) FROM figures").fetchone()[0] == 2
        assert 0 < reader.db.execute("SELECT sum(bytes) FROM transcripts").fetchone()[0] <= 2000
        assert min(reader.transcript_ids())[0] > 50
        assert len(reader.stored_payoffs()) < 80 < len(reader.recompute_payoffs())
        assert reader.match_count() == 70 * 4 == sum(1 for _ in reader.matches())
        rounds, values = reader.scalars("value/0")
        assert rounds.tolist() == list(range(70)) and np.isfinite(values).all()
        assert next(reader.matches(0)).metrics is None and next(reader.matches(69)).metrics is not None


def test_payoffs_follow_from_the_outcomes(tmp_path: Path) -> None:
    run_to(tmp_path / "run", 9, Script(retention=Retention()))
    with RunStore.read(tmp_path / "run") as reader:
        assert reader.recompute_payoffs() == reader.stored_payoffs()
        assert {(r.version, r.mu) for r in rate(reader.outcomes())} == {(r.version, r.mu) for r in reader.ratings()}


def test_a_version_that_comes_back_keeps_its_payoffs(tmp_path: Path) -> None:
    retention = Retention(payoff_rounds=2)
    with RunStore.create(tmp_path / "run", "", retention) as store:
        store.commit(record(store, 0))
        row = store.version_row(A)
        for number in range(1, 66):
            store.commit(record(store, number, state={"keep": [row.blob, row.optimizer]}))
            store.collect_garbage()
        assert store.payoff_row(A, "contest", "duel").n.size == 0
        store.commit(record(store, 66, live={"ada": A, "bob": B}))
        assert store.payoff_row(A, "contest", "duel").wins.tolist() == [2]


def test_a_frozen_past_that_is_still_met_keeps_its_payoffs(tmp_path: Path) -> None:
    with RunStore.create(tmp_path / "run", "", Retention(payoff_rounds=2)) as store:
        for number in range(130):
            store.commit(record(store, number, state={"pasts": {"ada": ["ada@0"]} if number < 100 else {}}))
            if number == 99:
                assert store.payoff_row(A, "contest", "duel").wins.tolist() == [2]
                assert store.payoff_row(Version("ada", 1), "contest", "duel").wins.size == 0
        assert store.payoff_row(A, "contest", "duel").wins.size == 0, "named no more: it goes at the next trim"


def test_interrupted_and_whole_runs_have_one_digest(tmp_path: Path) -> None:
    run_to(tmp_path / "whole", 8, Script())
    for rounds in (1, 2, 5, 8):
        run_to(tmp_path / "parts", rounds, Script())
    assert run_digest(tmp_path / "whole") == run_digest(tmp_path / "parts")
    store = RunStore.open(tmp_path / "parts", Script().retention)
    play_round(store, Script())
    store.close()
    assert run_digest(tmp_path / "whole") != run_digest(tmp_path / "parts")


def test_equal_content_has_one_hash_in_every_process(tmp_path: Path) -> None:
    code = (
        "import numpy as np; from league.store.blobs import pack, digest;"
        "print(digest(pack({n: np.arange(6.0).reshape(2, 3).T for n in 'cab'}, {k: k for k in 'zyx'})))"
    )
    found = set()
    for salt in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": salt, "PATH": "", "PYTHONPATH": os.environ["PYTHONPATH"]},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (1, 2, 3)])
def test_blobs_keep_shapes_and_bits(store: RunStore, shape: tuple[int, ...]) -> None:
    tensor = np.asarray(np.random.default_rng(0).normal(size=shape), np.float32)
    odd = np.array([np.nan, -0.0, np.inf], np.float32)
    sha = store.blobs.write_blob({"t": tensor, "t.T": tensor.T, "odd": odd}, {"a": "ü"})
    assert sha == store.blobs.write_blob({"odd": odd, "t.T": tensor.T, "t": tensor}, {"a": "ü"})
    tensors, meta = store.blobs.read_blob(sha)
    assert meta == {"a": "ü"} and tensors["t"].shape == shape and tensors["odd"].tobytes() == odd.tobytes()
    assert np.array_equal(tensors["t"], tensor) and np.array_equal(tensors["t.T"], tensor.T)


def test_a_damaged_blob_is_never_read_and_is_rewritten(store: RunStore) -> None:
    sha = store.blobs.write_blob({"t": np.ones(3, np.float32)}, {})
    file = store.blobs.path(sha) / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(BlobDamaged, match="damaged"):
        store.blobs.read_blob(sha)
    assert store.blobs.write_blob({"t": np.ones(3, np.float32)}, {}) == sha
    assert store.blobs.problem(sha) is None
