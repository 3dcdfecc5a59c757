"""Where the next token goes: a round's shared matches, by measured gain, over all tasks together.

Every shared match is drawn by itself, by the formula of league.matchmaking.gain, among each (teacher, student, domain,
channel) that any of the sharing tasks could spend it on; a share `floor` of the draws is uniform. A domain that has
had its cap of the round's shared matches stands back.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from league.matchmaking import Pairing, RuleContext
from league.matchmaking.gain import GainPerToken, drawn_gains


def share_matches(
    offers: Mapping[str, tuple[RuleContext, Sequence[Pairing]]],
    rules: Mapping[str, GainPerToken],
    count: int,
    *,
    cap: float,
    rng: np.random.Generator,
) -> list[tuple[str, Pairing]]:
    """`count` (task, pairing) of the `offers`; fewer where nobody could meet.

    `offers`: task → (context, candidates). `rules` has the rule of each sharing task. `cap` is the largest share of
    one domain, at least one match.
    """
    everything = [(task, pairing) for task, (_, pairings) in offers.items() for pairing in pairings]
    most = max(1, int(cap * count))
    used: dict[str, int] = {}
    chosen: list[tuple[str, Pairing]] = []
    for _ in range(count):
        several = len({pairing.domain for _, pairing in everything}) > 1
        open_now = [each for each in everything if not several or used.get(each[1].domain, 0) < most] or everything
        if not open_now:
            break
        weights_P = np.zeros(len(open_now))
        draws = drawn_gains([(offers[task][0], pairing) for task, pairing in open_now], rng)
        best_P = draws >= draws.max()
        floors_P = np.array([rules[task].floor for task, _ in open_now])
        weights_P = (1.0 - floors_P) * best_P / best_P.sum() + floors_P / len(open_now)
        task, pairing = open_now[int(rng.choice(len(open_now), p=weights_P / weights_P.sum()))]
        used[pairing.domain] = used.get(pairing.domain, 0) + 1
        chosen.append((task, pairing))
    return chosen
