"""What the engine promises on CPU.

Exact log-probabilities, the right distribution, isolation of agents, repeatability, clean failure.
"""

import dataclasses
import math
import sys

import numpy as np
import pytest
import torch

from league.backends.local import LocalBackend
from league.errors import BackendError, ConfigError, LeagueError, TrainingDiverged, UserError
from league.learning.objective import Objective
from league.learning.update import update
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.model.engine_choice import engine_for
from league.model.generic_engine import GenericEngine
from league.model.sampling import BLOCK, RowSampling, draw, truncate
from league.model.score import score
from league.types import Hyper, Message, Request, Sample, Sampling, Version
from tests.conftest import write_tiny_model

A, B, C = Version("a", 0), Version("b", 0), Version("c", 0)


def filled(base: BaseModel, versions=(A, B, C)) -> AdapterBank:
    bank = AdapterBank(base)
    for seed, version in enumerate(versions):
        bank.add(version, LoraSpec(4, 8), seed=seed, trainable=True)
        noise = torch.randn(bank.slice(version).params_P.shape, generator=torch.Generator().manual_seed(seed))
        bank.slice(version).params_P.add_(0.1 * noise)
    return bank


def ask(version, text="hello there", samples=4, seed=0, **sampling) -> Request:
    return Request(version, (Message("user", text),), samples, Sampling(**{"max_tokens": 12, **sampling}), seed)


def logprobs_of(base: BaseModel, bank: AdapterBank, version, prompt, tokens, temperature=1.0) -> torch.Tensor:
    """Full log-probabilities [tokens, V] of one row through the generic engine."""
    hidden = GenericEngine(bank).run([(prompt, tokens)], [version], None, False).hidden_NH
    return (hidden @ base.head_VH.T / temperature).log_softmax(1)


def state_bytes(bank: AdapterBank, version: Version) -> bytes:
    tensors = {**bank.state(version), **bank.optimizer_state(version)}
    return b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors))


def train(bank, base, samples, agents="abc", objective=None, **hyper):
    return update(
        base,
        bank,
        samples,
        {agent: Hyper(**{"learning_rate": 1e-2, **hyper}) for agent in agents},
        objective or Objective(),
    )


# ---------------------------------------------------------------------------------------------- sampling
@pytest.mark.parametrize(
    "sampling", [{}, {"temperature": 0.6}, {"temperature": 1.3, "top_k": 5}, {"top_p": 0.7}, {"top_k": 9, "top_p": 0.5}]
)
def test_sampled_logprobs_are_those_of_the_sampling_distribution(tiny, sampling):
    bank = filled(tiny)
    answers = LocalBackend(tiny, bank).generate([ask(A, **sampling), ask(None, **sampling)])
    for version, replies in zip((A, None), answers, strict=True):
        for reply in replies:
            full = logprobs_of(
                tiny,
                bank,
                version=version,
                prompt=reply.prompt_tokens,
                tokens=reply.tokens,
                temperature=sampling.get("temperature", 1.0),
            )
            shape = RowSampling.of([Sampling(**sampling)] * len(full), full.device)
            kept = truncate(full.clone(), shape).log_softmax(1)
            chosen = kept.gather(1, torch.tensor(reply.tokens)[:, None]).squeeze(1)
            assert reply.logprobs == pytest.approx(chosen.tolist(), abs=1e-4)


def test_truncation_agrees_with_transformers():
    from transformers.generation.logits_process import TopKLogitsWarper, TopPLogitsWarper

    scores = torch.randn(6, 3000, generator=torch.Generator().manual_seed(0)) * 3
    for k, p in ((0, 0.9), (50, 1.0), (20, 0.5), (0, 0.999), (2500, 0.99)):
        expected = scores
        if k:
            expected = TopKLogitsWarper(k)(None, expected)
        if p < 1:
            expected = TopPLogitsWarper(p)(None, expected)
        found = truncate(scores.clone(), RowSampling.of([Sampling(top_k=k, top_p=p)] * 6, scores.device))
        assert torch.equal(torch.isfinite(found), torch.isfinite(expected)), (k, p)


def test_draws_follow_the_distribution():
    """Chi-square on 20,000 draws of 300 tokens: false alarm once in a million (df 299, bound 432)."""
    count, logits = 20_000, torch.randn(300, generator=torch.Generator().manual_seed(1))
    uniforms = torch.from_numpy(np.random.default_rng(0).random(count))
    shape = RowSampling.of([Sampling()] * count, logits.device)
    tokens, logprobs = draw(logits.expand(count, -1), shape, uniforms)
    expected = logits.softmax(0) * count
    chi = ((torch.bincount(tokens, minlength=300) - expected) ** 2 / expected).sum()
    assert float(chi) < 432
    torch.testing.assert_close(logprobs, logits.log_softmax(0)[tokens], atol=1e-5, rtol=1e-5)


def test_draw_never_picks_an_impossible_token():
    logits = torch.full((3, 700), float("-inf"))
    logits[:, [5, 300]] = 0.0
    tokens, logprobs = draw(
        logits,
        RowSampling.of([Sampling()] * 3, logits.device),
        torch.tensor([0.0, 0.5, 1 - 2**-53], dtype=torch.float64),
    )
    assert tokens.tolist() == [5, 300, 300]
    assert logprobs.tolist() == pytest.approx([math.log(0.5)] * 3)


def test_a_row_draws_the_same_numbers_whatever_else_is_in_the_batch(tiny):
    backend = LocalBackend(tiny, filled(tiny))
    alone = backend.generate([ask(A, seed=5)])[0]
    crowd = [ask(B, "something else entirely"), ask(A, seed=5), ask(None), ask(A, "x", seed=6, temperature=0.5)]
    assert [r.tokens for r in backend.generate(crowd)[1]] == [r.tokens for r in alone]
    together = [[r.tokens for r in replies] for replies in backend.generate(crowd)]
    for bounds in ({"max_rows": 3}, {"max_tokens": 100}, {"max_tokens": 1}):
        small = LocalBackend(tiny, backend.bank, **bounds)
        assert [[r.tokens for r in replies] for replies in small.generate(crowd)] == together
    assert [r.tokens for r in backend.generate([ask(A, seed=5, samples=2)])[0]] == [r.tokens for r in alone[:2]]


def test_stop_strings_lengths_ends_and_greedy(tiny):
    backend = LocalBackend(tiny, filled(tiny))
    free = backend.generate([ask(A, samples=30, max_tokens=20)])[0]
    assert {reply.finish for reply in free} <= {"end", "length"}
    for reply in free:
        assert (reply.finish == "end") == (reply.tokens[-1] in tiny.end_tokens)
        assert not set(reply.tokens[:-1]) & tiny.end_tokens
        assert len(reply.tokens) == len(reply.logprobs) <= 20
    target = next(r for r in free if len(r.text) > 6)
    stop = target.text[3:5]
    cut = backend.generate([ask(A, samples=30, max_tokens=20, stop=(stop,))])[0][free.index(target)]
    assert cut.finish == "stop" and cut.text == target.text[: target.text.index(stop)]
    assert cut.tokens == target.tokens[: len(cut.tokens)]
    greedy = backend.generate([ask(A, temperature=0.0, top_k=1, samples=2)])[0]
    best = logprobs_of(tiny, backend.bank, A, greedy[0].prompt_tokens, greedy[0].tokens)
    assert greedy[0].tokens == greedy[1].tokens == tuple(best.argmax(1).tolist())
    assert greedy[0].logprobs == pytest.approx(best.max(1).values.tolist(), abs=1e-4)


def test_a_missing_adapter_and_a_broken_one_are_infrastructure_failures(tiny):
    bank = filled(tiny)
    with pytest.raises(BackendError, match="z@0"):
        LocalBackend(tiny, bank).generate([ask(Version("z", 0))])
    bank.slice(B).params_P.fill_(float("nan"))
    bank.changed(B)
    with pytest.raises(BackendError, match="b@0"):
        LocalBackend(tiny, bank).generate([ask(A), ask(B)])


@pytest.mark.parametrize("cut", [{"top_p": 0.6}, {"top_k": 5}])
def test_tasks_that_truncate_and_tasks_that_do_not_share_a_batch(tiny, cut):
    """More rows of either kind than are worked on at a time: some blocks truncate nothing.

    They are drawn, learnt from and scored as if alone.
    """
    bank = filled(tiny)
    backend = LocalBackend(tiny, bank)
    asked = [ask(A, f"{kind} {i}", samples=BLOCK + 4, seed=i, **kind) for kind in ({}, cut) for i in range(2)]
    together = backend.generate(asked)
    for request, replies in zip(asked, together, strict=True):
        assert [r.tokens for r in replies] == [r.tokens for r in LocalBackend(tiny, bank).generate([request])[0]]
    rows = [(q, r) for q, replies in zip(asked, together, strict=True) for r in replies]
    known = [value for _, r in rows for value in r.logprobs]
    found = score(
        bank, [(r.prompt_tokens, r.tokens) for _, r in rows], [A] * len(rows), [q.sampling for q, _ in rows], chunk=8
    )
    assert torch.cat(found).tolist() == pytest.approx(known, abs=1e-4)
    samples = [
        Sample("a", r.prompt_tokens, r.tokens, r.logprobs, (-1.0) ** i, sampling=q.sampling)
        for i, (q, r) in enumerate(rows)
    ]
    report = train(bank, tiny, samples, "a", Objective(clip=0.001))["a"]
    assert report.mean_logprob == pytest.approx(sum(known) / len(known), abs=1e-4) and report.clip_fraction == 0


# ------------------------------------------------------------------------------------------------ update
def played(base, bank, **sampling) -> list[Sample]:
    requests = [ask(v, f"question {i}", seed=i, **sampling) for i, v in enumerate((A, A, B, C))]
    return [
        Sample(q.version.agent, r.prompt_tokens, r.tokens, r.logprobs, (-1.0) ** j * (1 + j), sampling=q.sampling)
        for q, replies in zip(requests, LocalBackend(base, bank).generate(requests), strict=True)
        for j, r in enumerate(replies)
    ]


@pytest.mark.parametrize("sampling", [{}, {"temperature": 0.7}, {"top_k": 12, "top_p": 0.8}])
def test_the_update_sees_the_logprobs_that_were_sampled(tiny, sampling):
    """Temperature and truncation included, no on-policy ratio differs from 1.

    So a tight clip cuts nothing.
    """
    bank = filled(tiny)
    samples = played(tiny, bank, **sampling)
    report = train(bank, tiny, samples, objective=Objective(clip=0.001))
    for agent, found in report.items():
        own = [value for sample in samples if sample.agent == agent for value in sample.logprobs]
        assert found.mean_logprob == pytest.approx(sum(own) / len(own), abs=1e-4)
        assert found.clip_fraction == 0


def reference_loss(base, bank, sample, scores, objective, kl) -> torch.Tensor:
    """The documented formula, by autograd on logits [T, V], for one sample."""
    temperature = sample.sampling.temperature
    picked = torch.tensor(sample.tokens)[:, None]
    scaled = scores / temperature
    shape = RowSampling.of([sample.sampling] * len(scaled), scaled.device)
    outside = ~torch.isfinite(truncate(scaled.detach().clone(), shape, forced_R=picked.squeeze(1)))
    kept = scaled.masked_fill(outside, float("-inf")).log_softmax(1)
    logprob = kept.gather(1, picked).squeeze(1)
    ratio = (logprob - torch.tensor(sample.logprobs)).exp()
    policy = -torch.minimum(
        ratio * sample.advantage, ratio.clamp(1 - objective.clip, 1 + objective.clip) * sample.advantage
    )
    reference = (
        logprobs_of(
            base, bank, version=None, prompt=sample.prompt_tokens, tokens=sample.tokens, temperature=temperature
        )
        .gather(1, picked)
        .squeeze(1)
    )
    gap = reference - scaled.log_softmax(1).gather(1, picked).squeeze(1)
    entropy = -torch.where(outside, 0.0, kept.exp() * kept.masked_fill(outside, 0.0)).sum(1)
    return (policy + kl * (gap.exp() - gap - 1) - objective.entropy * entropy).sum()


@pytest.mark.parametrize("sampling", [{}, {"temperature": 0.7}, {"temperature": 1.2, "top_k": 12, "top_p": 0.8}])
def test_clip_kl_and_entropy_gradients_match_autograd(tiny, sampling):
    bank = filled(tiny)
    objective, kl = Objective(clip=0.2, entropy=0.3, max_grad_norm=1e9), 0.4
    stream = np.random.default_rng(0)
    samples = [
        dataclasses.replace(s, logprobs=tuple(v + float(stream.normal(0, 0.3)) for v in s.logprobs))
        for s in played(tiny, bank, **sampling)
        if s.agent == "a"
    ]
    engine = engine_for(bank)
    sink = {A: torch.zeros_like(bank.slice(A).params_P)}
    forward = engine.run([(s.prompt_tokens, s.tokens) for s in samples], [A] * len(samples), sink, False)
    hidden = forward.hidden_NH.clone().requires_grad_(True)
    parts = (hidden @ tiny.head_VH.T).split([len(s.tokens) for s in samples])
    loss = sum(
        reference_loss(tiny, bank, sample=s, scores=part, objective=objective, kl=kl)
        for s, part in zip(samples, parts, strict=True)
    ) / len(samples)
    loss.backward()
    forward.backward(hidden.grad)
    report = train(bank, tiny, samples, "a", objective, kl=kl)["a"]
    assert report.loss == pytest.approx(float(loss.detach()), rel=1e-4)
    assert report.grad_norm == pytest.approx(float(sink[A].norm()), rel=1e-4)
    assert 0 < report.clip_fraction < 1
    torch.testing.assert_close(bank.slice(A).moments_2P[0], 0.1 * sink[A], atol=1e-5, rtol=1e-3)


def rule_loss(base, bank, sample, scores) -> torch.Tensor:
    """The documented formula of each rule, by autograd on logits [T, V], for one sample."""
    logp = (scores / sample.sampling.temperature).log_softmax(1)
    chosen = logp.gather(1, torch.tensor(sample.tokens)[:, None]).squeeze(1)
    if sample.rule == "distillation":
        logq = logprobs_of(
            base,
            bank,
            version=sample.teacher,
            prompt=sample.prompt_tokens,
            tokens=sample.tokens,
            temperature=sample.sampling.temperature,
        )
        return sample.advantage * (logp.exp() * (logp - logq)).sum()
    ratio = (chosen - torch.tensor(sample.logprobs)).exp() if sample.logprobs else None
    values = {
        "policy_gradient": lambda: chosen,
        "clip": lambda: ratio.clamp_max(1.2),
        "shaped": lambda: ratio / (ratio + 0.1),
    }
    return -sample.advantage * values[sample.rule]().sum()


def test_samples_of_all_rules_in_one_batch_follow_their_formulas(tiny):
    """Own samples, both off-policy rules and distillation from two teachers, against autograd."""
    bank = filled(tiny)
    stream, samples = np.random.default_rng(0), []
    for place, s in enumerate(s for s in played(tiny, bank, temperature=0.7) if s.agent == "a"):
        rule = ("policy_gradient", "clip", "shaped", "distillation")[place % 4]
        near = tuple(value + float(stream.normal(0, 0.3)) for value in s.logprobs)
        teacher = (B, C)[place // 4 % 2] if rule == "distillation" else None
        samples.append(
            dataclasses.replace(s, rule=rule, teacher=teacher, logprobs=near if rule in ("clip", "shaped") else ())
        )
    assert {s.teacher for s in samples} == {None, B, C}
    engine = engine_for(bank)
    sink = {A: torch.zeros_like(bank.slice(A).params_P)}
    forward = engine.run([(s.prompt_tokens, s.tokens) for s in samples], [A] * len(samples), sink, False)
    hidden = forward.hidden_NH.clone().requires_grad_(True)
    parts = (hidden @ tiny.head_VH.T).split([len(s.tokens) for s in samples])
    loss = sum(rule_loss(tiny, bank, s, part) for s, part in zip(samples, parts, strict=True)) / len(samples)
    loss.backward()
    forward.backward(hidden.grad)
    before = {version: state_bytes(bank, version) for version in (B, C)}
    report = train(bank, tiny, samples, "a", Objective(max_grad_norm=1e9, log_ratio_limit=1e9))["a"]
    assert report.loss == pytest.approx(float(loss.detach()), rel=1e-4)
    torch.testing.assert_close(bank.slice(A).moments_2P[0], 0.1 * sink[A], atol=1e-5, rtol=1e-3)
    assert report.distilled == sum(len(s.tokens) for s in samples if s.rule == "distillation")
    assert report.teacher_kl > 0
    assert before == {version: state_bytes(bank, version) for version in (B, C)}, "a teacher is only read"


def test_distilling_from_oneself_moves_nothing(tiny):
    bank = filled(tiny)
    own = [s for s in played(tiny, bank) if s.agent == "a"]
    samples = [dataclasses.replace(s, rule="distillation", teacher=A, logprobs=()) for s in own]
    report = train(bank, tiny, samples, "a")["a"]
    assert report.teacher_kl == pytest.approx(0.0, abs=1e-5) and report.grad_norm < 1e-4


def test_a_teacher_that_is_not_finite_is_left_out_and_hurts_nobody(tiny):
    """The broken teacher B adds nothing; C teaches, and own samples are learned, as without it."""
    bank, alone = filled(tiny), filled(tiny)
    bank.slice(B).params_P.fill_(float("nan"))
    bank.changed(B)
    own = [s for s in played(tiny, alone) if s.agent == "a"]
    by_teacher = {
        teacher: [dataclasses.replace(s, rule="distillation", teacher=teacher, logprobs=()) for s in own]
        for teacher in (B, C)
    }
    report = train(bank, tiny, [*by_teacher[B], *by_teacher[C], *own], "a")["a"]
    assert report.distilled == sum(len(s.tokens) for s in own), "half of what was asked for"
    assert math.isfinite(report.loss) and report.steps == 1
    nothing = [dataclasses.replace(s, advantage=0.0) for s in own]
    expected = train(alone, tiny, [*nothing, *by_teacher[C], *own], "a")["a"]
    assert report.loss == pytest.approx(expected.loss, rel=1e-5)
    torch.testing.assert_close(bank.slice(A).params_P, alone.slice(A).params_P, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"rule": "distillation"},
        {"rule": "distillation", "teacher": Version("nobody", 0)},
        {"rule": "distillation", "teacher": B, "sampling": Sampling(top_k=5)},
        {"rule": "clip", "logprobs": ()},
        {"rule": "shaped", "logprobs": ()},
    ],
)
def test_samples_that_lack_what_their_rule_needs_are_errors(tiny, changes):
    bank = filled(tiny)
    sample = dataclasses.replace(next(s for s in played(tiny, bank) if s.agent == "a"), **changes)
    before = state_bytes(bank, A)
    with pytest.raises(LeagueError, match="agent a"):
        train(bank, tiny, [sample], "a")
    assert state_bytes(bank, A) == before


def test_only_the_intended_slices_change(tiny):
    bank = filled(tiny)
    samples = played(tiny, bank)
    base_before = {name: value.clone() for name, value in tiny.model.state_dict().items()}
    others = {v: state_bytes(bank, v) for v in (A, C)}
    before = state_bytes(bank, B)
    train(bank, tiny, [s for s in samples if s.agent == "b"], "b")
    assert state_bytes(bank, B) != before
    assert {v: state_bytes(bank, v) for v in (A, C)} == others
    assert all(torch.equal(value, base_before[name]) for name, value in tiny.model.state_dict().items())


def test_the_same_round_twice_gives_the_same_bits(tiny_path):
    ends = []
    for _ in range(2):
        base = BaseModel.load(tiny_path, device="cpu", dtype="float32", threads=1)
        bank = filled(base)
        samples = played(base, bank, temperature=0.9)
        train(bank, base, samples, objective=Objective(clip=0.2, epochs=2, minibatches=2), kl=0.1)
        ends.append((samples, [state_bytes(bank, v) for v in (A, B, C)]))
    assert ends[0] == ends[1]


def test_a_restored_agent_continues_bit_for_bit(tiny):
    bank = filled(tiny)
    samples = played(tiny, bank)
    train(bank, tiny, samples)
    copy = AdapterBank(tiny)
    for version in (A, B, C):
        copy.load(version, bank.spec(version), bank.state(version), bank.optimizer_state(version), True)
    train(bank, tiny, samples)
    train(copy, tiny, samples)
    assert [state_bytes(copy, v) for v in (A, B, C)] == [state_bytes(bank, v) for v in (A, B, C)]


def test_pads_and_end_tokens_inside_prompts_carry_no_loss(tiny):
    """Pad equals end here.

    A prompt that holds the end token is whole, and the loss covers the completion alone.
    """
    assert tiny.tokenizer.pad_token_id in tiny.end_tokens
    bank = filled(tiny)
    end = next(iter(tiny.end_tokens))
    prompt, completion = (7, 8, end, 9, end, 11), (20, 21, end)
    samples = [Sample("a", prompt, completion, (), 1.0), Sample("a", (5,), tuple(range(30, 60)), (), 0.5)]
    report = train(bank, tiny, samples, "a")
    assert report["a"].tokens == 33
    fresh = filled(tiny)
    total = 0.0
    for sample in samples:
        full = logprobs_of(tiny, fresh, A, sample.prompt_tokens, sample.tokens)
        total -= sample.advantage * float(full.gather(1, torch.tensor(sample.tokens)[:, None]).sum())
    assert report["a"].loss == pytest.approx(total / 2, rel=1e-4)


def test_zero_advantage_costs_nothing_but_counts_in_the_mean(tiny):
    bank, twin = filled(tiny), filled(tiny)
    samples = [s for s in played(tiny, bank) if s.agent == "b"]
    zeros = [dataclasses.replace(s, advantage=0.0) for s in samples]
    assert train(bank, tiny, zeros, "b")["b"].steps == 0
    assert state_bytes(bank, B) == state_bytes(twin, B)
    half = train(bank, tiny, samples + zeros, "b")["b"]
    whole = train(twin, tiny, samples, "b")["b"]
    assert half.tokens == whole.tokens
    assert half.loss == pytest.approx(whole.loss / 2, rel=1e-5)


def test_token_aggregation_divides_by_tokens(tiny):
    samples = [s for s in played(tiny, filled(tiny)) if s.agent == "c"]
    by_sequence = train(filled(tiny), tiny, samples, "c")["c"]
    by_token = train(filled(tiny), tiny, samples, "c", Objective(aggregation="token"))["c"]
    assert by_token.loss == pytest.approx(
        by_sequence.loss * len(samples) / sum(len(s.tokens) for s in samples), rel=1e-5
    )


@pytest.mark.parametrize("objective", [Objective(), Objective(epochs=2, minibatches=2)])
def test_divergence_names_the_agent_and_changes_nobody(tiny, objective):
    bank = filled(tiny)
    samples = played(tiny, bank)
    bank.slice(C).params_P[-3:] = float("inf")
    bank.changed(C)
    before = [state_bytes(bank, v) for v in (A, B, C)]
    with pytest.raises(TrainingDiverged, match="agent c"):
        train(bank, tiny, samples, objective=objective)
    assert [state_bytes(bank, v) for v in (A, B, C)] == before
    with pytest.raises(TrainingDiverged, match="agent a"):
        train(bank, tiny, [dataclasses.replace(samples[0], advantage=float("nan"))], "a")


@pytest.mark.parametrize(
    "objective", [Objective(), Objective(epochs=2, minibatches=2), Objective(tokens_per_microbatch=1)]
)
def test_an_agent_that_diverges_is_left_out_and_the_others_train_as_without_it(tiny, objective):
    bank, twin = filled(tiny), filled(tiny)
    samples = played(tiny, bank)
    for spoilt in (bank, twin):
        spoilt.slice(B).params_P[-3:] = float("inf")
        spoilt.changed(B)
    samples.append(dataclasses.replace(next(s for s in samples if s.agent == "c"), agent="a", advantage=float("nan")))
    before = [state_bytes(bank, v) for v in (A, B, C)]
    heard = []
    hypers = {agent: Hyper(1e-2) for agent in "abc"}
    report = update(tiny, bank, samples, hypers, objective, diverged=heard.append)
    assert [error.agent for error in heard] == ["a", "b"] and list(report) == ["c"]
    assert [state_bytes(bank, v) for v in (A, B)] == before[:2] and state_bytes(bank, C) != before[2]
    alone = update(tiny, twin, [s for s in samples if s.agent == "c"], hypers, objective)
    assert report == alone and state_bytes(twin, C) == state_bytes(bank, C)
    assert (
        update(tiny, bank, [s for s in samples if s.agent != "c"], hypers, objective, diverged=heard.append) == {}
        and len(heard) == 4
    )


def test_gradients_exist_for_one_wave_of_agents_at_a_time(tiny, monkeypatch):
    """Sixty agents of one prompt of 20 and two completions of 4 each.

    Waves of as many as fill two micro-batches of 64.
    """
    names = [f"n{i:02}" for i in range(60)]
    bank = filled(tiny, [Version(name, 0) for name in names])
    start = {name: bank.slice(Version(name, 0)).params_P.clone() for name in names}
    samples = [Sample(name, tuple(range(3, 23)), (5 + i, 7, 9, 11), (), 1.0) for name in names for i in range(2)]
    module = sys.modules["league.learning.update"]
    accumulate, alive = module._accumulate, []

    def counted(*args):
        grads, sums = accumulate(*args)
        alive.append(len(grads))
        return grads, sums

    monkeypatch.setattr(module, "_accumulate", counted)
    report = update(tiny, bank, samples, {name: Hyper(1e-2) for name in names}, Objective(tokens_per_microbatch=64))
    assert alive == [5] * 12 and list(report) == names
    assert all(done.steps == 1 and done.samples == 2 and done.tokens == 8 for done in report.values())
    assert all(not torch.equal(bank.slice(Version(name, 0)).params_P, start[name]) for name in names)


def test_samples_that_cannot_be_learned_from_are_errors(tiny):
    bank = filled(tiny)
    for broken in (
        Sample("a", (3,), (), (), 1.0),
        Sample("a", (), (3,), (), 1.0),
        Sample("a", (3,), (4, 5), (-1.0,), 1.0),
    ):
        with pytest.raises(LeagueError, match="agent a"):
            train(bank, tiny, [broken], "a")
    bank.freeze(A)
    with pytest.raises(LeagueError, match="exactly one trainable"):
        train(bank, tiny, [Sample("a", (3,), (4,), (), 1.0)], "a")
    with pytest.raises(ConfigError, match="learning_rate"):
        train(bank, tiny, [Sample("b", (3,), (4,), (), 1.0)], "b", learning_rate=float("inf"))


# ----------------------------------------------------------------------------------------- bank and base
def test_bank_membership(tiny):
    bank = filled(tiny)
    train(bank, tiny, [Sample("a", (3,), (4,), (), 1.0)], "a")
    before = state_bytes(bank, A)
    frozen = Version("past", 3)
    bank.clone(A, frozen, trainable=False)
    bank.clone(A, Version("twin", 0), trainable=True)
    assert state_bytes(bank, Version("twin", 0)) == before
    assert bank.optimizer_state(frozen) == {} and frozen not in bank.trainable()
    assert bank.advance(A, 1) == Version("a", 1) and A not in bank
    assert state_bytes(bank, Version("a", 1)) == before
    bank.drop(frozen)
    assert bank.versions() == [B, C, Version("twin", 0), Version("a", 1)]
    with pytest.raises(LeagueError, match="already"):
        bank.add(B, LoraSpec(), seed=0, trainable=False)
    with pytest.raises(ConfigError, match="did you mean 'q_proj'"):
        bank.add(A, LoraSpec(targets=("q_prj",)), seed=0, trainable=False)


def test_a_new_adapter_is_the_base(tiny):
    bank = AdapterBank(tiny)
    bank.add(A, LoraSpec(), seed=3, trainable=True)
    mine, base = LocalBackend(tiny, bank).generate([ask(A, seed=1), ask(None, seed=1)])
    assert [r.tokens for r in mine] == [r.tokens for r in base]


def test_prompts_that_cannot_be_encoded(tmp_path):
    base = BaseModel.load(write_tiny_model(tmp_path, template=None), device="cpu", threads=1)
    with pytest.raises(UserError, match="chat template"):
        base.encode([Message("user", "hi")])


def test_a_prompt_longer_than_the_context(tiny):
    with pytest.raises(UserError, match="context of 512"):
        tiny.encode([Message("user", "x" * 600)])
    near = tiny.encode([Message("user", "x" * 480)])
    room = tiny.context - len(near)
    reply = LocalBackend(tiny, AdapterBank(tiny)).generate([ask(None, "x" * 480, samples=1, max_tokens=400)])[0][0]
    assert len(reply.tokens) <= room
