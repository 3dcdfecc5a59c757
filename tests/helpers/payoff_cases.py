"""Matrices with known answers, shared by the payoff tests. Margins A = −Aᵀ, rows beat columns."""

import numpy as np


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
