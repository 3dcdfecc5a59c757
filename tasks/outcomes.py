"""What a match tells the payoffs: its players' contest, or their cooperation."""

from collections.abc import Mapping, Sequence
from itertools import combinations

from league.types import Match, Outcome


def cooperation_outcome(match: Match, task: str, domain: str, seats: Sequence[str], joint: Sequence[float]) -> Outcome:
    """What the versions in two seats earned together, play by play; the smaller version is the row."""
    row, col = sorted(match.seats[seat] for seat in seats)
    return Outcome(
        relation="cooperation",
        task=task,
        situation=match.situation,
        domain=domain,
        row=row,
        col=col,
        n=len(joint),
        total=sum(joint),
        total_sq=sum(value * value for value in joint),
    )


def contest_outcome(match: Match, task: str, margins: Sequence[float]) -> tuple[Outcome, ...]:
    """The contest of the seats "row" and "col"; empty when one version sits in both.

    The smaller version is the outcome's row. margins[i] is what "row" earned in play i less what "col" earned: its
    sign says who won; half of it goes into the total, which is the payoff itself in a zero-sum game.
    """
    first, second = match.seats["row"], match.seats["col"]
    if first == second:
        return ()
    sign = 1 if first < second else -1
    results = [sign * margin for margin in margins]
    outcome = Outcome(
        relation="contest",
        task=task,
        situation=match.situation,
        domain="",
        row=min(first, second),
        col=max(first, second),
        wins=sum(result > 0 for result in results),
        draws=sum(result == 0 for result in results),
        losses=sum(result < 0 for result in results),
        n=len(results),
        total=sum(results) / 2,
        total_sq=sum(result * result for result in results) / 4,
    )
    return (outcome,)


def item_outcomes(
    match: Match, task: str, items: Mapping[tuple[str, int], Sequence[float]], order: Sequence[str]
) -> tuple[Outcome, ...]:
    """The contests of all pairs of seats, item by item: one outcome per pair of versions and domain.

    `items` maps (seat, place of the problem) to what its replies were worth; two seats' replies to a problem are paired
    in turn, as many as both have. Of two seats the one that stands first in `order` is the row.
    """
    by_domain: dict[str, list[int]] = {}
    for about, problem in enumerate(match.problems):
        by_domain.setdefault(problem.domain, []).append(about)
    found = []
    for first, second in combinations(order, 2):
        if match.seats[first] == match.seats[second]:
            continue
        for domain, abouts in by_domain.items():
            pairs = [
                pair
                for about in abouts
                for pair in zip(items.get((first, about), ()), items.get((second, about), ()), strict=False)
            ]
            wins, losses = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
            found.append(
                Outcome(
                    relation="contest",
                    task=task,
                    situation=match.situation,
                    domain=domain,
                    row=match.seats[first],
                    col=match.seats[second],
                    wins=wins,
                    losses=losses,
                    draws=len(pairs) - wins - losses,
                    n=len(pairs),
                )
            )
    return tuple(found)
