"""What every agent learns before the first round: its domains and the format of its games.

Domains are learned from worked solutions. Agents that branch from another one wait for it and begin from its
warmed-up weights, so the warm-up runs in waves: each is one fused pass.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from league.learning.accounting import Spent
from league.learning.update import AgentUpdate
from league.learning.warmup import Curriculum, Target, steps_of, warm_up
from league.population import Member, Population
from league.round.schedule import open_to
from league.runtime.league import League
from league.seeds import derive
from league.types import Version


def warm_up_all(league: League, population: Population, progress: Callable[[int, int], None]) -> Spent:
    """The supervised warm-up of all agents, a fused pass per wave; returns what it took.

    `progress` hears (step, steps).
    """
    bank, spent = league.bank, Spent()
    if bank is None:
        return spent
    supervised = replace(league.objective(), aggregation="token", entropy=0.0, clip=None)
    origins = _origins(league, [member for member in population.members.values() if member.can.has_weights])
    planned = [[_curriculum(league, population, population.members[name]) for name in wave] for wave in waves(origins)]
    steps = [max(map(steps_of, curricula)) for curricula in planned]
    for place, curricula in enumerate(planned):
        for member in (population.members[curriculum.agent] for curriculum in curricula):
            if (origin := origins[member.name]) is not None:
                bank.drop(member.version)
                bank.clone(population.members[origin].version, member.version, trainable=True)
                bank.restart_optimizer(member.version)
        heard = _part_of(progress, sum(steps[:place]), sum(steps))
        spent += warm_up(bank.base, bank, curricula, supervised, league.config.seed, progress=heard)
    return spent


def _part_of(
    progress: Callable[[int, int], None], before: int, steps: int
) -> Callable[[int, int, Mapping[str, AgentUpdate]], None]:
    """Hears a wave's steps and tells `progress` of them as some of all steps."""
    return lambda step, _, report: progress(before + step, steps)


def waves(origins: Mapping[str, str | None]) -> list[list[str]]:
    """Agents by wave, in order.

    First those without an origin, then those whose origin is in the wave before.
    `origins` has no circles: the config is refused where it has.
    """
    found: list[list[str]] = []
    left = dict(origins)
    while left:
        found.append([name for name, origin in left.items() if origin not in left])
        left = {name: origin for name, origin in left.items() if origin in left}
    return found


def in_order_of_beginning(league: League, population: Population) -> list[Member]:
    """All members, origins before who branches from them, else in the config's order."""
    members = population.members
    return [members[name] for wave in waves(_origins(league, members.values())) for name in wave]


def _origins(league: League, members: Iterable[Member]) -> dict[str, str | None]:
    return {member.name: league.config.agents[member.name].branch for member in members}


def beginning(league: League, population: Population, member: Member, tokens: int) -> tuple[tuple[Version, ...], str]:
    """(parents, reason) of a member's first version, which was trained on `tokens` tokens in the warm-up."""
    origin = league.config.agents[member.name].branch
    if origin is not None:
        return (population.members[origin].version,), "branch"
    return (), "warm-up" if tokens else "created"


def _curriculum(league: League, population: Population, member: Member) -> Curriculum:
    domains = (league.domains[member.domain],) if member.domain else tuple(league.domains.values())
    phase = league.config.warmup_of(member.name)
    shown = demonstrations(league, population, member, phase.demonstrations)
    return Curriculum(member.name, domains, phase, tuple(shown))


def demonstrations(league: League, population: Population, member: Member, count: int) -> Iterator[Target]:
    """Prompts with a legal reply, from the seats the agent may take.

    `count` for each task that can show its format.
    """
    for name, task in league.tasks.items():
        places = open_to(task, league.config.tasks[name], population)
        seats = [seat for seat, members in places.items() if member in members]
        if count and seats:
            seed = derive(league.config.seed, "demonstrations", name, member.name)
            yield from (Target(prompt, reply) for prompt, reply in task.demonstrations(count, seed, seats))
