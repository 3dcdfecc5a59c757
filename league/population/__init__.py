"""WHO EXISTS: agents, their live versions, their frozen past, and the rules by which that changes.

One rule a file, each a pure function; `EvolutionHistory` and `AlarmHistory` are what the rules remember between rounds.
"""

from league.population.history import AlarmHistory, EvolutionHistory
from league.population.members import Member, Population

__all__ = ["EvolutionHistory", "AlarmHistory", "Member", "Population"]
