"""Probes in a league on a tiny real model: tokens are saved, and a resumed run is the same run."""

from pathlib import Path

import pytest

from league.loop import resume, train
from league.preflight.checks import prepare
from league.round.schedule import schedule_matches
from league.store.digests import run_digest
from league.store.reader import RunReader
from league.store.run import request_stop
from league.types import BetaBelief
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, tiny

ANSWERS = {"items": 2, "answers": 4}
PROBES = {"probes": 2, "probe_threshold": 0.5}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


def league(model: Path, runs: Path, kind: str = "tests.leagues:Noise", **settings: object):
    """Contests and teaching with probes; what follows depends on groups that go on and groups that stop."""
    return tiny(
        model,
        runs,
        tasks__contest__kind=kind,
        tasks__contest__settings={**ANSWERS, **settings},
        tasks__teaching__settings={
            **{"explanations": 2, "similar": 1, "answers": 4, "explanation_tokens": 6}, **settings
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(prepare(league(model, tmp_path_factory.mktemp("runs"), **PROBES)), Nobody())


def test_some_groups_stop_and_some_go_on(run: Path) -> None:
    with RunReader.read(run) as reader:
        metrics = [match.metrics for match in reader.matches() if match.task == "contest"]
        assert {"contest/groups_stopped", "teaching/tokens_saved"} <= set(reader.scalar_names())
    probed, stopped = (sum(each[name] for each in metrics) for name in ("groups_probed", "groups_stopped"))
    assert 0 < stopped < probed
    assert sum(each["replies_not_drawn"] for each in metrics) == 2 * stopped


class StopsAfter(Nobody):
    def __init__(self, number: int):
        self.number = number

    def round(self, league, report) -> None:
        if report.round == self.number:
            request_stop(league.store.folder)


class Killed(Nobody):
    """Dies while the second round learns."""

    def phase(self, league, number: int, text: str) -> None:
        if number == 2 and "updat" in text:
            raise KeyboardInterrupt


@pytest.mark.parametrize("audience", [StopsAfter(1), Killed()])
def test_a_resumed_run_with_probes_is_the_same_run(model: Path, run: Path, tmp_path: Path, audience: Nobody) -> None:
    config = league(model, tmp_path, **PROBES)
    try:
        train(prepare(config), audience)
    except KeyboardInterrupt:
        assert isinstance(audience, Killed)
    with RunReader.read(config.folder) as reader:
        assert reader.latest_round() == 1
    resume(config.folder, Nobody())
    assert run_digest(config.folder) == run_digest(run)


def test_a_league_of_flat_groups_saves_tokens(model: Path, tmp_path: Path) -> None:
    """Random weights are never right in an honest contest: two of four replies are not drawn."""
    sampled: list = []
    for name, settings in (("with", PROBES), ("without", {})):
        config = league(model, tmp_path / name, kind="contest", **settings)
        train(prepare(config), Nobody())
        with RunReader.read(config.folder) as reader:
            sampled.append(reader.state()["tokens"]["sampled"])
            sampled.append(reader.scalars("accuracy/base/sums")[1].tolist())
    assert sampled[0] < 0.7 * sampled[2]
    assert sampled[1] == sampled[3], "exams know no probes"


def test_beliefs_come_from_what_is_known_of_each_seat(model: Path, tmp_path: Path) -> None:
    found = []

    class Looks(Nobody):
        def round(self, league, report) -> None:
            for match in schedule_matches(league, report.state, report.round + 1)[1]:
                domain = match.problems[0].domain
                known = {seat: report.state.competence.belief(v, domain) for seat, v in match.seats.items()}
                assert match.beliefs == known
                found.extend(known.values())

    train(prepare(league(model, tmp_path)), Looks())
    assert any(belief != BetaBelief() for belief in found)
