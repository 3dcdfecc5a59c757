"""How good an agent is, with what certainty.

Tallies of games and of items, and bounds on what they say.

Contests: Beta(w + d/2 + ½, l + d/2 + ½), draws half and half. Teaching and cooperation: the mean of paired items is
normal with the sample's variance. Failure case: games against learners that improve meanwhile are pooled as if nobody
had moved.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Games:
    """Wins, draws and losses of one side; may be weighted."""

    wins: float = 0.0
    draws: float = 0.0
    losses: float = 0.0

    @property
    def count(self) -> float:
        return self.wins + self.draws + self.losses

    def lower_bound(self, confidence: float) -> float:
        """The win rate that is exceeded with this posterior probability."""
        from scipy.special import betaincinv

        a, b = self.wins + self.draws / 2 + 0.5, self.losses + self.draws / 2 + 0.5
        return float(betaincinv(a, b, 1.0 - confidence))


@dataclass(frozen=True)
class Items:
    """Sum and sum of squares over n paired items; may be weighted."""

    n: float = 0.0
    total: float = 0.0
    total_sq: float = 0.0

    @property
    def mean(self) -> float:
        return self.total / self.n if self.n else 0.0

    @property
    def variance_of_mean(self) -> float:
        """Sample variance over n; infinite below two items."""
        if self.n < 2:
            return float("inf")
        return max(self.total_sq / self.n - self.mean**2, 0.0) / (self.n - 1)


def gain_bound(before: Items, after: Items, confidence: float) -> float:
    """The gain of the mean from `before` to `after` that is exceeded with this probability.

    −inf where one of them is hardly known.
    """
    from scipy.special import ndtri

    spread = sqrt(before.variance_of_mean + after.variance_of_mean)
    return after.mean - before.mean - float(ndtri(confidence)) * spread if np.isfinite(spread) else float("-inf")
