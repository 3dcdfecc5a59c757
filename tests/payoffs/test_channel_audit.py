"""The audit of channels: credits against a closed form, what is unknown, what cannot be told apart, storage."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from league.payoffs.channel_audit import OTHERS, REACH, SOURCES, WINDOW, ChannelAudit, Paid, mean_credit
from league.payoffs.met_problems import MetProblems
from league.types import Problem

WORKED, LESSONS, OWN = ("expert", "worked_replies"), ("expert", "lessons"), ("", "own_samples")


def trained(tokens: float) -> Paid:
    return Paid(trained=tokens, samples=1)


def told(audit: ChannelAudit, right: float, n: float) -> ChannelAudit:
    return audit.observed("s", "d", "training", right=right, n=n)


def test_the_credit_by_hand() -> None:
    """Before and after 3,000 tokens: 8 and 14 of 20.

    In units of what was spent, x = (1, 0) and (1, 1), each of weight 20 / ¼ = 80, with priors 1 / 1² on the level at ½
    and 1 / ½² = 4 on the credit at 0:

        [161  80] [a]   [80·(0.4 + 0.7) + 0.5]
        [ 80  84] [b] = [80·0.7              ]     det = 161·84 − 80² = 7124
        b = (161·56 − 80·88.5) / 7124 = 1936 / 7124,      Var b = 161 / 7124
    """
    audit = told(ChannelAudit(), 8, 20).paid("s", "d", WORKED, Paid(1000.0, 2000.0, 5))
    found = told(audit, 14, 20).credits()["s", "d"]
    assert found.mean_C == pytest.approx([1936 / 7124])
    assert found.covariance_CC == pytest.approx(np.array([[161 / 7124]]))
    assert found.paid == (Paid(1000.0, 2000.0, 5),) and found.followed == (3000.0,)
    assert found.accuracy == {"training": ((8, 20), (14, 20))}


def test_exams_have_a_level_of_their_own() -> None:
    """Greedy exams 30 points above the samples, nothing learned: no credit comes from the difference of the two."""
    audit = told(ChannelAudit(), 40, 100).paid("s", "d", WORKED, trained(1000))
    for _ in range(3):
        audit = audit.observed("s", "d", "exam", right=70, n=100)
    audit = told(audit, 40, 100)
    (credit,) = audit.credits()["s", "d"].mean_C
    assert abs(credit) < 0.02


def test_nothing_is_forgotten() -> None:
    """A rise 400 rounds ago still counts in full: 20 of 100, 5,000 tokens, then 70 of 100 for ever."""
    audit = told(ChannelAudit(), 2000, 10_000).paid("s", "d", WORKED, trained(5000))
    for _ in range(400):
        audit = told(audit, 70, 100)
    (credit,) = audit.credits()["s", "d"].mean_C
    assert credit == pytest.approx(0.5, abs=0.005)


def test_what_no_answer_has_followed_is_unknown() -> None:
    audit = told(ChannelAudit(), 5, 10).paid("s", "d", WORKED, trained(100))
    audit = told(audit, 5, 10).paid("s", "d", LESSONS, trained(100))
    found = audit.credits()["s", "d"]
    assert np.isnan(found.mean_C[1]) and not np.isnan(found.mean_C[0])
    assert found.together([LESSONS]) is None
    both, one = found.together([WORKED, LESSONS]), found.together([WORKED])
    assert both == one is not None


def test_channels_that_always_spend_together_share_a_sum() -> None:
    """Each credit stays as uncertain as the prior lets it be; their sum is known, and they name each other."""
    audit = told(ChannelAudit(), 100, 500)
    for rise in range(1, 6):
        audit = audit.paid("s", "d", WORKED, trained(1000)).paid("s", "d", LESSONS, trained(1000))
        audit = told(audit, 100 + 50 * rise, 500)
    found = audit.credits()["s", "d"]
    assert found.mean_C[0] == pytest.approx(found.mean_C[1])
    known = found.together([WORKED, LESSONS])
    assert known is not None and known.mean == pytest.approx(0.5, abs=0.02) and known.deviation < 0.05
    # the difference b₁ − b₂ keeps its prior, of variance 2·REACH²
    assert found.covariance_CC[0, 0] - found.covariance_CC[0, 1] == pytest.approx(REACH**2)
    assert found.entangled(WORKED) == (LESSONS,) and found.entangled(LESSONS) == (WORKED,)


def test_the_variance_has_two_parts() -> None:
    """By hand, as in the first test: P = [[161, 80], [80, 84]], Λ = diag(1, 4), so the prior's part of Var b is
    (80² · 1 + 161² · 4) / 7124². Of many students' mean, the other part vanishes.
    """
    audit = told(told(ChannelAudit(), 8, 20).paid("s", "d", WORKED, Paid(1000.0, 2000.0, 5)), 14, 20)
    credit = audit.credits()["s", "d"].together([WORKED])
    assert credit is not None and credit.deviation**2 == pytest.approx(161 / 7124)
    assert credit.by_prior == pytest.approx((80**2 + 4 * 161**2) / 7124**2)
    mean = mean_credit([credit] * 10_000)
    assert (mean.mean, mean.by_prior) == (pytest.approx(credit.mean), pytest.approx(credit.by_prior))
    assert mean.by_chance == pytest.approx(credit.by_chance / 10_000)


def test_channels_that_spend_in_turns_are_told_apart() -> None:
    """Worked replies add 5 points a time, own samples nothing; exact answers, so that no chance is in it."""
    audit, accuracy = told(ChannelAudit(), 200, 1000), 0.2
    for place in range(12):
        source = (WORKED, OWN)[place // 3 % 2]
        audit, accuracy = audit.paid("s", "d", source, trained(1000)), accuracy + 0.05 * (source == WORKED)
        audit = told(audit, 1000 * accuracy, 1000)
    found = audit.credits()["s", "d"]
    assert found.mean_C == pytest.approx([0.3, 0.0], abs=0.02)
    assert found.entangled(WORKED) == ()


def test_first_and_last_answers_are_whole_rounds_of_at_least_twenty() -> None:
    audit = ChannelAudit()
    for right in range(9):
        audit = told(audit, right, 8)
    first, last = audit.credits()["s", "d"].accuracy["training"]
    assert WINDOW == 20 and first == (0 + 1 + 2, 24) and last == (6 + 7 + 8, 24)


def test_later_teachers_are_booked_together() -> None:
    audit = ChannelAudit()
    for teacher in range(SOURCES + 5):
        audit = audit.paid("s", "d", (f"t{teacher}", "lessons"), trained(10))
    found = audit.credits()["s", "d"]
    assert len(found.sources) == SOURCES + 1 and found.sources[-1] == (OTHERS, "lessons")
    assert found.paid[-1] == Paid(trained=50.0, samples=5)


def test_it_comes_back_from_json_bit_for_bit() -> None:
    audit = told(ChannelAudit(), 3, 7).paid("s", "d", WORKED, Paid(100 / 3, 10.0, 2))
    audit = told(audit, 4, 7).paid("s", "d", OWN, trained(5)).observed("s", "e", "exam", right=1, n=3)
    assert ChannelAudit.from_json(json.loads(json.dumps(audit.to_json()))) == audit
    unknown = ChannelAudit.from_json(None)
    assert not unknown.complete and ChannelAudit.from_json(unknown.to_json()) == unknown
    assert told(ChannelAudit(), 0, 0) == ChannelAudit()


@given(st.lists(st.integers(0, 30)))
def test_met_problems_are_a_set_in_few_ranges(indices: list[int]) -> None:
    met = MetProblems().more(Problem("d", "train", index, "", "") for index in indices)
    assert {i for i in range(-1, 33) if Problem("d", "train", i, "", "") in met} == set(indices)
    assert Problem("e", "train", 0, "", "") not in met
    bounds = met.bounds.get("d/train", ())
    assert list(bounds) == sorted(set(bounds)) and MetProblems.from_json(json.loads(json.dumps(met.to_json()))) == met
