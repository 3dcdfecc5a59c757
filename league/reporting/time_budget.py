"""How much of a run's time its pictures may take.

Expensive work is put off until all of it so far is at most a share of the time that has passed. Pictures are no part of
a run's state, so putting them off by the clock changes nothing that lasts. (What evolution decides by is looked at
every so many *rounds* instead: a clock there would make two equal runs differ.)
"""

from dataclasses import dataclass

SHARE = 0.05


@dataclass
class TimeBudget:
    """Seconds spent so far on one kind of work, and what it cost the last time."""

    share: float = SHARE
    spent: float = 0.0
    last: float = 0.0

    def allows(self, elapsed: float) -> bool:
        """Whether doing the work again keeps the total within the share of `elapsed` seconds.

        It is taken to cost as much as the last time. The first time is always allowed.
        """
        return self.spent + self.last <= self.share * elapsed or self.spent == 0.0

    def add(self, seconds: float) -> None:
        """Note that the work was done and took so long."""
        self.spent += seconds
        self.last = seconds
