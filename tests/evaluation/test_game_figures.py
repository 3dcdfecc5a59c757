"""`league exploitability`: policies stated, sampled and read off, through real runs."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from league.errors import UserError
from league.loop import train
from league.preflight.checks import prepare
from league.types import BASE, Message, Request, Sampling, Version
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, tiny

pytest.importorskip("pyspiel", reason="open-spiel is not installed")

from league.cli import app
from league.evaluation.game_figures import game_figures
from tasks.openspiel.text import action_grammar, listed_actions

AGENTS = {
    "evens": {"role": "scripted", "script": "tasks.openspiel.scripts:uniform_mover"},
    "bold": {"role": "scripted", "says": {"Bet": 1}},
    "vague": {"role": "scripted", "says": {"Pass": 3, "bet.": 1, "hm": 4}},
    "drawn": {"role": "scripted", "script": "tests.evaluation.test_game_figures:second"},
}


def second(messages, stream):
    """Always the last action of the list: a script that states no chances."""
    return listed_actions(messages[-1].content)[-1]


def kuhn(folder: Path, agents: dict, model: Path = Path("/nowhere"), **changes: object) -> Path:
    tasks = {"game": {"kind": "openspiel", "matches": 6, "settings": {"game": "kuhn_poker", "deals": 2, "samples": 2}}}
    config = tiny(model, folder, agents=agents, domains={}, tasks=tasks, warmup={}, league__rounds=2, **changes)
    return train(prepare(config), Nobody())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kuhn(tmp_path_factory.mktemp("runs"), AGENTS)


def test_scripted_players_are_known_exactly(run: Path) -> None:
    found = game_figures(run, [], task=None, samples=16, most=100)
    rows = {str(played.version): (played, exact) for played, exact in found.rows}
    assert (found.sets, found.asked) == (12, 12)
    assert {name: played.how for name, (played, _) in rows.items()} == {
        "evens@0": "stated",
        "bold@0": "stated",
        "vague@0": "stated",
        "drawn@0": "sampled",
    }
    assert rows["evens@0"][1] == found.uniform and found.uniform.exploitability == pytest.approx(11 / 24)
    # Against who always bets: call with king and queen, fold the jack. First: (K) +2, (Q) ±0, (J) −1, mean 1/3.
    assert rows["bold@0"][1].exploitability == pytest.approx(1 / 3)
    assert rows["drawn@0"][1] == rows["bold@0"][1]
    assert rows["vague@0"][0].legal == 0.5
    assert {round(p, 6) for chances in rows["vague@0"][0].policy.values() for p in chances.values()} == {0.25, 0.75}
    assert sum(found.weights.values()) == pytest.approx(1.0)


def test_the_mixture_weighs_by_measured_payoffs_or_alike(run: Path) -> None:
    pair = game_figures(run, ["bold", "vague"], task="game", samples=4, most=100)
    assert pair.measured and pair.weights[Version("bold", 0)] == pytest.approx(1.0)
    assert pair.mixture.nash_conv == pytest.approx(pair.rows[0][1].nash_conv)


def test_the_command_prints(run: Path) -> None:
    runner = CliRunner()
    said = runner.invoke(app, ["exploitability", str(run), "bold", "--json"])
    assert said.exit_code == 0
    (row,) = json.loads(said.stdout)["results"]
    assert (row["version"], row["policy"], row["legal"]) == ("bold@0", "stated", 1.0)
    assert "bold@0" in runner.invoke(app, ["exploitability", str(run)]).stdout


@pytest.mark.parametrize(
    ("names", "task", "most", "words"),
    [
        (["nobody"], None, 100, "nobody"),
        ([], "gam", 100, "'gam' is no OpenSpiel task of .*; did you mean 'game'"),
        ([], None, 3, "asks 12 different questions, at most 3"),
    ],
)
def test_a_wrong_question_says_what_to_do(run: Path, names: list[str], task: str | None, most: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        game_figures(run, names, task=task, samples=1, most=most)


def test_language_agents_are_read_off_under_a_grammar(tmp_path: Path) -> None:
    pytest.importorskip("llguidance", reason="grammars need llguidance")
    model = write_tiny_model(tmp_path / "model")
    folder = kuhn(tmp_path, {"ada": {"role": "co-player"}, "max": {"role": "co-player"}}, model)
    found = game_figures(folder, ["ada", "max", "base"], task=None, samples=1, most=100)
    assert [played.how for played, _ in found.rows] == ["read off"] * 3 and found.rows[2][0].version == BASE
    for played, exact in found.rows:
        assert played.legal == 1.0 and 0 < exact.nash_conv < 4
        for chances in played.policy.values():
            assert sum(chances.values()) == pytest.approx(1.0) and min(chances.values()) >= 0
    assert found.rows[0][1] != found.rows[2][1]


def test_probabilities_read_off_are_those_of_sampling(tmp_path: Path) -> None:
    pytest.importorskip("llguidance", reason="grammars need llguidance")
    from league.backends.local import LocalBackend
    from league.evaluation.action_probabilities import action_probabilities
    from league.model.bank import AdapterBank
    from league.model.base import BaseModel

    base = BaseModel.load(write_tiny_model(tmp_path / "model"), device="cpu", dtype="float32")
    bank = AdapterBank(base)
    names = ["Bet", "Bet 2", "Pass", "Fold"]  # one begins with another
    sampling = Sampling(temperature=0.7, max_tokens=8, grammar=action_grammar(names))
    prompt = (Message("user", "Legal actions: " + " | ".join(names)),)
    (exact,) = action_probabilities(bank, BASE, [prompt], [(tuple(enumerate(names)), sampling)])
    assert sum(exact.values()) == pytest.approx(1.0)
    (replies,) = LocalBackend(base, bank).generate([Request(None, prompt, 600, sampling, seed=1)])
    counts = np.array([sum(reply.text == name for reply in replies) for name in names])
    assert counts.sum() == 600
    for name, count in zip(names, counts, strict=True):
        p = exact[names.index(name)]
        # 4.5 standard errors, four names: a false alarm in about 1 of 35,000 seeds
        assert abs(count / 600 - p) < 4.5 * (p * (1 - p) / 600) ** 0.5 + 1e-9
