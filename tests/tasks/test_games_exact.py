"""Payoff matrices and Kuhn poker against hand-derived and published values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.games.kuhn_solution import (
    CARDS,
    FIRST_SETS,
    SECOND_SETS,
    chips,
    kuhn_best_response,
    kuhn_equilibrium,
    kuhn_exploitability,
    kuhn_mixture,
    kuhn_value,
)
from tasks.games.normal_form import (
    BIASED_ROCK_PAPER_SCISSORS,
    FORMS,
    ROCK_PAPER_SCISSORS,
    STAG_HUNT,
    best_response,
    blotto,
    exploitability,
    mixed_strategy,
)


@pytest.mark.parametrize(
    "form", [form for form in FORMS.values() if form.relation == "contest"], ids=lambda form: form.name
)
def test_contests_are_zero_sum_and_forfeits_lose_to_every_move(form):
    assert np.array_equal(form.payoff_AA, -form.payoff_AA.T)
    for move in form.moves:
        assert form.pays(None, move) == form.forfeit <= form.payoff_AA.min()
        assert form.pays(move, None) == -form.forfeit


def test_a_forfeit_in_a_cooperative_game_leaves_the_other_with_its_worst():
    assert STAG_HUNT.pays("stag", None) == 0.0
    assert STAG_HUNT.pays("hare", None) == 2.0
    assert STAG_HUNT.pays(None, "stag") == -1.0 < STAG_HUNT.payoff_AA.min()


def test_rock_paper_scissors_by_hand():
    payoff = ROCK_PAPER_SCISSORS.payoff_AA
    assert ROCK_PAPER_SCISSORS.pays("paper", "rock") == 1.0 and ROCK_PAPER_SCISSORS.pays("rock", "scissors") == 1.0
    assert exploitability(payoff, np.full(3, 1 / 3)) == pytest.approx(0, abs=1e-12)
    assert exploitability(payoff, np.array([1.0, 0, 0])) == 1.0
    assert best_response(payoff, np.array([1.0, 0, 0])) == (1, 1.0)
    # Half rock, half paper: paper earns ½, rock −½, scissors 0.
    assert exploitability(payoff, np.array([0.5, 0.5, 0])) == pytest.approx(0.5)


def test_biased_rock_paper_scissors_has_the_published_equilibrium():
    payoff = BIASED_ROCK_PAPER_SCISSORS.payoff_AA
    assert (payoff[0, 1], payoff[0, 2], payoff[1, 2]) == (-0.2, 0.9, -0.5)
    assert exploitability(payoff, np.array([5, 9, 2]) / 16) == pytest.approx(0, abs=1e-12)
    assert exploitability(payoff, np.full(3, 1 / 3)) > 0.05


def test_blotto_5_3():
    form = blotto(5, 3)
    assert len(form.moves) == 21
    assert form.pays("2 2 1", "5 0 0") == 1.0
    assert form.pays("1 2 2", "2 2 1") == 0.0
    assert form.pays("3 2 0", "2 1 2") == 1.0
    # Permuting the fields of both players changes nothing.
    for a in form.moves:
        for b in form.moves:
            assert form.pays(a, b) == form.pays(" ".join(a.split()[::-1]), " ".join(b.split()[::-1]))

    # Uniform over the nine permutations of 3-2-0 and 3-1-1 is an equilibrium (checked against an LP); adding 2-2-1
    # loses 1/12.
    def over(*splits):
        return mixed_strategy([float(sorted(map(int, move.split())) in splits) for move in form.moves])

    assert exploitability(form.payoff_AA, over([0, 2, 3], [1, 1, 3])) == pytest.approx(0, abs=1e-12)
    assert exploitability(form.payoff_AA, over([0, 2, 3], [1, 1, 3], [1, 2, 2])) == pytest.approx(1 / 12)


def test_stag_hunt_has_three_symmetric_equilibria():
    # Mixed: 4p = 3p + 2(1 − p) → p = 2/3.
    for p in (0.0, 2 / 3, 1.0):
        assert exploitability(STAG_HUNT.payoff_AA, np.array([p, 1 - p])) == pytest.approx(0, abs=1e-12)
    assert exploitability(STAG_HUNT.payoff_AA, np.array([0.5, 0.5])) > 0.1


def test_a_strategy_without_weight_is_refused():
    with pytest.raises(ValueError, match="positive sum"):
        mixed_strategy([0, 0, 0])


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda w: sum(w) > 0.01))
@settings(max_examples=60, deadline=None)
def test_exploitability_is_never_negative(weights):
    for form in (ROCK_PAPER_SCISSORS, BIASED_ROCK_PAPER_SCISSORS):
        assert exploitability(form.payoff_AA, mixed_strategy(weights)) >= -1e-12


# ------------------------------------------------------------------------------------------------ Kuhn poker
UNIFORM = {infoset: 0.5 for infoset in (*FIRST_SETS, *SECOND_SETS)}


@pytest.mark.parametrize("alpha", [0.0, 0.1, 1 / 3])
def test_kuhn_equilibria_are_worth_minus_one_eighteenth_and_cannot_be_exploited(alpha):
    policy = kuhn_equilibrium(alpha)
    assert kuhn_value(policy, policy) == pytest.approx(-1 / 18)
    assert kuhn_best_response(policy, 1)[1] == pytest.approx(1 / 18)
    assert kuhn_best_response(policy, 0)[1] == pytest.approx(-1 / 18)
    assert kuhn_exploitability(policy) == pytest.approx(0, abs=1e-12)


def test_kuhn_uniform_policy_has_the_published_exploitability():
    assert kuhn_exploitability(UNIFORM) == pytest.approx(11 / 24)


def test_kuhn_agrees_with_openspiel():
    pyspiel = pytest.importorskip("pyspiel")
    game = pyspiel.load_game("kuhn_poker")
    rng = np.random.default_rng(0)
    policy = {infoset: float(rng.random()) for infoset in UNIFORM}
    names = {
        card + history: f"{CARDS.index(card)}{history.replace('c', 'p')}"
        for card in CARDS
        for history in ("", "c", "b", "cb")
    }
    tabular = pyspiel.TabularPolicy({names[i]: [(0, 1 - p), (1, p)] for i, p in policy.items()})
    assert 2 * kuhn_exploitability(policy) == pytest.approx(pyspiel.nash_conv(game, tabular))
    assert kuhn_value(policy, policy) == pytest.approx(
        pyspiel.expected_returns(game.new_initial_state(), tabular, -1, True)[0]
    )


def test_kuhn_mixture_earns_the_mean_of_its_members():
    rng = np.random.default_rng(1)
    members = [{infoset: float(rng.random()) for infoset in UNIFORM} for _ in range(3)]
    weights = [0.5, 0.3, 0.2]
    mixed = kuhn_mixture(members, weights)
    for opponent in (UNIFORM, kuhn_equilibrium()):
        assert kuhn_value(mixed, opponent) == pytest.approx(
            sum(w * kuhn_value(m, opponent) for w, m in zip(weights, members, strict=True))
        )
        assert kuhn_value(opponent, mixed) == pytest.approx(
            sum(w * kuhn_value(opponent, m) for w, m in zip(weights, members, strict=True))
        )
    plain = {infoset: sum(w * m[infoset] for w, m in zip(weights, members, strict=True)) for infoset in UNIFORM}
    assert abs(kuhn_value(plain, UNIFORM) - kuhn_value(mixed, UNIFORM)) > 1e-4


def test_kuhn_chips_by_hand():
    assert chips("QJ", "cc") == 1 and chips("QJ", "bc") == 1 and chips("QJ", "bb") == 2
    assert chips("QJ", "cbc") == -1 and chips("JQ", "cbb") == -2
