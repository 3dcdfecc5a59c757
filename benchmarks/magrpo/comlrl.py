"""CoMLRL 1.4.3 (MAGRPO's reference) and this project on the same writing task.

Both have the same weights, texts, prompts, reward, sampling, LoRA and rate.

    pip install comlrl==1.4.3        # in an environment that also has this project
    python -m benchmarks.magrpo.comlrl --texts 24 --out runs/magrpo-comlrl.json
    python -m benchmarks.magrpo.comlrl --texts 24 --exam 24 --plain-loss

With `--plain-loss` ours runs alone, with CoMLRL's loss: temperature 1, no truncation.

Two writers, one turn, G aligned samples, advantages centred only, an update after every `--buffer` texts; no warm-up.
Both are scored by the paper's reward or, with `--reward hardened`, by the hardened one; both forms are computed, with
the base's perplexity, whichever pays. What is compared: the mean training reward by tokens sampled and by CPU-seconds
(of the whole process, one thread), and the reward on held-out texts at the end, where both pairs of adapters write
through this project's engine. CoMLRL keeps its own ways (pads in the loss, no temperature in the loss;
docs/magrpo.md), but gets a pad token of its own: where pad is the end token, as in this model, a chat prompt holds it
and every completion is cut to nothing. `eval_interval` and logging are off.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from benchmarks.magrpo.probes import tokens_of
from league.backends.local import LocalBackend
from league.config.sections import ALL_LINEAR
from league.learning.advantages import Credit, learn_from
from league.learning.objective import Objective
from league.learning.update import update
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.model.fetch import DEFAULT_MODEL, locate_model
from league.model.peft_io import import_peft
from league.rollouts import play
from league.runtime.assembly import text_nll
from league.seeds import derive
from league.types import Hyper, Match, Sampling, Version
from tasks.task import user_prompt
from tasks.writing.fluency import Perplexity
from tasks.writing.judging import judge_pair
from tasks.writing.prompts import PROMPTS
from tasks.writing.rewards import TLDR
from tasks.writing.task import WRITERS, Writing

RANK, ALPHA = 8, 16
Point = tuple[int, float, float]
"""(tokens sampled so far, CPU-seconds so far, mean reward of one text's group)"""


def make_task(bank: AdapterBank, args: argparse.Namespace) -> Writing:
    task = Writing(
        "tldr", reward=args.reward, samples=args.group, max_tokens=args.new_tokens, temperature=0.7, top_p=0.9
    )
    return task.with_fluency(Perplexity(lambda texts: text_nll(bank, texts)))


def match(task: Writing, seats: dict[str, Version], split: str, index: int, seed: int) -> Match:
    problems = task.problems(split, index)  # type: ignore[arg-type]
    return Match(
        f"{split}-{index}",
        task.name,
        round=index,
        seats=seats,
        problems=problems,
        seed=derive("comlrl", seed, split, index),
    )


def ours(base: BaseModel, args: argparse.Namespace) -> tuple[list[Point], AdapterBank, dict[str, Version]]:
    bank = AdapterBank(base)
    task, backend = make_task(bank, args), LocalBackend(base, bank)
    seats = {seat: Version(seat, 0) for seat in WRITERS}
    for seat, version in seats.items():
        bank.add(version, LoraSpec(RANK, ALPHA), seed=derive("comlrl", args.seed, seat), trainable=True)
    curve: list[Point] = []
    task.problems("train", 0)  # texts are read once, outside the clock
    tokens, start = 0, time.process_time()
    for first in range(0, args.texts, args.buffer):
        matches = [match(task, seats, "train", index, args.seed) for index in range(first, first + args.buffer)]
        samples, scores = [], []
        for episode in play(matches, {task.name: task}, backend):
            score = task.score(episode)
            samples += learn_from(episode, score, Credit(), set(WRITERS)).samples
            scores.append(fmean(seat[WRITERS[0]] for seat in score.rewards.values()))
            tokens += tokens_of(episode)
        if args.plain_loss:
            samples = [replace(sample, sampling=Sampling(), logprobs=()) for sample in samples]
        if samples:
            update(base, bank, samples, {seat: Hyper(args.rate) for seat in WRITERS}, Objective())
        curve += [(tokens, time.process_time() - start, score) for score in scores]
        print("ours", curve[-1], flush=True)
    return curve, bank, seats


def theirs(base: BaseModel, args: argparse.Namespace, path: Path) -> tuple[list[Point], list[Path]]:
    from comlrl.trainers.reinforce import MAGRPOConfig, MAGRPOTrainer
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from benchmarks.engine.comlrl import sampled

    bank = AdapterBank(base)
    fluency = Perplexity(lambda texts: text_nll(bank, texts))
    tokenizer = AutoTokenizer.from_pretrained(path)
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(
        0
    )  # with pad = end, which ends every chat turn, its reward sees empty texts
    curve: list[Point] = []
    group: list[float] = []
    tokens, start = 0, time.process_time()

    def reward(first: list[str], second: list[str], *, batch_items: Any = None) -> list[float]:
        source = batch_items[0]["source"]
        found = [
            judge_pair(TLDR, args.reward, source, (a.strip(), b.strip()), fluency).reward
            for a, b in zip(first, second, strict=True)
        ]
        group.extend(found)
        if len(group) >= args.group:
            curve.append((tokens, time.process_time() - start, fmean(group)))
            group.clear()
            print("comlrl", curve[-1], flush=True)
        return found

    def formatter(prompt: Any) -> Any:
        return lambda item: base.tokenizer.decode(
            list(base.encode(user_prompt(prompt(item["source"])))), skip_special_tokens=False
        )

    agents = []
    for place in range(len(WRITERS)):
        torch.manual_seed(derive("comlrl", args.seed, place) % 2**31)
        model = AutoModelForCausalLM.from_pretrained(path, dtype=base.dtype)
        agents.append(
            get_peft_model(
                model, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=list(ALL_LINEAR), task_type="CAUSAL_LM")
            )
        )
    task = make_task(bank, args)
    texts = [task.problems("train", index)[0].question for index in range(args.texts)]
    trainer = MAGRPOTrainer(
        agents=agents,
        tokenizer=tokenizer,
        train_dataset=Dataset.from_list([{"prompt": text, "source": text} for text in texts]),
        reward_func=reward,
        formatters=[formatter(PROMPTS["tldr"].first), formatter(PROMPTS["tldr"].second)],
        args=MAGRPOConfig(
            num_train_epochs=1,
            agent_learning_rate=args.rate,
            num_generations=args.group,
            max_new_tokens=args.new_tokens,
            temperature=0.7,
            top_p=0.9,
            top_k=0,
            num_turns=1,
            eval_interval=0,
            rollout_buffer_size=args.buffer,
            advantage_normalization=False,
        ),
    )
    generate = trainer._generate_completions

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal tokens
        found = generate(*args, **kwargs)
        tokens += sum(
            sampled(row.tolist(), tokenizer.eos_token_id) for rows in found["completion_input_ids"] for row in rows
        )
        return found

    trainer._generate_completions = counted
    torch.manual_seed(derive("comlrl", args.seed, "sampling") % 2**31)
    start = time.process_time()
    trainer.train()
    folders = []
    for agent, seat in zip(trainer.agents, WRITERS, strict=True):
        folders.append(args.out.parent / f"{args.out.stem}-{seat}")
        agent.save_pretrained(folders[-1])
    return curve, folders


def exam(bank: AdapterBank, seats: dict[str, Version], base: BaseModel, args: argparse.Namespace) -> list[float]:
    """Reward per held-out text, one sampled playthrough each."""
    task = replace(make_task(bank, args), samples=1)
    matches = [match(task, seats, "test", index, args.seed) for index in range(args.exam)]
    return [
        task.score(episode).metrics["return"] * 3
        for episode in play(matches, {task.name: task}, LocalBackend(base, bank))
    ]


def reached(curve: list[Point], level: float, window: int = 8) -> float | None:
    """CPU-seconds until the mean of the last `window` texts first reached `level`."""
    for end in range(window, len(curve) + 1):
        if fmean(point[2] for point in curve[end - window : end]) >= level:
            return curve[end - 1][1]
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/magrpo-comlrl.json"))
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--reward", choices=("paper", "hardened"), default="paper")
    parser.add_argument("--texts", type=int, default=24)
    parser.add_argument("--buffer", type=int, default=4)
    parser.add_argument("--group", type=int, default=4)
    parser.add_argument("--new-tokens", type=int, default=48)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--exam", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--plain-loss", action="store_true", help="ours alone, trained at temperature 1 without truncation"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    path = locate_model(args.model)
    base = BaseModel.load(path, threads=1)
    found: dict[str, Any] = {"settings": {key: str(value) for key, value in vars(args).items()}}
    found["ours"], bank, seats = ours(base, args)
    found["ours_exam"] = exam(bank, seats, base, args)
    if args.plain_loss:
        print(
            f"ours, plain loss, seed {args.seed}: all texts {fmean(p[2] for p in found['ours']):.2f}, held out "
            f"{fmean(found['ours_exam']):.2f}"
        )
        return
    found["comlrl"], folders = theirs(base, args, path)
    imported = AdapterBank(base)
    for seat, folder in zip(WRITERS, folders, strict=True):
        import_peft(imported, Version(seat, 0), folder, trainable=False)
    found["comlrl_exam"] = exam(imported, {seat: Version(seat, 0) for seat in WRITERS}, base, args)
    level = min(fmean(point[2] for point in found[name][-8:]) for name in ("ours", "comlrl"))
    for name in ("ours", "comlrl"):
        tokens, seconds, _ = found[name][-1]
        found[f"{name}_summary"] = {
            "tokens": tokens,
            "cpu_seconds": seconds,
            "last_8_texts": fmean(point[2] for point in found[name][-8:]),
            "held_out": fmean(found[f"{name}_exam"]),
            "cpu_seconds_to_level": reached(found[name], level),
            "level": level,
        }
        print(name, found[f"{name}_summary"])
    args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
