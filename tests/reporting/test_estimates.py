"""Intervals: golden values by hand, edge cases, and coverage by simulation."""

import numpy as np
import pytest

from league.reporting.queries.estimates import (
    difference,
    mean,
    mean_of_sums,
    means,
    proportion,
    t_quantile,
    win_rates,
)
from league.reporting.views import Estimate


def test_wilson_golden() -> None:
    # 81 of 263: Newcombe (1998), table II of "Two-sided confidence intervals for the single proportion", Wilson without
    # correction
    found = proportion(81, 263)
    assert found is not None
    assert (round(found.low or 0, 4), round(found.high or 0, 4)) == (0.2553, 0.3662)
    zero = proportion(0, 20)  # same table: 0 to .1611
    assert zero is not None and zero.low == 0 and round(zero.high or 0, 4) == 0.1611
    assert proportion(0, 0) is None


def test_means_agree_with_the_scalar_form() -> None:
    values = [0.5, -0.25, 1.0, 0.0]
    one = mean(values)
    assert one is not None
    cells = means(
        np.array([[4.0, 0.0, 1.0]]),
        np.array([[sum(values), 0.0, 0.3]]),
        np.array([[sum(v * v for v in values), 0.0, 0.09]]),
    )
    assert (
        cells[0][0, 0] == pytest.approx(one.value)
        and cells[1][0, 0] == pytest.approx(one.low)
        and cells[2][0, 0] == pytest.approx(one.high)
    )
    assert np.isnan(cells[0][0, 1]) and cells[0][0, 2] == pytest.approx(0.3) and np.isnan(cells[1][0, 2])
    assert mean([]) is None
    single = mean_of_sums(1, 0.3, 0.09)
    assert single is not None and single.low is None
    same = mean([0.25] * 8)  # eight equal items prove nothing about the ninth
    assert same is not None and same.value == 0.25 and same.low is None and not same.excludes_zero
    assert np.isnan(means(np.array([[8.0]]), np.array([[2.0]]), np.array([[0.5]]))[1][0, 0])


def test_win_rates_are_antisymmetric_and_blank_where_nobody_played() -> None:
    wins = np.array([[0.0, 7.0], [1.0, 0.0]])
    draws = np.array([[0.0, 2.0], [2.0, 0.0]])
    n = np.array([[0.0, 10.0], [10.0, 0.0]])
    value, low, high = win_rates(wins, draws, n)
    assert value[0, 1] + value[1, 0] == pytest.approx(1.0) and np.isnan(value[0, 0])
    assert low[0, 1] + high[1, 0] == pytest.approx(1.0)
    assert value[0, 1] == pytest.approx(0.8)


def test_difference_of_two_estimates() -> None:
    found = difference(Estimate(0.5, 0.4, 0.6, 100), Estimate(0.3, 0.2, 0.4, 100))
    assert found.value == pytest.approx(0.2) and found.low == pytest.approx(0.2 - 0.02**0.5) and found.excludes_zero
    assert found.high == pytest.approx(0.2 + 0.02**0.5)
    assert difference(Estimate(0.5), Estimate(0.3, 0.2, 0.4)).low is None


def test_t_quantiles_are_scipys() -> None:
    from scipy.stats import t

    degrees = np.array([1, 2, 5, 29, 30, 31, 50, 200, 10_000], dtype=float)
    np.testing.assert_allclose(t_quantile(degrees), t.ppf(0.975, degrees), atol=1e-4)


def test_an_unknown_interval_is_none() -> None:
    assert Estimate(0.5, float("nan"), float("nan")).low is None
    assert not Estimate(0.5, float("nan"), float("nan")).excludes_zero
    assert Estimate(0.5, 0.1, 0.9).excludes_zero and not Estimate(0.5, -0.1, 0.9).excludes_zero
