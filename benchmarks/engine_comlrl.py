"""End to end against CoMLRL 1.4.3 (MAGRPO), same weights, prompts, reward, sampling: CPU-seconds per 1,000 completion tokens.

    pip install comlrl==1.4.3        # in an environment that also has this project
    python benchmarks/engine_comlrl.py --repeats 5 --out runs/bench-comlrl.json

Two agents with LoRA rank 8 over SmolLM2-135M (or any folder: --model), one turn, G completions, aligned rewards, AdamW. CoMLRL holds a
base model per agent, as its own examples do; --full trains its full models instead of adapters. Generation and update are timed apart,
each contender doing one whole round (all prompts rolled out, then one update per agent) per turn, interleaved.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from league.backends.local import LocalBackend
from league.learning.objective import Objective
from league.learning.update import update
from league.model.bank import ALL_LINEAR, AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.model.fetch import DEFAULT_MODEL, locate_model
from league.types import Hyper, Message, Request, Sample, Sampling, Version

TOPICS = ["a river", "an old clock", "the number seven", "a blue door", "winter rain", "a lost key", "the moon", "a paper boat"]
AGENTS = ("first", "second")


def reward(first: list[str], second: list[str]) -> list[float]:
    """Closer lengths and more distinct words: cheap, dense, never constant."""
    return [len(set(a.split()) | set(b.split())) / 10 - abs(len(a) - len(b)) / 50 for a, b in zip(first, second, strict=True)]


class Clock:
    """CPU-seconds by name."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def wrap(self, name: str, work):
        def timed(*args, **kwargs):
            start = time.process_time()
            try:
                return work(*args, **kwargs)
            finally:
                self.spent[name] = self.spent.get(name, 0.0) + time.process_time() - start

        return timed


def comlrl_trainer(args: argparse.Namespace, path: Path, prompts: list[str], dtype: torch.dtype):
    from comlrl.trainers.reinforce import MAGRPOConfig, MAGRPOTrainer

    agents = [AutoModelForCausalLM.from_pretrained(path, dtype=dtype) for _ in AGENTS]
    if not args.full:
        lora = LoraConfig(r=8, lora_alpha=16, target_modules=list(ALL_LINEAR), task_type="CAUSAL_LM")
        agents = [get_peft_model(agent, lora) for agent in agents]
    config = MAGRPOConfig(
        num_train_epochs=1,
        agent_learning_rate=args.rate,
        num_generations=args.group,
        max_new_tokens=args.new_tokens,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        num_turns=1,
        eval_interval=0,
        rollout_buffer_size=len(prompts),
        advantage_normalization=False,
    )
    return MAGRPOTrainer(
        agents=agents,
        tokenizer=AutoTokenizer.from_pretrained(path),
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in prompts]),
        reward_func=reward,
        args=config,
    )


def theirs(trainer, tokenizer) -> dict[str, float]:
    clock, texts = Clock(), []
    generate = type(trainer)._generate_completions

    def counted(*a, **k):
        found = generate(trainer, *a, **k)
        texts.extend(text for group in found["completions"] for text in group)
        return found

    trainer._generate_completions = clock.wrap("generate", counted)
    trainer._update_from_samples = clock.wrap("update", lambda *a: type(trainer)._update_from_samples(trainer, *a))
    start = time.process_time()
    trainer.train()
    total = time.process_time() - start
    tokens = sum(len(tokenizer.encode(text)) + 1 for text in texts)
    return {"tokens": tokens, "total": total, **clock.spent}


def ours(args: argparse.Namespace, base: BaseModel, bank: AdapterBank, requests: list[Request], turn: int) -> dict[str, float]:
    backend = LocalBackend(base, bank)
    start = time.process_time()
    asked = [Request(r.version, r.messages, r.samples, r.sampling, r.seed + 1000 * turn) for r in requests]
    replies = backend.generate(asked)
    generated = time.process_time()
    samples = []
    for at in range(0, len(asked), 2):
        pair = replies[at : at + 2]
        values = reward([x.text for x in pair[0]], [x.text for x in pair[1]])
        mean = sum(values) / len(values)
        for request, group in zip(asked[at : at + 2], pair, strict=True):
            samples += [
                Sample(request.version.agent, r.prompt_tokens, r.tokens, r.logprobs, v - mean) for r, v in zip(group, values, strict=True)
            ]
    update(base, bank, samples, {agent: Hyper(args.rate) for agent in AGENTS}, Objective())
    end = time.process_time()
    tokens = sum(len(s.tokens) for s in samples)
    return {"tokens": tokens, "total": end - start, "generate": generated - start, "update": end - generated}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--group", type=int, default=4)
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--rate", type=float, default=5e-6)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-comlrl.json"))
    args = parser.parse_args()
    path = locate_model(args.model)
    base = BaseModel.load(path, threads=1)
    bank = AdapterBank(base)
    for seed, agent in enumerate(AGENTS):
        bank.add(Version(agent, 0), LoraSpec(), seed=seed, trainable=True)
    topics = [TOPICS[i % len(TOPICS)] + (f" and {i}" if i >= len(TOPICS) else "") for i in range(args.prompts)]
    messages = [(Message("user", f"Write one short sentence about {topic}."),) for topic in topics]
    requests = [
        Request(Version(agent, 0), m, args.group, Sampling(max_tokens=args.new_tokens), seed=i)
        for i, m in enumerate(messages)
        for agent in AGENTS
    ]
    texts = [base.tokenizer.decode(list(base.encode(m)), skip_special_tokens=False) for m in messages]
    trainer = comlrl_trainer(args, path, texts, base.dtype)
    turns: dict[str, list[dict[str, float]]] = {"ours": [], "comlrl": []}
    ours(args, base, bank, requests, 99)  # warm oneDNN's caches
    for turn in range(args.repeats):
        turns["ours"].append(ours(args, base, bank, requests, turn))
        turns["comlrl"].append(theirs(trainer, base.tokenizer))
        print({name: found[-1] for name, found in turns.items()}, flush=True)
    result: dict[str, object] = {"turns": turns, "full_model": args.full, "settings": {k: str(v) for k, v in vars(args).items()}}
    for part in ("total", "generate", "update"):
        cost = {name: statistics.median(1000 * t[part] / t["tokens"] for t in found) for name, found in turns.items()}
        result[part] = {**cost, "ratio": cost["comlrl"] / cost["ours"], "unit": "CPU-seconds per 1,000 completion tokens"}
        print(part, result[part])
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
