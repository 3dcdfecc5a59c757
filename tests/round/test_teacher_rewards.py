"""Leagues whose teachers earn likelihoods, and the two curves of teaching, on a tiny real model."""

from pathlib import Path

import pytest
import yaml

from league.config import parse_config
from league.errors import ConfigError
from league.loop import resume, train
from league.preflight.checks import prepare
from league.reporting.report import build_report
from league.reporting.text.html import verdicts
from league.store.digests import run_digest
from league.store.reader import RunReader
from league.store.run import request_stop
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, tiny, tiny_config


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


def settings(rule: str) -> dict[str, object]:
    return {
        "tasks__teaching__settings__teacher_reward": rule,
        "evaluation__teaching_logprobs": True,
        "league__rounds": 2,
    }


@pytest.fixture(scope="module")
def run(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(prepare(tiny(model, tmp_path_factory.mktemp("runs"), **settings("likelihood"))), Nobody())


def test_teachers_learn_from_likelihoods_where_random_answers_are_never_right(run: Path) -> None:
    """Random weights answer nothing right, so accuracy gives no teacher a gradient; the likelihood does."""
    with RunReader.read(run) as reader:
        scalars = reader.round_scalars(1)
        assert scalars["update/adder/samples"] > 0
        assert scalars["tokens/scored"] > 0 and scalars["flops/scoring"] > 0
        assert reader.round_scalars(0)["measured/tokens"] > 0


def test_by_default_nothing_is_read(model: Path, tmp_path: Path) -> None:
    folder = train(prepare(tiny(model, tmp_path, league__rounds=1)), Nobody())
    with RunReader.read(folder) as reader:
        names = set(reader.scalar_names())
    assert {"teaching/delta", "teaching/own_share"} <= names
    assert not names & {"flops/scoring", "teaching/delta_logprob", "teaching/own_share_logprob"}
    assert "update/adder/samples" not in names


def test_a_stopped_and_resumed_run_is_the_same_run(model: Path, run: Path, tmp_path: Path) -> None:
    class StopAfterOne(Nobody):
        def round(self, league, report) -> None:
            if report.round == 1:
                request_stop(league.store.folder)

    config = tiny(model, tmp_path, **settings("likelihood"))
    train(prepare(config), StopAfterOne())
    resume(config.folder, Nobody())
    assert run_digest(config.folder) == run_digest(run)


def test_both_curves_are_stored_and_shown_where_the_gain_is(run: Path) -> None:
    with RunReader.read(run) as reader:
        scalars = reader.round_scalars(2)
        stored = reader.state()["marks"]["end"]["lessons"]
        report = build_report(reader)
    tags = ("teaching/delta", "teaching/own_share", "teaching/delta_logprob", "teaching/own_share_logprob")
    assert set(tags) <= scalars.keys()
    arms = [result["logprobs"] for result in stored]
    assert all(set(arm) == {"control", "taught", "shuffled", "answer_only"} for arm in arms)
    mean = sum(sum(arm["taught"]) - sum(arm["shuffled"]) for arm in arms) / sum(len(arm["taught"]) for arm in arms)
    assert scalars["teaching/own_share_logprob"] == pytest.approx(mean, abs=1e-4)
    assert mean != 0.0
    assert report.status.teaching == {tag.removeprefix("teaching/"): scalars[tag] for tag in tags}
    assert report.logprob_own_share is not None and report.logprob_own_share.value == pytest.approx(mean, abs=1e-4)
    titles = [panel.title for panel in report.curves]
    assert titles[-2:] == ["teaching gain", "teaching gain, log-probability"]
    assert report.curves[-1].series[1].rounds == (0, 2)
    assert sum("nats per token" in sentence for _, sentence in verdicts(report)) == 2


def test_expected_accuracy_reads_the_answers_of_a_round(model: Path, tmp_path: Path) -> None:
    """Random weights write no answer line, so nothing is read, and nobody fails for it."""
    folder = train(prepare(tiny(model, tmp_path, **settings("expected_accuracy"))), Nobody())
    with RunReader.read(folder) as reader:
        assert reader.latest_round() == 2 and reader.round_scalars(1)["tokens/scored"] == 0


def test_a_student_without_an_adapter_is_refused_before_anything_is_loaded(model: Path, tmp_path: Path) -> None:
    data = tiny_config(model, tmp_path, **settings("likelihood"))
    data["agents"]["pat"] = {"role": "scripted", "says": {"Answer: 1": 1}}
    data["tasks"]["teaching"]["seats"] = {"student": ["pat", "ada"]}
    with pytest.raises(ConfigError, match="'pat' .scripted. has none; give the seat to agents with adapters"):
        prepare(parse_config(yaml.safe_dump(data), "test"))
    data["tasks"]["teaching"]["settings"]["teacher_reward"] = "accuracy"
    prepare(parse_config(yaml.safe_dump(data), "test"))
