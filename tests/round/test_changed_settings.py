"""`league resume RUN key=value`: what may change, does, from the next round on; what may not is named."""

import json
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import yaml

import league
from league.commands.train import resume as resume_command
from league.commands.verify import _rate
from league.config import Config, parse_config
from league.config.changes import with_settings
from league.config.fixed_settings import changed_fixed_settings
from league.errors import ConfigError, UserError
from league.loop import resume, train
from league.population import Member, Population
from league.preflight.checks import prepare
from league.reporting.queries.run_status import status
from league.round.changed_rates import with_changed_rates
from league.runtime.league import LeagueState
from league.store import config_history
from league.store.digests import run_digest
from league.store.reader import RunReader
from league.store.run import RunStore
from league.store.verify import verify
from league.types import Hyper, Version
from tests.chaos.faults import Steps, die, in_child
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, tiny

AGENTS = {
    "rocky": {"role": "scripted", "says": {"rock": 1.0}},
    "pat": {"role": "scripted", "says": {"paper": 0.7, "rock": 0.3}},
    "sid": {"role": "scripted", "says": {"scissors": 1.0}},
}
GAME = {"kind": "matrix_game", "matches": 3, "settings": {"game": "rock-paper-scissors"}}


def scripted(runs: Path, **changes: object) -> Config:
    """A league without a model, of two rounds."""
    given = {"agents": AGENTS, "domains": {}, "tasks": {"game": GAME}, "league__rounds": 2} | changes
    return tiny(Path("/nowhere"), runs, **given)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return train(prepare(scripted(tmp_path)), Nobody())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that no test changes."""
    return train(prepare(scripted(tmp_path_factory.mktemp("runs"))), Nobody())


def matches_by_round(run: Path) -> dict[int, int]:
    with RunReader.read(run) as reader:
        counted: dict[int, int] = {}
        for match in reader.matches(1):
            if match.purpose == "train":
                counted[match.round] = counted.get(match.round, 0) + 1
        return counted


def files(run: Path) -> dict[str, bytes]:
    """What a refusal must leave as it was; the heartbeat may say that somebody looked."""
    return {path.name: path.read_bytes() for path in run.iterdir() if path.name in ("config.yaml", "events.jsonl")}


def test_what_may_change_does_from_the_next_round_on(run: Path) -> None:
    resume(run, Nobody(), ["league.rounds=4", "tasks.game.matches=5"])
    assert matches_by_round(run) == {1: 3, 2: 3, 3: 5, 4: 5}
    stored = yaml.safe_load((run / "config.yaml").read_text())
    assert stored["league"]["rounds"] == 4 and stored["tasks"]["game"]["matches"] == 5
    with RunReader.read(run) as reader:
        assert reader.config_text() == (run / "config.yaml").read_text()
        assert [number for number, _ in reader.earlier_configs()] == [2]
        under = [parse_config(reader.config_of(number), "test").tasks["game"].matches for number in range(5)]
        assert under == [3, 3, 3, 5, 5]
        shown = status(reader)
    told = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    (event,) = [line for line in told if line["event"] == "config changed"]
    wanted = ["tasks.game.matches was 3, is 5", "league.rounds was 2, is 4"]
    assert event["round"] == 2 and sorted(event["changes"]) == sorted(wanted)
    assert sorted(shown.changes) == sorted(f"after round 2: {line}" for line in wanted)
    assert verify(run, _rate).sound


def test_changed_in_two_steps_is_changed_at_once(tmp_path: Path, run: Path) -> None:
    """A process that is killed after it stored the change leaves a run that goes on with it."""
    other = train(prepare(scripted(tmp_path / "other")), Nobody())
    resume(other, Nobody(), ["league.rounds=4", "tasks.game.matches=5"])

    class Killed(Nobody):
        def phase(self, league, number: int, text: str) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        resume(run, Killed(), ["league.rounds=4", "tasks.game.matches=5"])
    with RunReader.read(run) as reader:
        assert reader.latest_round() == 2
    resume(run, Nobody())
    assert run_digest(run) == run_digest(other)
    with RunReader.read(run) as reader:
        assert [number for number, _ in reader.earlier_configs()] == [2]


def test_the_file_alone_is_an_edit_that_the_next_process_adopts(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between config.yaml and the database."""
    with monkeypatch.context() as patch:
        patch.setattr(RunStore, "adopt_config", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            resume(run, Nobody(), ["league.rounds=3"])
    resume(run, Nobody())
    with RunReader.read(run) as reader:
        assert reader.latest_round() == 3 and len(reader.earlier_configs()) == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("seed=9", "seed: was 3 when the run began, is 9; this cannot change any more (every random stream"),
        ("agents.rocky.system=Win.", "agents.rocky.system: was None when the run began, is Win."),
        ("tasks.game.kind=kuhn_poker", "tasks.game.kind: was matrix_game"),
        ("warmup.student.problems=3", "warmup: was"),
        ("league.rouns=3", "league.rouns: unknown key; did you mean 'rounds'?"),
        ("league.rounds=0", "league.rounds: "),
        ("rounds", "expected key.sub=value"),
        ("name=other", "name: a run is called as its folder: rename the folder"),
        ("runs=/tmp", "runs: a run lies where its folder is"),
        ("tasks.game.matchmaking.pfps=1", "pfps"),
    ],
)
def test_what_may_not_change_is_named_and_nothing_is(finished: Path, change: str, named: str) -> None:
    run = finished
    before, digest = files(run), run_digest(run)
    with pytest.raises(UserError) as refused:
        resume(run, Nobody(), ["league.rounds=3", change])
    assert named in str(refused.value)
    assert files(run) == before and run_digest(run) == digest


def test_a_live_run_refuses_with_the_remedy(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished
    before = files(run)
    with RunStore.open(run), pytest.raises(UserError, match="league stop"):
        resume(run, Nobody(), ["league.rounds=3"])
    with RunStore.open(run), pytest.raises(UserError, match="league stop"):
        resume_command(run, ["league.rounds=3"], quiet=True)
    assert "from here on" not in capsys.readouterr().err, "nothing changes, so nothing is announced"
    assert files(run) == before


def test_the_command_says_what_changes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    resume_command(run, ["league.rounds=3"], quiet=True)
    assert "from here on: league.rounds was 2, is 3" in capsys.readouterr().err


def test_settings_of_the_stored_text_change_and_no_others() -> None:
    text = "name: x\nagents: {a: {role: scripted, says: {rock: 1}}}\ntasks: {g: {kind: kuhn_poker, matches: 2}}\n"
    config, changed = with_settings(text, ["learning.learning_rate=1e-3", "tasks.g.matches=4"], "test")
    assert config.learning.learning_rate == 1e-3
    found = yaml.safe_load(changed)
    assert found["learning"]["learning_rate"] == 1e-3 and found["tasks"]["g"] == {"kind": "kuhn_poker", "matches": 4}
    assert set(found) == {"name", "agents", "tasks", "learning"}
    _, back = with_settings(changed, ["learning.schedule=cosine"], "test")
    assert yaml.safe_load(back)["learning"]["schedule"]["kind"] == "cosine"
    _, default = with_settings(back, ["learning.schedule=constant"], "test")
    assert "schedule" not in yaml.safe_load(default)["learning"]
    with pytest.raises(ConfigError):
        with_settings(text, ["agents.a=null"], "test")


# ------------------------------------------------------------------------------------------------------- rates
def config_with(**learning: object) -> Config:
    data = {
        "name": "x",
        "agents": {"ada": {"role": "student"}, "max": {"role": "student", "learning_rate": 0.5}},
        "tasks": {"g": {"kind": "kuhn_poker", "matches": 1}},
        "learning": learning,
    }
    return parse_config(yaml.safe_dump(data), "test")


def test_changed_rates_reach_agents_and_keep_the_distance_that_training_found() -> None:
    """ada had what the config gave; pbt moved kid to twice of it; max has a rate of its own."""
    before = config_with(learning_rate=0.01, kl=0.1)
    rates = {"ada": Hyper(0.01, 0.1), "kid": Hyper(0.02, 0.05, 0.9), "max": Hyper(0.5, 0.1)}
    members = {
        name: Member(name=name, role="student", version=Version(name, 1), trains=True, hyper=hyper)
        for name, hyper in rates.items()
    }
    state = LeagueState(Population(members, {}))
    state = LeagueState(state.population, evolution=state.evolution.begun("kid", Version("kid", 0), Hyper(0.01, 0.1)))
    committed = before.model_dump(mode="json", exclude={"name", "runs"})
    moved = with_changed_rates(state, committed, config_with(learning_rate=0.03, kl=0.2))
    found = {name: member.hyper for name, member in moved.population.members.items()}
    assert found["ada"] == Hyper(0.03, 0.2) and found["max"] == Hyper(0.5, 0.2)
    assert found["kid"].learning_rate == pytest.approx(0.06) and found["kid"].kl == pytest.approx(0.1)
    assert found["kid"].temperature == 0.9 and moved.evolution.start["kid"] == Hyper(0.03, 0.2)
    assert with_changed_rates(state, committed, before) == state
    assert with_changed_rates(state, {}, before) == state, "a state without a config changes nothing"


def test_rates_are_no_fixed_setting() -> None:
    assert changed_fixed_settings(config_with(learning_rate=0.1), config_with(learning_rate=0.2, kl=0.3)) == ()


# ------------------------------------------------------------------------------------------- falling back
def test_after_a_fall_back_rounds_count_under_what_they_ran_under(run: Path) -> None:
    """Kept up to 5: a, up to 12: b. The run fell back to round 10: rounds 6 to 10 ran under b."""
    with RunStore.open(run) as store:
        for number, text in ((5, "a"), (12, "b"), (20, "c")):
            config_history.keep(store.db, number, text)
        assert config_history.behind(store.db, 10) and not config_history.behind(store.db, 20)
        config_history.fall_back(store.db, 10)
        assert config_history.configs(store.db) == [(5, "a"), (10, "b")]
        config_history.keep(store.db, 10, "other")
        assert config_history.configs(store.db) == [(5, "a"), (10, "b")], "what is known is not overwritten"
        config_history.fall_back(store.db, None)
        assert config_history.configs(store.db) == []


def die_at(point: tuple[int, str], number: int, moment: str) -> None:
    if (number, moment) == point:
        die()


def test_a_change_that_is_killed_at_any_step_is_made_or_not(run: Path, tmp_path: Path) -> None:
    """Before and after every step that reaches the disk; the run is sound, and the next process goes on."""
    text = (run / "config.yaml").read_text()
    _, changed = with_settings(text, ["league.rounds=3"], "test")

    def change(folder: Path, act: Callable[[int, str], None] | None = None) -> list[str]:
        with RunStore.open(folder) as store:
            steps = Steps(act)
            try:
                store.change_config(changed)
            finally:
                steps.remove()
            return steps.trace

    count = len(change(shutil.copytree(run, tmp_path / "count")))
    assert count >= 4
    outcomes = set()
    for point in [(number, moment) for number in range(count) for moment in ("before", "after")]:
        folder = shutil.copytree(run, tmp_path / "try")

        assert in_child(partial(change, folder, partial(die_at, point))) == -signal.SIGKILL
        with RunStore.open(folder) as store:
            file = (folder / "config.yaml").read_text()
            outcomes.add((file == changed, store.config_text() == changed))
            store.adopt_config(file)
            assert store.earlier_configs() == ([(2, text)] if file == changed else [])
        assert verify(folder, _rate).sound
        shutil.rmtree(folder)
    assert outcomes == {(False, False), (True, False), (True, True)}


def test_an_exam_keeps_its_split_and_its_size_when_the_run_goes_on(tmp_path: Path) -> None:
    """Last exams after rounds 2 and 4, on test problems; those after 1 and 3 had 2 and 4 validation problems."""
    changes = {"league__rounds": 2, "evaluation__every": 1, "evaluation__problems": 2, "evaluation__final_problems": 3}
    run = train(prepare(tiny(write_tiny_model(tmp_path / "model"), tmp_path, **changes)), Nobody())
    resume(run, Nobody(), ["league.rounds=4", "evaluation.problems=4"])
    found = league.open(run).exams().query("agent == 'ada'").set_index("round")
    assert found["split"].tolist() == ["test", "validation", "test", "validation", "test"]
    assert found["problems"].fillna(-1).tolist() == [3, 2, -1, 4, 3]
