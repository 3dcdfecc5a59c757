"""What every agent learns before the first round: its domains and the format of its games.

Domains are learned from worked solutions. Agents that branch from another one wait for it and begin from its
warmed-up weights, so the warm-up runs in waves: each is one fused pass.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from league.learning.accounting import Spent
from league.learning.warmup import Curriculum, Target, WarmupPlan, WarmupStep, plan_of, warm_up_steps
from league.model.bank import AdapterBank
from league.population import Member, Population
from league.reporting.text.tables import duration
from league.round.schedule import open_to
from league.round.stop import StoppedInWarmup
from league.runtime.league import League
from league.runtime.warmup_checkpoint import WarmupCheckpoint
from league.seeds import derive
from league.types import Version


@dataclass(frozen=True)
class WarmupNews:
    """How far the warm-up has come, over all of its passes."""

    step: int
    steps: int
    loss: float | None = None
    """Mean over the agents of this step; None before the first."""
    seconds_left: float | None = None
    """By the targets that were learned so far in this process; None before the first."""
    left_out: int = 0
    """Targets so far in this process that do not fit the model's context, and were not learned."""
    seconds_a_step: float | None = None
    """The mean so far in this process."""

    def __str__(self) -> str:
        loss = "" if self.loss is None else f", loss {self.loss:.3f}"
        left = "" if self.seconds_left is None else f", about {duration(self.seconds_left)} left"
        out = f", {self.left_out} targets too long for the model" if self.left_out else ""
        return f"step {self.step} of {self.steps}{loss}{left}{out}"


@dataclass(frozen=True)
class Warmed:
    """What the warm-up took."""

    spent: Spent = Spent()
    earlier: float = 0.0
    """Seconds of it that passed in processes before this one."""


def warm_up_all(
    league: League,
    population: Population,
    hear: Callable[[WarmupNews], None],
    only: Collection[str] | None = None,
) -> Warmed:
    """The supervised warm-up of all agents, or `only` of some, a fused pass per wave.

    It goes on from the last step that was kept. `hear` may raise StoppedInWarmup to end it behind a step, which is
    then kept.
    """
    bank, warmed = league.bank, Warmed()
    if bank is None:
        return warmed
    origins = _origins(league, [member for member in _of(population, only) if member.can.has_weights])
    pace = _Pace(warm_up_plans(league, population, only))
    for place, wave in enumerate(waves(origins)):
        for member in (population.members[name] for name in wave):
            if (origin := origins[member.name]) is not None:
                bank.drop(member.version)
                bank.clone(population.members[origin].version, member.version, trainable=True)
                bank.restart_optimizer(member.version)
        found = _one_pass(league, bank, pace, place, hear)
        warmed = Warmed(warmed.spent + found.spent, warmed.earlier + found.earlier)
    return warmed


def warm_up_plans(league: League, population: Population, only: Collection[str] | None = None) -> list[WarmupPlan]:
    """What each wave learns, in order."""
    origins = _origins(league, [member for member in _of(population, only) if member.can.has_weights])
    return [
        plan_of([_curriculum(league, population, population.members[name]) for name in wave], league.config.seed)
        for wave in waves(origins)
    ]


def _one_pass(
    league: League, bank: AdapterBank, pace: "_Pace", place: int, hear: Callable[[WarmupNews], None]
) -> Warmed:
    """The `place`-th wave."""
    plan, before = pace.plans[place], pace.steps_before(place)
    if not plan.steps:
        return Warmed(Spent(given=plan.given))
    supervised = replace(league.objective(), aggregation="token", entropy=0.0, clip=None)
    checkpoint = WarmupCheckpoint(
        league.store,
        bank,
        [bank.live(agent) for agent in plan.batches],
        plan.digest(bank.base, bank, supervised),
        before=before,
        steps=pace.steps,
    )
    kept = checkpoint.restore()
    pace.skip(place, kept.step)
    if kept.step:
        hear(pace.news(before + kept.step))
    spent = kept.spent or Spent(given=plan.given)
    for done in warm_up_steps(bank.base, bank, plan, supervised, after=kept.step, spent=spent):
        spent = done.spent
        pace.took(place, done)
        if done.left_out:
            league.store.event(
                "too long", what="targets of the warm-up", count=done.left_out, context=bank.base.context
            )
        checkpoint.offer(done, last=done.step == plan.steps)
        try:
            hear(pace.news(before + done.step, done))
        except StoppedInWarmup:
            checkpoint.keep(done)
            raise
    return Warmed(spent, kept.seconds)


@dataclass
class _Pace:
    """How fast the warm-up goes, by the targets that it learns."""

    plans: Sequence[WarmupPlan]
    began: float = field(default_factory=time.perf_counter)
    learned: int = 0
    taken: int = 0
    left_out: int = 0
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = sum(plan.targets_at(step) for plan in self.plans for step in range(plan.steps))

    @property
    def steps(self) -> int:
        return self.steps_before(len(self.plans))

    def steps_before(self, place: int) -> int:
        """Steps of the waves before this one."""
        return sum(plan.steps for plan in self.plans[:place])

    def skip(self, place: int, steps: int) -> None:
        """The first steps of a wave were taken by a process before this one."""
        self.left -= sum(self.plans[place].targets_at(step) for step in range(steps))

    def took(self, place: int, done: WarmupStep) -> None:
        self.taken, self.left_out = self.taken + 1, self.left_out + done.left_out
        count = self.plans[place].targets_at(done.step - 1)
        self.learned, self.left = self.learned + count, self.left - count

    def news(self, step: int, done: WarmupStep | None = None) -> WarmupNews:
        """After so many steps of all, of which `done` is the newest."""
        if done is None:
            return WarmupNews(step, self.steps)
        passed, losses = time.perf_counter() - self.began, [report.loss for report in done.report.values()]
        return WarmupNews(
            step,
            self.steps,
            loss=fmean(losses) if losses else None,
            seconds_left=passed / max(1, self.learned) * self.left,
            left_out=self.left_out,
            seconds_a_step=passed / self.taken,
        )


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


def in_order_of_beginning(league: League, population: Population, only: Collection[str] | None = None) -> list[Member]:
    """All members, or `only` some: origins before who branches from them, else in the config's order."""
    members = population.members
    return [members[name] for wave in waves(_origins(league, _of(population, only))) for name in wave]


def _of(population: Population, only: Collection[str] | None) -> list[Member]:
    return [member for member in population.members.values() if only is None or member.name in only]


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
