"""A prompt or text that does not fit the model's context voids its match or is left out, counted and said."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rich.console import Console

from league.backends.local import LocalBackend
from league.errors import BackendError, PromptTooLong
from league.loop import resume, train
from league.model.bank import AdapterBank
from league.model.base import BaseModel
from league.preflight.checks import prepare
from league.round import report as watch
from league.store.digests import run_digest
from league.store.reader import RunReader
from league.store.run import request_stop
from league.types import Match, Message, Request, Sampling, Turn
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, Noise, every_channel, tiny

LONG = "all the words that fit into no context " * 100


@dataclass(frozen=True)
class LongInRoundTwo(Noise):
    """One match of round 2 asks with far too many words."""

    def open(self, match: Match) -> Sequence[Turn]:
        turns = list(super().open(match))
        if not match.id.startswith("2-contest-0"):
            return turns
        long = {seat: (*prompt[:-1], Message("user", LONG)) for seat, prompt in turns[0].prompts.items()}
        return [replace(turns[0], prompts=long), *turns[1:]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


def config(model: Path, runs: Path, **changes: object):
    return tiny(model, runs, tasks__contest__kind="tests.round.test_too_long:LongInRoundTwo", **changes)


def test_a_request_that_does_not_fit_is_answered_with_why_and_the_others_as_ever(tiny: BaseModel) -> None:
    backend = LocalBackend(tiny, AdapterBank(tiny))
    short = Request(None, (Message("user", "hello"),), 2, Sampling(max_tokens=3), seed=1)
    long = replace(short, messages=(Message("user", LONG),))
    first, refused, last = backend.generate([short, long, replace(short, seed=2)])
    assert isinstance(refused, BackendError) and "expected fewer than the context of 512" in str(refused)
    assert [first, last] == backend.generate([short, replace(short, seed=2)])
    (alone,) = backend.generate([long])
    assert isinstance(alone, BackendError)
    with pytest.raises(PromptTooLong):
        tiny.encode(long.messages)


def test_the_match_is_void_counted_and_said_and_the_run_goes_on(model: Path, tmp_path: Path) -> None:
    out = io.StringIO()
    chosen = config(model, tmp_path / "whole")
    shown = watch.LiveReport(chosen.folder, 3, quiet=True)
    shown._progress._console = Console(file=out, width=200)
    with shown:
        train(prepare(chosen), shown)
    with RunReader.read(chosen.folder) as reader:
        assert reader.latest_round() == 3
        voids = [match for match in reader.matches() if match.void is not None]
        assert [match.id for match in voids] == ["2-contest-0"] and "tokens" in str(voids[0].void)
        assert reader.round_scalars(2)["void/contest"] == 1.0 and "void/contest" not in reader.round_scalars(3)
    events = [json.loads(line) for line in (chosen.folder / "events.jsonl").read_text().splitlines()]
    (event,) = [event for event in events if event["event"] == "void matches"]
    assert (event["round"], event["task"], event["count"]) == (2, "contest", 1)
    assert "contest: 1 void match in round 2: prompt of" in out.getvalue()

    class StopAfterOne(Nobody):
        def round(self, league, report) -> None:
            if report.round == 1:
                request_stop(league.store.folder)

    parts = config(model, tmp_path / "parts")
    train(prepare(parts), StopAfterOne())
    resume(parts.folder, Nobody())
    assert run_digest(parts.folder) == run_digest(chosen.folder)


def test_targets_of_the_warm_up_that_do_not_fit_are_left_out_and_said(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four targets of the expert every second one is too long."""
    from league.learning import warmup

    made = warmup._target

    def sometimes_long(domain, problem, draw, phase):
        target = made(domain, problem, draw, phase)
        if problem.index % 2 or phase.problems != 4:
            return target
        return replace(target, messages=(*target.messages[:-1], Message("user", LONG)))

    monkeypatch.setattr(warmup, "_target", sometimes_long)
    heard: list[str] = []

    class Listening(Nobody):
        def phase(self, league, number: int, text: str) -> None:
            heard.append(text)

    chosen = tiny(model, tmp_path, league__rounds=1)
    train(prepare(chosen), Listening())
    assert any("2 targets too long for the model" in text for text in heard)
    events = [json.loads(line) for line in (chosen.folder / "events.jsonl").read_text().splitlines()]
    assert sum(event["count"] for event in events if event["event"] == "too long") == 2


def test_texts_that_leave_no_room_are_counted(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A student with so long a system message that no teacher's reply fits beside it learns nothing of them."""
    from league.config import parse_config
    from league.round import channels

    kept = channels._encoder

    def wide(league, state):
        encode = kept(league, state)
        return lambda agent, prompt: (
            encode(agent, (*prompt, Message("user", LONG))) if agent == "ada" else encode(agent, prompt)
        )

    monkeypatch.setattr(channels, "_encoder", wide)
    import yaml

    chosen = parse_config(yaml.safe_dump(every_channel(model, tmp_path, league__rounds=2)), "long")
    train(prepare(chosen), Nobody())
    with RunReader.read(chosen.folder) as reader:
        counts = [reader.round_scalars(number).get("too_long/texts", 0.0) for number in (1, 2)]
        assert sum(counts) > 0
        assert "texts/ada/steps" not in reader.scalar_names()
