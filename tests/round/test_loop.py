"""The loop on a tiny real model.

Rounds exist when committed, a resumed run is the same run, frozen things stay as they are.
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from league.errors import RunFolderError, UserError
from league.evaluation.on_demand import load_players
from league.learning.update import AgentUpdate
from league.loop import resume, train
from league.preflight.checks import prepare
from league.round.learn import _update_scalars
from league.runtime.export import choose, export_agents
from league.store.digests import run_digest
from league.store.reader import RunReader
from league.store.run import request_stop
from league.types import BASE, Hyper, Message, Request, Sampling, Version
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


@pytest.fixture(scope="module")
def run(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three rounds."""
    return train(prepare(tiny(model, tmp_path_factory.mktemp("runs"))), Nobody())


def test_every_round_is_stored_whole(run: Path) -> None:
    with RunReader.read(run) as reader:
        assert reader.latest_round() == 3
        state = reader.state()
        assert set(state["marks"]) == {"start", "end"}
        assert {row["version"].split("@")[0] for row in state["marks"]["start"]["exams"]} == {
            "adder",
            "ada",
            "max",
            "base",
        }
        assert all(
            len(row["correct"]) == (2 if row["version"].startswith(("adder", "base")) else 3)
            for row in state["marks"]["start"]["exams"]
        )
        assert state["tokens"]["sampled"] > 0
        assert {match.task for match in reader.matches(1, 1)} == {"teaching", "contest"}
        names = set(reader.scalar_names())
        assert {"accuracy/ada/sums", "accuracy/base/sums", "reward/student", "reward/expert", "tokens/sampled"} <= names
        updated = {name.rpartition("/")[2] for name in names if name.startswith("update/")}
        assert "mean_logprob" in updated and "clip_fraction" not in updated  # this objective does not clip
        assert {rating.ladder for rating in reader.ratings()} >= {"overall"}
        assert reader.transcript_ids()


def test_an_update_says_what_was_measured_and_no_more() -> None:
    done = AgentUpdate(
        agent="ada", samples=3, tokens=12, loss=0.1, grad_norm=0.2, kl=0.3, entropy=0.4, clip_fraction=0.25,
        mean_logprob=-2.0, steps=1,
    )  # fmt: skip
    always = {f"update/ada/{name}" for name in ("loss", "grad_norm", "entropy", "samples")}
    clipped = _update_scalars("ada", done, Hyper(1e-4), clips=True)
    assert clipped["update/ada/clip_fraction"] == 0.25 and clipped["update/ada/mean_logprob"] == -2.0
    assert set(clipped) == always | {"update/ada/clip_fraction", "update/ada/mean_logprob"}
    assert set(_update_scalars("ada", done, Hyper(1e-4), clips=False)) == always | {"update/ada/mean_logprob"}
    still = dataclasses.replace(done, tokens=0, mean_logprob=0.0, clip_fraction=0.0)
    assert set(_update_scalars("ada", still, Hyper(1e-4, kl=0.1), clips=True)) == always | {"update/ada/kl"}


def test_versions_are_immutable_and_their_line_is_unbroken(run: Path) -> None:
    with RunReader.read(run) as reader:
        rows = {row.version: row for row in reader.versions()}
        assert BASE in rows
        for version in reader.live().values():
            at, steps = version, []
            while rows[at].parents:
                steps.append(rows[at].reason)
                at = rows[at].parents[0]
            assert at == Version(version.agent, 0) and rows[at].reason == "warm-up"
            assert steps[-1] == "snapshot"  # every agent's start is kept as its first frozen past
        pasts = reader.state()["population"]["pasts"]
        assert all(len(kept) <= 2 and kept[0].endswith("@0") for kept in pasts.values())
        for kept in pasts.values():
            for name in kept:
                assert reader.blobs.problem(rows[Version.parse(name)].blob) is None


def test_a_stopped_and_resumed_run_is_the_same_run(model: Path, run: Path, tmp_path: Path) -> None:
    class StopAfterOne(Nobody):
        def round(self, league, report) -> None:
            if report.round == 1:
                request_stop(league.store.folder)

    config = tiny(model, tmp_path)
    train(prepare(config), StopAfterOne())
    with RunReader.read(config.folder) as reader:
        assert reader.latest_round() == 1
    resume(config.folder, Nobody())
    assert run_digest(config.folder) == run_digest(run)


def test_a_run_killed_before_its_first_commit_resumes_from_nothing(model: Path, run: Path, tmp_path: Path) -> None:
    class Killed(Nobody):
        def phase(self, league, number: int, text: str) -> None:
            if "exam" in text:
                raise KeyboardInterrupt

    config = tiny(model, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(prepare(config), Killed())
    resume(config.folder, Nobody())
    assert run_digest(config.folder) == run_digest(run)


def test_another_seed_is_another_run(model: Path, run: Path, tmp_path: Path) -> None:
    config = tiny(model, tmp_path, seed=4)
    train(prepare(config), Nobody())
    assert run_digest(config.folder) != run_digest(run)


def test_an_existing_run_is_never_overwritten(model: Path, run: Path) -> None:
    before = run_digest(run)
    with pytest.raises(RunFolderError, match="league resume"):
        prepare(tiny(model, run.parent))
    assert run_digest(run) == before


def test_a_scripted_league_needs_no_model(tmp_path: Path) -> None:
    agents = {
        "rocky": {"role": "scripted", "says": {"rock": 1.0}},
        "pat": {"role": "scripted", "says": {"paper": 0.7, "rock": 0.3}},
        "sid": {"role": "scripted", "says": {"scissors": 1.0}},
    }
    task = {"kind": "matrix_game", "matches": 6, "settings": {"game": "rock-paper-scissors"}}
    config = tiny(Path("/nowhere"), tmp_path, agents=agents, domains={}, tasks={"game": task})
    train(prepare(config), Nobody())
    with RunReader.read(config.folder) as reader:
        assert reader.latest_round() == 3
        cells = reader.payoffs("contest", "game")
        assert int(cells.wins.sum() + cells.draws.sum() + cells.losses.sum()) > 0


EXPORTED = """
import json, sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
base, folder, prompt, reply = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4])
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), folder).eval()
def logprobs():
    logits = model(torch.tensor([prompt + reply])).logits[0, len(prompt) - 1 : -1]
    return torch.log_softmax(logits.double(), -1).gather(1, torch.tensor(reply)[:, None])[:, 0].tolist()
with torch.inference_mode():
    adapted = logprobs()
    with model.disable_adapter():
        print(json.dumps([adapted, logprobs()]))
"""
TOLERANCE = 1e-4
"""Tolerance of fp32 log-probabilities.

The fused product of all adapters and PEFT's own sums round in another order.
"""


def test_an_export_is_the_live_agent_to_plain_peft(model: Path, run: Path, tmp_path: Path) -> None:
    """A reply sampled by the live agent has the same log-probabilities in PEFT.

    Token by token, in a fresh process that knows only PEFT.
    """
    with RunReader.read(run) as reader:
        chosen = choose(reader, 2, "accuracy", [])
        done = export_agents(run, reader, chosen, tmp_path / "out")
        assert len(done) == 2
        backend = load_players(reader, prepare(tiny(model, run.parent), new_run=False), [each.version for each in done])
    for each in done:
        assert {path.name for path in each.folder.iterdir()} >= {
            "adapter_model.safetensors",
            "adapter_config.json",
            "README.md",
            "tokenizer.json",
        }
        card = (each.folder / "README.md").read_text()
        assert "sums" in card and str(model) not in card and str(run) not in card
        request = Request(each.version, (Message("user", "What is 3 + 4?"),), 1, Sampling(max_tokens=24), 5)
        ((reply,),) = backend.generate([request])
        arguments = [str(model), str(each.folder), json.dumps(reply.prompt_tokens), json.dumps(reply.tokens)]
        shown = subprocess.run(
            [sys.executable, "-c", EXPORTED, *arguments], capture_output=True, text=True, check=True
        ).stdout
        adapted, plain = json.loads(shown.splitlines()[-1])
        assert adapted == pytest.approx(reply.logprobs, abs=TOLERANCE)
        assert plain != pytest.approx(reply.logprobs, abs=10 * TOLERANCE), (
            "the adapter must matter for this test to mean anything"
        )
    with pytest.raises(UserError, match="exists"), RunReader.read(run) as reader:
        export_agents(run, reader, chosen, tmp_path / "out")


@pytest.mark.parametrize(
    "task",
    [
        {"kind": "writing", "settings": {"samples": 2, "max_tokens": 8}},
        {"kind": "coding", "settings": {"samples": 2, "max_tokens": 8, "joint": "cross"}},
        {"kind": "matrix_game", "settings": {"game": "stag-hunt"}},
        {"kind": "kuhn_poker", "settings": {}},
    ],
    ids=lambda task: task["kind"],
)
def test_every_kind_of_task_plays_in_the_league(model: Path, tmp_path: Path, task: dict) -> None:
    agents = {"ada": {"role": "co-player"}, "max": {"role": "co-player"}}
    warmup = {"student": {"problems": 1, "demonstrations": 3}}
    config = tiny(
        model, tmp_path, agents=agents, tasks={"work": {**task, "matches": 2}}, league__rounds=2, warmup=warmup
    )
    train(prepare(config), Nobody())
    with RunReader.read(config.folder) as reader:
        assert reader.latest_round() == 2
        played = list(reader.matches(1))
        assert len([match for match in played if match.task == "work"]) == 4
        assert reader.round_scalars(0)["warmup_tokens/ada"] > 0
        assert all(match.void is None for match in played)


def test_a_token_budget_ends_the_run_with_its_last_exam(model: Path, tmp_path: Path) -> None:
    config = tiny(model, tmp_path, league__rounds=50, league__token_budget=400)
    train(prepare(config), Nobody())
    with RunReader.read(config.folder) as reader:
        assert 0 < (reader.latest_round() or 0) < 50
        state = reader.state()
        spent, last = state["tokens"], reader.round_scalars()
        counted = spent["sampled"] + spent["trained"]
        assert counted >= 400 and "end" in state["marks"] and spent["read"] > 0
        # neither tokens read nor those of exams count
        assert counted - last["tokens/sampled"] - last["tokens/trained"] < 400


def test_a_limit_on_trained_tokens_ends_the_run_whatever_was_sampled(model: Path, tmp_path: Path) -> None:
    config = tiny(model, tmp_path, league__rounds=50, league__trained_tokens=300)
    train(prepare(config), Nobody())
    with RunReader.read(config.folder) as reader:
        last = reader.latest_round() or 0
        assert 0 < last < 50 and reader.state()["tokens"]["trained"] >= 300 and "end" in reader.state()["marks"]
        assert reader.state()["tokens"]["trained"] - reader.round_scalars(last)["tokens/trained"] < 300


def test_agents_that_all_stand_still_play_and_are_counted(model: Path, tmp_path: Path) -> None:
    """An untrained baseline is a run like any other, without updates."""
    agents = {"ann": {"role": "co-player", "train": False}, "bob": {"role": "co-player", "train": False}}
    work = {
        "kind": "writing",
        "matches": 2,
        "settings": {"samples": 2, "max_tokens": 8},
        "seats": {"writer-1": ["ann"], "writer-2": ["bob"]},
    }
    config = tiny(
        model,
        tmp_path,
        agents=agents,
        tasks={"work": work},
        league__rounds=2,
        warmup={"student": {"demonstrations": 2}},
    )
    train(prepare(config), Nobody())
    with RunReader.read(config.folder) as reader:
        assert set(reader.live().values()) == {Version("ann", 0), Version("bob", 0)}
        assert reader.round_scalars(0)["warmup_tokens/ann"] > 0 == reader.round_scalars(2)["tokens/trained"]
        assert len([match for match in reader.matches(1) if match.task == "work" and match.outcomes]) == 4


def test_situations_are_drawn_stored_and_counted_apart(tmp_path: Path) -> None:
    agents = {
        "ann": {"role": "scripted", "says": {"Answer: 3": 1}},
        "bob": {"role": "scripted", "says": {"Answer: 5": 1, "Answer: 3": 1}},
    }
    mixes = {"alone": {"individual": 1.0}, "race": {"individual": 0.0, "competitive": 1.0, "weight": 2.0}}
    task = {"kind": "contest", "matches": 12, "situations": mixes, "settings": {"items": 1, "answers": 2}}
    config = tiny(Path("/nowhere"), tmp_path, agents=agents, tasks={"quiz": task}, league__rounds=2)
    train(prepare(config), Nobody())
    with RunReader.read(config.folder) as reader:
        played = [match for match in reader.matches() if match.task == "quiz"]
        found = {match.situation: match.rewards for match in played}
        assert found == {"alone": (1.0, 0.0, 0.0), "race": (0.0, 0.0, 1.0)}
        for name in mixes:
            cells = reader.payoffs("contest", "quiz", name)
            games = sum(o.n for match in played if match.situation == name for o in match.outcomes)
            assert int(cells.n.sum()) == games > 0


def test_a_resumed_league_knows_what_the_running_one_knew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Payoffs and ratings put back from their tables are those in memory.

    Also when cells were trimmed between; there is one digest at the end.
    """
    import dataclasses

    from league.runtime import assembly
    from league.store.records import Retention

    monkeypatch.setattr("league.store.commit.TRIM_EVERY", 2)
    monkeypatch.setattr("league.round.commit.TRIM_EVERY", 2)
    monkeypatch.setattr(assembly, "retention_of", lambda config: dataclasses.replace(Retention(), payoff_rounds=1))
    agents = {f"s{i}": {"role": "scripted", "says": {"rock": i + 1, "paper": 2}} for i in range(4)}
    task = {
        "kind": "matrix_game",
        "matches": 5,
        "matchmaking": {"pfsp": 1.0},
        "settings": {"game": "rock-paper-scissors"},
    }

    def config(place: str):
        return tiny(
            Path("/nowhere"), tmp_path / place, agents=agents, domains={}, tasks={"game": task}, league__rounds=9
        )

    class Look(Nobody):
        def __init__(self, stop: int | None = None):
            self.seen: dict[int, tuple] = {}
            self.stop = stop

        def round(self, league, report) -> None:
            versions = [Version(f"s{i}", 0) for i in range(4)]
            met = report.state.view.meetings("game", versions, versions)
            self.seen[report.round] = (met.wins.tolist(), report.state.view.versions(), report.state.ratings.rows())
            if report.round == self.stop:
                request_stop(league.store.folder)

    whole, parts = Look(), Look(5)
    train(prepare(config("a")), whole)
    train(prepare(config("b")), parts)
    again = Look()
    resume(config("b").folder, again)
    assert {**parts.seen, **again.seen} == whole.seen and set(again.seen) == {6, 7, 8, 9}
    assert run_digest(config("a").folder) == run_digest(config("b").folder)


def test_a_paused_run_waits_and_goes_on(tmp_path: Path) -> None:
    import threading
    import time

    from league.store.reader import RunReader

    class PauseAfterOne(Nobody):
        def round(self, league, report) -> None:
            if report.round == 1:
                request_stop(league.store.folder, "a test", "pause")

    agents = {"rocky": {"role": "scripted", "says": {"rock": 1}}, "pat": {"role": "scripted", "says": {"paper": 1}}}
    task = {"kind": "matrix_game", "matches": 2, "settings": {"game": "rock-paper-scissors"}}
    config = tiny(Path("/nowhere"), tmp_path, agents=agents, domains={}, tasks={"game": task}, league__rounds=3)
    seen: list[int | None] = []

    def go_on() -> None:
        for _ in range(200):
            if (config.folder / "stop").exists():
                break
            time.sleep(0.05)
        time.sleep(0.3)
        with RunReader.read(config.folder) as reader:
            seen.append(reader.latest_round())
        (config.folder / "stop").unlink()

    helper = threading.Thread(target=go_on)
    helper.start()
    train(prepare(config), PauseAfterOne())
    helper.join()
    assert seen == [1]
    with RunReader.read(config.folder) as reader:
        assert reader.latest_round() == 3


def test_every_token_has_its_account_and_a_resumed_run_the_same(model: Path, run: Path, tmp_path: Path) -> None:
    """Totals are the sums of the rounds; measuring is in none of them."""

    class StopAfterOne(Nobody):
        def round(self, league, report) -> None:
            if report.round == 1:
                request_stop(league.store.folder)

    config = tiny(model, tmp_path)
    train(prepare(config), StopAfterOne())
    resume(config.folder, Nobody())
    with RunReader.read(run) as whole, RunReader.read(config.folder) as resumed:
        state, rounds = whole.state(), [whole.round_scalars(number) for number in range(4)]
        assert state["tokens"] == resumed.state()["tokens"] and state["spent"] == resumed.state()["spent"]
    spent = state["spent"]
    for kind, total in state["tokens"].items():
        assert total == sum(scalars[f"tokens/{kind}"] for scalars in rounds)
    assert state["tokens"]["sampled"] > 0 and state["tokens"]["read"] > 0 and state["tokens"]["scored"] == 0
    assert spent["trained"]["ada"].keys() == {"supervised", "own_samples"}
    assert spent["trained"]["ada"]["supervised"] == rounds[0]["warmup_tokens/ada"]
    for activity, total in spent["flops"].items():
        assert total == sum(scalars.get(f"flops/{activity}", 0.0) for scalars in rounds)
    # the students' 2 problems are the first of the expert's 4
    assert spent["given"] == {"sums/train": [0, 4]} and spent["verified"] == {}
    assert spent["verifier_calls"] == sum(scalars["verifier_calls"] for scalars in rounds) > 0
    measured = spent["measured"]
    assert measured["sampled"] + measured["read"] == sum(scalars.get("measured/tokens", 0.0) for scalars in rounds) > 0
    # measured before the first round, after the second and at the end
    assert ["measured/tokens" in scalars for scalars in rounds] == [True, False, True, True]
