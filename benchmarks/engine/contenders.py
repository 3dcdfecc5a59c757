"""Rollouts and updates of the engine beside transformers.generate and PEFT.

benchmarks/engine/__main__.py says who the contenders are.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.engine.setup import cpu, interleaved, load, padded, peft_model, prompts_for, samples_for, save, summary
from league.backends.local import LocalBackend
from league.learning.objective import Objective
from league.learning.update import update
from league.model.bank import AdapterBank
from league.model.base import BaseModel
from league.model.engine import Prompt
from league.model.engine_choice import engine_for
from league.model.fused_engine import FusedEngine
from league.model.generic_engine import GenericEngine
from league.types import Hyper, Request, Sample, Sampling

SOME = {"agents of (a)": 2, "rows of (b)": 1, "agents of the PEFT loop": 2, "agents of one forward per sequence": 1}
"""How many are done in a turn where the cost per token cannot depend on how many there are."""


# -------------------------------------------------------------------------------------------------- rollouts
def rollouts(args: argparse.Namespace) -> dict:
    found = {}
    base, bank = load(args)
    with tempfile.TemporaryDirectory() as scratch:
        peft = peft_model(args, base, bank, Path(scratch))
    fused, generic = LocalBackend(base, bank), LocalBackend(base, bank, engine=GenericEngine(bank))
    assert isinstance(fused.engine, FusedEngine)
    for rows in args.rows:
        samples = rows // 8
        asked = prompts_for(8, rows // samples, 64, 128)
        rollout = rollout_contenders(peft, fused, generic, asked, samples=samples, new=args.new_tokens)
        print(f"rollouts, {rows} rows = {rows // samples} prompts x {samples}, {args.new_tokens} new tokens")
        rollout = {name: work for name, work in rollout.items() if name not in args.without}
        for name in sorted(rollout.keys() & {"ours", "generic"}):
            rollout[name]()  # warm caches of oneDNN primitives
        times = interleaved(rollout, args.repeats)
        result = summary(times, "ours")
        limit = linear_limit(base, bank, rows, 5)
        result["limit"] = {"tokens_per_cpu_second": limit}
        result["ours"]["share_of_limit"] = result["ours"]["tokens_per_cpu_second"] / limit
        opening = prefill_cost(fused, asked, samples=samples, new=args.new_tokens, repeats=args.repeats)
        decoding = 1 / result["ours"]["tokens_per_cpu_second"] - opening
        result["ours"] |= {
            "prefill_cpu_seconds": opening * rows * args.new_tokens,
            "share_of_limit_decoding_only": 1 / decoding / limit,
        }
        found[str(rows)] = result | {"new_tokens": args.new_tokens, "samples_per_prompt": samples}
        save(args, "rollouts", found)
    return found


def rollout_contenders(peft, fused, generic, asked, *, samples, new) -> dict[str, Callable[[], int]]:
    base, bank = fused.base, fused.bank
    requests = [Request(v, m, samples, Sampling(max_tokens=new), seed=i) for i, (v, m) in enumerate(asked)]
    encoded = [(v, base.encode(m)) for v, m in asked]
    fixed = dict(
        max_new_tokens=new, min_new_tokens=new, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, pad_token_id=2
    )

    def ours(backend: LocalBackend) -> int:
        return sum(len(reply.tokens) for replies in backend.generate(requests) for reply in replies)

    @torch.no_grad()
    def agent_by_agent() -> int:
        total = 0
        for version in bank.versions()[: SOME["agents of (a)"]]:
            own = [tokens for v, tokens in encoded if v == version]
            if own:
                peft.set_adapter(version.agent)
                ids, mask = padded([row for row in own for _ in range(samples)], left=True)
                total += peft.generate(input_ids=ids, attention_mask=mask, **fixed)[:, ids.shape[1] :].numel()
        return total

    @torch.no_grad()
    def one_at_a_time() -> int:
        total = 0
        for version, tokens in encoded[: SOME["rows of (b)"]]:
            peft.set_adapter(version.agent)
            total += peft.generate(input_ids=torch.tensor([tokens]), **fixed)[:, len(tokens) :].numel()
        return total

    @torch.no_grad()
    def mixed() -> int:
        ids, mask = padded([tokens for _, tokens in encoded for _ in range(samples)], left=True)
        names = [v.agent for v, _ in encoded for _ in range(samples)]
        return peft.generate(input_ids=ids, attention_mask=mask, adapter_names=names, **fixed)[
            :, ids.shape[1] :
        ].numel()

    return {
        "ours": lambda: ours(fused),
        "generic": lambda: ours(generic),
        "a_generate_agent_by_agent": agent_by_agent,
        "b_one_row_at_a_time": one_at_a_time,
        "c_peft_mixed_batch": mixed,
    }


def linear_limit(base: BaseModel, bank: AdapterBank, rows: int, repeats: int) -> float:
    """Tokens per CPU-second if a step were its base matrix products alone.

    On the packed weights, at this number of rows.
    """
    engine = engine_for(bank)
    assert isinstance(engine, FusedEngine)
    first = engine.decoder.layers[0]
    inputs = {size: torch.randn(rows, size).to(base.dtype) for size in first.ins}
    hidden = inputs[first.ins[0]]

    def step() -> int:
        for layer in engine.decoder.layers:
            for group in range(4):
                layer.linears[group](inputs[layer.ins[group]])
        engine.decoder.head(hidden)
        return rows

    step()
    return 1 / statistics.median(cpu(step) for _ in range(repeats))


def prefill_cost(fused: LocalBackend, asked, *, samples: int, new: int, repeats: int) -> float:
    """Median CPU-seconds of the prefill, per token that is then generated."""
    prompts = [Prompt(v, fused.base.encode(m), samples) for v, m in asked]
    engine = fused.engine
    return statistics.median(
        cpu(lambda: engine.open(prompts, new) and len(asked) * samples * new) for _ in range(repeats)
    )


# ---------------------------------------------------------------------------------------------------- update
SHAPES = {
    "64x128": dict(rows=64, group=1, prompt=64, completion=64),
    "tree_8x16_on_112": dict(rows=64, group=8, prompt=112, completion=16),
}


def updates(args: argparse.Namespace) -> dict:
    found = {}
    base, bank = load(args)
    with tempfile.TemporaryDirectory() as scratch:
        peft = peft_model(args, base, bank, Path(scratch))
    for name, shape in SHAPES.items():
        shape = {**shape, "rows": int(shape["rows"] * args.scale)}
        samples = samples_for(base, shape)
        contenders = update_contenders(base, bank, peft, samples)
        contenders = {who: work for who, work in contenders.items() if who not in args.without}
        print(f"update {name}: {shape}", flush=True)
        contenders["ours"]()
        found[name] = summary(interleaved(contenders, args.repeats), "ours") | {"shape": shape}
        save(args, "updates", found)
    return found


def update_contenders(base, bank, peft, samples) -> dict[str, Callable[[], int]]:
    hyper = {f"agent{i}": Hyper(1e-5) for i in range(8)}
    tokens = sum(len(s.prompt_tokens) + len(s.tokens) for s in samples)
    fused, generic = engine_for(bank), GenericEngine(bank) if bank.engine else None
    parameters = {v.agent: [p for n, p in peft.named_parameters() if f".{v.agent}." in n] for v in bank.versions()}
    optimizers = {agent: torch.optim.AdamW(values, lr=1e-5) for agent, values in parameters.items()}

    def ours(engine) -> int:
        bank.engine = engine
        update(base, bank, samples, hyper, Objective())
        bank.engine = fused
        return tokens

    def loss_of(batch: list[Sample]) -> torch.Tensor:
        ids, mask = padded([s.prompt_tokens + s.tokens for s in batch], left=False)
        logits = peft(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
        logprobs = logits.log_softmax(-1).gather(2, ids[:, 1:, None]).squeeze(2)
        total = logprobs.new_zeros(())
        for row, s in zip(logprobs, batch, strict=True):
            total = total - s.advantage * row[len(s.prompt_tokens) - 1 : len(s.prompt_tokens) + len(s.tokens) - 1].sum()
        return total / len(batch)

    def loop(batch_size: int, agents: int) -> int:
        seen = 0
        for agent in list(parameters)[:agents]:
            peft.set_adapter(agent)
            own = [s for s in samples if s.agent == agent]
            for at in range(0, len(own), batch_size):
                loss_of(own[at : at + batch_size]).backward()
            seen += sum(len(s.prompt_tokens) + len(s.tokens) for s in own)
            torch.nn.utils.clip_grad_norm_(parameters[agent], 1.0)
            optimizers[agent].step()
            optimizers[agent].zero_grad()
        return seen

    return {
        "ours": lambda: ours(fused),
        "generic": lambda: ours(generic),
        "a_peft_loop": lambda: loop(8, SOME["agents of the PEFT loop"]),
        "b_one_forward_per_sequence": lambda: loop(1, SOME["agents of one forward per sequence"]),
    }
