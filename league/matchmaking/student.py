"""What a student should be taught next: domains and teachers with which it is sometimes right.

Formula. p = the student's rate of right answers after teacher t's explanation in domain d, drawn from its posterior
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

from league.matchmaking.pairing import Count, Pairing, Rule, RuleContext, Share, rows_and_columns, with_floor
from league.payoffs.matrix import FloatArray


@dataclass(frozen=True)
class Student(Rule):
    """half_life: steps after which a result of an agent's earlier version counts half."""

    floor: Share = 0.1
    min_items: Count = 8.0
    half_life: Count = 10.0

    def __call__(self, context: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> FloatArray:
        if not pairings:
            return np.zeros(0)
        rows, cols, row_P, col_P = rows_and_columns(pairings)
        right_P, wrong_P = np.zeros(len(pairings)), np.zeros(len(pairings))
        for domain in {pairing.domain for pairing in pairings}:
            sums = context.view.sums("teaching", context.task, rows, cols, domain=domain, half_life=self.half_life)
            here_P = np.array([pairing.domain == domain for pairing in pairings])
            right_P = np.where(here_P, sums.wins[row_P, col_P], right_P)
            wrong_P = np.where(here_P, sums.losses[row_P, col_P], wrong_P)
        chance_P = rng.beta(right_P + 0.5, wrong_P + 0.5)
        weights_P = np.where(right_P + wrong_P < self.min_items, 1.0, 4.0 * chance_P * (1.0 - chance_P))
        return with_floor(weights_P, self.floor)
