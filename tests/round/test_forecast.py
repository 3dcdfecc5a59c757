"""What a run will take here: the work is counted as the run does it, the probe leaves no trace, limits are kept."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from league.config import parse_config
from league.errors import BackendError
from league.loop import train
from league.preflight.checks import prepare
from league.round import forecast as forecasts
from league.round.forecast import Forecast, Speed, Work, forecast
from league.round.report import LiveReport
from league.runtime import assembly
from league.store.digests import run_digest
from league.store.reader import RunReader
from league.types import Message, Request, Sampling
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, every_channel, tiny_config


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


class Told(Nobody):
    """Asks for the forecast, as the terminal does."""

    found: Forecast | None = None
    warm_up: Work | None = None

    def opens(self, league, state) -> None:
        self.found, self.warm_up = forecast(league, state), forecasts._warm_up(league, state)


def run(data: dict, audience: Nobody) -> Path:
    return train(prepare(parse_config(yaml.safe_dump(data), "forecast")), audience)


def test_a_run_is_the_same_with_and_without_its_forecast(model: Path, tmp_path: Path) -> None:
    """Every channel, so that whatever a round draws from is drawn from: the rehearsal must use none of it up."""
    told = Told()
    one = run(every_channel(model, tmp_path / "one", league__rounds=2), told)
    other = run(every_channel(model, tmp_path / "other", league__rounds=2), Nobody())
    assert run_digest(one) == run_digest(other)
    assert told.found is not None
    parts = (told.found.warm_up, told.found.first_exam, told.found.a_round, told.found.last_exam)
    assert all(part > 0 for part in parts) and told.found.total >= sum(parts)


def test_the_warm_up_is_counted_as_it_is_done(model: Path, tmp_path: Path) -> None:
    """All targets are looked at where there are few, so the tokens are those that the run then trains on."""
    told = Told()
    folder = run(tiny_config(model, tmp_path, league__rounds=1), told)
    with RunReader.read(folder) as reader:
        trained = reader.round_scalars(0)["tokens/trained"]
    assert told.warm_up is not None and told.warm_up.trained == pytest.approx(trained) and trained > 0


SPEED = Speed(read=100.0, drawn=50.0, learned=25.0)


def test_seconds_are_work_by_speed() -> None:
    assert SPEED.seconds(Work(read=200, drawn=100, learned=50, trained=9)) == 2 + 2 + 2


@pytest.mark.parametrize(
    ("limits", "rounds"),
    [
        ({}, 100),
        ({"token_budget": 1000}, 6),  # (1000 − 100) / (100 drawn + 50 trained)
        ({"trained_tokens": 300}, 4),  # (300 − 100) / 50
        ({"max_hours": 0.01}, 7),  # (36 s − 8 s) / 4 s a round
        ({"token_budget": 50}, 0),  # spent by the warm-up
    ],
)
def test_the_first_limit_ends_it(model: Path, tmp_path: Path, limits: dict[str, float], rounds: int) -> None:
    config = parse_config(yaml.safe_dump(tiny_config(model, tmp_path, league__rounds=100)), "limits")
    chosen = config.league.model_copy(update=limits)
    one_round = Work(drawn=100, learned=50, trained=50)
    assert forecasts._rounds(chosen, Work(trained=100), one_round, 8.0, SPEED) == rounds


def test_it_says_what_to_change() -> None:
    """300 s of 660 are the warm-up: that is what the remedy names."""
    told = Forecast(SPEED, warm_up=300, first_exam=60, a_round=20, measurements=0, last_exam=180, rounds=6)
    assert "about 11 min with 6 rounds of 20 s" in str(told) and "first payoff matrix after 6 min" in str(told)
    assert "45% of it is warm-up" in str(told)
    assert "measuring (smaller `evaluation.final_problems`" in str(replace(told, last_exam=600))


def test_a_prompt_too_long_is_left_out(model: Path, tmp_path: Path) -> None:
    """As in play, where it voids its match: no exception, and the other requests still count."""
    league, _ = assembly.create(prepare(parse_config(yaml.safe_dump(tiny_config(model, tmp_path)), "long")))
    bank = league.weights()
    speaker = forecasts.Rehearsal(bank, 7.0)
    ada = bank.trainable()[0]
    requests = [Request(ada, (Message("user", words),), 2, Sampling(max_tokens=5), 0) for words in ("a " * 9000, "b")]
    long, short = speaker.generate(requests)
    league.store.close()
    assert isinstance(long, BackendError) and "context" in str(long)
    assert not isinstance(short, BackendError) and [len(reply.tokens) for reply in short] == [5, 5]
    assert speaker.asked == [requests[1].messages], "nor does the probe read it"


def test_a_forecast_that_fails_ends_no_run(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(league: object, state: object) -> None:
        raise ZeroDivisionError("nobody was asked")

    monkeypatch.setattr("league.round.report.forecast", broken)
    config = parse_config(yaml.safe_dump(tiny_config(model, tmp_path, league__rounds=1)), "broken")
    with LiveReport(config.folder, 1) as audience:
        folder = train(prepare(config), audience)
    with RunReader.read(folder) as reader:
        assert reader.latest_round() == 1
    assert "nobody was asked" in (folder / "events.jsonl").read_text(encoding="utf-8")


def test_a_long_exam_is_rehearsed_in_part(model: Path, tmp_path: Path) -> None:
    """Ten times the problems are ten times the work, and hardly more calls of the stand-in."""
    work, said = {}, {}
    for problems in (forecasts.PROBLEMS, 10 * forecasts.PROBLEMS):
        data = tiny_config(model, tmp_path / str(problems))
        data["evaluation"] |= {"problems": problems, "final_problems": problems, "teaching_matches": 0}
        league, state = assembly.create(prepare(parse_config(yaml.safe_dump(data), "exam")))
        speaker = Counting(league.weights(), 7.0)
        work[problems] = forecasts._measuring(replace(league, backend=speaker), state, ends=False).drawn
        said[problems] = speaker.said
        league.store.close()
    one, ten = work
    assert work[ten] == pytest.approx(10 * work[one]) and said[ten] == said[one] > 0


class Counting(forecasts.Rehearsal):
    said = 0

    def generate(self, requests):
        self.said += len(requests)
        return super().generate(requests)
