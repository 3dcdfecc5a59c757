"""Who may teach a domain now: members whose role teaches, and with `pasts` every frozen version too."""

from collections.abc import Iterator

from league.runtime.league import League, LeagueState
from league.types import Version


def able_teachers(league: League, state: LeagueState) -> Iterator[tuple[Version, str]]:
    """(version, domain) of all who may teach: live members first, then frozen versions, oldest first.

    A generalist teaches every domain; so may the past of any member without a domain of its own.
    """
    for member in state.population.members.values():
        if member.can.teaches:
            yield from ((member.version, domain) for domain in member.teaches_in(tuple(league.domains)))
    if not league.config.learning.channels.pasts:
        return
    for agent, pasts in state.population.pasts.items():
        domain = state.population.members[agent].domain
        own = [domain] if domain else list(league.domains)
        yield from ((past, domain) for past in pasts for domain in own)
