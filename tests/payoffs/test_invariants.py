"""Properties that hold for every matrix, and independent oracles.

Scipy, networkx, OpenSpiel where it is installed.
"""

import math

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from league.payoffs.alpha_rank import alpha_rank
from league.payoffs.analyze import analyze_matrix
from league.payoffs.edges import betaln, certified_edges, log_e_value, threshold
from league.payoffs.exploitability import exploitability
from league.payoffs.graph import bounded_cycles, components, three_cycles
from league.payoffs.matrix import Counts, dominance, from_counts, from_margin
from league.payoffs.nash import max_entropy_nash
from tests.helpers.payoff_cases import names, reordered, solved

VALUES = st.sampled_from([-1.0, -0.6, -0.25, -0.1, 0.0, 0.0, 0.1, 0.25, 0.6, 1.0])


@st.composite
def margin_matrices(draw: st.DrawFn, most: int = 7) -> np.ndarray:
    size = draw(st.integers(1, most))
    table = np.zeros((size, size))
    for i in range(size):
        for j in range(i + 1, size):
            table[i, j] = draw(VALUES)
    return table - table.T


@st.composite
def counted(draw: st.DrawFn, most: int = 6) -> Counts:
    size = draw(st.integers(1, most))
    number = st.integers(0, 12)
    wins = np.array([[0 if i == j else draw(number) for j in range(size)] for i in range(size)], dtype=float)
    draws = np.array(
        [[0 if i <= j else draw(st.integers(0, 3)) for j in range(size)] for i in range(size)], dtype=float
    )
    return Counts(wins, draws + draws.T)


@settings(max_examples=60, deadline=None)
@given(margin_matrices(), st.randoms())
def test_relabelling_permutes_every_result(margin: np.ndarray, random) -> None:
    order = list(range(len(margin)))
    random.shuffle(order)
    one = analyze_matrix(from_margin(names(len(margin)), margin))
    other = analyze_matrix(reordered(one.matrix, order))
    for field in ("alpha_rank", "nash"):
        assert np.allclose(getattr(one, field)[order], getattr(other, field), atol=2e-6), field
    first, second = one.as_dict(), other.as_dict()
    assert sorted(map(sorted, first["components"])) == sorted(map(sorted, second["components"]))
    assert {frozenset(c) for c in first["cycles"]} == {frozenset(c) for c in second["cycles"]}
    assert len(first["cycles"]) == len(second["cycles"]) and first["three_cycles"] == second["three_cycles"]
    for space in ("probability", "logit"):
        a, b = first["cyclic_share"][space], second["cyclic_share"][space]
        assert (a is None) == (b is None) and (a is None or a == pytest.approx(b, abs=1e-9))


@settings(max_examples=20, deadline=None)
@given(counted(), st.randoms())
def test_relabelling_permutes_counted_results(counts: Counts, random) -> None:
    order = list(range(len(counts.wins)))
    random.shuffle(order)
    matrix = from_counts(names(len(order)), counts.wins, counts.draws)
    one, other = analyze_matrix(matrix), analyze_matrix(reordered(matrix, order))
    assert np.array_equal(one.certified_beats[np.ix_(order, order)], other.certified_beats)
    for space in ("probability_split", "logit_split"):
        a, b = getattr(one, space), getattr(other, space)
        assert (a is None) == (b is None) and (a is None or a.cyclic == pytest.approx(b.cyclic, abs=1e-7))


@settings(max_examples=60, deadline=None)
@given(margin_matrices())
def test_ranges_and_exploitability(margin: np.ndarray) -> None:
    result = analyze_matrix(from_margin(names(len(margin)), margin))
    chance = (1.0 + result.matrix.margin) / 2.0
    assert np.allclose(chance + chance.T, 1.0)
    for weights in (result.nash, result.alpha_rank):
        assert weights.min() >= 0 and weights.sum() == pytest.approx(1.0)
    assert exploitability(margin, result.nash) <= 1e-9
    for split in (result.probability_split, result.logit_split):
        assert split is None or 0 <= split.harmonic <= split.cyclic <= 1
    if not margin.any():
        assert result.probability_split is None


@settings(max_examples=60, deadline=None)
@given(margin_matrices())
def test_graph_against_networkx(margin: np.ndarray) -> None:
    beats = dominance(margin)
    graph = networkx.DiGraph(list(zip(*np.nonzero(beats), strict=True)))
    graph.add_nodes_from(range(len(margin)))
    assert sorted(components(beats)) == sorted(sorted(c) for c in networkx.strongly_connected_components(graph))
    ours = bounded_cycles(beats).found
    theirs = [tuple(c) for c in networkx.simple_cycles(graph, length_bound=5)]
    assert len(ours) == len(set(ours)) == len(theirs)
    assert set(ours) == {c[c.index(min(c)) :] + c[: c.index(min(c))] for c in theirs}
    assert three_cycles(beats) == sum(len(c) == 3 for c in theirs)


def test_cycle_list_is_cut_and_says_so() -> None:
    rng = np.random.default_rng(0)
    table = np.triu(rng.choice([-1.0, 1.0], (40, 40)), 1)
    beats = dominance(table - table.T)
    full = three_cycles(beats)
    cut = bounded_cycles(beats)
    assert cut.truncated and len(cut.found) == 10_000 and full > 1000
    assert bounded_cycles(beats, max_length=3, limit=full) == bounded_cycles(beats, max_length=3)
    assert bounded_cycles(beats, max_length=3, limit=full - 1).truncated


@settings(max_examples=25, deadline=None)
@given(margin_matrices(most=5))
def test_nash_has_the_most_entropy(margin: np.ndarray) -> None:
    """Oracle: scipy's SLSQP over the equilibria, from our point and from uniform, finds nothing more even."""

    def entropy(p: np.ndarray) -> float:
        return float(np.sum(p * np.log(np.maximum(p, 1e-15))))

    ours = max_entropy_nash(margin)
    limits = [{"type": "ineq", "fun": lambda p: -(margin @ p)}, {"type": "eq", "fun": lambda p: p.sum() - 1}]
    for start in (ours, np.full(len(margin), 1 / len(margin))):
        found = optimize.minimize(
            entropy, start, bounds=[(0, 1)] * len(margin), constraints=limits, options={"ftol": 1e-12}
        )
        if found.success and (margin @ found.x).max() < 1e-7:
            assert entropy(ours) <= found.fun + 1e-5


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**6))
def test_matrix_game_value_against_linear_programming(rows: int, cols: int, seed: int) -> None:
    payoff = np.random.default_rng(seed).integers(-3, 4, (rows, cols)).astype(float)
    bound = np.hstack([-payoff.T, np.ones((cols, 1))])
    best = optimize.linprog(
        [0.0] * rows + [-1.0],
        A_ub=bound,
        b_ub=np.zeros(cols),
        A_eq=[[1.0] * rows + [0.0]],
        b_eq=[1.0],
        bounds=[(0, 1)] * rows + [(None, None)],
    )
    value, row, col = solved(payoff)
    assert value == pytest.approx(-best.fun, abs=1e-8)
    assert (row @ payoff).min() >= value - 1e-8 and (payoff @ col).max() <= value + 1e-8


def test_finite_alpha_rank_against_eigenvectors() -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        table = np.triu(rng.uniform(-1, 1, (6, 6)), 1)
        margin, m, alpha = table - table.T, 10, 0.7
        gain = alpha * (margin.T - margin)
        rate = np.where(np.eye(6) > 0, 0, np.expm1(-gain) / np.expm1(-m * gain + np.eye(6)) / 5)
        np.fill_diagonal(rate, 1 - rate.sum(axis=1))
        value, vector = np.linalg.eig(rate.T)
        mass = np.real(vector[:, np.argmax(value.real)])
        assert np.allclose(alpha_rank(margin, alpha, m), mass / mass.sum(), atol=1e-9)


def test_open_spiel_agrees_on_alpha_rank() -> None:
    oracle = pytest.importorskip(
        "open_spiel.python.egt.alpharank", reason="open-spiel is not installed; it is a test oracle only"
    )
    rng = np.random.default_rng(8)
    for alpha in (0.3, 2.0):
        table = np.triu(rng.uniform(-1, 1, (5, 5)), 1)
        margin = table - table.T
        _, _, mass, _, _ = oracle.compute([margin], m=50, alpha=alpha)
        assert np.allclose(alpha_rank(margin, alpha, 50), mass, atol=1e-8)


def test_e_value_against_scipy_and_by_hand() -> None:
    wins, losses = np.meshgrid(np.arange(0, 400, 7), np.arange(0, 400, 11))
    expected = special.betaln(wins + 0.5, losses + 0.5) - special.betaln(0.5, 0.5) + (wins + losses) * math.log(2)
    assert np.allclose(log_e_value(wins, losses), expected, atol=1e-9)
    assert log_e_value(np.array(1), np.array(0)) == pytest.approx(0.0, abs=1e-12)  # B(3/2,1/2)/B(1/2,1/2)·2 = 1
    assert log_e_value(np.array(2), np.array(0)) == pytest.approx(math.log(1.5))  # (3/8)·4
    assert betaln(np.array(1e6 + 0.5), np.array(1e6)) == pytest.approx(special.betaln(1e6 + 0.5, 1e6), abs=1e-6)


def test_e_values_have_mean_one_under_the_null() -> None:
    """Exact expectation over all outcomes of n fair games: no simulation, no false-alarm odds."""
    for n in (1, 5, 30):
        wins = np.arange(n + 1)
        weight = np.exp(
            special.gammaln(n + 1) - special.gammaln(wins + 1) - special.gammaln(n - wins + 1) - n * math.log(2)
        )
        assert (weight * np.exp(log_e_value(wins, n - wins))).sum() == pytest.approx(1.0)


def test_draws_never_certify_and_the_winner_is_the_row() -> None:
    counts = Counts(np.array([[0, 0, 300.0], [0, 0, 5], [100, 5, 0]]), np.full((3, 3), 1e4) * (1 - np.eye(3)))
    beats = certified_edges(counts)
    assert beats.sum() == 1 and beats[0, 2]
    assert threshold(3) == pytest.approx(math.log(60))
