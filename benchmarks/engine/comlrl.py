"""End to end against CoMLRL 1.4.3 (MAGRPO), same weights, prompts, reward, sampling.

CPU-seconds per 1,000 completion tokens.

    pip install comlrl==1.4.3        # in an environment that also has this project
    python -m benchmarks.engine.comlrl --repeats 5 --out runs/bench-comlrl.json
    python -m benchmarks.engine.comlrl --tiny --repeats 40 --out runs/bench-comlrl-tiny.json   # and the reward
    python -m benchmarks.engine.comlrl memory --out runs/bench-comlrl-memory.json

Agents with LoRA rank 8 over SmolLM2-135M (or any folder: --model; --tiny: a random Llama of 0.1M parameters with
SmolLM2's tokenizer), one turn, G completions, aligned rewards, AdamW. CoMLRL holds a base model per agent, as its own
examples do; --full trains its full models instead of adapters. Generation and update are timed apart, each contender
doing one whole round (all prompts rolled out, then one update per agent) per turn, interleaved; both go on learning
from turn to turn, so the rewards of a turn are at equal numbers of prompts. Both sides draw every completion from a
stream of its own: agents that share a stream and a prompt start by writing the same text, which has half the distinct
words. Tokens are those sampled up to the end token; CoMLRL's own lengths count the padding after it. `memory` is the
peak resident memory of one small round by number of agents, each in a fresh process.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from league.backends.local import LocalBackend
from league.config.sections import ALL_LINEAR
from league.learning.objective import Objective
from league.learning.update import update
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.model.fetch import DEFAULT_MODEL, locate_model
from league.seeds import derive
from league.types import Hyper, Message, Request, Sample, Sampling, Version

TOPICS = [
    "a river",
    "an old clock",
    "the number seven",
    "a blue door",
    "winter rain",
    "a lost key",
    "the moon",
    "a paper boat",
]


def reward(*said: list[str]) -> list[float]:
    """Reward of each joint completion: closer lengths and more distinct words.

    Cheap, dense, never constant.
    """
    values = []
    for texts in zip(*said, strict=True):
        lengths = [len(text) for text in texts]
        values.append(len({word for text in texts for word in text.split()}) / 10 - (max(lengths) - min(lengths)) / 50)
    return values


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


def their_tokenizer(path: Path):
    """With a pad token that is not the end token.

    Otherwise CoMLRL cuts prompts that contain one, and its rewards see empty texts.
    """
    tokenizer = AutoTokenizer.from_pretrained(path)
    tokenizer.pad_token = next(
        token for token in ("<|endoftext|>", "<unk>") if token in tokenizer.get_vocab() and token != tokenizer.eos_token
    )
    return tokenizer


def comlrl_trainer(args: argparse.Namespace, path: Path, prompts: list[str], dtype: torch.dtype):
    from comlrl.trainers.reinforce import MAGRPOConfig, MAGRPOTrainer
    from datasets import Dataset  # comes with comlrl

    agents = [AutoModelForCausalLM.from_pretrained(path, dtype=dtype) for _ in range(args.agents)]
    if not args.full:
        lora = LoraConfig(r=8, lora_alpha=16, target_modules=list(ALL_LINEAR), task_type="CAUSAL_LM")
        agents = [get_peft_model(agent, lora) for agent in agents]
    config = MAGRPOConfig(
        num_train_epochs=1,
        agent_learning_rate=args.rate,
        num_agents=args.agents,
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
        num_agents=args.agents,
        tokenizer=their_tokenizer(path),
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in prompts]),
        reward_func=reward,
        args=config,
    )


def sampled(tokens: list[int], end: int) -> int:
    """Tokens up to and including the end token."""
    return tokens.index(end) + 1 if end in tokens else len(tokens)


Round = dict[str, float | list[float]]
"""CPU-seconds by part, "tokens", and the "rewards" of the joint completions."""


def theirs(trainer) -> Round:
    clock, lengths, values = Clock(), [], []
    end = trainer.tokenizers[0].eos_token_id
    generate, scored = type(trainer)._generate_completions, trainer.reward_func

    def counted(*a, **k):
        found = generate(trainer, *a, **k)
        lengths.extend(sampled(row.tolist(), end) for rows in found["completion_input_ids"] for row in rows)
        return found

    def noted(*a, **k):
        found = scored(*a, **k)
        values.extend(float(value) for value in found)
        return found

    trainer._generate_completions = clock.wrap("generate", counted)
    trainer._update_from_samples = clock.wrap("update", lambda *a: type(trainer)._update_from_samples(trainer, *a))
    trainer.reward_func = noted
    start = time.process_time()
    trainer.train()
    total = time.process_time() - start
    trainer.reward_func = scored
    return {"tokens": sum(lengths), "total": total, "rewards": values, **clock.spent}


def ours(args: argparse.Namespace, base: BaseModel, bank: AdapterBank, requests: list[Request], turn: int) -> Round:
    backend = LocalBackend(base, bank)
    start = time.process_time()
    asked = [replace(request, seed=derive("engine-comlrl", turn, place)) for place, request in enumerate(requests)]
    replies = backend.generate(asked)
    generated = time.process_time()
    samples, rewards = [], []
    for at in range(0, len(asked), args.agents):
        joint = replies[at : at + args.agents]
        values = reward(*([x.text for x in group] for group in joint))
        mean = sum(values) / len(values)
        rewards += values
        for request, group in zip(asked[at : at + args.agents], joint, strict=True):
            samples += [
                Sample(request.version.agent, r.prompt_tokens, r.tokens, r.logprobs, v - mean)
                for r, v in zip(group, values, strict=True)
            ]
    update(base, bank, samples, {s.agent: Hyper(args.rate) for s in samples}, Objective())
    end = time.process_time()
    tokens = sum(len(s.tokens) for s in samples)
    return {
        "tokens": tokens,
        "total": end - start,
        "rewards": rewards,
        "generate": generated - start,
        "update": end - generated,
    }


def our_side(args: argparse.Namespace, path: Path) -> tuple[BaseModel, AdapterBank, list[Request]]:
    base = BaseModel.load(path, threads=1)
    bank = AdapterBank(base)
    names = [f"agent{i}" for i in range(args.agents)]
    for seed, name in enumerate(names):
        bank.add(Version(name, 0), LoraSpec(), seed=seed, trainable=True)
    topics = [TOPICS[i % len(TOPICS)] + (f" and {i}" if i >= len(TOPICS) else "") for i in range(args.prompts)]
    messages = [(Message("user", f"Write one short sentence about {topic}."),) for topic in topics]
    sampling = Sampling(max_tokens=args.new_tokens)
    return base, bank, [Request(Version(name, 0), m, args.group, sampling, seed=0) for m in messages for name in names]


def texts_of(base: BaseModel, requests: list[Request], agents: int) -> list[str]:
    """The prompts as CoMLRL takes them: text, through the same chat template."""
    return [base.tokenizer.decode(list(base.encode(r.messages)), skip_special_tokens=False) for r in requests[::agents]]


def compare(args: argparse.Namespace, path: Path) -> None:
    base, bank, requests = our_side(args, path)
    trainer = comlrl_trainer(args, path, texts_of(base, requests, args.agents), base.dtype)
    turns: dict[str, list[Round]] = {"ours": [], "comlrl": []}
    LocalBackend(base, bank).generate(requests)  # warm oneDNN's caches
    torch.manual_seed(0)  # of CoMLRL's sampling
    for turn in range(args.repeats):
        turns["ours"].append(ours(args, base, bank, requests, turn))
        turns["comlrl"].append(theirs(trainer))
        print({name: found[-1] for name, found in turns.items()}, flush=True)
    result: dict[str, object] = {"turns": turns, "settings": {k: str(v) for k, v in vars(args).items()}}
    for part in ("total", "generate", "update"):
        cost = {name: statistics.median(1000 * t[part] / t["tokens"] for t in found) for name, found in turns.items()}
        result[part] = {
            **cost,
            "ratio": cost["comlrl"] / cost["ours"],
            "unit": "CPU-seconds per 1,000 completion tokens",
        }
        print(part, result[part])
    third = max(1, args.repeats // 3)
    result["reward"] = {
        name: {
            "first_third": spread(found[:third]),
            "last_third": spread(found[-third:]),
            "tokens": sum(t["tokens"] for t in found),
        }
        for name, found in turns.items()
    }
    print("reward", result["reward"])
    save(args.out, result)


def spread(rounds: list[Round]) -> dict[str, float]:
    """Mean reward of the joint completions of some rounds, and its standard error."""
    values = [value for found in rounds for value in found["rewards"]]
    return {"mean": statistics.fmean(values), "standard_error": statistics.stdev(values) / len(values) ** 0.5}


def memory(args: argparse.Namespace) -> None:
    found: dict[str, dict[str, float]] = {}
    for agents in (2, 8, 16):
        found[str(agents)] = {}
        for side in ("ours", "comlrl"):
            command = [
                sys.executable,
                "-m",
                "benchmarks.engine.comlrl",
                f"peak-{side}",
                "--agents",
                str(agents),
                "--prompts",
                "1",
            ]
            command += ["--group", "2", "--new-tokens", "8", "--model", args.model] + ["--full"] * args.full
            line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            found[str(agents)][side] = float(line)
        print(agents, found[str(agents)], flush=True)
    save(args.out, {"peak_gb_by_agents": found})


def peak(args: argparse.Namespace, path: Path) -> None:
    """Print the peak resident memory (GB) of one round of one side."""
    if args.action == "peak-ours":
        base, bank, requests = our_side(args, path)
        ours(args, base, bank, requests, 0)
    else:
        tokenizer = AutoTokenizer.from_pretrained(path)
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": f"Write about {TOPICS[0]}."}], tokenize=False
        )
        theirs(comlrl_trainer(args, path, [prompt], torch.bfloat16))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


def tiny_model(folder: Path) -> Path:
    """A random Llama of about 0.1M parameters beside its embedding, with SmolLM2's tokenizer."""
    source = locate_model(DEFAULT_MODEL)
    config = AutoConfig.from_pretrained(source)
    for name, value in dict(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2
    ).items():
        setattr(config, name, value)
    config.head_dim = 16
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


def save(path: Path, result: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "action", nargs="?", default="compare", choices=["compare", "memory", "peak-ours", "peak-comlrl"]
    )
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--agents", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--group", type=int, default=4)
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--rate", type=float, default=5e-6)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-comlrl.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.action == "memory":
        memory(args)
        return
    with tempfile.TemporaryDirectory() as scratch:
        path = tiny_model(Path(scratch)) if args.tiny else locate_model(args.model)
        if args.action == "compare":
            compare(args, path)
        else:
            peak(args, path)


if __name__ == "__main__":
    main()
