"""What every agent learns before the first round: its domains and the format of its games.

Domains are learned from worked solutions.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from league.config import Config
from league.learning.accounting import Spent
from league.learning.warmup import Curriculum, Target, warm_up
from league.population import Member, Population
from league.round.schedule import open_to
from league.runtime.league import League
from league.seeds import derive
from tasks.domains import Domain


def warm_up_all(league: League, population: Population, progress: Callable[[int, int], None]) -> Spent:
    """The supervised warm-up of all agents in one fused pass; returns what it took.

    `progress` hears (step, steps).
    """
    if league.bank is None:
        return Spent()
    supervised = replace(league.objective(), aggregation="token", entropy=0.0, clip=None)
    planned = []
    for each in curricula(league.config, league.domains):
        member = population.members[each.agent]
        shown = demonstrations(league, population, member, each.phase.demonstrations)
        planned.append(replace(each, shown=tuple(shown)))
    seed = league.config.seed
    return warm_up(
        league.bank.base,
        league.bank,
        planned,
        supervised,
        seed,
        progress=lambda step, steps, _: progress(step, steps),
    )


def curricula(config: Config, domains: Mapping[str, Domain]) -> list[Curriculum]:
    """What every agent with weights learns of the domains, without demonstrations of games."""
    return [
        Curriculum(
            name,
            (domains[agent.domain],) if agent.domain else tuple(domains.values()),
            config.warmup.expert if agent.can.specialist else config.warmup.student,
        )
        for name, agent in config.agents.items()
        if agent.can.has_weights
    ]


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
