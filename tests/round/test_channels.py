"""A league in which every channel teaches: what reaches the weights is named, stored, and resumed bit for bit."""

from pathlib import Path

import pytest
import yaml

from league.config import parse_config
from league.loop import resume, train
from league.preflight.checks import prepare
from league.store.digests import run_digest
from league.store.reader import RunReader
from league.store.run import request_stop
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, every_channel


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


def config_of(model: Path, runs: Path, **changes: object):
    return parse_config(yaml.safe_dump(every_channel(model, runs, **changes)), "channels")


@pytest.fixture(scope="module")
def run(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(prepare(config_of(model, tmp_path_factory.mktemp("runs"), league__rounds=6)), Nobody())


def test_every_channel_trains_and_is_named(run: Path) -> None:
    with RunReader.read(run) as reader:
        names = set(reader.scalar_names())
    for channel in ("worked_replies", "lessons", "distillation"):
        assert any(name.startswith(f"channel/{channel}/") and name.endswith("/tokens") for name in names), channel
    assert "lessons/rescue_rate" in names
    assert any(name.startswith("update/") and name.endswith("/teacher_kl") for name in names)


def test_the_state_knows_who_is_good_and_what_gained(run: Path) -> None:
    with RunReader.read(run) as reader:
        state, live = reader.state(), {str(version) for version in reader.live().values()}
    known = {version for version, _, _, answers in state["competence"] if answers > 0}
    assert known & live, "live versions have counts that were handed on"
    sources = {(teacher, channel) for _, _, sources, *_ in state["channel_gains"] for teacher, channel in sources}
    assert {channel for _, channel in sources} >= {"worked_replies", "lessons", "own_samples", "distillation"}
    assert all(teacher for teacher, channel in sources if channel != "own_samples")


def test_a_past_may_teach(model: Path, tmp_path: Path) -> None:
    """A frozen version keeps its counts while a live one's fade, so it has the better bound at times."""
    folder = train(prepare(config_of(model, tmp_path / "runs", league__rounds=8, league__snapshot_every=1)), Nobody())
    with RunReader.read(folder) as reader:
        played = [m for number in range(1, 9) for m in reader.matches(number, number) if m.purpose == "train"]
        frozen = {row.version for row in reader.versions() if row.optimizer is None}
    taught = [match.seats for match in played if match.task in ("worked", "teaching")]
    assert any(seats["teacher"] in frozen for seats in taught)
    assert all(seats["teacher"] != seats["student"] for seats in taught)


@pytest.mark.parametrize("stop_at", [1, 3, 4])
def test_a_run_stopped_in_any_round_is_the_same_run(model: Path, run: Path, tmp_path: Path, stop_at: int) -> None:
    class Stopper(Nobody):
        def round(self, league, report) -> None:
            if report.round == stop_at:
                request_stop(league.store.folder)

    config = config_of(model, tmp_path / "runs", league__rounds=6)
    train(prepare(config), Stopper())
    with RunReader.read(config.folder) as reader:
        assert reader.latest_round() == stop_at
    resume(config.folder, Nobody())
    assert run_digest(config.folder) == run_digest(run)


def test_replies_wait_at_the_gate_across_a_stop(model: Path, tmp_path: Path) -> None:
    """Random weights are never surely better than one another, so right replies pile up; a resumed run has the same."""

    class Stopper(Nobody):
        def round(self, league, report) -> None:
            if report.round == 2:
                request_stop(league.store.folder)

    def gated(name: str):
        data = every_channel(model, tmp_path / name, league__rounds=4)
        data["learning"]["channels"] |= {"worked_replies": {}, "confidence": 0.999}
        return parse_config(yaml.safe_dump(data), name)

    once, again = gated("once"), gated("again")
    train(prepare(once), Nobody())
    train(prepare(again), Stopper())
    resume(again.folder, Nobody())
    assert run_digest(again.folder) == run_digest(once.folder)
    with RunReader.read(once.folder) as reader:
        assert reader.state()["waiting_replies"]


@pytest.mark.parametrize("stop_at", [1, 2, 3])
def test_what_waited_is_learned_when_the_gate_opens(model: Path, tmp_path: Path, stop_at: int) -> None:
    """Teachers always right, students never: after some rounds the bounds part, and more is learned than was said."""

    class Stopper(Nobody):
        def round(self, league, report) -> None:
            if report.round == stop_at:
                request_stop(league.store.folder)

    def skilled(name: str):
        data = every_channel(model, tmp_path / name, league__rounds=5)
        data["learning"]["channels"] = {"worked_replies": {}, "confidence": 0.9999}
        data["tasks"]["worked"] |= {"kind": "tests.leagues:SkilledWork", "matches": 3}
        data["tasks"] = {"worked": data["tasks"]["worked"], "contest": data["tasks"]["contest"]}
        return parse_config(yaml.safe_dump(data), name)

    once, again = skilled("once"), skilled("again")
    train(prepare(once), Nobody())
    train(prepare(again), Stopper())
    resume(again.folder, Nobody())
    assert run_digest(again.folder) == run_digest(once.folder)
    with RunReader.read(once.folder) as reader:
        waiting = [len(reader.state(n)["waiting_replies"]) for n in reader.kept_rounds()]
        learned = {
            number: sum(
                value
                for name, value in reader.round_scalars(number).items()
                if name.startswith("channel/worked_replies/") and name.endswith("/samples")
            )
            for number in range(1, 6)
        }
    opened = next(number for number, count in learned.items() if count)
    assert opened > 1 and learned[opened] > max(learned[number] for number in learned if number > opened), learned
    assert waiting[-1] < learned[opened]


def test_without_its_channels_a_league_sends_nothing_through_them(model: Path, tmp_path: Path) -> None:
    data = every_channel(model, tmp_path / "runs", league__rounds=2)
    del data["learning"]["channels"], data["tasks"]["worked"]
    data["league"]["shared_matches"] = 0
    folder = train(prepare(parse_config(yaml.safe_dump(data), "plain")), Nobody())
    with RunReader.read(folder) as reader:
        assert not [name for name in reader.scalar_names() if name.startswith("channel/")]
