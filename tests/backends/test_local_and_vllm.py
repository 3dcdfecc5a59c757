"""One contract for every backend.

The local engine, vLLM's interface over a fake, and vLLM itself where it is installed.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from league.backends.local import LocalBackend
from league.backends.vllm import Draw, PromptJob, VllmBackend, VllmSampler
from league.errors import BackendError, UserError
from league.learning.objective import Objective
from league.learning.update import update
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.model.peft_io import import_peft
from league.types import Hyper, Message, Request, Sample, Sampling, Version

A, B = Version("a", 0), Version("b", 2)


class FakeVllm:
    """A sampler that loads adapters from folders and answers as vLLM would.

    It has an engine of its own.
    """

    def __init__(self, path: Path, noise: float = 0.0):
        self.base = BaseModel.load(path, device="cpu", dtype="float32", threads=1)
        self.bank, self.noise, self.seen = AdapterBank(self.base), noise, []

    def sample(self, jobs: Sequence[PromptJob]) -> list[list[Draw]]:
        requests = []
        for job in jobs:
            version = None
            if job.adapter is not None:
                version = Version("n", job.adapter.number)
                if version not in self.bank:
                    import_peft(self.bank, version, job.adapter.folder, trainable=False)
            self.seen.append((version, job.seed))
            text = self.base.tokenizer.decode(list(job.prompt))
            requests.append(Request(version, (Message("user", text),), job.samples, job.sampling, job.seed, job.first))
        self.base._encoded.update({tuple(r.messages): job.prompt for r, job in zip(requests, jobs, strict=True)})
        shift = self.noise
        return [
            [Draw(r.tokens, r.text, r.finish, tuple(v + shift for v in r.logprobs)) for r in replies]
            for replies in LocalBackend(self.base, self.bank).generate(requests)
        ]


@pytest.fixture
def bank(tiny):
    bank = AdapterBank(tiny)
    for seed, version in enumerate((A, B)):
        bank.add(version, LoraSpec(4, 8), seed=seed, trainable=True)
        bank.slice(version).params_P.add_(
            0.1 * torch.randn(bank.slice(version).params_P.shape, generator=torch.Generator().manual_seed(seed))
        )
    return bank


VLLM = pytest.param(
    "vllm", marks=pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
)


@pytest.fixture(params=["local", "fake", VLLM])
def backend(request, bank, tiny, tiny_path, tmp_path):
    if request.param == "local":
        return LocalBackend(tiny, bank)
    sampler = FakeVllm(tiny_path) if request.param == "fake" else VllmSampler(tiny_path)
    return VllmBackend(tiny, bank, sampler, tmp_path)


def ask(version, text="hello", samples=3, seed=0, **sampling) -> Request:
    return Request(version, (Message("user", text),), samples, Sampling(**{"max_tokens": 9, **sampling}), seed)


def test_contract(backend, tiny):
    asked = [
        ask(A),
        ask(None, "other", samples=1),
        ask(B, samples=2, temperature=0.6),
        ask(A, "third", samples=2, temperature=0.0),
    ]
    answers = backend.generate(asked)
    assert [len(replies) for replies in answers] == [request.samples for request in asked]
    for request, replies in zip(asked, answers, strict=True):
        for reply in replies:
            assert reply.prompt_tokens == tiny.encode(request.messages)
            assert 1 <= len(reply.tokens) <= 9 and len(reply.tokens) == len(reply.logprobs)
            assert all(value <= 1e-6 for value in reply.logprobs)
            assert (reply.finish == "end") == (reply.tokens[-1] in tiny.end_tokens)
    assert answers[3][0].tokens == answers[3][1].tokens
    assert len({reply.tokens for reply in answers[0]}) > 1
    assert backend.generate([]) == []


def test_contract_a_request_in_two_parts_draws_the_same(backend):
    whole = ask(A, samples=5, temperature=0.9, seed=4)
    first, rest = replace(whole, samples=2), replace(whole, samples=3, first=2)
    (once,), (one,), (two,) = backend.generate([whole]), backend.generate([first]), backend.generate([rest])
    assert [reply.tokens for reply in (*one, *two)] == [reply.tokens for reply in once]
    for ours, theirs in zip((*one, *two), once, strict=True):
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-5)


def test_contract_on_policy_ratio_is_one(backend, bank, tiny):
    replies = backend.generate([ask(A, temperature=0.8, top_k=20, samples=4)])[0]
    samples = [
        Sample("a", r.prompt_tokens, r.tokens, r.logprobs, 1.0, sampling=Sampling(0.8, top_k=20)) for r in replies
    ]
    report = update(tiny, bank, samples, {"a": Hyper(1e-3)}, Objective(clip=0.05))
    assert report["a"].clip_fraction == 0
    assert report["a"].mean_logprob == pytest.approx(
        sum(sum(r.logprobs) for r in replies) / report["a"].tokens, abs=0.02
    )


def test_contract_an_updated_adapter_speaks_anew(backend, bank, tiny):
    before = backend.generate([ask(A, temperature=0.0, samples=1)])[0][0]
    target = Sample("a", before.prompt_tokens, (50, 60, 70), (), 1.0)
    for _ in range(40):
        update(tiny, bank, [target], {"a": Hyper(3e-2)}, Objective())
    assert backend.generate([ask(A, temperature=0.0, samples=1)])[0][0].tokens[:3] == (50, 60, 70)


def test_contract_an_unknown_player_is_unreachable(backend):
    with pytest.raises(BackendError, match="ghost@1"):
        backend.generate([ask(Version("ghost", 1))])


def test_a_drifting_vllm_keeps_its_own_logprobs(bank, tiny, tiny_path, tmp_path):
    near = VllmBackend(tiny, bank, FakeVllm(tiny_path, noise=0.001), tmp_path / "near")
    far = VllmBackend(tiny, bank, FakeVllm(tiny_path, noise=-0.5), tmp_path / "far")
    exact = VllmBackend(tiny, bank, FakeVllm(tiny_path), tmp_path / "exact")
    truth = exact.generate([ask(A)])[0]
    assert [r.logprobs for r in near.generate([ask(A)])[0]] == [r.logprobs for r in truth]
    assert near.drift.corrected == 0 and near.drift.largest == pytest.approx(0.001, abs=1e-4)
    for reply, real in zip(far.generate([ask(A)])[0], truth, strict=True):
        assert reply.logprobs == pytest.approx([value - 0.5 for value in real.logprobs], abs=1e-4)
    assert far.drift.corrected == far.drift.replies == 3


def test_adapters_are_exported_once_per_change(bank, tiny, tiny_path, tmp_path):
    backend = VllmBackend(tiny, bank, FakeVllm(tiny_path), tmp_path)
    backend.generate([ask(A), ask(B), ask(A, "x")])
    backend.generate([ask(A)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a@0-1", "b@2-2"]
    bank.slice(A).params_P.mul_(1.1)
    bank.changed(A)
    backend.generate([ask(A)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a@0-1", "a@0-3", "b@2-2"]


def test_no_vllm_is_a_clear_error(tiny_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UserError, match="pip install"):
        VllmSampler(tiny_path)


# ---------------------------------------------------------------------------------------------- grammars
GRAMMAR = 'start: ("yes" | "no") " " /[0-9]/'


def test_grammar_rows_share_a_batch_with_free_rows(bank, tiny):
    pytest.importorskip("llguidance")
    free, bound = LocalBackend(tiny, bank).generate([ask(A, seed=3), ask(A, grammar=GRAMMAR, samples=12, seed=4)])
    assert [r.tokens for r in free] == [r.tokens for r in LocalBackend(tiny, bank).generate([ask(A, seed=3)])[0]]
    for reply in bound:
        assert reply.finish == "end" and reply.text[:-1] in ("yes ", "no ") and reply.text[-1].isdigit()


def test_the_update_replays_the_grammar(bank, tiny):
    pytest.importorskip("llguidance")
    sampling = Sampling(0.9, max_tokens=9, grammar=GRAMMAR)
    replies = LocalBackend(tiny, bank).generate([Request(A, (Message("user", "?"),), 6, sampling, 1)])[0]
    samples = [Sample("a", r.prompt_tokens, r.tokens, r.logprobs, 1.0, sampling=sampling) for r in replies]
    report = update(tiny, bank, samples, {"a": Hyper(1e-3, kl=0.1)}, Objective(clip=0.001))
    assert report["a"].clip_fraction == 0
    assert report["a"].mean_logprob == pytest.approx(
        sum(sum(r.logprobs) for r in replies) / report["a"].tokens, abs=1e-4
    )


def test_a_broken_grammar_is_a_users_error(bank, tiny):
    pytest.importorskip("llguidance")
    with pytest.raises(UserError, match="Lark"):
        LocalBackend(tiny, bank).generate([ask(A, grammar='start: (("')])
