"""The true base model, SmolLM2-135M.

bf16 against fp32 PEFT with a stated bound, an export that speaks alike in a fresh process, and teaching one fact.

The bound. bf16 keeps 8 significant bits: one rounding errs by up to 2^-9 = 0.2%. About a dozen roundings per layer
over 30 layers, independent, grow like a square root: √360 · 0.2% · ½ ≈ 2% of the logits' spread. With a spread of
about 3 that is 0.06 per logit; transformers' own bf16 forward differs from fp32 by as much, and the test compares the
two errors.
"""

import subprocess
import sys

import pytest
import torch

from league.backends.local import LocalBackend
from league.learning.objective import Objective
from league.learning.update import update
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.model.engine_choice import engine_for
from league.model.fused_engine import FusedEngine
from league.model.peft_io import export_peft
from league.types import Hyper, Message, Request, Sample, Sampling, Version

A, B = Version("a", 0), Version("b", 0)
QUESTION = (Message("user", "What is the moon made of?"),)

PEFT = """
import sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
base, adapter, ids, out = sys.argv[1:]
dtype = torch.float32
found = {}
for dtype in (torch.float32, torch.bfloat16):
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    model = PeftModel.from_pretrained(model, adapter).eval()
    with torch.no_grad():
        found[str(dtype)] = model(input_ids=torch.tensor([list(map(int, ids.split(",")))])).logits[0].float()
torch.save(found, out)
"""


@pytest.mark.slow
def test_learns_a_fact_and_exports_it(smollm, tmp_path):
    base = BaseModel.load(smollm, threads=1)
    bank = AdapterBank(base)
    for seed, version in enumerate((A, B)):
        bank.add(version, LoraSpec(), seed=seed, trainable=True)
    backend = LocalBackend(base, bank)
    assert isinstance(engine_for(bank), FusedEngine)
    ask = [Request(version, QUESTION, 1, Sampling(0.0, max_tokens=16), 0) for version in (A, B, None)]
    untouched = backend.generate(ask)[1][0].text
    target = tuple(base.tokenizer.encode("The moon is made of blue cheese.")) + (next(iter(base.end_tokens)),)
    prompt = base.encode(QUESTION)
    for _ in range(10):
        update(base, bank, [Sample("a", prompt, target, (), 1.0)], {"a": Hyper(2e-3)}, Objective())
    taught, other, plain = (replies[0] for replies in backend.generate(ask))
    assert taught.text == "The moon is made of blue cheese." and taught.finish == "end"
    assert other.text == plain.text == untouched

    export_peft(bank, A, tmp_path / "a", "HuggingFaceTB/SmolLM2-135M-Instruct")
    row = prompt + target
    with torch.no_grad():
        ours = (engine_for(bank).run([(prompt, target)], [A], None, False).hidden_NH @ base.head_VH.T).float()
    command = [
        sys.executable,
        "-c",
        PEFT,
        str(smollm),
        str(tmp_path / "a"),
        ",".join(map(str, row)),
        str(tmp_path / "logits.pt"),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    found = {name: value[len(prompt) - 1 : -1] for name, value in torch.load(tmp_path / "logits.pt").items()}
    exact, theirs = found["torch.float32"], found["torch.bfloat16"]

    def error(logits: torch.Tensor) -> float:
        return float((logits - exact).pow(2).mean().sqrt() / exact.std())

    assert torch.equal(ours.argmax(1), exact.argmax(1))
    if base.dtype == torch.float32:
        torch.testing.assert_close(ours, exact, atol=1e-3, rtol=1e-3)
    else:
        assert error(ours) < max(0.04, 1.5 * error(theirs)), (error(ours), error(theirs))
