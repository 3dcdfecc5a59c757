"""One fused update: forward and backward over samples of many agents, then a step for each agent.

A step happens per agent, minibatch and epoch. Gradients are summed in fp32 over micro-batches, so the number of
micro-batches does not change what is minimised. Agents are trained in waves of a few micro-batches, so that gradients
exist for one wave's agents, not for the population. An agent whose numbers are not finite keeps its state; agents
without samples are untouched. Versions are not advanced: the caller renames.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from league.errors import ConfigError, LeagueError, TrainingDiverged
from league.learning.loss_positions import Weighted, loss_positions
from league.learning.objective import SUMS, Objective, head_gradient, hyper_of, reference_logprobs
from league.learning.optimizer import adamw, norm_of
from league.learning.teacher_states import check_distilled, teacher_states
from league.model.bank import AdapterBank
from league.model.base import BaseModel
from league.model.engine_choice import engine_for
from league.model.memory import release_freed_memory
from league.types import Hyper, Sample, Version

WAVE = 2
"""Full micro-batches in a wave of agents.

More cost memory for gradients; fewer leave more micro-batches that are not full.
"""


@dataclass(frozen=True)
class AgentUpdate:
    """What one update did to one agent.

    Means are over its loss tokens, of all epochs; `grad_norm` is the largest before clipping.
    """

    agent: str
    samples: int
    tokens: int
    """Completion tokens that carried a gradient, once per epoch."""
    loss: float
    grad_norm: float
    kl: float
    """Mean k3 to the base per token; 0 when no agent asks for a KL term."""
    entropy: float
    clip_fraction: float
    mean_logprob: float
    steps: int
    """Optimizer steps taken, 0 when nothing carried a gradient."""
    teacher_kl: float | None = None
    """Mean KL to the teacher per token that was distilled; None where none was."""
    distilled: int = 0
    """Tokens that were distilled; fewer than asked for where a teacher is not finite."""


def update(
    base: BaseModel,
    bank: AdapterBank,
    samples: Sequence[Sample],
    hyper: Mapping[str, Hyper],
    objective: Objective,
    *,
    diverged: Callable[[TrainingDiverged], None] | None = None,
) -> dict[str, AgentUpdate]:
    """Train every agent named by `samples` on its own samples; reports by agent, in order of name.

    `Objective` says what is minimised. An agent whose advantages, loss or gradient are not finite keeps its weights,
    moments and step count: `diverged` hears why, and the others are trained as if it had not been there. Without
    `diverged` that is raised, at once: agents before it may have been trained.
    """
    by_agent: dict[str, list[Sample]] = {agent: [] for agent in sorted({sample.agent for sample in samples})}
    for sample in samples:
        by_agent[sample.agent].append(sample)
    _check(base, bank, by_agent, hyper)
    engine_for(bank).forget()
    release_freed_memory()
    reports: dict[str, AgentUpdate] = {}
    for wave in _waves(by_agent, objective.tokens_per_microbatch):
        while wave:
            try:
                reports |= _train(bank, wave, hyper, objective)
                break
            except TrainingDiverged as error:
                if diverged is None or error.agent is None:
                    raise
                diverged(error)
                del wave[error.agent]
    return reports


def _waves(by_agent: Mapping[str, list[Sample]], budget: int) -> Iterator[dict[str, list[Sample]]]:
    """Agents with their samples, as many at a time as fill WAVE micro-batches of `budget` tokens.

    A prompt counts once.
    """
    wave: dict[str, list[Sample]] = {}
    tokens = 0
    for agent, own in by_agent.items():
        wave[agent] = own
        tokens += sum(map(len, {sample.prompt_tokens for sample in own})) + sum(len(sample.tokens) for sample in own)
        if tokens >= WAVE * budget:
            yield wave
            wave, tokens = {}, 0
    if wave:
        yield wave


def _train(
    bank: AdapterBank, wave: Mapping[str, Sequence[Sample]], hyper: Mapping[str, Hyper], objective: Objective
) -> dict[str, AgentUpdate]:
    """Train one wave.

    Raises TrainingDiverged, with every agent's state as before, when anything is not finite.
    """
    for agent, own in wave.items():
        for sample in own:
            if not math.isfinite(sample.advantage):
                raise TrainingDiverged(f"agent {agent}: non-finite advantage {sample.advantage}", agent)
    versions = [bank.live(agent) for agent in wave]
    hypers = [hyper_of(agent, hyper) for agent in wave]
    backup = _Backup(bank, versions) if objective.epochs * objective.minibatches > 1 else None
    totals = [torch.zeros(len(SUMS), dtype=torch.float64) for _ in wave]
    norms, steps = [0.0] * len(wave), [0] * len(wave)
    for _ in range(objective.epochs):
        for part in range(objective.minibatches):
            batch = _minibatch(wave.values(), hypers, objective, part)
            if not batch:
                continue
            try:
                grads, sums = _accumulate(bank, versions, hypers, objective, batch)
                _step(bank, versions, hypers, objective, grads, norms=norms, steps=steps)
            except TrainingDiverged:
                if backup is not None:
                    backup.restore()
                raise
            for owner in grads:
                totals[owner] += sums[owner]
    return {agent: _report(agent, len(wave[agent]), totals[i], norms[i], steps[i]) for i, agent in enumerate(wave)}


def _check(
    base: BaseModel, bank: AdapterBank, by_agent: Mapping[str, Sequence[Sample]], hypers: Mapping[str, Hyper]
) -> None:
    """Everything that is the caller's mistake, before anybody is changed."""
    for agent in by_agent:
        bank.live(agent)
        hyper = hyper_of(agent, hypers)
        if not 0 <= hyper.learning_rate <= 1:
            raise ConfigError(
                "update", [f"hyper.{agent}.learning_rate: expected between 0 and 1, found {hyper.learning_rate}"]
            )
        if not (math.isfinite(hyper.kl) and hyper.kl >= 0):
            raise ConfigError("update", [f"hyper.{agent}.kl: expected a finite value of at least 0, found {hyper.kl}"])
    for sample in (sample for own in by_agent.values() for sample in own):
        if not sample.tokens:
            raise LeagueError(f"agent {sample.agent}: a sample with an empty completion cannot be learned from")
        if not sample.prompt_tokens:
            raise LeagueError(f"agent {sample.agent}: a sample with an empty prompt cannot be learned from")
        if sample.rule in ("clip", "shaped") and not sample.logprobs:
            raise LeagueError(f"agent {sample.agent}: a sample with the rule '{sample.rule}' needs log-probabilities")
        if sample.rule == "distillation":
            check_distilled(sample, bank)
        if sample.logprobs and len(sample.logprobs) != len(sample.tokens):
            raise LeagueError(
                f"agent {sample.agent}: {len(sample.tokens)} tokens but {len(sample.logprobs)} "
                "behaviour log-probabilities"
            )
        if len(sample.prompt_tokens) + len(sample.tokens) > base.context:
            raise LeagueError(
                f"agent {sample.agent}: a sample of more than {base.context} tokens does not fit the context"
            )


def _minibatch(
    each: Iterable[Sequence[Sample]], hypers: Sequence[Hyper], objective: Objective, part: int
) -> list[Weighted]:
    """Each agent's part-th share of its samples (strided), weighted.

    Samples without any gradient are left out but counted.
    """
    chosen: list[Weighted] = []
    for owner, (whole, hyper) in enumerate(zip(each, hypers, strict=True)):
        own = whole[part :: objective.minibatches]
        count = len(own) if objective.aggregation == "sequence" else sum(len(sample.tokens) for sample in own)
        chosen.extend(Weighted(sample, owner, 1 / count) for sample in own if objective.needs(sample.advantage, hyper))
    return chosen


def _accumulate(
    bank: AdapterBank,
    versions: Sequence[Version],
    hypers: Sequence[Hyper],
    objective: Objective,
    batch: Sequence[Weighted],
) -> tuple[dict[int, Tensor], list[Tensor]]:
    """Gradients (fp32 [P]) by owner, and the sums of each owner's statistics [len(SUMS)]."""
    owners = sorted({item.owner for item in batch})
    grads = {owner: torch.zeros(bank.slice(versions[owner]).layout.size, device=bank.base.device) for owner in owners}
    sink = {versions[owner]: grad for owner, grad in grads.items()}
    sums = torch.zeros(len(versions), len(SUMS), dtype=torch.float64)
    engine, base = engine_for(bank), bank.base
    batch_rows = [(item.sample.prompt_tokens, item.sample.tokens) for item in batch]
    plan = engine.plan(batch_rows, [versions[item.owner] for item in batch], objective.tokens_per_microbatch)
    for number, micro_batch in enumerate(plan):
        if number:
            release_freed_memory()  # micro-batches differ in shape, and what one leaves behind does not fit the next
        items = [batch[i] for i in micro_batch.order]
        spoken = [item.sample for item in items]
        teacher_NH = teacher_states(engine, spoken, base, objective.tokens_per_microbatch)
        positions = loss_positions(items, hypers, base, teacher_NH)
        rows = [batch_rows[i] for i in micro_batch.order]
        who = [versions[item.owner] for item in items]
        reference_N = None
        if any(hypers[item.owner].kl for item in items):
            with torch.no_grad():
                of_base = engine.run(rows, [None] * len(items), None, False)
                reference_N = reference_logprobs(of_base.hidden_NH, base.head, positions.tokens_N, positions.sampling)
        forward = engine.run(rows, who, sink, objective.checkpointing)
        with torch.no_grad():
            grad_NH, part, logprobs_N = head_gradient(
                forward.hidden_NH, base.head, positions, objective, reference_N, agents=len(versions)
            )
        _require_finite(part, versions, logprobs_N, positions.owner_N)
        forward.backward(grad_NH)
        sums += part
        del forward, grad_NH  # their adapters must not wait for those of the next micro-batch
    return grads, list(sums)


def _require_finite(sums: Tensor, versions: Sequence[Version], logprobs_N: Tensor, owner_N: Tensor) -> None:
    for index, version in enumerate(versions):
        if not bool(torch.isfinite(sums[index]).all()):
            where = int((~torch.isfinite(logprobs_N) & (owner_N == index)).sum())
            raise TrainingDiverged(
                f"agent {version.agent}: non-finite loss ({where} tokens with non-finite log-probability)",
                version.agent,
            )


def _step(
    bank: AdapterBank,
    versions: Sequence[Version],
    hypers: Sequence[Hyper],
    objective: Objective,
    grads: Mapping[int, Tensor],
    *,
    norms: list[float],
    steps: list[int],
) -> None:
    """Check every gradient, then clip and step each agent.

    `norms` and `steps`, by owner, are brought up to date.
    """
    found = {owner: norm_of(grad.cpu()) for owner, grad in grads.items()}
    for owner, norm in found.items():
        if not math.isfinite(norm):
            agent = versions[owner].agent
            raise TrainingDiverged(f"agent {agent}: non-finite gradient", agent)
    for owner, grad in grads.items():
        item = bank.slice(versions[owner])
        assert item.moments_2P is not None
        if found[owner] > objective.max_grad_norm:
            grad.mul_(objective.max_grad_norm / found[owner])
        item.steps += 1
        rate, decay = hypers[owner].learning_rate, objective.weight_decay
        adamw(
            item.params_P,
            item.moments_2P,
            item.steps,
            grad.to(item.params_P.device),
            rate=rate,
            betas=objective.betas,
            decay=decay,
        )
        bank.changed(versions[owner])
        norms[owner] = max(norms[owner], found[owner])
        steps[owner] += 1


class _Backup:
    """Copies of the slices, for updates of several steps, whose later ones may fail."""

    def __init__(self, bank: AdapterBank, versions: Sequence[Version]):
        self.bank = bank
        self.saved = {}
        for version in versions:
            item = bank.slice(version)
            assert item.moments_2P is not None
            self.saved[version] = (item.params_P.clone(), item.moments_2P.clone(), item.steps)

    def restore(self) -> None:
        for version, (params_P, moments_2P, steps) in self.saved.items():
            item = self.bank.slice(version)
            item.params_P.copy_(params_P)
            assert item.moments_2P is not None
            item.moments_2P.copy_(moments_2P)
            item.steps = steps
            self.bank.changed(version)


def _report(agent: str, samples: int, totals: Tensor, norm: float, steps: int) -> AgentUpdate:
    value = dict(zip(SUMS, totals.tolist(), strict=True))
    tokens = int(value["tokens"])
    mean = {name: value[name] / max(tokens, 1) for name in SUMS}
    loss = value["loss"] / max(steps, 1)
    return AgentUpdate(
        agent=agent,
        samples=samples,
        tokens=tokens,
        loss=loss,
        grad_norm=norm,
        kl=mean["kl"],
        entropy=mean["entropy"],
        clip_fraction=mean["clipped"],
        mean_logprob=mean["logprob"],
        steps=steps,
        teacher_kl=value["teacher_kl"] / value["distilled"] if value["distilled"] else None,
        distilled=int(value["distilled"]),
    )
