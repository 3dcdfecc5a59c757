"""Supervised warm-up of every expert and student, in one fused pass before the first round.

A target is a worked solution where the domain can write one, else the bare answer line; a phase can ask for answer
lines only. It is asked in up to three ways, by the phase's shares: unaided, with one worked example, or as a teacher
("explain this solved problem"), so that an expert knows both how to solve and how to explain. Problems are a range of
the train split that begins at the phase's `first`; matches take theirs from behind all ranges.

Left out on purpose: the loss (league.learning.update; a target is a sample with advantage 1), and when to stop: the
number of problems is the config's.
"""

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from league.config import WarmupPhase
from league.learning.accounting import Spent, model_size, trained
from league.learning.objective import Objective
from league.learning.update import AgentUpdate, update
from league.model.bank import AdapterBank
from league.model.base import BaseModel
from league.seeds import generator
from league.types import Hyper, Message, Problem, Sample
from tasks.domains import Domain
from tasks.teaching import explain_prompt


@dataclass(frozen=True)
class Curriculum:
    """What one agent is warmed up on."""

    agent: str
    domains: tuple[Domain, ...]
    phase: WarmupPhase
    shown: tuple["Target", ...] = ()
    """Demonstrations of the format of the games the agent will play."""


@dataclass(frozen=True)
class Target:
    """A prompt and the text to be learned as its reply."""

    messages: tuple[Message, ...]
    text: str


def targets(curriculum: Curriculum, seed: int) -> list[Target]:
    """All of one agent's targets in training order.

    They are shuffled over domains, the same for the same seed.
    """
    phase, found = curriculum.phase, list(curriculum.shown)
    stream = generator(seed, "warm-up", curriculum.agent)
    for domain in curriculum.domains:
        for index in range(phase.first, phase.first + phase.problems):
            problem = domain.problem("train", index)
            found.append(_target(domain, problem, float(stream.random()), phase))
    order = stream.permutation(len(found))
    return [found[place] for place in order]


def _target(domain: Domain, problem: Problem, draw: float, phase: WarmupPhase) -> Target:
    text = _solution(domain, problem, phase)
    if draw < phase.explain:
        return Target(explain_prompt(domain, problem), text)
    if draw < phase.explain + phase.examples:
        (other,) = domain.similar(problem, 1)
        return Target(domain.prompt(problem, ((other, _solution(domain, other, phase)),)), text)
    return Target(domain.prompt(problem), text)


def _solution(domain: Domain, problem: Problem, phase: WarmupPhase) -> str:
    """What the phase shows of a problem's solution."""
    return domain.worked(problem, "") if phase.answers_only else domain.solution(problem)


def supervised_sample(base: BaseModel, agent: str, target: Target) -> Sample:
    """A target as a sample of advantage 1, which need not fit the context (`fits`).

    The reply ends with the end token, as a sampled reply does.
    """
    reply = base.tokenizer.encode(target.text, add_special_tokens=False)
    end = base.tokenizer.eos_token_id
    return Sample(agent, base.tokens_of(target.messages), (*reply, int(end)), (), 1.0, channel="supervised")


def fits(base: BaseModel, sample: Sample) -> bool:
    """Whether prompt and reply fit the model's context together."""
    return len(sample.prompt_tokens) + len(sample.tokens) <= base.context


def given_solutions(curricula: Iterable[Curriculum]) -> frozenset[str]:
    """Keys of the problems whose solutions are targets, whoever learns them and however often."""
    return frozenset(
        domain.problem("train", offset).key
        for curriculum in curricula
        for domain in curriculum.domains
        for offset in range(curriculum.phase.first, curriculum.phase.first + curriculum.phase.problems)
    )


@dataclass(frozen=True)
class WarmupPlan:
    """What one fused pass does: every agent's targets, batch by batch. An agent without any is not in it."""

    batches: Mapping[str, Sequence[Sequence[Target]]]
    rates: Mapping[str, float]
    """agent → its first learning rate."""
    given: frozenset[str]
    """Keys of the problems whose solutions are targets."""

    @property
    def steps(self) -> int:
        return max(map(len, self.batches.values()), default=0)

    def targets_at(self, step: int) -> int:
        """How many targets are learned in a step, from 0."""
        return sum(len(own[step]) for own in self.batches.values() if step < len(own))

    def digest(self, base: BaseModel, bank: AdapterBank, objective: Objective) -> str:
        """sha256 of all that decides how the pass goes.

        That is the base, its dtype and context, the agents as they are now, every target's tokens and the objective.
        Two passes of one digest go through the same weights, step by step. Each distinct target is tokenized once.
        """
        found = hashlib.sha256(
            f"{base.weight_hash} {base.dtype} {base.context} {objective} {dict(self.rates)}".encode()
        )
        tokens: dict[Target, bytes] = {}
        for agent, own in self.batches.items():
            item = bank.slice(bank.live(agent))
            found.update(f"{agent} {item.layout.spec} {list(map(len, own))}".encode())
            found.update(item.params_P.numpy().tobytes())
            for target in chain.from_iterable(own):
                if target not in tokens:
                    sample = supervised_sample(base, agent, target)
                    ids = (len(sample.prompt_tokens), *sample.prompt_tokens, *sample.tokens)
                    tokens[target] = hashlib.sha256(array("q", ids).tobytes()).digest()
                found.update(tokens[target])
        return found.hexdigest()


def plan_of(curricula: Sequence[Curriculum], seed: int) -> WarmupPlan:
    """The pass in which these agents learn together."""
    taking_part = [c for c in curricula if c.phase.problems or c.shown]
    return WarmupPlan(
        {c.agent: list(_batches(c, seed)) for c in taking_part},
        {c.agent: c.phase.learning_rate for c in taking_part},
        given_solutions(curricula),
    )


@dataclass(frozen=True)
class WarmupStep:
    """A pass after one of its steps."""

    step: int
    """From 1."""
    spent: Spent
    """What the pass took so far."""
    report: Mapping[str, AgentUpdate]
    left_out: int = 0
    """Targets of this step that do not fit the model's context."""


def warm_up_steps(
    base: BaseModel,
    bank: AdapterBank,
    plan: WarmupPlan,
    objective: Objective,
    *,
    after: int = 0,
    spent: Spent | None = None,
) -> Iterator[WarmupStep]:
    """Fine-tune all agents together, a step at each turn of the iterator.

    `after` steps were taken before: the bank holds the weights and moments they left, and `spent` is what they took.
    The learning rate falls linearly to a tenth over each agent's own steps. The moments of AdamW end with the pass:
    they describe the supervised loss, and would steer the first policy-gradient steps.
    """
    size, spent = model_size(bank), spent or Spent(given=plan.given)
    for step in range(after, plan.steps):
        samples: list[Sample] = []
        hypers: dict[str, Hyper] = {}
        left_out = 0
        for agent, own in plan.batches.items():
            if step < len(own):
                every = [supervised_sample(base, agent, target) for target in own[step]]
                samples += [sample for sample in every if fits(base, sample)]
                left_out += sum(not fits(base, sample) for sample in every)
                hypers[agent] = Hyper(plan.rates[agent] * (1 - 0.9 * step / len(own)))
        report = update(base, bank, samples, hypers, objective)
        spent += trained(samples, report, hypers, objective, size)
        yield WarmupStep(step + 1, spent, report, left_out)
    for agent in plan.batches:
        bank.restart_optimizer(bank.live(agent))


def warm_up(
    base: BaseModel,
    bank: AdapterBank,
    curricula: Sequence[Curriculum],
    objective: Objective,
    seed: int,
    *,
    progress: Callable[[int, int, Mapping[str, AgentUpdate]], None] = lambda step, steps, report: None,
) -> Spent:
    """Take all steps of one pass; returns what it took. `progress` hears (step, steps, report)."""
    plan = plan_of(curricula, seed)
    spent = Spent(given=plan.given)
    for done in warm_up_steps(base, bank, plan, objective):
        spent = done.spent
        progress(done.step, plan.steps, done.report)
    return spent


def _batches(curriculum: Curriculum, seed: int) -> Iterator[list[Target]]:
    phase = curriculum.phase
    for epoch in range(phase.epochs):
        found = targets(curriculum, seed + epoch)
        for start in range(0, len(found), phase.batch):
            yield found[start : start + phase.batch]
