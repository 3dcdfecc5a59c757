"""What every agent is taught before the first round: worked solutions of its domains and the format
of the games it will play."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from league.learning.warmup import Curriculum, Target, warm_up
from league.population import Member
from league.round.schedule import open_to
from league.runtime.assembly import League
from league.seeds import derive


def warm_up_all(league: League, progress: Callable[[int, int], None]) -> dict[str, int]:
    """The supervised warm-up of all agents in one fused pass; agent → tokens it was trained on.
    `progress` hears (step, steps)."""
    if league.base is None or league.bank is None:
        return {}
    supervised = replace(league.objective(), aggregation="token", entropy=0.0, clip=None)
    return warm_up(
        league.base,
        league.bank,
        _curricula(league),
        supervised,
        league.config.seed,
        progress=lambda step, steps, _: progress(step, steps),
    )


def _curricula(league: League) -> list[Curriculum]:
    found = []
    for member in league.population.members.values():
        if not member.has_weights:
            continue
        expert = member.role == "expert"
        domains = (league.domains[member.domain],) if member.domain else tuple(league.domains.values())
        phase = league.config.warmup.expert if expert else league.config.warmup.student
        found.append(
            Curriculum(member.name, domains, phase, tuple(_demonstrations(league, member, phase.demonstrations)))
        )
    return found


def _demonstrations(league: League, member: Member, count: int) -> Iterator[Target]:
    """Prompts with a legal reply, from the tasks the agent will play that can show their format, as
    seen from the seats it may take."""
    for name, task in league.tasks.items():
        seats = [seat for seat, members in open_to(league, name).items() if member in members]
        if count and seats:
            for prompt, reply in task.demonstrations(
                count, derive(league.config.seed, "demonstrations", name, member.name), seats
            ):
                yield Target(prompt, reply)
