"""The edges of a run's life.

Signals, limits of time and of transcripts, a stalled process, exports through links, and any input at all.
"""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from league.errors import UserError
from league.loop import resume, train
from league.payoffs.csv_matrix import parse_matrix, read_matrix
from league.preflight.checks import prepare
from league.reporting.queries.run_status import status
from league.runtime.export import export_agents
from league.store.digests import run_digest
from league.store.named_versions import named_version
from league.store.reader import RunReader
from league.store.run import RunStore, request_stop
from league.store.verify import verify
from tests.leagues import Nobody, tiny


def config(runs: Path, **changes: object):
    agents = {
        name: {"role": "scripted", "says": {"rock": 1, "paper": weight}}
        for name, weight in (("rocky", 0), ("pat", 1), ("sid", 3))
    }
    task = {
        "kind": "matrix_game",
        "matches": 3,
        "matchmaking": {"pfsp": 1.0},
        "settings": {"game": "rock-paper-scissors"},
    }
    return tiny(
        Path("/nowhere"),
        runs,
        **{"agents": agents, "domains": {}, "tasks": {"game": task}, "league__rounds": 5, **changes},
    )


class At(Nobody):
    """Does something when round `number` is being played."""

    def __init__(self, number: int, act: Callable[[], object]):
        self.number, self.act = number, act

    def phase(self, league, number: int, text: str) -> None:
        if number == self.number and text.startswith("playing"):
            self.act()


def newest(folder: Path) -> int | None:
    with RunReader.read(folder) as reader:
        return reader.latest_round()


# ------------------------------------------------------------------------------------------------------ signals
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_round_and_a_resumed_run_is_the_same_run(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    train(prepare(config(tmp_path / "whole")), Nobody())
    parts = config(tmp_path / "parts")
    assert train(prepare(parts), At(2, lambda: os.kill(os.getpid(), number))) == parts.folder, "no error: exit code 0"
    assert newest(parts.folder) == 2 and signal.getsignal(number) is before
    assert json.loads((parts.folder / "events.jsonl").read_text().splitlines()[-1])["reason"] == f"signal {number.name}"
    resume(parts.folder, Nobody())
    assert run_digest(parts.folder) == run_digest(config(tmp_path / "whole").folder)


def test_a_second_signal_stops_at_once_and_safely(tmp_path: Path) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
        raise AssertionError("the second signal did not stop the run")

    train(prepare(config(tmp_path / "whole")), Nobody())
    parts = config(tmp_path / "parts")
    with pytest.raises(KeyboardInterrupt):
        train(prepare(parts), At(3, twice))
    assert newest(parts.folder) == 2 and verify(parts.folder).sound
    resume(parts.folder, Nobody())
    assert run_digest(parts.folder) == run_digest(config(tmp_path / "whole").folder)


# ------------------------------------------------------------------------------------------------------- limits
def test_a_limit_of_time_ends_the_run_between_rounds(tmp_path: Path) -> None:
    limited = config(tmp_path, league__max_hours=1e-9)
    train(prepare(limited), Nobody())
    assert newest(limited.folder) == 0
    assert "hours spent" in (limited.folder / "events.jsonl").read_text()


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, {1, 2, 3, 4, 5}),
        ({"league__transcript_rounds": 2}, {4, 5}),
        ({"league__transcript_megabytes": 0}, set()),
        ({"league__transcripts_per_round": 0}, set()),
    ],
)
def test_transcripts_are_capped_by_the_config(tmp_path: Path, change: dict, kept: set[int]) -> None:
    capped = config(tmp_path, **change)
    train(prepare(capped), Nobody())
    with RunReader.read(capped.folder) as reader:
        assert {number for number, _ in reader.transcript_ids()} == kept


# ---------------------------------------------------------------------------------------------- signs of life
def test_status_tells_a_stalled_run_from_a_slow_one(tmp_path: Path) -> None:
    parts = config(tmp_path)
    train(prepare(parts), Nobody())

    def said(phase: str, age: float) -> str:
        (parts.folder / "heartbeat.json").write_text(
            json.dumps({"pid": os.getpid(), "round": 6, "phase": phase, "at": time.time() - age})
        )
        with RunReader.read(parts.folder) as reader:
            return status(reader).state

    assert said("generate", 1) == "finished", "nobody holds the run"
    store = RunStore.open(parts.folder)
    try:
        assert said("generate", 1) == "running (generate, round 6)"
        assert said("generate", 100).startswith("running"), "slow, but phases may be"
        assert said("generate", 1000).startswith("stalled? (process") and "on average" in said("generate", 1000)
        assert said("warm-up of another kind", 1000).startswith("running") and said(
            "warm-up of another kind", 4000
        ).startswith("stalled?")
        assert said("paused", 10**6) == "paused (round 6)"
    finally:
        store.close()


# ------------------------------------------------------------------------------------------------------- exports
def test_exports_never_go_through_a_link(tmp_path: Path) -> None:
    parts = config(tmp_path / "runs")
    train(prepare(parts), Nobody())
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "rocky").symlink_to(tmp_path / "real")
    from league.runtime.export import Choice
    from league.types import Version

    chosen = [Choice(Version("rocky", 0), None)]
    with RunReader.read(parts.folder) as reader:
        for out, reason in ((tmp_path / "link", "never write through a link"), (tmp_path / "out", "exists")):
            with pytest.raises(UserError, match=reason):
                export_agents(parts.folder, reader, chosen, out)
    assert not list((tmp_path / "real").iterdir())


# ----------------------------------------------------------------------------------------------------- any input
@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=80)
    | st.lists(
        st.lists(st.sampled_from(["", "a", "b", "0.5", "1:2", "nan", "-1", "1e999", "\x00", '"']), max_size=4).map(
            ",".join
        ),
        max_size=4,
    ).map("\n".join),
    st.sampled_from(["probability", "antisymmetric", "counts"]),
)
def test_any_csv_is_a_matrix_or_a_users_error(text: str, mode) -> None:
    try:
        assert len(parse_matrix(text, mode)) >= 1
    except UserError as error:
        assert str(error)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80))
def test_any_file_is_a_matrix_or_a_users_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("csv") / "m.csv"
    path.write_bytes(data)
    try:
        read_matrix(path, "probability")
    except UserError as error:
        assert str(error)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = config(tmp_path_factory.mktemp("runs"), league__rounds=1)
    train(prepare(made), Nobody())
    return made.folder


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=40)
    | st.sampled_from(["rocky@0", "rocky@", "@", "base@1", "../x", "rocky@-1", "rocky@99999999999999999999"])
)
def test_any_name_is_an_agent_or_a_users_error(run: Path, name: str) -> None:
    with RunReader.read(run) as reader:
        try:
            assert str(named_version(reader, name))
        except UserError as error:
            assert str(error)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
def test_any_path_is_a_run_or_a_users_error(name: str) -> None:
    for ask in (RunReader.read, request_stop, verify):
        with pytest.raises(UserError):
            ask(Path("/nonexistent") / name.lstrip("/").replace("..", ""))
