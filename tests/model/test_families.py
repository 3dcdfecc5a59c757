"""Every family computes here what transformers and PEFT compute: logits, log-probabilities, gradients, exports."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from league.backends.local import LocalBackend
from league.errors import ModelUnavailable, UserError
from league.learning.objective import Objective
from league.learning.update import update
from league.model import proof
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.model.engine_choice import engine_for, prove
from league.model.head import OutputHead
from league.model.linear_layers import linear_layers
from league.model.peft_io import export_peft, merge
from league.model.score import score
from league.types import Hyper, Message, Request, Sample, Sampling, Version
from tests.helpers.model_families import FAMILIES, MORE, write_family

ADA, BEN = Version("ada", 0), Version("ben", 0)


def bank_of(folder: Path, name: str) -> AdapterBank:
    """Two agents with random adapters over a tiny model of the family."""
    family = (FAMILIES | MORE)[name]
    base = BaseModel.load(write_family(folder, family), device="cpu", dtype="float32", threads=1)
    bank = AdapterBank(base)
    for seed, version in enumerate((ADA, BEN)):
        bank.add(version, LoraSpec(2, 4, family.targets), seed=seed, trainable=True)
        params_P = bank.slice(version).params_P
        params_P.add_(0.1 * torch.randn(params_P.shape, generator=torch.Generator().manual_seed(seed)))
    return bank


def rows_of(count: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    stream = torch.Generator().manual_seed(7)
    texts = [tuple(torch.randint(3, 200, (9 + 2 * i,), generator=stream).tolist()) for i in range(count)]
    return [(text[:4], text[4:]) for text in texts]


@pytest.mark.parametrize("name", [*FAMILIES, *MORE])
def test_scores_are_those_of_peft_and_of_the_merged_model(name: str, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    bank = bank_of(tmp_path / "model", name)
    prove(bank)
    rows, who = rows_of(3), [None, ADA, BEN]
    ours = score(bank, rows, who, [Sampling()] * 3)
    for version, row, ours_T in zip(who, rows, ours, strict=True):
        theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
        if version is not None:
            export_peft(bank, version, tmp_path / str(version), "tiny")
            theirs = PeftModel.from_pretrained(theirs, str(tmp_path / str(version)))
        assert torch.allclose(ours_T, log_probabilities(theirs, row), atol=1e-4)
    merge(bank, BEN, tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    assert torch.allclose(ours[2], log_probabilities(merged, rows[2]), atol=1e-4)


def log_probabilities(model: torch.nn.Module, row: tuple[tuple[int, ...], tuple[int, ...]]) -> Tensor:
    prompt, completion = row
    with torch.no_grad():
        logits_TV = model.eval()(input_ids=torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
    return logits_TV.log_softmax(-1).gather(1, torch.tensor(completion)[:, None]).squeeze(1)


@pytest.mark.parametrize("name", ["Gemma 2", "Phi", "GPT-2", "GPT-J", "OPT", "Cohere", "BLOOM"])
def test_an_update_sees_what_was_sampled_and_its_gradient_is_autograds(name: str, tmp_path: Path) -> None:
    bank = bank_of(tmp_path / "model", name)
    asked = [
        Request(who, (Message("user", "hi"), *extra), 2, Sampling(max_tokens=5), 1)
        for who, extra in ((ADA, ()), (BEN, (Message("assistant", "a"), Message("user", "b"))))
    ]
    replies = [reply for each in LocalBackend(bank.base, bank).generate(asked) for reply in each]
    samples = [
        Sample(agent, r.prompt_tokens, r.tokens, r.logprobs, 1.0)
        for agent, r in zip(("ada", "ada", "ben", "ben"), replies, strict=True)
    ]
    wanted = by_autograd(bank, [each for each in samples if each.agent == "ada"])
    report = update(bank.base, bank, samples, {"ada": Hyper(1e-3), "ben": Hyper(1e-3)}, Objective(max_grad_norm=1e9))
    for agent in ("ada", "ben"):
        own = [each for each in samples if each.agent == agent]
        said = sum(sum(each.logprobs) for each in own) / sum(len(each.tokens) for each in own)
        assert report[agent].mean_logprob == pytest.approx(said, abs=1e-4)
    live = bank.live("ada")
    moments_P = bank.optimizer_state(live)["exp_avg"]  # (1 − β₁) · gradient after one step
    assert torch.allclose(
        moments_P / (1 - Objective().betas[0]), wanted, rtol=1e-3, atol=1e-5 * float(wanted.abs().max())
    )


def by_autograd(bank: AdapterBank, samples: list[Sample]) -> Tensor:
    """Gradient of −1/n Σ log π at an adapter, through the model's own forward and plain hooks."""
    layout, flat_P = bank.slice(ADA).layout, bank.slice(ADA).params_P.clone().requires_grad_()
    layers, handles = linear_layers(bank.base.model), []
    for path in layout.entries:

        def add(module, inputs, output, path=path):
            low = inputs[0] @ layout.a(flat_P, path).T
            return output + layout.spec.scale * (low @ layout.b(flat_P, path).T)

        handles.append(layers[path].register_forward_hook(add))
    total = torch.zeros(())
    for each in samples:
        logits_TV = bank.base.model(input_ids=torch.tensor([each.prompt_tokens + each.tokens])).logits[0]
        scores_TV = logits_TV[len(each.prompt_tokens) - 1 : -1].log_softmax(-1)
        total = total - scores_TV.gather(1, torch.tensor(each.tokens)[:, None]).sum() / len(samples)
    (grad_P,) = torch.autograd.grad(total, flat_P)
    for handle in handles:
        handle.remove()
    return grad_P


@pytest.mark.parametrize(
    ("scale", "cap", "bias"), [(1.0, None, False), (0.25, None, True), (1.0, 2.0, False), (3.0, 0.5, True)]
)
def test_the_heads_slope_is_its_derivative(scale: float, cap: float | None, bias: bool) -> None:
    stream = torch.Generator().manual_seed(0)
    hidden_NH = torch.randn(5, 4, generator=stream, dtype=torch.float64, requires_grad=True)
    weight_VH = torch.randn(7, 4, generator=stream, dtype=torch.float64)
    head = OutputHead(weight_VH, torch.randn(7, generator=stream, dtype=torch.float64) if bias else None, scale, cap)
    grad_NV = torch.randn(5, 7, generator=stream, dtype=torch.float64)
    logits_NV = head.logits(hidden_NH)
    (wanted_NH,) = torch.autograd.grad(logits_NV, hidden_NH, grad_NV)
    assert torch.allclose(head.at_hidden(grad_NV, head.slope(logits_NV.detach())), wanted_NH)


# ------------------------------------------------------------------------------------------------------- the proof
def test_a_model_that_does_something_of_its_own_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits through a head that is not the model's, rows that move, and tokens whose positions are not told."""
    bank = bank_of(tmp_path / "model", "GPT-2")
    monkeypatch.setattr(BaseModel, "head", property(lambda self: OutputHead(2 * self.model.lm_head.weight)))
    with pytest.raises(ModelUnavailable, match="makes its logits in a way of its own"):
        engine_for(bank)
    monkeypatch.undo()
    prove(bank)
    monkeypatch.setattr("league.model.generic_engine.takes_positions", lambda model: False)
    with pytest.raises(ModelUnavailable, match="GPT|gpt2.*token by token"):
        prove(bank)


class Routed(torch.nn.Module):
    """A layer behind a router: it sees tokens in another order, or (`some`) not all of them."""

    def __init__(self, layer: torch.nn.Module, some: bool):
        super().__init__()
        self.fc2, self.some = layer, some

    def forward(self, x_NI: Tensor) -> Tensor:
        if self.some:
            return torch.cat([self.fc2(x_NI[1:]), self.fc2.bias[None]])
        return self.fc2(x_NI.flip(0)).flip(0)


@pytest.mark.parametrize(
    ("some", "words"), [(False, "rows of one batch disturb one another"), (True, r"layers.0.fc2.fc2 sees \[26, 48\]")]
)
def test_a_layer_that_mixes_rows_is_refused(tmp_path: Path, some: bool, words: str) -> None:
    folder = write_family(tmp_path / "model", FAMILIES["OPT"])
    base = BaseModel.load(folder, device="cpu", dtype="float32", threads=1)
    block = base.model.get_submodule("model.decoder.layers.0")
    block.fc2 = Routed(block.fc2, some)
    bank = AdapterBank(base)
    bank.add(ADA, LoraSpec(2, 4, ("fc2",)), seed=0, trainable=True)
    with pytest.raises(UserError, match=words):
        prove(bank)


def test_the_proof_leaves_the_bank_and_the_streams_as_they_were(tmp_path: Path) -> None:
    bank = bank_of(tmp_path / "model", "Phi")
    before, random = {v: bank.slice(v).params_P.clone() for v in bank.versions()}, torch.get_rng_state()
    prove(bank)
    assert bank.versions() == [ADA, BEN] and torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(bank.slice(version).params_P, kept) for version, kept in before.items())
    assert proof.LENGTHS[0] != proof.LENGTHS[1], "rows of one length would hide a fault of padding"
