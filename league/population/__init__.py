"""WHO EXISTS: agents, their live versions, their frozen past, and the rules by which that changes
(one file each, pure functions)."""

from league.population.evolution import Evolution
from league.population.members import Member, Population

__all__ = ["Evolution", "Member", "Population"]
