"""What a student should be taught next: domains and teachers with which it is sometimes right.

Formula. p = the student's rate of right answers after teacher t's lesson in domain d, drawn from its posterior
Beta(right + ½, wrong + ½) (decayed view); weight 4 p (1 − p), the variance of the reward and so the size of the
policy gradient. A share `floor` stays uniform; combinations with fewer than `min_items` effective answers weigh 1.
Source: Florensa et al. (2018), "goals of intermediate difficulty".

Right and wrong are `wins` and `losses` of "teaching" outcomes (the taught arm). Failure case: where a task leaves
them 0, every combination counts as new and the rule is uniform. A task where guessing is right half the time looks
ideal for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from league.matchmaking.pairing import Count, Pairing, Rule, RuleContext, Share, index, with_floor
from league.payoffs.matrix import FloatArray


@dataclass(frozen=True)
class Student(Rule):
    """half_life: steps after which a result of an agent's earlier version counts half."""

    floor: Share = 0.1
    min_items: Count = 8.0
    half_life: Count = 10.0

    def __call__(self, now: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        if not pairings:
            return np.zeros(0)
        rows, cols, left, right = index(pairings)
        good, bad = np.zeros(len(pairings)), np.zeros(len(pairings))
        for domain in {pairing.domain for pairing in pairings}:
            sums = now.view.sums("teaching", now.task, rows, cols, domain=domain, half_life=self.half_life)
            here = np.array([pairing.domain == domain for pairing in pairings])
            good = np.where(here, sums.wins[left, right], good)
            bad = np.where(here, sums.losses[left, right], bad)
        chance = rng.beta(good + 0.5, bad + 0.5)
        weights = np.where(good + bad < self.min_items, 1.0, 4.0 * chance * (1.0 - chance))
        return with_floor(weights, self.floor)
