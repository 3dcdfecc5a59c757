"""Exact figures of small games against published values, our own Kuhn poker, and OpenSpiel's mixtures."""

import numpy as np
import pytest

from league.errors import UserError
from tasks import make_task
from tasks.games.kuhn_solution import kuhn_equilibrium, kuhn_exploitability, kuhn_value

pyspiel = pytest.importorskip("pyspiel", reason="open-spiel is not installed")

from tasks.openspiel.exact import evaluate, information_sets, mixture, uniform_policy  # noqa: E402


def rules_of(name: str):
    return make_task("openspiel", "game", {"game": name}, {})


def drawn(sets, rng):
    """A random policy."""
    return {
        key: dict(zip(each.names, rng.dirichlet(np.ones(len(each.names))).tolist(), strict=True))
        for key, each in sets.items()
    }


def as_spiel(policy):
    """A policy of our Kuhn poker (J, Q, K; c, b) in OpenSpiel's names (0, 1, 2; p, b)."""
    return {f"{'JQK'.index(key[0])}{key[1:].replace('c', 'p')}": {0: 1 - bold, 1: bold} for key, bold in policy.items()}


@pytest.mark.parametrize(
    ("name", "sets", "nash_conv"),
    [
        ("kuhn_poker", 12, 11 / 12),  # exploitability 11/24, as in tasks/games/kuhn_solution.py
        ("leduc_poker", 936, 4.747222222222222),  # OpenSpiel's own tests of best responses give the same
        ("matrix_rps", 2, 0.0),
        ("matrix_pd", 2, 3.0),  # (5+0+10+1)/4 = 4 each; defecting against the coin wins (10+1)/2 = 5.5: 1.5 each
    ],
)
def test_the_uniform_player(name, sets, nash_conv):
    rules = rules_of(name)
    found = information_sets(rules)
    assert len(found) == sets
    assert evaluate(rules, uniform_policy(found)).nash_conv == pytest.approx(nash_conv, abs=1e-9)


def test_kuhn_agrees_with_our_own_solution():
    rules = rules_of("kuhn_poker")
    rng = np.random.default_rng(0)
    equilibrium = evaluate(rules, as_spiel(kuhn_equilibrium(0.2)))
    assert equilibrium.nash_conv == pytest.approx(0.0, abs=1e-12)
    assert equilibrium.value == pytest.approx(-1 / 18)
    for _ in range(5):
        policy = {key: float(rng.random()) for key in kuhn_equilibrium()}
        found = evaluate(rules, as_spiel(policy))
        assert found.exploitability == pytest.approx(kuhn_exploitability(policy))
        assert found.value == pytest.approx(kuhn_value(policy, policy))


@pytest.mark.parametrize("name", ["kuhn_poker", "leduc_poker"])
def test_a_mixture_earns_the_mean_of_its_members_against_anybody(name):
    rules, rng = rules_of(name), np.random.default_rng(1)
    game, sets = rules.rules_of_play, information_sets(rules)
    members, weights, opponent = [drawn(sets, rng) for _ in range(3)], [0.5, 0.3, 0.2], drawn(sets, rng)

    def earns(mine, theirs):
        both = {key: (mine if each.player == 0 else theirs)[key] for key, each in sets.items()}
        table = pyspiel.TabularPolicy({key: list(chances.items()) for key, chances in both.items()})
        return pyspiel.expected_returns(game.new_initial_state(), table, -1, True)[0]

    mixed = mixture(sets, members, weights)
    expected = sum(weight * earns(member, opponent) for weight, member in zip(weights, members, strict=True))
    assert earns(mixed, opponent) == pytest.approx(expected)
    plain = {
        key: {a: sum(w * m[key][a] for w, m in zip(weights, members, strict=True)) for a in each.names}
        for key, each in sets.items()
    }
    assert abs(earns(plain, opponent) - expected) > 1e-5  # probabilities averaged without reach are another player
    assert all(sum(chances.values()) == pytest.approx(1.0) for chances in mixed.values())
    assert mixture(sets, members, [0.0, 1.0, 0.0]) == {k: pytest.approx(v) for k, v in members[1].items()}


def test_what_is_too_large_or_has_no_information_states_is_refused():
    with pytest.raises(UserError, match=r"connect_four has more than 2,000 histories"):
        information_sets(rules_of("connect_four"), most=2000)
