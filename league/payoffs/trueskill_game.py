"""One TrueSkill game between two players: the `trueskill` package's sums without its graph.

The package builds a factor graph of ten nodes for every game, which costs 0.3 ms. Here its messages are written out for
two players (Herbrich, Minka, Graepel 2006, figure 1; a Gaussian is kept as precision π = 1/σ² and τ = π·μ), with every
operation in the package's order and with its approximations of the normal distribution: results are the same to the
last bit (a test compares them). Failure case: like the package's, plain floats give out at a mean gap of some hundred
points (FloatingPointError); the caller then asks for arbitrary precision.
"""

import math
from functools import cache

Gaussian = tuple[float, float]
"""(π, τ)"""
PRECISE_ENOUGH = 0.0001
"""Change of the performance difference below which the messages have settled."""


def rate_game(
    winner: tuple[float, float],
    loser: tuple[float, float],
    *,
    drawn: bool,
    beta: float,
    tau: float,
    draw_probability: float,
) -> tuple[tuple[float, float], tuple[float, float]]:
    """(mu, sigma) of both → theirs after the game.

    Raises FloatingPointError where plain floats are not precise enough.
    """
    try:
        return _after(winner, loser, drawn, variance=beta**2, tau=tau, margin=_draw_margin(draw_probability, beta))
    except (ValueError, ZeroDivisionError, OverflowError) as error:  # a variance that rounding made negative or nil
        raise FloatingPointError(str(error)) from error


def _after(
    winner: tuple[float, float],
    loser: tuple[float, float],
    drawn: bool,
    *,
    variance: float,
    tau: float,
    margin: float,
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The messages of the graph, from the skills to the result and back."""
    skills = _prior(*winner, tau), _prior(*loser, tau)
    performances = _widened(skills[0], variance), _widened(skills[1], variance)
    teams = _of_one(performances[0]), _of_one(performances[1])
    forward = _difference(teams[0], teams[1])
    # the difference of the performances, and the messages it has from the teams and from the result
    d_pi, d_tau = forward
    r_pi = r_tau = 0.0
    for turn in range(10):
        if turn:  # the teams' message arrives again, in place of itself
            d_pi, d_tau = d_pi - forward[0] + forward[0], d_tau - forward[1] + forward[1]
        pi, tau_now = _truncated(d_pi - r_pi, d_tau - r_tau, margin, drawn)
        r_pi, r_tau = pi + r_pi - d_pi, tau_now + r_tau - d_tau
        moved = max(abs(d_tau - tau_now), math.sqrt(abs(d_pi - pi)))
        d_pi, d_tau = pi, tau_now
        if moved <= PRECISE_ENOUGH:
            break
    back = d_pi - forward[0], d_tau - forward[1]
    to_first = _sum(back, teams[1])
    first = teams[0][0] + to_first[0], teams[0][1] + to_first[1]
    to_second = _difference((first[0] - to_first[0], first[1] - to_first[1]), back)
    second = teams[1][0] + to_second[0], teams[1][1] + to_second[1]
    return (
        _skill(skills[0], performances[0], (first[0] - teams[0][0], first[1] - teams[0][1]), variance),
        _skill(skills[1], performances[1], (second[0] - teams[1][0], second[1] - teams[1][1]), variance),
    )


# ------------------------------------------------------------------------------------------------------ messages
def _prior(mu: float, sigma: float, tau: float) -> Gaussian:
    """A skill before the game, a little less certain than after the last one."""
    pi = sigma**-2
    mean, spread = pi * mu / pi, math.sqrt(1 / pi)
    pi = math.sqrt(spread**2 + tau**2) ** -2
    return pi, pi * mean


def _widened(message: Gaussian, variance: float) -> Gaussian:
    """A skill as a performance, or back: the same with so much more variance."""
    a = 1.0 / (1.0 + variance * message[0])
    return a * message[0], a * message[1]


def _mean(message: Gaussian) -> float:
    return message[1] / message[0] if message[0] else 0.0


def _inverse(pi: float) -> float:
    return 1.0 / pi if pi else math.inf


def _of_one(message: Gaussian) -> Gaussian:
    """The sum over a team of one."""
    pi = 1.0 / _inverse(message[0])
    return pi, pi * _mean(message)


def _difference(first: Gaussian, second: Gaussian) -> Gaussian:
    pi = 1.0 / (_inverse(first[0]) + _inverse(second[0]))
    return pi, pi * (_mean(first) - _mean(second))


def _sum(first: Gaussian, second: Gaussian) -> Gaussian:
    pi = 1.0 / (_inverse(first[0]) + _inverse(second[0]))
    return pi, pi * (_mean(first) + _mean(second))


def _skill(skill: Gaussian, performance: Gaussian, from_team: Gaussian, variance: float) -> tuple[float, float]:
    """(mu, sigma) of a skill that hears of its team's performance."""
    heard = _of_one(from_team)
    sharper = performance[0] + heard[0], performance[1] + heard[1]
    message = _widened((sharper[0] - performance[0], sharper[1] - performance[1]), variance)
    pi, tau = skill[0] + message[0], skill[1] + message[1]
    mu, sigma = tau / pi, math.sqrt(1 / pi)
    pi = sigma**-2  # the package hands the result on as a Gaussian of its own
    return pi * mu / pi, math.sqrt(1 / pi)


def _truncated(pi: float, tau: float, margin: float, drawn: bool) -> Gaussian:
    """The difference of the performances, given who won."""
    root = math.sqrt(pi)
    v, w = (_drawn if drawn else _won)(tau / root, margin * root)
    rest = 1.0 - w
    return pi / rest, (tau + root * v) / rest


def _won(difference: float, margin: float) -> tuple[float, float]:
    """v and w of a game that was won."""
    x = difference - margin
    below = _cdf(x)
    v = _pdf(x) / below if below else -x
    w = v * (v + x)
    if not 0 < w < 1:
        raise FloatingPointError("plain floats are not precise enough for so wide a gap")
    return v, w


def _drawn(difference: float, margin: float) -> tuple[float, float]:
    """v and w of a game that was drawn."""
    wide = abs(difference)
    a, b = margin - wide, -margin - wide
    between = _cdf(a) - _cdf(b)
    if not between:
        raise FloatingPointError("plain floats are not precise enough for so wide a gap")
    v = (_pdf(b) - _pdf(a)) / between
    return v * (-1 if difference < 0 else 1), v**2 + (a * _pdf(a) - b * _pdf(b)) / between


# ------------------------------------------------------------------------------------------ the package's functions
@cache
def _draw_margin(draw_probability: float, beta: float) -> float:
    from trueskill.backends import ppf

    return float(ppf((draw_probability + 1) / 2.0) * math.sqrt(2) * beta)


_ROOT, _HEIGHT = 1 * math.sqrt(2), 1 / math.sqrt(2 * math.pi) * abs(1)


def _cdf(x: float) -> float:
    """Of the standard normal; the package's erfc, which is right to 1.2e-7."""
    y = -(x - 0) / _ROOT
    z = abs(y)
    t = 1.0 / (1.0 + z / 2.0)
    series = -0.82215223 + t * 0.17087277
    for factor in (1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368):
        series = factor + t * series
    r = t * math.exp(-z * z - 1.26551223 + t * series)
    return 0.5 * (2.0 - r if y < 0 else r)


def _pdf(x: float) -> float:
    return _HEIGHT * math.exp(-((x / 1) ** 2 / 2))
