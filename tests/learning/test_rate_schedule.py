"""Learning-rate schedules: golden values, bounds, and what they do to an agent's rate."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from league.config.steering import ScheduleConfig
from league.learning.rate_schedule import rate_factor, scaled, way
from league.types import Hyper


def test_a_constant_rate_is_the_rate_itself() -> None:
    hyper = Hyper(0.01, 0.1)
    assert rate_factor(ScheduleConfig(), 7, 0.9) == 1.0 and scaled(hyper, 1.0) is hyper
    assert scaled(hyper, 0.5) == Hyper(0.005, 0.1)


def test_golden_values() -> None:
    """Warm-up of 2, horizon 10, final 0.1: up by thirds, then 8 rounds down."""
    linear, cosine = (ScheduleConfig(kind=kind, warm_up=2, horizon=10) for kind in ("linear", "cosine"))
    factors = [[rate_factor(each, t, way(each, t, 10)) for t in (0, 1, 2, 6, 10, 12)] for each in (linear, cosine)]
    assert factors[0] == pytest.approx([1 / 3, 2 / 3, 1.0, 0.55, 0.1, 0.1])
    assert factors[1] == pytest.approx([1 / 3, 2 / 3, 1.0, 0.55, 0.1, 0.1])
    quarter = rate_factor(cosine, 4, way(cosine, 4, 10))
    assert quarter == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2)
    assert rate_factor(linear, 4, way(linear, 4, 10)) == pytest.approx(0.775)


@given(
    st.sampled_from(["constant", "linear", "cosine"]),
    st.integers(0, 20),
    st.floats(0.01, 1.0),
    st.integers(1, 60),
)
def test_the_factor_rises_then_never_rises_again(kind: str, warm_up: int, final: float, horizon: int) -> None:
    schedule = ScheduleConfig(kind=kind, warm_up=warm_up, final=final)
    factors = [rate_factor(schedule, t, way(schedule, t, horizon)) for t in range(80)]
    assert all(0 < factor <= 1.0 for factor in factors)
    rise, rest = factors[:warm_up], factors[warm_up:]
    assert rise == sorted(rise) and all(a >= b - 1e-12 for a, b in zip(rest, rest[1:], strict=False))


def test_a_word_is_its_kind() -> None:
    assert ScheduleConfig.model_validate("cosine") == ScheduleConfig(kind="cosine")
