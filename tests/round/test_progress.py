"""Schedules, early stopping and best versions in a league on a tiny model; by default they change nothing."""

from pathlib import Path

import pytest
import yaml

from league.commands.verify import _rate
from league.config import parse_config
from league.errors import ConfigError, UserError
from league.loop import resume, train
from league.population.best_versions import BestVersions, Improvement
from league.preflight.checks import prepare
from league.round.stop import limit_reached
from league.runtime.export import choose
from league.runtime.league import LeagueState
from league.store.digests import run_digest
from league.store.reader import RunReader
from league.store.verify import verify
from league.types import Version
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, tiny, tiny_config

STEERED = {
    "learning__schedule": {"kind": "cosine", "warm_up": 1, "horizon": 6},
    "evaluation__keep_best": "accuracy",
    "evaluation__every": 1,
    "league__early_stopping": {"patience": 2, "minimum_improvement": 1.0},
    "league__rounds": 9,
}
"""Nothing can get better by more than 1, so the second and third measurement are the two without improvement."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


@pytest.fixture(scope="module")
def steered(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(prepare(tiny(model, tmp_path_factory.mktemp("runs"), **STEERED)), Nobody())


def test_settings_that_came_later_are_written_out_only_where_they_are_used(model: Path, tmp_path: Path) -> None:
    plain = parse_config(yaml.safe_dump(tiny_config(model, tmp_path)), "test")
    used = parse_config(yaml.safe_dump(tiny_config(model, tmp_path, **STEERED)), "test")
    for word in ("schedule:", "keep_best", "early_stopping"):
        assert word not in plain.dump() and word in used.dump()
    assert parse_config(plain.dump(), "test") == plain and parse_config(used.dump(), "test") == used
    assert "name" not in plain.model_dump(mode="json", exclude={"name", "runs"})


def test_the_run_stops_when_it_does_not_improve(steered: Path) -> None:
    with RunReader.read(steered) as reader:
        state = reader.state()
        assert reader.latest_round() == 4, "measured in rounds 1, 2 and 3; the last exam follows in round 4"
        assert state["improvement"]["since"] == 2 and state["improvement"]["round"] == 1
        assert {exam["split"] for exam in state["marks"]["end"]["exams"]} == {"test"}
    assert "accuracy has not improved for 2 measurements, since round 1" in (steered / "events.jsonl").read_text()
    before = run_digest(steered)
    resume(steered, Nobody())
    assert run_digest(steered) == before, "it stays stopped"
    text, stopped = (steered / "config.yaml").read_text(), LeagueState.from_json(state)
    assert limit_reached(parse_config(text, "test"), stopped, 4) is not None
    other = parse_config(text, "test", ["league.early_stopping.metric=accuracy/ada"])
    assert limit_reached(other, stopped, 4) is None, "another metric has not been measured yet"


def test_rates_follow_the_schedule(steered: Path) -> None:
    """warm_up 1: a half; then the cosine over five rounds, from 1."""
    with RunReader.read(steered) as reader:
        _, factors = reader.scalars("learning_rate/factor")
    assert factors[:2] == pytest.approx([0.5, 1.0]) and 0.1 < factors[3] < factors[2] < 1.0


def test_the_best_version_of_each_agent_keeps_its_weights(steered: Path) -> None:
    with RunReader.read(steered) as reader:
        best = BestVersions.from_json(reader.state()["best"])
        assert set(best.versions) == {"ada", "max"} and best.by == "accuracy"
        measured = {
            name: [(value, int(number)) for number, value in zip(*reader.scalars(f"accuracy/{name}/sums"), strict=True)]
            for name in best.versions
        }
        for name, kept in best.versions.items():
            validation = [(value, number) for value, number in measured[name] if 0 < number < 4]
            assert kept.score == max(value for value, _ in validation)
            assert kept.round == min(number for value, number in validation if value == kept.score)
            row = reader.version_row(kept.version)
            assert row.blob is not None and reader.blobs.problem(row.blob) is None
        chosen = choose(reader, 2, "validation", [])
        assert {each.version for each in chosen} == {each.version for each in best.versions.values()}
        assert [each.score for each in chosen] == sorted((each.score for each in chosen), reverse=True)
        with pytest.raises(UserError, match="no best version is kept of 'adder'"):
            choose(reader, 1, "validation", ["adder"])
    assert verify(steered, _rate).sound


def test_a_steered_run_that_is_killed_is_the_same_run(model: Path, steered: Path, tmp_path: Path) -> None:
    class Killed(Nobody):
        def phase(self, league, number: int, text: str) -> None:
            if number == 3 and text == "measuring":
                raise KeyboardInterrupt

    config = tiny(model, tmp_path, **STEERED)
    with pytest.raises(KeyboardInterrupt):
        train(prepare(config), Killed())
    resume(config.folder, Nobody())
    assert run_digest(config.folder) == run_digest(steered)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"league__early_stopping": {"metric": "accuracy/adder"}}, "'adder' sits no exam on validation problems"),
        ({"league__early_stopping": {"metric": "accuracy/ada/sumz"}}, "'sumz' is not a domain of this run"),
        ({"league__early_stopping": {"metric": "loss"}}, "expected accuracy, accuracy/AGENT"),
        ({"league__early_stopping": {"patience": 0}}, "patience"),
        ({"learning__schedule": {"kind": "linear", "unit": "tokens"}}, "name it in tokens"),
        ({"learning__schedule": {"kind": "linear", "warm_up": 3}}, "3 rounds reach the horizon of 3"),
        ({"learning__schedule": "cosinus"}, "'cosinus' is not one of"),
        ({"learning__schedule": {"final": float("nan")}}, "final"),
        ({"evaluation__keep_best": "loss"}, "'loss' is not one of"),
    ],
)
def test_settings_without_an_effect_are_refused(model: Path, tmp_path: Path, change: dict, named: str) -> None:
    with pytest.raises(ConfigError) as refused:
        prepare(tiny(model, tmp_path, **change))
    assert named in str(refused.value)


# ------------------------------------------------------------------------------------------------------ values
def test_the_older_of_two_equals_stays_and_another_measure_begins_anew() -> None:
    first, second, third = (Version("ada", step) for step in (1, 2, 3))
    best = BestVersions().more("accuracy", {first: 0.5}, 1).more("accuracy", {second: 0.5}, 2)
    assert best.versions["ada"].version == first and best.versions["ada"].round == 1
    best = best.more("accuracy", {third: 0.6}, 3)
    assert best.versions["ada"].version == third
    assert best.more("rating", {first: 0.1}, 4).versions["ada"].version == first
    assert BestVersions.from_json(best.to_json()) == best and BestVersions().to_json() == {}


def test_improvement_counts_from_the_best() -> None:
    found = Improvement()
    for number, value in enumerate([0.5, 0.55, 0.61, 0.6, 0.62], 1):
        found = found.measured(value, number, 0.1)
    assert (found.best, found.round, found.since) == (0.61, 3, 2)
    assert Improvement.from_json(found.to_json()) == found and Improvement.from_json({}) == Improvement()
    watched = found.of("accuracy")
    assert (watched.best, watched.since) == (0.61, 2), "a run of before the metric was kept"
    assert Improvement.from_json(watched.to_json()) == watched
    assert watched.of("accuracy/ada") == Improvement(metric="accuracy/ada"), "the best of another metric is none"


def test_a_run_without_best_versions_says_how_to_keep_them(model: Path, tmp_path: Path) -> None:
    run = train(prepare(tiny(model, tmp_path, league__rounds=1)), Nobody())
    with RunReader.read(run) as reader, pytest.raises(UserError, match="evaluation.keep_best=accuracy"):
        choose(reader, 1, "validation", [])


def test_the_best_by_rating_is_a_rated_version_with_its_weights(model: Path, tmp_path: Path) -> None:
    config = tiny(model, tmp_path, league__rounds=3, evaluation__every=1, evaluation__keep_best="rating")
    run = train(prepare(config), Nobody())
    with RunReader.read(run) as reader:
        best, rated = BestVersions.from_json(reader.state()["best"]), {r.version: r for r in reader.ratings("overall")}
        assert best.by == "rating" and "ada" in best.versions
        for kept in best.versions.values():
            assert kept.version in rated and kept.round in (1, 2)
            row = reader.version_row(kept.version)
            assert row.blob is not None and reader.blobs.problem(row.blob) is None
