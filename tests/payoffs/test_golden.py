"""Exact answers, each derivable by hand; tolerance 1e-9 unless a published figure has fewer digits."""

import numpy as np
import pytest

from league.payoffs.alpha_rank import alpha_rank
from league.payoffs.analyze import analyze_matrix
from league.payoffs.bradley_terry import fit_bradley_terry, ladder_p_value
from league.payoffs.diversity import dissimilarity, effective_diversity
from league.payoffs.exploitability import exploitability
from league.payoffs.hodge import hodge_split
from league.payoffs.matrix import from_counts, from_margin, from_probabilities
from league.payoffs.solvers import SOLVERS, solver
from tests.helpers.payoff_cases import BIASED, CLONE, DOMINATED, DOMINATOR, ELO, LADDER, RPS, disc, names, solved

THIRD = [1 / 3] * 3
CASES = {
    # name: margins, α-rank (large α), Nash, probability share, component sizes, 3-cycles
    "rps": (RPS, THIRD, THIRD, 1.0, [3], 1),
    "biased": (BIASED, THIRD, [5 / 16, 9 / 16, 2 / 16], 128 / 165, [3], 1),
    "clone": (CLONE, [0.2, 0.4, 0.2, 0.2], [1 / 6, 2 / 6, 2 / 6, 1 / 6], 0.9, [4], 2),
    "dominated": (DOMINATED, [*THIRD, 0], [*THIRD, 0], 0.5, [3, 1], 1),
    "dominator": (DOMINATOR, [0, 0, 0, 1], [0, 0, 0, 1], 0.5, [3, 1], 1),
    "ladder": (LADDER, [1, 0, 0, 0], [1, 0, 0, 0], 1 / 6, [1, 1, 1, 1], 0),
    "pentagon": (disc(5), [0.2] * 5, [0.2] * 5, 1.0, [5], 5),
    "square": (disc(4), [0.25] * 4, [0.25] * 4, 1.0, [4], 0),
}


@pytest.mark.parametrize("case", CASES)
def test_exact_answers(case: str) -> None:
    margin, rank, nash, share, sizes, triangles = CASES[case]
    result = analyze_matrix(from_margin(names(len(margin)), margin))
    found = result.as_dict()
    assert np.allclose(result.alpha_rank, rank, atol=1e-9)
    assert np.allclose(result.nash, nash, atol=1e-9)
    assert found["cyclic_share"]["probability"] == pytest.approx(share, abs=1e-9)
    assert [len(group) for group in found["components"]] == sizes
    assert found["three_cycles"] == triangles
    assert found["exploitability"] == pytest.approx(0.0, abs=1e-9)
    assert found["certified"] is True
    assert found["cycles_truncated"] is False


def test_square_has_one_four_cycle_and_pentagon_all_short_ones() -> None:
    square = analyze_matrix(from_margin(names(4), disc(4))).cycles.found
    assert [len(cycle) for cycle in square] == [4]
    pentagon = analyze_matrix(from_margin(names(5), disc(5))).cycles.found
    assert [sum(len(c) == k for c in pentagon) for k in (3, 4, 5)] == [5, 5, 2]


def test_alpha_rank_at_finite_alpha() -> None:
    assert np.allclose(alpha_rank(BIASED, alpha=1.0, population=50), [0.5218, 0.2721, 0.2061], atol=5e-5)


@pytest.mark.parametrize("margin", [RPS, BIASED, CLONE, DOMINATED, DOMINATOR, LADDER, disc(5)], ids=str)
def test_large_finite_alpha_reaches_the_limit_without_overflow(margin: np.ndarray) -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        far = alpha_rank(margin, alpha=1e4)
    assert np.allclose(far, alpha_rank(margin), atol=1e-9)


def test_alpha_rank_of_several_closed_classes_is_absorption_from_uniform() -> None:
    """a beats c; b is beaten by nobody known; c loses to a: classes {a}, {b}; c is absorbed by a.

    Uniform start: a 2/3, b 1/3.
    """
    unknown = np.nan
    margin = np.array([[0, unknown, 1.0], [unknown, 0, unknown], [-1.0, unknown, 0]])
    assert np.allclose(alpha_rank(margin), [2 / 3, 1 / 3, 0])


def test_elo_ladder_is_cyclic_in_probabilities_but_not_in_logits() -> None:
    share = analyze_matrix(from_margin(names(4), ELO)).as_dict()["cyclic_share"]
    assert share["probability"] == pytest.approx(0.034318, abs=5e-7)
    assert share["logit"] == 0.0


def test_logit_share_is_null_where_logits_are_infinite() -> None:
    assert analyze_matrix(from_margin(names(3), RPS)).as_dict()["cyclic_share"]["logit"] is None


def test_harmonic_part_of_a_four_cycle_without_diagonals() -> None:
    """Four agents in a ring, diagonals never played, every neighbour beaten 70:30.

    Nothing but harmonic flow.
    """
    wins = np.zeros((4, 4))
    for i in range(4):
        wins[i, (i + 1) % 4], wins[(i + 1) % 4, i] = 700, 300
    split = hodge_split(from_counts(names(4), wins), "probability")
    assert (
        split is not None
        and split.harmonic == pytest.approx(1.0, abs=1e-6)
        and split.cyclic - split.harmonic == pytest.approx(0.0, abs=1e-6)
    )


def test_curl_and_harmonic_parts_by_least_squares_on_an_incomplete_graph() -> None:
    """Oracle: explicit projections with the curl matrix of all triangles, weighted by games."""
    rng = np.random.default_rng(2)
    size = 8
    games = np.triu(rng.choice([0, 0, 2000, 4000], (size, size)), 1)
    wins = np.triu(rng.binomial(games, rng.uniform(0.2, 0.8, (size, size))), 1)
    wins = wins + np.triu(games - wins, 1).T
    matrix = from_counts(names(size), wins)
    edges = [(i, j) for i in range(size) for j in range(i + 1, size) if games[i, j]]
    place = {edge: k for k, edge in enumerate(edges)}
    triangles = [(i, j, k) for i, j in edges for k in range(j + 1, size) if (j, k) in place and (i, k) in place]
    curl = np.zeros((len(triangles), len(edges)))
    for row, (i, j, k) in enumerate(triangles):
        curl[row, [place[i, j], place[j, k], place[i, k]]] = [1, 1, -1]
    weight = np.array([games[edge] for edge in edges], dtype=float)
    flow = np.array([matrix.margin[edge] for edge in edges]) * np.sqrt(weight)
    gradient = np.zeros((len(edges), size))
    for k, (i, j) in enumerate(edges):
        gradient[k, i], gradient[k, j] = 1, -1
    gradient *= np.sqrt(weight)[:, None]
    rotation = (curl / np.sqrt(weight)).T
    along = gradient @ np.linalg.lstsq(gradient, flow, rcond=None)[0]
    around = rotation @ np.linalg.lstsq(rotation, flow, rcond=None)[0]
    rest = flow - along - around
    split = hodge_split(matrix, "probability", replicates=0)
    assert split is not None and rest @ rest > 0.01 * (flow @ flow)
    assert split.harmonic / split.cyclic == pytest.approx((rest @ rest) / (rest @ rest + around @ around), abs=1e-7)
    assert split.cyclic == pytest.approx(
        1 - (along @ along) / (flow @ flow), abs=0.01
    )  # the noise floor at 2,000 games


def test_matrix_games() -> None:
    assert solved(np.eye(2))[0] == pytest.approx(0.5)
    value, row, col = solved(np.array([[3.0, -1.0], [-2.0, 4.0]]))
    assert value == pytest.approx(1.0) and np.allclose(row, [0.6, 0.4]) and np.allclose(col, [0.5, 0.5])
    assert solved(RPS)[0] == pytest.approx(0.0, abs=1e-9)
    assert solved(RPS[:, :2])[0] == pytest.approx(1 / 3)  # all three against rock and paper only


def test_population_measures() -> None:
    assert exploitability(RPS, np.array([1.0, 0, 0])) == 1.0
    assert exploitability(BIASED, np.full(3, 1 / 3)) == pytest.approx(0.7 / 3)
    assert effective_diversity(RPS) == pytest.approx(1 / 3)
    assert effective_diversity(LADDER) == pytest.approx(0.0)
    distance = dissimilarity(CLONE)
    assert distance[0, 3] == 0.0 and distance[0, 1] > 0


def test_bradley_terry_recovers_strengths_and_rejects_a_cycle() -> None:
    true = np.array([0.9, 0.3, -0.2, -1.0])
    chance = 1 / (1 + np.exp(true[None, :] - true[:, None]))
    wins = np.round(chance * 1e6) * (1 - np.eye(4))
    assert np.allclose(fit_bradley_terry(wins[None])[0], true, atol=1e-4)
    ladder = ladder_p_value(from_counts(names(4), wins).counts)
    assert ladder is not None and ladder > 0.5
    cyclic = ladder_p_value(from_counts(names(3), (1 + RPS * 0.3) * 50 * (1 - np.eye(3))).counts)
    assert cyclic is not None and cyclic <= 0.01


def test_solvers_are_a_closed_dict() -> None:
    assert set(SOLVERS) == {"alpha_rank", "nash", "uniform"}
    assert np.allclose(solver("uniform")(LADDER), 0.25)
    with pytest.raises(Exception, match="did you mean 'nash'"):
        solver("nahs")


def test_probabilities_and_margins_agree() -> None:
    assert np.allclose(from_probabilities(names(4), (1 + ELO) / 2).margin, ELO)
