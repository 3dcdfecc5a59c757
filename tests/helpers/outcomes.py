"""Outcomes as tests of ratings and matchmaking write them."""

from league.types import Outcome, Version


def contest(
    row: Version, col: Version, wins: int, losses: int, draws: int = 0, task: str = "chess", domain: str = ""
) -> Outcome:
    """A contest with these counts."""
    return Outcome(
        "contest",
        task,
        situation="default",
        domain=domain,
        row=row,
        col=col,
        wins=wins,
        draws=draws,
        losses=losses,
        n=wins + draws + losses,
    )
