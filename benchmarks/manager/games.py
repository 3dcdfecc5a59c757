"""Exact games for the exploitability curves.

Policies are tables, gradients and best responses are computed, nothing is sampled but the results of evaluation games.
Rock-paper-scissors, Colonel Blotto (5 soldiers, 3 fields), Kuhn poker.

Payoffs are symmetric: `margin(p, q)` is the mean payoff of p against q over both seats, scaled to [−1, 1].
"""

from collections.abc import Sequence
from itertools import permutations, product
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Game(Protocol):
    """Policies are logits (D,)."""

    size: int

    def margin(self, policy: Array, other: Array) -> float: ...

    def gradient(self, policy: Array, others: Sequence[Array]) -> Array:
        """Exact natural policy gradient of the mean margin against `others`, in logits (D,).

        Advantages, weighted by reach in Kuhn.
        """
        ...

    def exploitability(self, policies: Sequence[Array], weights: Array) -> float:
        """Margin a best response wins against the mixture of `policies`."""
        ...


def softmax(logits: Array) -> Array:
    weights = np.exp(logits - logits.max())
    return np.asarray(weights / weights.sum())


class MatrixGame:
    """One-shot symmetric zero-sum game with payoffs (A, A)."""

    def __init__(self, payoff: Array) -> None:
        self.payoff = payoff / np.abs(payoff).max()
        self.size = len(payoff)

    def margin(self, policy: Array, other: Array) -> float:
        return float(softmax(policy) @ self.payoff @ softmax(other))

    def gradient(self, policy: Array, others: Sequence[Array]) -> Array:
        own = softmax(policy)
        value = self.payoff @ np.mean([softmax(other) for other in others], axis=0)
        return np.asarray(value - own @ value)

    def exploitability(self, policies: Sequence[Array], weights: Array) -> float:
        mixture = weights @ np.stack([softmax(policy) for policy in policies])
        return float((self.payoff @ mixture).max())


def rock_paper_scissors() -> MatrixGame:
    return MatrixGame(np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]))


def blotto(soldiers: int = 5, fields: int = 3) -> MatrixGame:
    """Sign of (fields won − fields lost), over all ordered divisions of the soldiers."""
    divisions = np.array([d for d in product(range(soldiers + 1), repeat=fields) if sum(d) == soldiers])
    won = np.sign(divisions[:, None, :] - divisions[None, :, :]).sum(axis=2)
    return MatrixGame(np.sign(won).astype(float))


class KuhnPoker:
    """Three cards, one chip each, bets of one.

    Logits (12,): first seat bet (3 cards), first seat call after check-bet (3), second seat bet after a check (3),
    second seat call after a bet (3). Margin is half the chips, so ±2 chips are ±1.
    """

    size = 12
    deals = list(permutations(range(3), 2))

    @staticmethod
    def chances(logits: Array) -> tuple[Array, Array, Array, Array]:
        chance = 1.0 / (1.0 + np.exp(-logits))
        return chance[:3], chance[3:6], chance[6:9], chance[9:]

    def first_value(self, first: Array, second: Array) -> float:
        """Chips the first seat wins on average."""
        bet, call, _, _ = self.chances(first)
        _, _, raised, called = self.chances(second)
        return float(
            np.mean([self._deal(bet[a], call[a], raised[b], called[b], np.sign(a - b)) for a, b in self.deals])
        )

    @staticmethod
    def _deal(bet: float, call: float, raised: float, called: float, sign: float) -> float:
        checked = (1 - raised) * sign + raised * ((1 - call) * -1 + call * 2 * sign)
        return bet * ((1 - called) + called * 2 * sign) + (1 - bet) * checked

    def margin(self, policy: Array, other: Array) -> float:
        return (self.first_value(policy, other) - self.first_value(other, policy)) / 4.0

    def gradient(self, policy: Array, others: Sequence[Array]) -> Array:
        slope = np.zeros(12)
        bet, call, raised, called = self.chances(policy)
        for other in others:
            bet2, call2, raised2, called2 = self.chances(other)
            for a, b in self.deals:
                sign = np.sign(a - b)
                checked = (1 - raised2[b]) * sign + raised2[b] * ((1 - call[a]) * -1 + call[a] * 2 * sign)
                slope[a] += (1 - called2[b]) + called2[b] * 2 * sign - checked
                slope[3 + a] += (1 - bet[a]) * raised2[b] * (1 + 2 * sign)
                sign = np.sign(b - a)  # now we hold a in the second seat, the other b in the first
                slope[6 + a] -= (1 - bet2[b]) * ((1 - call2[b]) * -1 + call2[b] * 2 * sign - sign)
                slope[9 + a] -= bet2[b] * (2 * sign - 1)
        return slope / (6 * 4 * len(others))

    def exploitability(self, policies: Sequence[Array], weights: Array) -> float:
        tables = [self.chances(policy) for policy in policies]
        first = second = 0.0
        for own in range(3):
            rivals = [card for card in range(3) if card != own]
            first += max(
                sum(
                    w * self._deal(bet, call, t[2][b], t[3][b], np.sign(own - b))
                    for w, t in zip(weights, tables, strict=True)
                    for b in rivals
                )
                for bet, call in product((0, 1), repeat=2)
            )
            second += max(
                -sum(
                    w * self._deal(t[0][b], t[1][b], raised, called, np.sign(b - own))
                    for w, t in zip(weights, tables, strict=True)
                    for b in rivals
                )
                for raised, called in product((0, 1), repeat=2)
            )
        return (first + second) / 6.0 / 4.0


GAMES: dict[str, Game] = {"rps": rock_paper_scissors(), "blotto": blotto(), "kuhn": KuhnPoker()}
