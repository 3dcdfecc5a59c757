"""What the games benchmark claims about its own shortcuts: merging equal samples keeps the gradient; policies and turns are exact."""

import math

import numpy as np
import pytest
import torch

from benchmarks.games import turns
from benchmarks.games_arena import exact_policy, merged, with_entropy
from league.learning.objective import Objective
from league.learning.update import update
from league.model.bank import AdapterBank, LoraSpec
from league.types import Hyper, Reply, Sample, Version
from tasks.matrix_games import MatrixGame
from tests.games_player import match_for, play


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
        # AdamW's first step is the sign of the gradient, so entries of near-zero gradient may differ: compare all but a few in a thousand.
        assert (torch.isclose(value, small[name], atol=1e-5).float().mean()) > 0.995


def test_exact_policy_counts_every_distinct_reply_once():
    rock, paper, talk = (
        Reply(text, "end", (), tokens, (math.log(p),))
        for text, tokens, p in (("rock", (1,), 0.5), ("Paper.", (2,), 0.2), ("hm", (3,), 0.1))
    )
    policy, invalid, unseen = exact_policy([rock, rock, paper, talk, rock], ("rock", "paper", "scissors"))
    assert policy == pytest.approx([5 / 7, 2 / 7, 0]) and invalid == pytest.approx(0.1) and unseen == pytest.approx(0.2)


def test_turns_counts_rounds_of_the_simplex():
    angles = np.linspace(0, 4 * np.pi, 60)
    corners = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    shift = np.array([0, 2 * np.pi / 3, 4 * np.pi / 3])
    curve = [dict(zip(("rock", "paper", "scissors"), 1 / 3 + 0.2 * (np.cos(angle - shift) @ corners), strict=True)) for angle in angles]
    assert turns(curve) == pytest.approx(2.0) and turns(curve[::-1]) == pytest.approx(-2.0)


def test_entropy_is_paid_to_whoever_spoke():
    task = MatrixGame("game", samples=2, joint="aligned")
    episode = play(task, match_for(task), lambda seat, prompt, rng: "rock" if seat == "row" else "paper")
    root = episode.roots[0]
    root.replies = {seat: tuple(Reply(r.text, r.finish, (), (1,), (-2.0,)) for r in replies) for seat, replies in root.replies.items()}
    paid = with_entropy(episode, task.score(episode), 0.1)
    assert all(paid.rewards[node.id] == pytest.approx({"row": -0.8, "col": 1.2}) for node in root.nodes)
