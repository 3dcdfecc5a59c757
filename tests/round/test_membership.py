"""Agents join and leave between two rounds: a live run, a stopped one, and one that is killed in between."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from league.commands.agents import agents
from league.commands.verify import _rate
from league.errors import ConfigError, UserError
from league.loop import resume, train
from league.preflight.checks import prepare
from league.reporting.queries.membership import membership
from league.reporting.queries.run_status import status
from league.runtime.export import choose, export_agents
from league.store.agent_requests import waiting_agent_requests
from league.store.digests import run_digest
from league.store.reader import RunReader
from league.store.verify import verify
from league.types import Version
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, tiny
from tests.round.test_changed_settings import scripted

NEWS = ("role=expert", "domain=letters", "domain.kind=letter_counting", "warmup.problems=4", "warmup.batch=2")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


class After(Nobody):
    """Does something once, after the commit of a round."""

    def __init__(self, number: int, act: Callable[[Path], None]):
        self._number, self._act = number, act

    def round(self, league, report) -> None:
        if report.round == self._number:
            self._act(league.store.folder)


def add(*settings: str) -> Callable[[Path], None]:
    return lambda run: agents("add", run, settings[0], list(settings[1:]))


def standing(run: Path) -> dict[str, str]:
    with RunReader.read(run) as reader:
        return {row.name: row.standing for row in membership(reader)}


def events(run: Path, kind: str) -> list[dict]:
    found = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return [event for event in found if event["event"] == kind]


# --------------------------------------------------------------------------------------------- with weights
@pytest.fixture(scope="module")
def grown(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An expert of a new domain joined the live run after round 1."""
    config = tiny(model, tmp_path_factory.mktemp("runs"), league__rounds=4)
    return train(prepare(config), After(1, add("speller", *NEWS)))


def test_an_expert_of_a_new_domain_joins_a_live_run(grown: Path) -> None:
    with RunReader.read(grown) as reader:
        rows = reader.versions("speller")
        assert [(str(row.version), row.reason, row.round) for row in rows[:2]] == [
            ("speller@0", "warm-up", 2),
            ("speller@1", "snapshot", 2),
        ]
        assert rows[0].blob is not None and reader.blobs.problem(rows[0].blob) is None
        assert reader.round_scalars(2)["warmup_tokens/speller"] > 0
        met = [match.round for match in reader.matches(agent="speller")]
        assert met and min(met) >= 2, "nobody meets it before it has joined"
        assert "speller@0" in reader.state()["population"]["pasts"]["speller"]
        assert yaml.safe_load(reader.config_text())["domains"]["letters"]["kind"] == "letter_counting"
        assert {exam["domain"] for exam in reader.state()["marks"]["end"]["exams"]} == {"sums", "letters"}
        assert [number for number, _ in reader.earlier_configs()] == [1]
        assert status(reader).changes[0] == "after round 1: speller joined"
        newest = reader.live()["speller"]
    assert standing(grown)["speller"] == "member" and not list(waiting_agent_requests(grown))
    assert [event["agents"] for event in events(grown, "agents joined")] == [["speller"]]
    assert verify(grown, _rate).sound and newest.step >= 1


def test_a_run_that_is_killed_while_an_agent_joins_is_the_same_run(model: Path, grown: Path, tmp_path: Path) -> None:
    """Killed behind a step of its warm-up, and again before the round is committed."""

    class Killed(After):
        def phase(self, league, number: int, text: str) -> None:
            if number == 2 and "step 1 of" in text:
                raise KeyboardInterrupt

    class KilledAgain(Nobody):
        def phase(self, league, number: int, text: str) -> None:
            if number == 2 and text.startswith("updating"):
                raise KeyboardInterrupt

    config = tiny(model, tmp_path, league__rounds=4)
    with pytest.raises(KeyboardInterrupt):
        train(prepare(config), Killed(1, add("speller", *NEWS)))
    with RunReader.read(config.folder) as reader:
        assert reader.latest_round() == 1 and "speller" not in reader.live()
    assert (config.folder / "warm-up.json").is_file() and not list(waiting_agent_requests(config.folder))
    assert verify(config.folder, _rate).sound, "the warm-up of who joins leaves the weights of the others alone"
    with pytest.raises(KeyboardInterrupt):
        resume(config.folder, KilledAgain())
    resume(config.folder, Nobody())
    assert run_digest(config.folder) == run_digest(grown)
    assert not (config.folder / "warm-up.json").exists()


def test_who_retires_keeps_its_history_and_may_come_back(model: Path, tmp_path: Path) -> None:
    """A checkpoint joins a stopped run; a student leaves, is exported, and comes back as it was."""
    run = train(prepare(tiny(model, tmp_path / "runs", league__rounds=1)), Nobody())
    with RunReader.read(run) as reader:
        (done,) = export_agents(run, reader, choose(reader, 1, "rating", ["ada"]), tmp_path / "out")
        before, pasts = reader.live()["max"], reader.state()["population"]["pasts"]["max"]
    agents("retire", run, "max")
    agents("add", run, "spy", ["role=exploiter", "targets=[ada]", f"checkpoint={done.folder}", "warmup.problems=0"])
    assert standing(run) == {
        "adder": "member", "ada": "member", "max": "leaves before the next round",
        "spy": "joins before the next round",
    }  # fmt: skip
    resume(run, Nobody(), ["league.rounds=2"])
    assert standing(run) == {"adder": "member", "ada": "member", "spy": "member", "max": "left after round 1"}
    with RunReader.read(run) as reader:
        first, left = reader.version_row(Version("spy", 0)), reader.version_row(before)
        assert first.blob == reader.version_row(done.version).blob, "it begins with the weights it was given"
        assert not [match for match in reader.matches(2) for version in match.seats.values() if version.agent == "max"]
        assert left.blob is not None and reader.blobs.problem(left.blob) is None
        (again,) = export_agents(run, reader, choose(reader, 1, "accuracy", [str(before)]), tmp_path / "left")
        assert again.folder.name == f"max-{before.step}" and "max" in (again.folder / "README.md").read_text()
    agents("add", run, "max")
    resume(run, Nobody(), ["league.rounds=3"])
    with RunReader.read(run) as reader:
        assert any(v.agent == "max" for match in reader.matches(3) for v in match.seats.values())
        rows = {row.version: row for row in reader.versions("max")}
        assert Version("max", before.step + 1) in rows and rows[Version("max", before.step + 1)].parents == (before,)
        assert set(pasts) <= set(reader.state()["population"]["pasts"]["max"]) and "left" not in reader.state()
        assert {"spy", "max", "ada"} <= set(reader.live())
    assert standing(run)["max"] == "member" and verify(run, _rate).sound


@pytest.mark.parametrize(
    ("name", "settings", "named"),
    [
        ("eve", ["role=studnet"], "'studnet' is not one of"),
        ("ada", ["role=student"], "had this name"),
        ("base", ["role=student"], "had this name"),
        ("Eve", ["role=student"], "lower-case"),
        ("eve", ["role=expert"], "needs a domain"),
        ("eve", ["role=expert", "domain.kind=gcd"], "name the domain"),
        ("eve", ["role=expert", "domain=sums", "domain.kind=gcd"], "has this domain already"),
        ("eve", ["role=expert", "domain=more", "domain.kind=gdc"], "gdc"),
        ("eve", ["role=student", "checkpoint=/nowhere"], "/nowhere"),
        ("eve", ["role=student", "speed=3"], "speed: unknown key"),
        ("eve", ["role"], "expected key.sub=value"),
        ("eve", [], "needs settings"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_when_it_is_made(
    grown: Path, name: str, settings: list[str], named: str
) -> None:
    with pytest.raises(UserError) as refused:
        agents("add", grown, name, settings)
    assert named in str(refused.value) and not list(waiting_agent_requests(grown))


# ------------------------------------------------------------------------------------------ without weights
def test_scripted_agents_join_and_leave_and_a_resumed_run_is_the_same(tmp_path: Path) -> None:
    def change(run: Path) -> None:
        agents("add", run, "tom", ["role=scripted", "says={rock: 1, paper: 2}"])
        agents("retire", run, "sid")

    live = train(prepare(scripted(tmp_path / "live", league__rounds=5)), After(2, change))
    stopped = train(prepare(scripted(tmp_path / "stopped")), Nobody())
    change(stopped)
    resume(stopped, Nobody(), ["league.rounds=5"])
    for run in (live, stopped):
        with RunReader.read(run) as reader:
            assert set(reader.live()) == {"rocky", "pat", "tom"}
            assert {v.agent for m in reader.matches(3) for v in m.seats.values()} == {"rocky", "pat", "tom"}
        assert verify(run, _rate).sound

    def back(run: Path) -> None:
        agents("add", run, "sid")

    back(live)
    resume(live, Nobody(), ["league.rounds=8"])
    resume(stopped, After(6, back), ["league.rounds=7"])
    back_again = standing(stopped)
    assert back_again["sid"] == "joins before the next round" or back_again["sid"] == "member"
    with RunReader.read(live) as reader:
        assert any(v.agent == "sid" for m in reader.matches(6) for v in m.seats.values())
    assert verify(live, _rate).sound


def test_a_league_that_could_not_go_on_keeps_its_agents(tmp_path: Path) -> None:
    seats = {"row": ["rocky"], "col": ["pat", "sid"]}
    game = {"kind": "matrix_game", "matches": 3, "settings": {"game": "rock-paper-scissors"}, "seats": seats}
    run = train(prepare(scripted(tmp_path, tasks={"game": game})), Nobody())
    with pytest.raises(ConfigError, match="nobody is named"):
        agents("retire", run, "rocky")
    with pytest.raises(UserError, match="'nobody' is not an agent"):
        agents("retire", run, "nobody")
    agents("retire", run, "sid")
    with pytest.raises(ConfigError, match="nobody is named"):
        agents("retire", run, "pat")
    assert len(list(waiting_agent_requests(run))) == 1


def test_a_request_that_cannot_be_met_any_more_is_told_and_the_run_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = train(prepare(scripted(tmp_path)), Nobody())
    (run / "agents-000001-1.json").write_text("{")
    (run / "agents-000002-1.json").write_text('{"retire": "nobody"}')
    (run / "agents-000003-1.json").write_text(
        '{"add": "eve", "agent": {"role": "scripted", "script": "os:system"}, "domains": {}}'
    )
    resume(run, Nobody(), ["league.rounds=3"])
    assert not list(waiting_agent_requests(run)) and set(standing(run)) == {"rocky", "pat", "sid"}
    (refused,) = events(run, "agents request refused")
    assert "league trust" in refused["error"], "a stranger's request for code is not run"
    (said,) = [record.message for record in caplog.records if record.name == "league.agents"]
    assert said.startswith("a request of `league agents` is refused, and the run goes on: ") and "league trust" in said


def test_whose_weights_a_newcomer_waits_for_cannot_leave_yet(model: Path, tmp_path: Path) -> None:
    run = train(prepare(tiny(model, tmp_path, league__rounds=1)), Nobody())
    agents("add", run, "kid", ["role=student", "branch=max"])
    with pytest.raises(UserError, match="'kid' joins before the next round with its weights"):
        agents("retire", run, "max")
    resume(run, Nobody(), ["league.rounds=2"])
    agents("retire", run, "max")
    assert len(list(waiting_agent_requests(run))) == 1


def test_the_list_is_a_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train(prepare(scripted(tmp_path)), Nobody())
    capsys.readouterr()
    agents("list", run, as_json=True)
    assert {row["name"] for row in json.loads(capsys.readouterr().out)} == {"rocky", "pat", "sid"}
    agents("list", run)
    assert "rocky" in capsys.readouterr().out
    with pytest.raises(UserError, match="takes no name"):
        agents("list", run, "rocky")


def test_a_request_whose_file_outlived_a_kill_is_met_once(tmp_path: Path) -> None:
    """Killed after the configuration was stored and before the request was removed."""
    run = train(prepare(scripted(tmp_path)), Nobody())
    agents("add", run, "tom", ["role=scripted", "says={rock: 1}"])
    agents("retire", run, "sid")
    kept = {request.path: request.path.read_bytes() for request in waiting_agent_requests(run)}
    resume(run, Nobody(), ["league.rounds=3"])
    for path, content in kept.items():
        path.write_bytes(content)
    resume(run, Nobody(), ["league.rounds=4"])
    assert not list(waiting_agent_requests(run)) and not events(run, "agents request refused")
    assert standing(run) == {"rocky": "member", "pat": "member", "tom": "member", "sid": "left after round 2"}
    with RunReader.read(run) as reader:
        assert [str(row.version) for row in reader.versions("tom")] == ["tom@0"]
    assert verify(run, _rate).sound
