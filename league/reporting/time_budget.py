"""How much of a run's time its pictures may take: dear work is put off until all of it so far is at
most a share of the time that has passed.

Pictures are no part of a run's state, so putting them off by the clock changes nothing that lasts. (What evolution
decides by is looked at every so many *rounds* instead: a clock there would make two equal runs differ.)
"""

from dataclasses import dataclass

SHARE = 0.05


@dataclass
class Allowance:
    """Seconds spent so far on one kind of work, and the last price paid for it."""

    share: float = SHARE
    spent: float = 0.0
    last: float = 0.0

    def may(self, elapsed: float) -> bool:
        """Whether the work, at its last price, keeps the total within the share of `elapsed`
        seconds. The first time is always allowed."""
        return self.spent + self.last <= self.share * elapsed or self.spent == 0.0

    def paid(self, seconds: float) -> None:
        self.spent += seconds
        self.last = seconds
