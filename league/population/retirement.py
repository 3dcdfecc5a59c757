"""Which frozen versions the league can do without.

Those dominated, outside every certified cycle, and near a clone that stays.

Dominated: some version certainly beats it, and is not certainly beaten by anyone the candidate certainly beats.
Outside cycles: its component of the certified graph is itself alone. Near a clone: another version that stays has
nearly the same payoff row (root mean square difference over the opponents both have met often enough). All three
together: what is retired has taught the league what it could, is no part of a rock-paper-scissors, and leaves a
stand-in behind. Failure case: with few games rows are noise of 1/√n, so nothing is near a clone and nothing is
retired; that errs on the safe side.
"""

from collections.abc import Sequence

import numpy as np

from league.population.tallies import Bools, Floats


def dominated(beats_NN: Bools) -> Bools:
    """(N,): versions that someone certainly beats who is not certainly beaten by their victims.

    beats_NN: certified edges.
    """
    edges_NN = beats_NN.astype(np.float32)
    avenged_NN = edges_NN @ edges_NN > 0  # [v, u]: v certainly beats someone who certainly beats u
    return np.asarray((beats_NN.T & ~avenged_NN).any(axis=1))


def to_retire(
    candidates: Sequence[int], beats_NN: Bools, cyclic_N: Bools, distance_NN: Floats, most: float
) -> list[int]:
    """The candidates to retire, in the order given.

    Each leaves its nearest clone behind, which then stays.

    beats (N, N): certified edges. cyclic (N,): inside a certified cycle. distance (N, N): of payoff rows, NaN where
    unknown.
    """
    dominated_N = dominated(beats_NN)
    gone: list[int] = []
    stand_ins: set[int] = set()
    for v in candidates:
        if not dominated_N[v] or cyclic_N[v] or v in stand_ins:
            continue
        clones = [u for u in range(len(beats_NN)) if u != v and u not in gone and distance_NN[v, u] <= most]
        if clones:
            gone.append(v)
            stand_ins.add(min(clones, key=lambda u: (float(distance_NN[v, u]), u)))
    return gone
