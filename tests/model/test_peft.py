"""Our stacked adapters against plain PEFT.

Logits, gradients and files, for adapters of different shapes in one batch.
"""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from league.errors import AdapterRefused
from league.learning.objective import Objective
from league.learning.update import update
from league.model.bank import AdapterBank, LoraSpec
from league.model.engine_choice import engine_for
from league.model.peft_io import export_peft, import_peft, merge
from league.types import Hyper, Sample, Version

SPECS = {
    Version("a", 0): LoraSpec(rank=4, alpha=8),
    Version("b", 0): LoraSpec(rank=2, alpha=7.5, targets=("q_proj", "v_proj")),
    Version("c", 3): LoraSpec(rank=8, alpha=16, targets=("o_proj", "down_proj", "gate_proj")),
}


def shake(bank: AdapterBank, version: Version, seed: int) -> None:
    """Random B, so that the adapter does something."""
    item = bank.slice(version)
    item.params_P.add_(0.1 * torch.randn(item.params_P.shape, generator=torch.Generator().manual_seed(seed)))
    bank.changed(version)


@pytest.fixture
def bank(tiny):
    bank = AdapterBank(tiny)
    for seed, (version, spec) in enumerate(SPECS.items()):
        bank.add(version, spec, seed=seed, trainable=True)
        shake(bank, version, seed)
    return bank


def samples_for(version: Version, count: int = 3) -> list[Sample]:
    stream = torch.Generator().manual_seed(sum(map(ord, version.agent)))
    made = []
    for _ in range(count):
        lengths = torch.randint(1, 12, (2,), generator=stream).tolist()
        prompt, completion = (tuple(torch.randint(3, 200, (n,), generator=stream).tolist()) for n in lengths)
        made.append(Sample(version.agent, prompt, completion, (), float(torch.randn(1, generator=stream))))
    return made


def peft_of(bank, version, tiny_path: Path, folder: Path) -> PeftModel:
    export_peft(bank, version, folder, "tiny")
    base = AutoModelForCausalLM.from_pretrained(tiny_path, dtype=torch.float32)
    return PeftModel.from_pretrained(base, str(folder), is_trainable=True).eval()


def peft_logprobs(model, sample: Sample) -> torch.Tensor:
    ids = torch.tensor([sample.prompt_tokens + sample.tokens])
    logits = model(input_ids=ids).logits[0, len(sample.prompt_tokens) - 1 : -1].float()
    return logits.log_softmax(1).gather(1, torch.tensor(sample.tokens)[:, None]).squeeze(1)


def test_mixed_batch_hidden_states_match_peft(bank, tiny, tiny_path, tmp_path):
    items = [(version, sample) for version in SPECS for sample in samples_for(version)] + [
        (None, samples_for(Version("a", 0))[0])
    ]
    with torch.no_grad():
        rows = [(s.prompt_tokens, s.tokens) for _, s in items]
        hidden = engine_for(bank).run(rows, [v for v, _ in items], None, False).hidden_NH
        ours = (hidden @ tiny.head_VH.T).log_softmax(1).split([len(s.tokens) for _, s in items])
        for (version, sample), found in zip(items, ours, strict=True):
            if version is None:
                model = AutoModelForCausalLM.from_pretrained(tiny_path, dtype=torch.float32)
            else:
                model = peft_of(bank, version, tiny_path, tmp_path / version.agent)
            found = found.gather(1, torch.tensor(sample.tokens)[:, None]).squeeze(1)
            torch.testing.assert_close(found, peft_logprobs(model, sample), atol=1e-4, rtol=1e-4)


def test_one_fused_update_equals_peft_and_adamw_per_adapter(bank, tiny, tiny_path, tmp_path):
    batch = [sample for version in SPECS for sample in samples_for(version)]
    models = {version: peft_of(bank, version, tiny_path, tmp_path / version.agent) for version in SPECS}
    report = update(tiny, bank, batch, {v.agent: Hyper(1e-2) for v in SPECS}, Objective(weight_decay=0.1))
    for version, model in models.items():
        own = samples_for(version)
        params = {name: p for name, p in model.named_parameters() if p.requires_grad}
        optimizer = torch.optim.AdamW(params.values(), lr=1e-2, betas=(0.9, 0.99), weight_decay=0.1)
        loss = sum(-s.advantage * peft_logprobs(model, s).sum() for s in own) / len(own)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(params.values(), 1.0)
        optimizer.step()
        assert report[version.agent].loss == pytest.approx(float(loss), abs=1e-4)
        assert report[version.agent].grad_norm == pytest.approx(float(norm), rel=1e-4)
        state = bank.state(version)
        moments = bank.slice(version).layout.named(bank.slice(version).moments_2P[0])
        for name, parameter in params.items():
            key = name.replace(".default", "")
            torch.testing.assert_close(moments[key], optimizer.state[parameter]["exp_avg"], atol=1e-5, rtol=1e-3)
            torch.testing.assert_close(state[key], parameter.detach(), atol=2e-4, rtol=1e-4)


def test_export_import_is_exact_and_leaks_no_path(bank, tmp_path):
    version = Version("b", 0)
    export_peft(bank, version, tmp_path / "out", "org/tiny")
    import_peft(bank, Version("copy", 0), tmp_path / "out", trainable=False)
    assert bank.spec(Version("copy", 0)) == SPECS[version]
    for name, value in bank.state(version).items():
        assert torch.equal(value, bank.state(Version("copy", 0))[name])
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "org/tiny"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "league.json",
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"lora_alpha": 1e30}, "lora_alpha"),
        ({"r": 0}, "r is 0"),
        ({"use_dora": True}, "use_dora"),
        ({"rank_pattern": {"q_proj": 4}}, "rank_pattern"),
        ({"target_modules": ["q_proj", "nonsense"]}, "nonsense"),
        ({"target_modules": "all-linear"}, "target_modules"),
        ({"r": 3}, "has shape"),
    ],
)
def test_import_refuses_what_it_does_not_understand(bank, tmp_path, change, reason):
    folder = tmp_path / "out"
    export_peft(bank, Version("b", 0), folder, "tiny")
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    before = bank.versions()
    with pytest.raises(AdapterRefused, match=reason):
        import_peft(bank, Version("new", 0), folder, trainable=False)
    assert bank.versions() == before


def test_import_refuses_nan_and_another_base(bank, tmp_path):
    version = Version("a", 0)
    export_peft(bank, version, tmp_path / "other", "tiny")
    manifest = tmp_path / "other" / "league.json"
    manifest.write_text(manifest.read_text().replace(bank.base.weight_hash, "0" * 64))
    with pytest.raises(AdapterRefused, match="base weights"):
        import_peft(bank, Version("new", 0), tmp_path / "other", trainable=False)
    bank.slice(version).params_P[7] = float("nan")
    export_peft(bank, version, tmp_path / "nan", "tiny")
    with pytest.raises(AdapterRefused, match="NaN or infinity"):
        import_peft(bank, Version("new", 0), tmp_path / "nan", trainable=False)


def test_merged_model_has_the_agents_logits(bank, tiny_path, tmp_path):
    version = Version("c", 3)
    merge(bank, version, tmp_path / "full")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "full", dtype=torch.float32)
    model = peft_of(bank, version, tiny_path, tmp_path / "adapter")
    for sample in samples_for(version):
        torch.testing.assert_close(peft_logprobs(merged, sample), peft_logprobs(model, sample), atol=1e-4, rtol=1e-4)
