"""What a match of two players tells the payoffs: their contest, or their cooperation."""

from collections.abc import Sequence

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
