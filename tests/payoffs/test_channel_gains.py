"""Gains of channels per token: the regression against its closed form, forgetting, draws, storage."""

import numpy as np
import pytest

from league.payoffs.channel_gains import NOISE, PRIOR, ChannelGains

WORKED, OWN = ("expert", "worked_replies"), ("", "own_samples")


def spent_in_turns(rounds: int, gain: float, seed: int) -> ChannelGains:
    """Worked replies add `gain` per thousand tokens, own samples nothing; in turns of six rounds, 20 answers each."""
    rng, found, accuracy = np.random.default_rng(seed), ChannelGains(), 0.1
    for place in range(rounds):
        found = found.observed("student", "sums", float(rng.binomial(20, accuracy)), 20.0)
        source = (WORKED, OWN)[place // 6 % 2]
        found = found.paid("student", "sums", source, trained=1000.0)
        accuracy += gain if source == WORKED else 0.0
    return found.observed("student", "sums", float(rng.binomial(20, accuracy)), 20.0)


def test_the_posterior_is_that_of_ridge_regression() -> None:
    """Two observations by hand: x = (1, 0) with 2 of 10, x = (1, 2) with 5 of 10, weights 10 / ¼ = 40."""
    found = (
        ChannelGains()
        .observed("s", "d", 2, 10)
        .paid("s", "d", WORKED, sampled=6000, trained=2000)
        .observed("s", "d", 5, 10)
    )
    x = np.array([[1.0, 0.0], [1.0, 2.0]])
    precision = np.diag([1.0, PRIOR**-2]) + (10 / NOISE) * x.T @ x
    moment = np.array([0.5, 0.0]) + (10 / NOISE) * x.T @ np.array([0.2, 0.5])
    (estimate,) = found.estimates()["s", "d"]
    share = (2.0 + 0.15) / (8.0 + 0.3)
    assert estimate.gain == pytest.approx(share * np.linalg.solve(precision, moment)[1])
    assert estimate.deviation == pytest.approx(share * np.sqrt(np.linalg.inv(precision)[1, 1]))
    assert (estimate.source, estimate.tokens) == (WORKED, 8.0)


def test_what_helps_is_told_from_what_does_not() -> None:
    """0.05 per thousand tokens against 0, over 24 rounds: the order is right for each of ten seeds."""
    for seed in range(10):
        by_source = {each.source: each.gain for each in spent_in_turns(24, 0.05, seed).estimates()["student", "sums"]}
        assert by_source[WORKED] > by_source[OWN]


def test_draws_follow_the_posterior_and_explore_the_unknown() -> None:
    """Mean of 4,000 draws within five standard errors: one false alarm in a million."""
    found, rng = spent_in_turns(24, 0.05, 0), np.random.default_rng(1)
    wanted = [("student", "sums", WORKED), ("student", "words", WORKED)]
    draws = np.array([list(found.draws(wanted, rng).values()) for _ in range(4000)])
    known = next(e for e in found.estimates()["student", "sums"] if e.source == WORKED)
    assert abs(draws[:, 0].mean() - known.gain) < 5 * known.deviation / np.sqrt(4000) + 0.02 * PRIOR
    assert draws[:, -1].std() == pytest.approx(PRIOR / 2, rel=0.1), "the prior where nothing was spent"


def test_forgetting_leads_back_to_the_prior() -> None:
    found = spent_in_turns(24, 0.05, 0)
    for _ in range(200):
        found = found.aged(2.0)
    for estimate in found.estimates()["student", "sums"]:
        assert estimate.gain == pytest.approx(0.0, abs=1e-9)
        assert PRIOR / 2 < estimate.deviation <= PRIOR, (
            "all of its tokens were trained on, a few are believed not to be"
        )


def test_it_comes_back_from_json_bit_for_bit() -> None:
    import json

    found = spent_in_turns(7, 0.03, 3)
    assert ChannelGains.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert found.kept(["somebody"]) == ChannelGains()


def test_a_teacher_that_is_seldom_right_draws_little() -> None:
    """Both spend 2,000 tokens; of one's a half are right and learned, of the other's a fiftieth."""
    found = ChannelGains().paid("s", "d", WORKED, sampled=1000, trained=1000)
    found = found.paid("s", "d", ("other", "worked_replies"), sampled=1960, trained=40)
    good, bad = found.estimates()["s", "d"]
    assert bad.deviation < 0.2 * good.deviation


def test_no_answers_change_nothing() -> None:
    assert ChannelGains().observed("s", "d", 0, 0) == ChannelGains()
