"""The factor on learning rates as a run goes on: a linear rise, then constant, linear or cosine.

With t rounds begun before, warm-up W, horizon H, final factor f and the share p = (t − W) / (H − W) of the way, in 0…1:

    rise       (t + 1) / (W + 1)               while t < W
    constant   1
    linear     1 − (1 − f) p
    cosine     f + (1 − f) (1 + cos π p) / 2

Where the horizon counts tokens, p is the share of the tokens that were trained on before the round. Source of the
cosine: Loshchilov and Hutter (2017), SGDR, arXiv 1608.03983, without restarts.

It is a function of what the round's state already holds, so a resumed run goes on with the same rates. Failure case: a
horizon that is changed on the way moves the factor at once; with a cosine, by more the nearer the run is to its middle.
"""

import math
from dataclasses import replace

from league.config.steering import ScheduleConfig
from league.types import Hyper


def rate_factor(schedule: ScheduleConfig, rounds: int, share: float) -> float:
    """The factor of a round before which `rounds` were played (after the opening one).

    `share` is the way to the horizon, as `way` tells it; it is cut to 0…1.
    """
    if rounds < schedule.warm_up:
        return (rounds + 1) / (schedule.warm_up + 1)
    p = min(1.0, max(0.0, share))
    if schedule.kind == "linear":
        return 1 - (1 - schedule.final) * p
    if schedule.kind == "cosine":
        return schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * p)) / 2
    return 1.0


def way(schedule: ScheduleConfig, rounds: int, horizon: int) -> float:
    """How far a schedule in rounds has come, from the end of its warm-up (0) to its horizon (1)."""
    left = horizon - schedule.warm_up
    return (rounds - schedule.warm_up) / left if left > 0 else 1.0


def scaled(hyper: Hyper, factor: float) -> Hyper:
    """The hyper-parameters with the factor on their learning rate; the very same where it is 1."""
    return hyper if factor == 1.0 else replace(hyper, learning_rate=hyper.learning_rate * factor)
