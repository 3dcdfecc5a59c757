"""What the engine's benchmarks share: the bank, prompts, timing, medians, the results file."""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.model.fetch import locate_model
from league.model.peft_io import export_peft
from league.types import Message, Sample, Version

WORDS = "the cat sat on a mat while seven dogs ran over red hills to count small green apples and sing".split()


def load(args: argparse.Namespace, agents: int = 8) -> tuple[BaseModel, AdapterBank]:
    base = BaseModel.load(locate_model(args.model), threads=args.threads)
    base.end_tokens = frozenset()  # fixed lengths
    bank = AdapterBank(base)
    for i in range(agents):
        version = Version(f"agent{i}", 0)
        bank.add(version, LoraSpec(), seed=i, trainable=True)
        noise = torch.randn(bank.slice(version).params_P.shape, generator=torch.Generator().manual_seed(i))
        bank.slice(version).params_P.add_(noise, alpha=0.002)
    return base, bank


def prompts_for(agents: int, count: int, low: int, high: int) -> list[tuple[Version, tuple[Message, ...]]]:
    """`count` distinct prompts, spread over the agents, of about low to high tokens."""
    rnd = random.Random(0)
    made = []
    for i in range(count):
        words = rnd.randint(max(1, low - 30), high - 30)
        made.append(
            (
                Version(f"agent{i * agents // count}", 0),
                (Message("user", f"{i} " + " ".join(rnd.choices(WORDS, k=words))),),
            )
        )
    return made


def samples_for(base: BaseModel, shape: dict) -> list[Sample]:
    rnd = random.Random(1)
    made = []
    for i in range(shape["rows"] // shape["group"]):
        prompt = tuple(rnd.choices(range(10, min(40_000, base.head_VH.shape[0])), k=shape["prompt"]))
        agent = f"agent{i * 8 // (shape['rows'] // shape['group'])}"
        for j in range(shape["group"]):
            made.append(
                Sample(
                    agent,
                    prompt,
                    tuple(rnd.choices(range(10, min(40_000, base.head_VH.shape[0])), k=shape["completion"])),
                    (),
                    (-1.0) ** j,
                )
            )
    return made


def peft_model(args: argparse.Namespace, base: BaseModel, bank: AdapterBank, scratch: Path):
    """A PEFT model of its own with every adapter of the bank."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(locate_model(args.model), dtype=base.dtype)
    model = None
    for version in bank.versions():
        folder = scratch / version.agent
        export_peft(bank, version, folder, "smollm2")
        if model is None:
            model = PeftModel.from_pretrained(plain, str(folder), adapter_name=version.agent, is_trainable=True)
        else:
            model.load_adapter(str(folder), adapter_name=version.agent, is_trainable=True)
    return model.eval()


def padded(rows: list[tuple[int, ...]], left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, rows))
    ids, mask = torch.full((len(rows), longest), 2), torch.zeros(len(rows), longest, dtype=torch.long)
    for i, row in enumerate(rows):
        where = slice(longest - len(row), longest) if left else slice(0, len(row))
        ids[i, where], mask[i, where] = torch.tensor(row), 1
    return ids, mask


def cpu(work: Callable[[], int]) -> float:
    """CPU-seconds per token of one run of `work`, which returns its number of tokens."""
    start = time.process_time()
    tokens = work()
    return (time.process_time() - start) / tokens


def interleaved(contenders: dict[str, Callable[[], int]], repeats: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(repeats):
        for name, work in contenders.items():
            times[name].append(cpu(work))
            print(f"  [{turn + 1}/{repeats}] {name}: {1 / times[name][-1]:.1f} tokens/s", flush=True)
    return times


def summary(times: dict[str, list[float]], ours: str) -> dict[str, dict[str, float]]:
    """Tokens per CPU-second (median, low, high) and how many times cheaper `ours` is.

    The latter is the median of the ratios within a turn.
    """
    found = {}
    for name, values in times.items():
        ratios = [value / mine for value, mine in zip(values, times[ours], strict=True)]
        found[name] = {
            "tokens_per_cpu_second": 1 / statistics.median(values),
            "low": 1 / max(values),
            "high": 1 / min(values),
            "ours_is_times_cheaper": statistics.median(ratios),
            "runs": len(values),
        }
    return found


def save(args: argparse.Namespace, part: str, result: dict) -> None:
    """Add what is known so far to the results file.

    An interrupted benchmark keeps its finished rows.
    """
    args.out.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(args.out.read_text()) if args.out.is_file() else {}
    args.out.write_text(json.dumps({**before, part: {**before.get(part, {}), **result}}, indent=1) + "\n")
