"""Matrices with known answers, shared by the payoff tests. Margins A = −Aᵀ, rows beat columns."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from league.payoffs.matrix import Counts, FloatArray, PayoffMatrix
from league.payoffs.nash import max_entropy_nash


def margins(size: int, **upper: float) -> np.ndarray:
    """An antisymmetric matrix from its upper entries, named like _01=-0.2."""
    table = np.zeros((size, size))
    for place, value in upper.items():
        i, j = int(place[1]), int(place[2])
        table[i, j], table[j, i] = value, -value
    return table


RPS = margins(3, _01=-1, _02=1, _12=-1)
BIASED = margins(3, _01=-0.2, _02=0.9, _12=-0.5)
CLONE = margins(4, _01=-1, _02=1, _12=-1, _13=1, _23=-1)  # R, P, S, R'
DOMINATED = margins(4, _01=-1, _02=1, _12=-1, _03=1, _13=1, _23=1)
DOMINATOR = margins(4, _01=-1, _02=1, _12=-1, _03=-1, _13=-1, _23=-1)
LADDER = np.sign(np.arange(4)[None, :] - np.arange(4)[:, None]).astype(float)
ELO = np.tanh(np.log(10) / 400 * 200 * (np.arange(4)[None, :] - np.arange(4)[:, None]) / 2)  # 2σ(x) − 1 = tanh(x/2)


def disc(size: int) -> np.ndarray:
    """Points on a circle, margin = sine of the angle between them."""
    angle = 2 * np.pi * np.arange(size) / size
    table = np.sin(angle[None, :] - angle[:, None])
    return (table - table.T) / 2


def names(size: int) -> list[str]:
    return [f"agent{i}" for i in range(size)]


def reordered(matrix: PayoffMatrix, order: Sequence[int]) -> PayoffMatrix:
    """The same league restricted to, and in the order of, these places."""
    grid = np.ix_(order, order)
    counts = matrix.counts and Counts(matrix.counts.wins[grid], matrix.counts.draws[grid])
    return replace(matrix, names=tuple(matrix.names[i] for i in order), margin=matrix.margin[grid], counts=counts)


def solved(payoff_RC: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    """(value to the row player, mixtures (R,) and (C,)) of a rectangular zero-sum game.

    It is solved as the skew-symmetric game of Gale, Kuhn and Tucker (1950), which has low rank: hard for `nash.py`.
    """
    rows, cols = payoff_RC.shape
    shift, scale = payoff_RC.min(), max(float(np.ptp(payoff_RC)), 1e-300)
    skew = np.zeros((rows + cols + 1, rows + cols + 1))
    skew[:rows, rows:-1] = (payoff_RC - shift) / scale + 1.0
    skew[:rows, -1] = -1.0
    skew[rows:-1, -1] = 1.0
    mixture = max_entropy_nash(skew - skew.T)
    row, col = mixture[:rows], mixture[rows:-1]
    row, col = row / row.sum(), col / col.sum()
    return float(row @ payoff_RC @ col), row, col
