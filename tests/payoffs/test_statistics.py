"""Estimates with known truth: false alarms, teaching fits. Simulations state their false-alarm odds."""

import numpy as np
import pytest

from league.payoffs.edges import log_e_value, threshold
from league.payoffs.graph import components
from league.payoffs.hodge import hodge_split
from league.payoffs.matrix import from_counts
from league.payoffs.teaching import fit_teaching
from tests.helpers.payoff_cases import CLONE, ELO, RPS, names

PAIRS = np.triu_indices(8, 1)


def sequential_false_alarms(gap: float, leagues: int, games: int, seed: int) -> float:
    """Share of simulated Elo ladders of 8 in which a certified cycle exists after any game.

    All pairs play in turn.
    """
    rng = np.random.default_rng(seed)
    chance = 1 / (1 + 10 ** (-gap * (PAIRS[1] - PAIRS[0]) / 400))
    alarms = 0
    for _ in range(leagues):
        wins = np.cumsum(rng.random((games, len(chance))) < chance, axis=0)
        played = np.arange(1, games + 1)[:, None]
        beyond = log_e_value(wins, played - wins) >= threshold(8)
        sign = np.where(beyond, np.sign(2 * wins - played), 0).astype(int)
        states = np.unique(sign, axis=0)
        for state in states[np.abs(states).sum(axis=1) >= 3]:
            beats = np.zeros((8, 8), dtype=bool)
            beats[PAIRS] = state > 0
            beats.T[PAIRS] |= state < 0
            if len(components(beats)[0]) > 1:
                alarms += 1
                break
    return alarms / leagues


@pytest.mark.parametrize("gap", [0.0, 30.0])
def test_certified_cycles_are_rare_when_there_are_none(gap: float) -> None:
    """400 leagues, 30 games a pair, looked at after every game.

    True rate ≪ 5%; at a true rate of 0.5% this fails with odds < 1e-11.
    """
    assert sequential_false_alarms(gap, leagues=400, games=30, seed=11) <= 0.05


def test_a_wrong_edge_is_rare_at_any_time() -> None:
    """Equal agents, 200 games a pair, any certified edge at any time.

    At most 5% by Ville, exactly 3.2% (dynamic programming, see benchmarks/manager/__main__.py). 300 leagues: more than
    8% has odds < 1e-4 at that rate.
    """
    rng = np.random.default_rng(12)
    wins = np.cumsum(rng.random((300, 200, 28)) < 0.5, axis=1)
    played = np.arange(1, 201)[None, :, None]
    assert (log_e_value(wins, played - wins) >= threshold(8)).any(axis=(1, 2)).mean() <= 0.08


def counted(margin: np.ndarray, games: int, rng: np.random.Generator):
    wins = np.triu(rng.binomial(games, (1 + margin) / 2), 1)
    return from_counts(names(len(margin)), wins + np.triu(games - wins, 1).T)


@pytest.mark.parametrize(
    ("margin", "space", "truth"),
    [(CLONE * 0.5, "probability", 0.9), (ELO, "probability", 0.034318), (ELO, "logit", 0.0)],
)
def test_noise_floor_makes_the_share_unbiased(margin: np.ndarray, space: str, truth: float) -> None:
    """Mean over 60 leagues of 100 games a pair within 0.03 of the truth.

    Without the floor the ladder shows 0.07 and more.
    """
    rng = np.random.default_rng(3)
    splits = [hodge_split(counted(margin, 100, rng), space, replicates=0) for _ in range(60)]  # type: ignore[arg-type]
    assert np.mean([split.cyclic for split in splits if split]) == pytest.approx(truth, abs=0.03)


def test_no_signal_is_undefined() -> None:
    """Equal agents: "undefined" in 95% of leagues by design.

    200 leagues; fewer than 88% has odds < 1e-4 at 95%.
    """
    rng = np.random.default_rng(4)
    undefined = [
        hodge_split(counted(np.zeros((8, 8)), 30, rng), "probability", replicates=0) is None for _ in range(200)
    ]
    assert np.mean(undefined) >= 0.88


def test_bootstrap_interval_covers_the_share() -> None:
    """Nominal 90% for a mixed league: at least 75% of 60 covers (odds of failing < 1e-3 at 90%)."""
    rng = np.random.default_rng(6)
    margin = np.zeros((4, 4))
    margin[:3, :3] = RPS * 0.3
    margin[:3, 3], margin[3, :3] = 0.3, -0.3
    intervals = [hodge_split(counted(margin, 200, rng), "probability", seed=k).interval for k in range(60)]
    assert np.mean([low <= 0.5 <= high for low, high in intervals]) >= 0.75


# --------------------------------------------------------------------------------------------------- teaching
def teaching_sums(delta: np.ndarray, items: int, noise: float, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    draws = delta[..., None] + rng.normal(0, noise, (*delta.shape, items))
    return np.full(delta.shape, float(items)), draws.sum(axis=-1), (draws**2).sum(axis=-1)


def test_additive_teaching_has_no_interaction_share_and_crossed_teaching_has() -> None:
    rng = np.random.default_rng(7)
    additive = 0.2 + np.array([0.2, 0.0, -0.1, -0.1])[:, None] + np.array([0.1, 0.0, -0.1])[None, :]
    fit = fit_teaching(*teaching_sums(additive, 400, 0.3, rng))
    assert fit is not None and fit.interaction_share is not None and fit.interaction_share < 0.05
    assert np.allclose(fit.teacher, [0.2, 0, -0.1, -0.1], atol=0.04) and np.allclose(
        fit.student, [0.1, 0, -0.1], atol=0.04
    )
    crossed = fit_teaching(*teaching_sums(np.array([[0.3, -0.3], [-0.3, 0.3]]), 400, 0.3, rng))
    assert crossed is not None and crossed.interaction_share is not None and crossed.interaction_share > 0.95


def test_teaching_is_undefined_without_signal_or_without_spare_cells() -> None:
    rng = np.random.default_rng(9)
    noise_only = [
        fit_teaching(*teaching_sums(np.full((4, 3), 0.1), 50, 0.5, rng)).interaction_share for _ in range(100)
    ]
    assert sum(share is None for share in noise_only) >= 85  # by design 95; odds of fewer than 85 are < 1e-3
    one = fit_teaching(np.array([[9.0]]), np.array([[3.0]]), np.array([[2.0]]))
    assert one is not None and one.interaction_share is None and one.mean == pytest.approx(1 / 3)
    apart = fit_teaching(np.diag([9.0, 9.0]), np.diag([3.0, 1.0]), np.diag([2.0, 1.0]))
    assert apart is not None and apart.interaction_share is None and np.isnan(apart.interaction[0, 1])
    assert fit_teaching(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 2))) is None
