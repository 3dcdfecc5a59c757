"""The closed list of meta-solvers, from complete margins to a mixture.

A solver takes margins (N, N) and returns weights (N,) over the league that sum to 1.

A new solver goes into its own file and one line here; a user's own is named by its dotted path.
"""

from collections.abc import Callable

import numpy as np

from league.payoffs.matrix import FloatArray
from league.registry import Registry, build

Solver = Callable[[FloatArray], FloatArray]


def uniform(margin_NN: FloatArray) -> FloatArray:
    """Everyone equally."""
    return np.full(len(margin_NN), 1.0 / max(1, len(margin_NN)))


SOLVERS: dict[str, str] = {
    "alpha_rank": "league.payoffs.alpha_rank:alpha_rank",
    "nash": "league.payoffs.nash:max_entropy_nash",
    "uniform": "league.payoffs.solvers:uniform",
}
"""Name → "module:function"."""

_REGISTRY: Registry[Solver] = Registry(
    what="solver",
    entries=SOLVERS,
    expected="a function of margins (N, N) that returns a mixture (N,)",
    accepts=callable,
    schema=lambda found: {},
    make=lambda found: found,
)


def solver(name: str) -> Solver:
    """The solver of that name or dotted path. Raises UserError on unknown names."""
    return build(_REGISTRY, name, {})
