"""The fused engine against the generic one.

Same hidden states, gradients and tokens, for every family it claims, in fp32.

Rows share prefixes, so these tests are also "tree-packed equals unpacked": the generic engine computes every row
whole.
"""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from league.backends.local import LocalBackend
from league.learning.objective import Objective
from league.learning.update import update
from league.model import tree_attention
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.model.decoder_weights import Decoder
from league.model.engine_choice import engine_for, mismatch
from league.model.fused_engine import FusedEngine
from league.model.generic_engine import GenericEngine
from league.model.prefix_tree import grow_trees
from league.types import Hyper, Message, Request, Sample, Sampling, Version
from tests.conftest import write_tiny_model, write_tokenizer

SIZES = dict(
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    max_position_embeddings=256,
    initializer_range=0.2,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=2,
)
FAMILIES = {
    "llama": {},
    "mistral": {"sliding_window": 7},
    "qwen2": {},
    "qwen3": {},
    "gemma3_text": {"sliding_window": 7, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
}
A, B, C = Version("a", 0), Version("b", 0), Version("c", 0)


@pytest.fixture(autouse=True)
def many_tiles(monkeypatch):
    """Attention tiles so small that short rows need several, of several sizes, in several products."""
    for name, value in {"QUERIES": 8, "SIZES": 4, "KEYS": 4, "SCORES": 1000}.items():
        monkeypatch.setattr(tree_attention, name, value)


def make(family: str, folder: Path) -> BaseModel:
    vocabulary = write_tokenizer(folder)
    config = AutoConfig.for_model(family, **{**SIZES, "vocab_size": vocabulary, **FAMILIES[family]})
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():  # norms and biases start at 1 and 0: move them, or a wrong one would not show
        if parameter.dim() == 1:
            parameter.data.add_(0.3 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return BaseModel.load(folder, device="cpu", dtype="float32", threads=1)


def fill(bank: AdapterBank) -> AdapterBank:
    specs = {A: LoraSpec(4, 8), B: LoraSpec(2, 4, ("q_proj", "v_proj", "down_proj")), C: LoraSpec(8, 4)}
    for seed, (version, spec) in enumerate(specs.items()):
        bank.add(version, spec, seed=seed, trainable=True)
        stream = torch.Generator().manual_seed(seed)
        bank.slice(version).params_P.add_(0.1 * torch.randn(bank.slice(version).params_P.shape, generator=stream))
    return bank


def trees(seed: int = 0) -> list[Sample]:
    """Samples whose prompts and completions share beginnings at several depths.

    One is repeated whole.
    """
    stream = torch.Generator().manual_seed(seed)

    def text(n: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, 200, (n,), generator=stream).tolist())

    made = []
    for agent, prompts in (("a", 2), ("b", 1), ("c", 2)):
        root = text(5)
        for _ in range(prompts):
            prompt = root + text(6)
            first = text(4)
            for completion in (first, first, first + text(3), text(1), text(9), first[:2]):
                made.append(
                    Sample(
                        agent, prompt, completion, (), float(torch.randn(1, generator=stream)), sampling=Sampling(0.7)
                    )
                )
    return made


@pytest.mark.parametrize("family", FAMILIES)
def test_families_match_their_own_forward_and_gradients(family, tmp_path):
    base = make(family, tmp_path)
    bank = fill(AdapterBank(base))
    engine = engine_for(bank)
    assert isinstance(engine, FusedEngine)
    assert mismatch(engine) < 1e-5
    assert _gradient_gap(bank, engine, GenericEngine(bank)) < 1e-4


def _gradient_gap(bank: AdapterBank, one, other) -> float:
    """Largest relative difference of hidden states and of adapter gradients between two engines."""
    samples = trees()
    rows = [(s.prompt_tokens, s.tokens) for s in samples]
    who = [Version(s.agent, 0) for s in samples]
    found = []
    for engine in (one, other):
        sink = {v: torch.zeros_like(bank.slice(v).params_P) for v in (A, B, C)}
        forward = engine.run(rows, who, sink, False)
        forward.backward(torch.randn(forward.hidden_NH.shape, generator=torch.Generator().manual_seed(1)))
        found.append([forward.hidden_NH, *sink.values()])
    return max(float((x - y).norm() / y.norm()) for x, y in zip(*found, strict=True))


def test_prefixes_are_computed_once():
    rows = [(1, 2, 3, 4), (1, 2, 3, 5), (1, 2, 9), (1, 2), (7,), (1, 2, 3, 4)]
    tree = grow_trees(rows, [A] * 5 + [B])
    assert len(tree) == len({row[: i + 1] for row in rows[:5] for i in range(len(row))}) + 4
    for index, row in enumerate(rows):
        assert tuple(tree.tokens[i] for i in tree.flat(index)) == row
        assert [tree.positions[i] for i in tree.flat(index)] == list(range(len(row)))


@pytest.mark.parametrize("window", [None, 5])
def test_a_token_sees_its_own_beginning_and_nothing_else(window):
    samples = trees(7)
    rows, who = [s.prompt_tokens + s.tokens for s in samples], [Version(s.agent, 0) for s in samples]
    tree = grow_trees(rows, who)
    plan = tree_attention.plan_attention(tree, 4, [None, 5], torch.device("cpu"))
    assert len(plan.batches) > 3 and max(batch.count for batch in plan.batches) > 1
    seen: list[list[int]] = []
    for batch in plan.batches:
        keys, blocked = batch.keys.view(batch.count, -1), batch.blocked_J1QC[window][:, 0]
        seen.extend(sorted(keys[j][~row].tolist()) for j in range(batch.count) for row in blocked[j])
    for index in range(len(rows)):
        path = tree.flat(index)
        for depth, token in enumerate(path):
            assert seen[int(plan.place_N[token])] == path[max(0, depth + 1 - (window or len(path))) : depth + 1]


def test_checkpointing_and_microbatches_change_nothing(tiny):
    results = []
    for objective in (
        Objective(),
        Objective(checkpointing=True),
        Objective(tokens_per_microbatch=1),
        Objective(tokens_per_microbatch=60),
    ):
        bank = fill(AdapterBank(tiny))
        report = update(tiny, bank, trees(), {v.agent: Hyper(1e-2) for v in (A, B, C)}, objective)
        results.append((report, torch.cat([bank.slice(v).moments_2P[0] for v in (A, B, C)])))
    for report, moments in results[1:]:
        torch.testing.assert_close(moments, results[0][1], atol=1e-6, rtol=1e-4)
        assert report["a"].loss == pytest.approx(results[0][0]["a"].loss, rel=1e-4)


def requests(samples: int = 3) -> list[Request]:
    texts = {A: ["hello", "hello", "a longer question?"], B: ["hello"], C: ["x"], None: ["hello", "another one here"]}
    return [
        Request(
            version,
            (Message("user", text),),
            samples + i,
            Sampling(1.0, max_tokens=5 + 4 * i),
            seed=10 * i + (version is None),
        )
        for version, group in texts.items()
        for i, text in enumerate(group)
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_fused_decoding_equals_generic_decoding(family, tmp_path):
    base = make(family, tmp_path)
    bank = fill(AdapterBank(base))
    fused = LocalBackend(base, bank, engine=FusedEngine(bank, Decoder.read(base))).generate(requests())
    generic = LocalBackend(base, bank, engine=GenericEngine(bank), compact=0.0).generate(requests())
    for ours, theirs in zip(fused, generic, strict=True):
        assert [reply.tokens for reply in ours] == [reply.tokens for reply in theirs]
        for a, b in zip(ours, theirs, strict=True):
            assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)


def test_an_unknown_family_goes_to_the_generic_engine_and_says_so(tmp_path, caplog):
    vocabulary = write_tokenizer(tmp_path)
    config = AutoConfig.for_model("gpt_neox", **{**SIZES, "vocab_size": vocabulary})
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    base = BaseModel.load(tmp_path, device="cpu", dtype="float32", threads=1)
    bank = AdapterBank(base)
    bank.add(A, LoraSpec(targets=("query_key_value", "dense")), seed=0, trainable=True)
    engine = engine_for(bank)
    assert isinstance(engine, GenericEngine) and "gpt_neox" in caplog.text
    replies = LocalBackend(base, bank).generate([Request(A, (Message("user", "hi"),), 2, Sampling(max_tokens=4), 1)])
    report = update(
        base,
        bank,
        [Sample("a", r.prompt_tokens, r.tokens, r.logprobs, 1.0) for r in replies[0]],
        {"a": Hyper(1e-3)},
        Objective(),
    )
    assert report["a"].mean_logprob == pytest.approx(
        sum(sum(r.logprobs) for r in replies[0]) / sum(len(r.tokens) for r in replies[0]), abs=1e-3
    )


def test_a_fused_engine_that_disagrees_is_refused(tmp_path, caplog, monkeypatch):
    base = BaseModel.load(write_tiny_model(tmp_path), device="cpu", dtype="float32", threads=1)
    monkeypatch.setattr(
        Decoder,
        "cos_sin",
        lambda self, positions, kind: (torch.ones(len(positions), 1, 8), torch.zeros(len(positions), 1, 8)),
    )
    assert isinstance(engine_for(AdapterBank(base)), GenericEngine)
    assert "differs from the model's own forward" in caplog.text
