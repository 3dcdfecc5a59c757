"""A stored match is played again: it agrees to the last bit, or the first place that differs is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from league.cli import app
from league.commands.agents import agents
from league.commands.trust import trust
from league.config import parse_config
from league.errors import ConfigError, DataError, UserError
from league.evaluation.replay import Replay, replay_match
from league.loop import resume, train
from league.preflight.checks import prepare
from league.reporting.queries.replay_cost import replay_cost
from league.rollouts.replay_records import ReplayRecord, SaidTokens, packed
from league.store import codec
from league.store.reader import RunReader
from league.store.run import RunStore
from league.store.verify import verify
from league.types import Reply
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, tiny_config
from tests.round.test_changed_settings import scripted

TASKS: dict[str, Any] = {
    "teaching": {
        "kind": "tests.leagues:NoisyTeaching",
        "matches": 1,
        "settings": {"explanations": 2, "similar": 1, "answers": 2, "explanation_tokens": 6},
    },
    "contest": {
        "kind": "tests.leagues:Noise",
        "matches": 2,
        "settings": {"items": 2, "answers": 4, "probes": 2, "probe_threshold": 0.9},
    },
    "rps": {"kind": "matrix_game", "matches": 2, "settings": {"samples": 2, "rounds": 2, "invalid": "resample"}},
    "coding": {
        "kind": "coding",
        "matches": 1,
        "settings": {"samples": 2, "turns": 2, "max_tokens": 8},
    },
}


class KilledIn(Nobody):
    """Ends the process's work in the midst of a round, as a kill does: nothing of the round is kept."""

    def __init__(self, number: int) -> None:
        self.number = number

    def phase(self, league, number: int, text: str) -> None:
        if number == self.number and text == "updating":
            raise KeyboardInterrupt


def settings(model: Path, runs: Path, **changes: object) -> Any:
    import yaml

    data = tiny_config(model, runs, tasks=TASKS, **changes)
    data["evaluation"] |= {"every": 1, "versions": {"matches": 1}, "teaching_matches": 1}
    return parse_config(yaml.safe_dump(data), "tiny")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its context has room for a coding prompt in bytes; a quarter of all tokens end a reply."""
    ends = list(range(2, 67))
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=4096, eos_token_id=ends)


@pytest.fixture(scope="module")
def run(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rounds of everything, the second one interrupted and resumed."""
    config = settings(model, tmp_path_factory.mktemp("runs"), league__rounds=3, league__keep="replayable")
    with pytest.raises(KeyboardInterrupt):
        train(prepare(config), KilledIn(2))
    return resume(config.folder, Nobody())


def ids(run: Path) -> list[str]:
    with RunReader.read(run) as reader:
        return [name for _, name in reader.transcript_ids()]


def rewritten(run: Path, match: str, change: Callable[[dict[str, Any]], None]) -> None:
    """The run with another transcript of a match."""
    with RunStore.open(run) as store:
        shown = store.transcript(match)
        change(shown)
        block = codec.pack_json(shown, match)
        store.db.execute("UPDATE transcripts SET block = ?, bytes = ? WHERE match = ?", (block, len(block), match))


@pytest.fixture
def changed(run: Path):
    """A way to change a transcript that is put back afterwards."""
    with RunReader.read(run) as reader:
        before = {name: reader.transcript(name) for _, name in reader.transcript_ids()}
    yield lambda match, change: rewritten(run, match, change)
    with RunStore.open(run) as store:
        for match, shown in before.items():
            block = codec.pack_json(shown, match)
            store.db.execute("UPDATE transcripts SET block = ?, bytes = ? WHERE match = ?", (block, len(block), match))


# ------------------------------------------------------------------------------------------------------- it agrees
@pytest.mark.parametrize(
    "match", ["1-teaching-0", "1-contest-1", "2-rps-0", "2-coding-0", "3-teaching-test-0-0", "1-contest-versions-0-0"]
)
def test_a_match_played_with_its_batch_agrees_to_the_last_bit(run: Path, match: str) -> None:
    found = replay_match(run, match, exact=True)
    assert found.agrees and found.whole_batch and found.notes == (), found
    assert found.largest_gap == 0.0 and found.logprobs == found.tokens > 0
    assert found.together == {"test": 1, "versions": 1}.get(match.split("-")[2], 6) or "test" in match


def test_a_match_alone_agrees_in_every_token(run: Path) -> None:
    found = replay_match(run, "2-contest-0", alone=True)
    assert found.agrees and found.together == 1 and not found.whole_batch and found.largest_gap < 1e-4


def test_every_match_but_exams_can_be_replayed_and_the_run_is_sound(run: Path) -> None:
    with RunReader.read(run) as reader:
        played = {match.id for match in reader.matches() if match.task != "exam" and match.void is None}
    assert set(ids(run)) == played
    assert verify(run).sound


# ---------------------------------------------------------------------------------------------------- it differs
def first_said(shown: dict[str, Any]) -> dict[str, Any]:
    return shown["turns"][0]["replies"][0]


def one_letter(shown: dict[str, Any]) -> None:
    first_said(shown)["text"] = "x" + first_said(shown)["text"]


def one_token(shown: dict[str, Any]) -> None:
    shown["replay"]["replies"][1][0][0] += 1


def one_bit(shown: dict[str, Any]) -> None:
    tokens, logprobs = shown["replay"]["replies"][0]
    said = SaidTokens.unpacked([tokens, logprobs])
    nearest = float(np.nextafter(np.float32(said.logprobs[0]), np.float32(0)))
    shown["replay"]["replies"][0] = packed(Reply("", "end", tokens=said.tokens, logprobs=(nearest, *said.logprobs[1:])))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (one_letter, "reply 0: was 'x"),
        (one_token, "reply 1: token 0 was "),
        (lambda shown: shown["replay"].update(seed=shown["replay"]["seed"] + 1), "reply 0"),
        (lambda shown: shown["turns"].pop(), "turns then"),
        (lambda shown: shown["turns"][0]["prompt"].pop(), "the prompt was"),
        (one_bit, "the log-probability of token 0 was"),
    ],
)
def test_the_first_place_that_differs_is_named(run: Path, changed: Any, change: Any, said: str) -> None:
    changed("2-contest-0", change)
    found = replay_match(run, "2-contest-0", exact=True)
    assert not found.agrees and said in str(found.differs), found.differs


def test_a_bit_is_rounding_unless_bits_are_asked_for(run: Path, changed: Any) -> None:
    changed("2-contest-0", one_bit)
    found = replay_match(run, "2-contest-0")
    assert found.agrees and 0 < found.largest_gap < 1e-6


def test_the_command_says_it_and_exits_accordingly(run: Path, changed: Any) -> None:
    shown = CliRunner().invoke(app, ["replay", str(run), "2-rps-0"])
    assert shown.exit_code == 0 and "every token agrees" in shown.output and "bit for bit" in shown.output
    changed("2-rps-0", one_letter)
    shown = CliRunner().invoke(app, ["replay", str(run), "2-rps-0", "--json"])
    assert shown.exit_code == 1 and json.loads(shown.output)["differs"].startswith("row, round 1, reply 0: was 'x")


# ------------------------------------------------------------------------------------------------- it cannot be
def test_what_cannot_be_replayed_says_why_and_what_helps(run: Path, changed: Any) -> None:
    def refused(match: str, why: str) -> None:
        with pytest.raises(UserError, match=why):
            replay_match(run, match)

    refused("2-contest-7", "did you mean '2-contest-")
    refused("999999999999999999-contest-0", "has no match")
    refused("2-exam-validation-0", "league evaluate")
    changed("1-contest-0", lambda shown: shown["replay"]["task"]["settings"].update(items=3))
    refused("1-contest-0", "tasks.contest.settings.items was 3 by its record, is 2")
    changed("1-contest-0", lambda shown: shown["replay"]["task"].update(kind="os:system"))
    refused("1-contest-0", "tasks.contest.kind was os:system by its record")
    changed("1-contest-0", lambda shown: shown["replay"].update(replies=[[[1], "!"]]))
    with pytest.raises(DataError, match="not of the stored shape"):
        replay_match(run, "1-contest-0")


def test_weights_that_are_gone_are_named(run: Path) -> None:
    with RunReader.read(run) as reader:
        match = next(match for match in reader.matches(2, 2) if match.id == "2-teaching-0")
        blob = reader.version_row(match.seats["student"]).blob
        assert blob is not None
        path = reader.blobs.path(blob)
    path.rename(path.with_name("elsewhere"))
    try:
        with pytest.raises(UserError, match=r"\(seat 'student'\) are gone.*league.keep: replayable"):
            replay_match(run, match.id)
    finally:
        path.with_name("elsewhere").rename(path)


# ------------------------------------------------------------------------------------- runs that keep what is recent
def test_the_last_round_of_any_run_can_be_replayed(model: Path, tmp_path: Path) -> None:
    changes = {"league__rounds": 3, "league__transcripts_per_round": 9, "evaluation__every": 3}
    run = train(prepare(settings(model, tmp_path, **changes)), Nobody())
    with RunReader.read(run) as reader:
        assert "keep" not in reader.state()["config"]["league"], "what a state says stays as it was"
        assert "replay" not in reader.transcript("3-contest-0")
    found = replay_match(run, "3-contest-0", exact=True)
    assert found.agrees and found.logprobs == 0 and found.tokens > 0
    with pytest.raises(UserError, match="are gone.*league.keep: replayable"):
        replay_match(run, "2-teaching-0")  # its players are none of the first exam, which every state names
    assert replay_cost_of(run) is None


def replay_cost_of(run: Path) -> Any:
    with RunReader.read(run) as reader:
        return replay_cost(reader)


def test_status_says_what_it_costs(run: Path) -> None:
    cost = replay_cost_of(run)
    with RunReader.read(run) as reader:
        (replies,) = reader.db.execute("SELECT sum(bytes) FROM transcripts").fetchone()
    assert cost.rounds == 4 and cost.replies == replies and cost.weights > 0
    shown = CliRunner().invoke(app, ["status", str(run)])
    assert f"replayable: {cost.a_round / 1000:,.1f} kB a round" in shown.output.replace("\n", " ")


def test_keeping_needs_transcripts() -> None:
    with pytest.raises(ConfigError, match="keep: replayable needs transcripts"):
        parse_config("name: x\nagents: {}\ntasks: {}\nleague: {keep: replayable, transcript_rounds: 0}", "x")


def test_tokens_and_log_probabilities_come_back_exactly() -> None:
    short = tuple(float(np.float32(value)) for value in (-0.1, -17.25, 0.0))
    for logprobs in (short, (-0.1, -1e-300, -3.0), ()):
        reply = Reply("", "end", tokens=tuple(range(len(logprobs))), logprobs=logprobs)
        assert SaidTokens.unpacked(json.loads(json.dumps(packed(reply)))) == SaidTokens(reply.tokens, logprobs)
    assert len(packed(Reply("", "end", tokens=(1, 2, 3), logprobs=short))[1]) == 16, "12 bytes in base64"
    assert ReplayRecord.of(None) is ReplayRecord.of({"turns": []}) is None


def test_an_answer_is_json(run: Path) -> None:
    assert isinstance(replay_match(run, "1-rps-0", alone=True), Replay)


# -------------------------------------------------------------------------------------- what was changed since
@pytest.mark.parametrize("keep", ["recent", "replayable"])
def test_a_match_is_replayed_under_the_rules_and_players_of_its_round(tmp_path: Path, keep: str) -> None:
    changes = {"league__keep": keep, "league__keep_rounds": 3, "league__transcripts_per_round": 9}
    run = train(prepare(scripted(tmp_path, **changes)), Nobody())
    agents("retire", run, "pat", [])
    resume(run, Nobody(), ["league.rounds=3", "tasks.game.settings.game=biased-rock-paper-scissors"])
    with RunReader.read(run) as reader:
        matches = [match for match in reader.matches(1) if match.purpose == "train"]
    assert any(seat.agent == "pat" for match in matches for seat in match.seats.values())
    for match in matches:
        assert replay_match(run, match.id).agrees, match.id


def test_trust_covers_what_earlier_rounds_named(tmp_path: Path) -> None:
    run = train(prepare(scripted(tmp_path, league__callbacks=["builtins:id"], league__keep="replayable")), Nobody())
    resume(run, Nobody(), ["league.rounds=3", "league.callbacks=[]"])
    trust(run, off=True)
    assert replay_match(run, "3-game-0").agrees, "its round named no code"
    with pytest.raises(UserError, match="league trust"):
        replay_match(run, "1-game-0")
    trust(run)
    assert replay_match(run, "1-game-0").agrees
