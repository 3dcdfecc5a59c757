"""Neighbours in a certified cycle: who is known, not guessed, to be part of a rock-paper-scissors.

Formula. Certified edges (`league.payoffs.edges`) between all exact versions the task has seen among the candidates'
agents; a pairing weighs 1 if row and col, each represented by its newest version inside a cyclic component, are
joined by a certified edge of that component, and `behind` if it is row that beats col. Source: ours; the idea of
training along the cycle is Balduzzi et al. (2019).

Failure case. Versions move on: a cycle certified between old snapshots may have been left behind. Until something is
certified the rule has no opinion and the other rules of the mixture take its share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from league.matchmaking.pairing import ErrorRate, Pairing, Rule, RuleContext, Share
from league.payoffs.edges import ALPHA, certified_edges
from league.payoffs.graph import components
from league.payoffs.matrix import FloatArray
from league.types import Version


@dataclass(frozen=True)
class CycleNeighbours(Rule):
    """alpha: family-wise error of the edges. behind: weight of a neighbour that row already beats."""

    random: ClassVar[bool] = False

    alpha: ErrorRate = ALPHA
    behind: Share = 0.5

    def __call__(self, context: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        agents = {version.agent for pairing in pairings for version in (pairing.row, pairing.col)}
        versions = [version for version in context.view.versions("contest", context.task) if version.agent in agents]
        beats_NN = certified_edges(context.view.counts(context.task, versions), self.alpha)
        weights_P = np.zeros(len(pairings))
        for group in components(beats_NN):
            if len(group) < 3:
                break
            inside = {versions[i]: i for i in group}
            for place, pairing in enumerate(pairings):
                row, col = _newest(pairing.row, inside), _newest(pairing.col, inside)
                if row is not None and col is not None:
                    weights_P[place] = max(
                        weights_P[place], 1.0 if beats_NN[col, row] else self.behind if beats_NN[row, col] else 0.0
                    )
        return weights_P


def _newest(version: Version, inside: dict[Version, int]) -> int | None:
    """The place of the newest version of the same agent that is not newer than `version`."""
    older = [other for other in inside if other.agent == version.agent and other.step <= version.step]
    return inside[max(older)] if older else None
