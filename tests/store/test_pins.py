"""A version that was exported stays.

Pinned at once, or by the writer of a live run; and nothing else changes.
"""

import json
import os
from pathlib import Path

import pytest

from league.commands.pin import pin, unpin
from league.errors import LeagueError, UserError
from league.store import pin_requests
from league.store.digests import run_digest
from league.store.named_versions import named_version
from league.store.reader import RunReader
from league.store.run import RunStore, keep_versions, let_go
from league.store.verify import verify
from league.types import BASE, Version
from tests.chaos.scripted import Script, play_round, rate, run_to

FIRST = Version("agent-0", 2)
"""The first agent's version in the newest round of a run of three."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run_to(tmp_path / "run", 3, Script())
    return tmp_path / "run"


def stored(run: Path, version: Version) -> bool:
    """Whether the weights and the optimizer of a version are on the disk, as they were written."""
    with RunReader.read(run) as reader:
        row = reader.version_row(version)
        return all(sha is not None and reader.blobs.problem(sha) is None for sha in (row.blob, row.optimizer))


def pins(run: Path) -> list[tuple[Version, str]]:
    with RunReader.read(run) as reader:
        return reader.pins()


def requests(run: Path) -> list[str]:
    return [path.name for path in run.iterdir() if "pin-" in path.name]


def test_a_run_without_a_writer_is_pinned_at_once(run: Path, tmp_path: Path) -> None:
    before = run_digest(run)
    keep_versions(run, [FIRST], "export")
    assert pins(run) == [(FIRST, "export")] and requests(run) == [] and run_digest(run) == before
    keep_versions(run, [FIRST], "export")
    assert len(pins(run)) == 1, "asked for twice, pinned once"
    run_to(run, 9, Script())
    run_to(tmp_path / "other", 9, Script())
    assert stored(run, FIRST) and not stored(run, Version("agent-1", 2)) and not stored(tmp_path / "other", FIRST)
    assert verify(run, rate).sound and run_digest(run) == run_digest(tmp_path / "other")


def test_a_live_run_pins_before_it_deletes(run: Path, tmp_path: Path) -> None:
    with RunStore.open(run, Script().retention) as store:
        keep_versions(run, [FIRST, Version("agent-1", 2)], "export")
        assert len(requests(run)) == 1 and store.pins() == []
        for _ in range(6):
            play_round(store, Script())
        assert store.pins() == [(FIRST, "export"), (Version("agent-1", 2), "export")] and requests(run) == []
    run_to(tmp_path / "other", 9, Script())
    assert stored(run, FIRST) and stored(run, Version("agent-1", 2)) and not stored(run, Version("agent-2", 2))
    assert verify(run, rate).sound and run_digest(run) == run_digest(tmp_path / "other")
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert [event["version"] for event in events if event["event"] == "pinned"] == ["agent-0@2", "agent-1@2"]


def test_a_request_outlives_the_writer_it_was_left_for(run: Path) -> None:
    with RunStore.open(run, Script().retention):
        keep_versions(run, [FIRST], "export")
    run_to(run, 9, Script())
    assert stored(run, FIRST) and pins(run) == [(FIRST, "export")] and requests(run) == []


def test_pins_change_no_payoff_table(tmp_path: Path) -> None:
    """Also after the trims that drop cells of versions which left long ago."""
    for name in ("pinned", "plain"):
        run_to(tmp_path / name, 3, Script())
        if name == "pinned":
            keep_versions(tmp_path / name, [FIRST], "export")
        run_to(tmp_path / name, 70, Script())
    assert run_digest(tmp_path / "pinned") == run_digest(tmp_path / "plain")


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"versions": "ada", "why": 1}', '{"versions": [3], "why": ""}', "\xff"]
)
def test_a_request_that_makes_no_sense_is_dropped(run: Path, text: str) -> None:
    (run / "pin-1-1.json").write_text(text, encoding="latin-1")
    with RunStore.open(run, Script().retention) as store:
        play_round(store, Script())
        assert store.pins() == []
    assert requests(run) == []


def test_what_is_gone_or_was_never_there_is_told(run: Path) -> None:
    run_to(run, 8, Script())
    with pytest.raises(LeagueError, match="weights are gone"):
        keep_versions(run, [FIRST], "export")
    with pytest.raises(LeagueError, match="not a version"):
        keep_versions(run, [Version("nobody", 1)], "export")
    pin_requests.leave_request(run, [FIRST, Version("nobody", 1)], "export")
    with RunStore.open(run, Script().retention) as store:
        store.collect_garbage()
        assert store.pins() == []
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert [event["version"] for event in events if event["event"] == "not pinned"] == ["agent-0@2", "nobody@1"]


def test_a_request_that_cannot_be_written_leaves_nothing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(LeagueError, match="cannot leave a request .*No space left"):
            pin_requests.leave_request(run, [FIRST], "export")
    assert requests(run) == []


def test_a_pin_can_be_taken_away(run: Path) -> None:
    keep_versions(run, [FIRST], "export")
    keep_versions(run, [FIRST], "mine")
    assert let_go(run, [FIRST]) and pins(run) == []
    assert verify(run, rate).sound
    run_to(run, 9, Script())
    assert not stored(run, FIRST)
    with pytest.raises(LeagueError, match="not a version"):
        let_go(run, [Version("nobody", 1)])


def test_a_live_run_lets_go_after_its_round(run: Path) -> None:
    keep_versions(run, [FIRST], "export")
    with RunStore.open(run, Script().retention) as store:
        assert not let_go(run, [FIRST]) and store.pins() == [(FIRST, "export")]
        for _ in range(4):
            play_round(store, Script())
        assert store.pins() == [] and requests(run) == []
    assert not stored(run, FIRST) and verify(run, rate).sound


def test_the_commands_pin_list_and_unpin(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pin(run)
    assert "no version is pinned" in capsys.readouterr().out
    pin(run, ["agent-0@2", "agent-1"], why="to look at")
    assert pins(run) == [(FIRST, "to look at"), (Version("agent-1", 2), "to look at")]
    assert capsys.readouterr().out == "agent-0@2 is pinned\nagent-1@2 is pinned\n"
    pin(run, as_json=True)
    assert json.loads(capsys.readouterr().out)[0] == {"version": "agent-0@2", "why": "to look at"}
    unpin(run, ["agent-0@2"])
    assert pins(run) == [(Version("agent-1", 2), "to look at")]
    run_to(run, 9, Script())
    assert stored(run, Version("agent-1", 2)) and not stored(run, FIRST)


@pytest.mark.parametrize("name", ["agent-0@9", "agent-9", "agent-0@", "@", "base", "agent-0@0", "past-2@0 "])
def test_what_cannot_be_pinned_is_told(run: Path, name: str) -> None:
    run_to(run, 8, Script())
    with pytest.raises(UserError):
        pin(run, [name])
    with pytest.raises(UserError):
        unpin(run, [name])
    with pytest.raises(UserError, match="1 to 100"):
        pin(run, ["agent-0"], why=" ")
    assert pins(run) == []


def test_a_name_says_why_it_has_no_weights(run: Path) -> None:
    run_to(run, 12, Script())
    with RunReader.read(run) as reader:
        assert named_version(reader, "agent-0") == Version("agent-0", 11) == named_version(reader, "agent-0@11")
        assert named_version(reader, "base") == BASE
        with pytest.raises(UserError, match=r"weights of agent-0@2 are gone.*league pin"):
            named_version(reader, "agent-0@2")
        with pytest.raises(UserError, match="not in this run any more"):
            named_version(reader, "past-2")
        with pytest.raises(UserError, match="neither an agent nor a version.*did you mean"):
            named_version(reader, "agent0")
