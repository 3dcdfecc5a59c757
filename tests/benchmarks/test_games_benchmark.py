"""What the games benchmark claims about its own shortcuts.

Merging equal samples keeps the gradient; policies and turns are exact.
"""

import math

import numpy as np
import pytest
import torch

from benchmarks.games import live_league, report
from benchmarks.games.__main__ import turns
from benchmarks.games.arena import exact_policy, merged, with_entropy
from league.backends.local import LocalBackend
from league.learning.objective import Objective
from league.learning.update import update
from league.learning.warmup import Target, supervised_sample
from league.model.bank import AdapterBank, LoraSpec
from league.types import Hyper, Match, Reply, Request, Sample, Version
from tasks.games.matrix_games import MatrixGame
from tests.helpers.games_player import match_for, play


def test_merging_equal_samples_keeps_the_update(tiny):
    rng = np.random.default_rng(0)
    prompt, distinct = (5, 6, 7), ((8, 9, 2), (10, 2), (11, 12, 13, 2))
    samples = [
        Sample("a", prompt, distinct[int(pick)], (-1.0,) * len(distinct[int(pick)]), float(rng.normal()))
        for pick in rng.integers(3, size=24)
    ]
    assert len(merged(samples)) == 3

    def trained(chosen):
        bank = AdapterBank(tiny)
        bank.add(Version("a", 0), LoraSpec(rank=2), seed=1, trainable=True)
        report = update(tiny, bank, chosen, {"a": Hyper(0.01)}, Objective())
        return bank.state(Version("a", 0)), report["a"].grad_norm

    whole, whole_norm = trained(samples)
    small, small_norm = trained(merged(samples))
    assert small_norm == pytest.approx(whole_norm, rel=1e-4) and whole_norm > 0
    for name, value in whole.items():
        # AdamW's first step is the sign of the gradient, so entries of near-zero gradient may differ: compare all but a
        # few in a thousand.
        assert (torch.isclose(value, small[name], atol=1e-5).float().mean()) > 0.995


def test_exact_policy_counts_every_distinct_reply_once():
    rock, paper, talk = (
        Reply(text, "end", (), tokens, (math.log(p),))
        for text, tokens, p in (("rock", (1,), 0.5), ("Paper.", (2,), 0.2), ("hm", (3,), 0.1))
    )
    policy, invalid, unseen = exact_policy([rock, rock, paper, talk, rock], ("rock", "paper", "scissors"))
    assert policy == pytest.approx([5 / 7, 2 / 7, 0]) and invalid == pytest.approx(0.1) and unseen == pytest.approx(0.2)


def test_the_live_leagues_policies_are_those_its_grammar_samples(tiny):
    """Two versions far apart, 2,000 replies each.

    A share further than 0.05 from its probability has odds below 1e-5 (z > 4.4).
    """
    pytest.importorskip("llguidance")
    bank = AdapterBank(tiny)
    one, two = Version("a", 0), Version("b", 0)
    for seed, version in enumerate((one, two)):
        bank.add(version, LoraSpec(rank=2), seed=seed, trainable=True)
    task = MatrixGame("game", samples=2, constrained=True, max_tokens=12)
    turn = task.open(Match("policy", "game", round=0, seats={"row": one, "col": one}, problems=(), seed=0))[0]
    target = supervised_sample(tiny, "b", Target(turn.prompts["row"], "scissors"))
    for _ in range(3):
        update(tiny, bank, [target], {"b": Hyper(0.02)}, Objective())
    found = live_league.policies_of(bank, turn, task.form.moves, [one, two])
    assert found.sum(axis=1) == pytest.approx(1) and abs(found[0] - found[1]).max() > 0.2
    for version, policy in zip((one, two), found, strict=True):
        (replies,) = LocalBackend(tiny, bank).generate(
            [Request(version, turn.prompts["row"], 2000, turn.sampling["row"], 5)]
        )
        shares = [sum(reply.text == move for reply in replies) / 2000 for move in task.form.moves]
        assert sum(shares) == 1 and shares == pytest.approx(policy, abs=0.05)
    with pytest.raises(ValueError, match="opens 2 of the moves"):
        live_league.openings(tiny, 'start: "rock" | "roll"', ("rock", "roll"))


def test_a_population_that_holds_all_moves_cannot_be_exploited_whoever_leads() -> None:
    """Two learners, a snapshot every second round, three kept.

    First rock, then paper, then scissors; the first and the two newest stay.
    """
    pure = {"rock": [1.0, 0.0, 0.0], "paper": [0.0, 1.0, 0.0], "scissors": [0.0, 0.0, 1.0]}
    moves = ["rock", "rock", "paper", "rock", "scissors", "rock", "paper"]
    curve = [{"round": number, "policies": [pure[move], pure["rock"]]} for number, move in enumerate(moves)]
    held = report.frozen_at(curve, 6, 2, 3)
    assert held.tolist() == [pure["rock"], pure["scissors"], pure["paper"]] + [pure["rock"]] * 3
    result = {"settings": {"every": "2", "kept": "3"}, "runs": {"self-0": {"curve": curve}}}
    report.with_exact(result)
    assert [point["exact"] for point in curve] == pytest.approx([1, 1, 1, 1, 0, 0, 0], abs=1e-6)


def test_turns_counts_rounds_of_the_simplex():
    angles = np.linspace(0, 4 * np.pi, 60)
    corners = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    shift = np.array([0, 2 * np.pi / 3, 4 * np.pi / 3])
    curve = [
        dict(zip(("rock", "paper", "scissors"), 1 / 3 + 0.2 * (np.cos(angle - shift) @ corners), strict=True))
        for angle in angles
    ]
    assert turns(curve) == pytest.approx(2.0) and turns(curve[::-1]) == pytest.approx(-2.0)


def test_entropy_is_paid_to_whoever_spoke():
    task = MatrixGame("game", samples=2, joint="aligned")
    episode = play(task, match_for(task), lambda seat, prompt, rng: "rock" if seat == "row" else "paper")
    root = episode.roots[0]
    root.replies = {
        seat: tuple(Reply(r.text, r.finish, (), (1,), (-2.0,)) for r in replies)
        for seat, replies in root.replies.items()
    }
    paid = with_entropy(episode, task.score(episode), 0.1)
    assert all(paid.rewards[node.id] == pytest.approx({"row": -0.8, "col": 1.2}) for node in root.nodes)
