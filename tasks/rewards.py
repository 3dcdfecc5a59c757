"""How the situation of a match mixes what each player earned with what the others earned."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from league.types import RewardMix


def mixed_reward(own: float, others: Sequence[float], mix: RewardMix) -> float:
    """individual·u_i + team·mean(u) + competitive·(u_i − mean of the others' u).

    `own` is u_i, `others` are the other players'. Who plays alone has nobody to compete with: that term is 0. With
    the default mix this is u_i. In a two-player zero-sum game team adds nothing and competitive doubles u_i.
    """
    rivals = fmean(others) if others else own
    return mix.individual * own + mix.team * fmean([own, *others]) + mix.competitive * (own - rivals)


def mix_rewards(payoffs: Mapping[str, float], mix: RewardMix) -> dict[str, float]:
    """Seat → its mixed reward, from what each seat earned."""
    return {
        seat: mixed_reward(own, [value for other, value in payoffs.items() if other != seat], mix)
        for seat, own in payoffs.items()
    }
