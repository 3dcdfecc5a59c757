"""Can a 135M model earn anything by coding?

Helper and main writer on each source, untrained and after a supervised warm-up.

    python -m benchmarks.magrpo.coding --out FILE.json [--sources local-1,local-2] [--problems 16] [--steps 30]
    [--batch 16]

Greedy on held-out test problems (other clusters than the training's), one sample each; and sampled on validation
problems, for the share of groups whose rewards differ: what reinforcement learning starts from. `--steps 0` measures
the untrained base only. The two writers are two adapters over the base, warmed up on worked helper and main functions
in one fused update. Seconds are of CPU, one thread.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import fmean, stdev

from league.backends.local import LocalBackend
from league.learning.advantages import Credit, learn_from
from league.learning.objective import Objective
from league.learning.update import update
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.model.fetch import DEFAULT_MODEL, locate_model
from league.rollouts import play
from league.seeds import derive
from league.types import BASE, Hyper, Match, Sample, Split, Version
from tasks.coding.problems import problems_of
from tasks.coding.prompts import HELP, MAIN, demonstration
from tasks.coding.task import Coding

WRITERS = {HELP: Version("helper-writer", 0), MAIN: Version("main-writer", 0)}
SHOWN = ("structure", "syntax", "tests", "cooperation", "return", "solved", "suspect")


class Lab:
    def __init__(self, rank: int):
        self.base = BaseModel.load(locate_model(DEFAULT_MODEL), threads=1)
        self.bank = AdapterBank(self.base)
        self.backend = LocalBackend(self.base, self.bank)
        for version in WRITERS.values():
            self.bank.add(
                version, LoraSpec(rank=rank, alpha=2.0 * rank), seed=derive("coder", str(version)), trainable=True
            )

    def matches(self, source: str, split: Split, count: int, trained: bool, purpose: str, seed: int) -> list[Match]:
        chosen = problems_of(source)[split][:count]
        seats = WRITERS if trained else dict.fromkeys(WRITERS, BASE)
        return [
            Match(
                problem.key,
                source,
                round=0,
                seats=seats,
                problems=(problem,),
                seed=derive("play", problem.key, seed),
                purpose=purpose,  # type: ignore[arg-type]
            )
            for problem in chosen
        ]

    def measure(self, source: str, problems: int, trained: bool, tokens: int) -> dict[str, object]:
        start = time.process_time()
        task = Coding(source, source=source, samples=4, max_tokens=tokens)
        tested = play(self.matches(source, "test", problems, trained, "evaluate", 0), {source: task}, self.backend)
        scores = [task.score(episode) for episode in tested]
        found: dict[str, object] = {"problems": len(scores)}
        for name in SHOWN:
            values = [score.metrics[name] for score in scores if name in score.metrics]
            found[name] = [fmean(values), stdev(values) / len(values) ** 0.5 if len(values) > 1 else None]
        sampled = play(self.matches(source, "validation", 8, trained, "train", 1), {source: task}, self.backend)
        lessons = [
            learn_from(episode, task.score(episode), Credit(), {"helper-writer", "main-writer", "base"})
            for episode in sampled
        ]
        found["mixed_groups"] = 1 - sum(lesson.flat_groups for lesson in lessons) / max(
            1, sum(lesson.groups for lesson in lessons)
        )
        found["cpu_seconds"] = time.process_time() - start
        first = tested[0].roots[0]
        found["example"] = {seat: replies[0].text[:300] for seat, replies in first.replies.items()}
        return found

    def warm_up(self, sources: list[str], steps: int, batch: int, rate: float) -> float:
        """Supervised steps on worked helper and main functions; returns the last loss.

        The functions are of the train split.
        """
        pool = [problem for source in sources for problem in problems_of(source)["train"]]
        pool.sort(key=lambda problem: derive("order", problem.key))
        loss = 0.0
        for step in range(steps):
            samples = []
            for place in range(batch):
                problem = pool[(step * batch + place) % len(pool)]
                for seat, (messages, reply) in demonstration(problem).items():
                    if seat in WRITERS:
                        tokens = self.base.tokenizer(reply, add_special_tokens=False)["input_ids"]
                        target = (*tokens, self.base.tokenizer.eos_token_id)
                        samples.append(Sample(WRITERS[seat].agent, self.base.encode(messages), target, (), 1.0))
            hyper = {version.agent: Hyper(learning_rate=rate) for version in WRITERS.values()}
            reports = update(self.base, self.bank, samples, hyper, Objective(aggregation="token"))
            loss = fmean(report.loss for report in reports.values())
            print(f"step {step + 1}: loss {loss:.3f}", flush=True)
        return loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sources", default="local-1,local-2,local-3,local-4")
    parser.add_argument("--problems", type=int, default=16)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64)
    args = parser.parse_args()
    sources = args.sources.split(",")
    lab = Lab(args.rank)
    results: dict[str, object] = {"settings": {key: str(value) for key, value in vars(args).items()}}
    for trained in (False, True) if args.steps else (False,):
        if trained:
            start = time.process_time()
            results["loss"] = lab.warm_up(
                [source for source in sources if source.startswith("local")], args.steps, args.batch, args.rate
            )
            results["warm_up_cpu_seconds"] = time.process_time() - start
        for source in sources:
            name = f"{'warm' if trained else 'base'}/{source}"
            results[name] = lab.measure(source, args.problems, trained, args.tokens)
            print(name, json.dumps(results[name]), flush=True)
            args.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
