"""What every agent learns before the first round: its domains and the format of its games.

Domains are learned from worked solutions.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from league.learning.accounting import Spent
from league.learning.warmup import Curriculum, Target, warm_up
from league.population import Member, Population
from league.round.schedule import open_to
from league.runtime.league import League
from league.seeds import derive


def warm_up_all(league: League, population: Population, progress: Callable[[int, int], None]) -> Spent:
    """The supervised warm-up of all agents in one fused pass; returns what it took.

    `progress` hears (step, steps).
    """
    if league.bank is None:
        return Spent()
    supervised = replace(league.objective(), aggregation="token", entropy=0.0, clip=None)
    curricula = [_curriculum(league, population, m) for m in population.members.values() if m.can.has_weights]
    seed = league.config.seed
    return warm_up(
        league.bank.base,
        league.bank,
        curricula,
        supervised,
        seed,
        progress=lambda step, steps, _: progress(step, steps),
    )


def _curriculum(league: League, population: Population, member: Member) -> Curriculum:
    chosen = league.config.warmup
    domains = (league.domains[member.domain],) if member.domain else tuple(league.domains.values())
    phase = chosen.expert if member.can.specialist else chosen.student
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
