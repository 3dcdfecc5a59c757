"""What `benchmarks.magrpo` measures beside training.

Seconds per answer, cross-play between seeds, HumanEval's zero point.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from league.backends.local import LocalBackend
from league.config import load_config
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.rollouts import play
from league.runtime.assembly import text_nll
from league.seeds import derive
from league.types import BASE, Backend, Episode, Match, Request, Version
from tasks import make_task
from tasks.coding.task import Coding
from tasks.writing.fluency import Perplexity

CONFIGS = Path(__file__).parents[2] / "configs" / "magrpo"
ARMS = ("aligned", "cross", "multiturn", "independent", "sequential", "discussion", "single")
"""The trained arms; "naive" is aligned before its first round."""
SHOWN = {
    "writing": ("return", "structure", "coherence", "consistency", "quality", "hardened_return"),
    "coding": ("return", "structure", "syntax", "tests", "cooperation", "solved"),
}
"""Metrics of each family, all in [0, 1]."""
Row = dict[str, float]


class Clocked:
    """A backend that generates every request alone.

    It counts the slower of a stage, summed over stages, in CPU-seconds.
    """

    def __init__(self, backend: Backend):
        self.backend, self.seconds = backend, 0.0

    def generate(self, requests: Sequence[Request]) -> list[Any]:
        answers, spent = [], []
        for request in requests:
            start = time.process_time()
            answers += self.backend.generate([request])
            spent.append(time.process_time() - start)
        self.seconds += max(spent)
        return answers


def tokens_of(episode: Episode) -> int:
    return sum(len(reply.tokens) for _, d in episode.decisions() for replies in d.replies.values() for reply in replies)


def cross_play(base: BaseModel, family: str, seeds: int, folder: Path, count: int) -> dict[str, list[Row]]:
    """Metrics per problem of the first writer of seed i with the second writer of seed j.

    By "i,j"; they were trained apart where i ≠ j.
    """
    bank = AdapterBank(base)
    config = load_config(CONFIGS / f"{family}_aligned.yaml")
    ((_, chosen),) = config.tasks.items()
    task = make_task(chosen.kind, family, {**chosen.settings, "samples": 1}, {})
    task = task.with_fluency(Perplexity(lambda texts: text_nll(bank, texts)))
    spec = LoraSpec(config.adapter.rank, config.adapter.alpha)
    for seed in range(seeds):
        for place, seat in enumerate(task.seats()):
            state = load_file(folder / f"{family}-{seed}-{seat}.safetensors")
            bank.load(Version(f"w{place}-{seed}", 0), spec, state, None, False)
    matches = []
    for one in range(seeds):
        for two in range(seeds):
            seats = dict(zip(task.seats(), (Version(f"w0-{one}", 0), Version(f"w1-{two}", 0)), strict=True))
            for index in range(count):
                problems = task.problems("test", index)
                matches.append(
                    Match(
                        f"{one},{two}:{index}",
                        family,
                        round=0,
                        seats=seats,
                        problems=problems,
                        seed=derive("cross-play", one, two, index),
                    )
                )
    found: dict[str, list[Row]] = {}
    for match, episode in zip(matches, play(matches, {family: task}, LocalBackend(base, bank)), strict=True):
        metrics = task.score(episode).metrics
        found.setdefault(match.id.partition(":")[0], []).append(
            {n: round(metrics[n], 4) for n in SHOWN[family] if n in metrics}
        )
    return found


def humaneval(base: BaseModel, count: int, tokens: int) -> list[Row]:
    """The base model alone in both seats on HumanEval's test problems, greedy: the zero point."""
    task = Coding("humaneval", source="humaneval", max_tokens=tokens)
    backend = LocalBackend(base, AdapterBank(base), max_rows=64)
    seats = dict.fromkeys(task.seats(), BASE)
    matches = [
        Match(f"he-{i}", task.name, round=0, seats=seats, problems=task.problems("test", i), seed=i, purpose="evaluate")
        for i in range(count)
    ]
    rows = []
    for episode in play(matches, {task.name: task}, backend):
        metrics = task.score(episode).metrics
        rows.append({name: round(metrics[name], 4) for name in SHOWN["coding"] if name in metrics})
    return rows


def adapters(out: Path) -> Path:
    """Where the aligned writers' adapters are kept, beside the results."""
    return out.parent / f"{out.stem}-adapters"
