"""WHO EXISTS: agents, their live versions, their frozen past, and the rules by which that changes.

One rule a file, each a pure function; `Evolution` and `AlarmHistory` are what the rules remember between rounds.
"""

from league.population.alarm_history import AlarmHistory
from league.population.evolution import Evolution
from league.population.members import Member, Population

__all__ = ["Evolution", "AlarmHistory", "Member", "Population"]
