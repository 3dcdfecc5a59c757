"""WHO EXISTS: agents, their live versions, their frozen past."""

from league.population.members import Member, Population

__all__ = ["Member", "Population"]
