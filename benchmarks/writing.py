"""MAGRPO on writing against the paper's baselines, at equal trained tokens, over the real base model.

Arms (tasks/writing.py), all from fresh adapters and all judged by the same joint reward on the same held-out texts:

    naive        two writers, untrained, side by side: the paper's naive concatenation; the starting point of every arm with two writers
    aligned      two writers, one turn, joint reward, j-th samples paired: MAGRPO
    cross        the same with all G×G pairings
    own          two writers, each rewarded for its own text: independent agents
    sequential   the second writer reads the first one's text
    discussion   both write, read both texts, and write again
    single       one writer writes both parts: GRPO

Every arm trains until it has trained on the same number of tokens, prompts not counted; arms and seeds share one population and one fused
update per step. `serial` is the paper's clock in tokens: the longest text of a turn, summed over turns.

Left out: the full league loop; the paper's models and data (out of reach without a hub and a GPU: docs/magrpo.md says how).

Run: python -m benchmarks.writing --model DIR --seeds 3 --tokens 20000 --out results.json
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from league.backends.local import LocalBackend
from league.learning.advantages import Credit, learn_from
from league.learning.objective import Objective
from league.learning.update import update
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.rollouts.play import play
from league.seeds import derive
from league.types import Decision, Episode, Hyper, Match, Sample, Version
from tasks.writing import Writing
from tasks.writing_fluency import Perplexity

ARMS: dict[str, dict[str, object]] = {
    "aligned": {},
    "cross": {"joint": "cross"},
    "own": {"credit": "own"},
    "sequential": {"arrangement": "sequential", "branch": 2},
    "discussion": {"arrangement": "discussion", "branch": 2},
    "single": {"arrangement": "single"},
}
METRICS = ("return", "paper_return", "quality", "structure", "coherence", "consistency", "unsplit")


@dataclass
class Team:
    """One arm of one seed: its adapters by seat, its task, what it has trained on."""

    arm: str
    seed: int
    task: Writing
    seats: dict[str, Version]
    trained: int = 0
    rounds: int = 0
    curve: list[tuple[int, float]] = field(default_factory=list)
    """(tokens trained on, mean training return)"""

    @property
    def key(self) -> str:
        return f"{self.arm}-{self.seed}"


class BaseNll:
    """Mean negative log-likelihood per token (nats) under the frozen base, in batches of equal padding."""

    def __init__(self, base: BaseModel, rows: int = 32):
        self.base, self.rows = base, rows

    def __call__(self, texts: Sequence[str]) -> list[float]:
        start = self.base.tokenizer.bos_token_id
        coded = [[start, *self.base.tokenizer.encode(text or " ", add_special_tokens=False)] for text in texts]
        found = [0.0] * len(coded)
        order = sorted(range(len(coded)), key=lambda i: len(coded[i]))
        for at in range(0, len(order), self.rows):
            part = order[at : at + self.rows]
            longest = max(len(coded[i]) for i in part)
            ids = torch.tensor([coded[i] + [start] * (longest - len(coded[i])) for i in part])
            with torch.no_grad():
                logits = self.base.model(input_ids=ids, use_cache=False).logits.float()
            chosen = logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:, None]).squeeze(2)
            for row, i in enumerate(part):
                found[i] = -float(chosen[row, : len(coded[i]) - 1].mean())
        return found


def serial_tokens(decision: Decision) -> float:
    """Tokens of the longest text of each turn, summed along the tree: what waits if all texts of a turn are written at once."""
    samples = range(decision.turn.samples)
    here = fmean(max(len(replies[j].tokens) for replies in decision.replies.values()) for j in samples)
    later = [fmean(serial_tokens(child) for child in node.next) for node in decision.nodes if node.next]
    return here + (fmean(later) if later else 0.0)


def answer_tokens(decision: Decision) -> int:
    """All tokens generated at and below a decision."""
    here = sum(len(reply.tokens) for replies in decision.replies.values() for reply in replies)
    return here + sum(answer_tokens(child) for node in decision.nodes for child in node.next)


class Study:
    def __init__(self, arguments: argparse.Namespace):
        self.arguments = arguments
        self.base = BaseModel.load(arguments.model, threads=arguments.threads)
        self.bank = AdapterBank(self.base)
        self.backend = LocalBackend(self.base, self.bank, max_rows=256)
        self.fluency = Perplexity(BaseNll(self.base)) if arguments.perplexity else None
        self.teams = [self._team(arm, seed) for seed in range(arguments.seeds) for arm in arguments.arms]
        self.tasks = {team.key: team.task for team in self.teams}

    def _team(self, arm: str, seed: int) -> Team:
        settings = ARMS[arm] | {"samples": self.arguments.group, "items": self.arguments.items, "max_tokens": self.arguments.max_tokens}
        task = Writing(f"{arm}-{seed}", reward=self.arguments.reward, source=self.arguments.source, **settings)  # type: ignore[arg-type]
        if problems := task.check():
            raise SystemExit("; ".join(problems))
        task = task.with_fluency(self.fluency) if self.fluency else task
        seats = {}
        for seat in task.seats():
            seats[seat] = Version(f"{arm}-{seed}-{seat}", 0)
            self.bank.add(seats[seat], LoraSpec(), seed=derive("writing", seed, seat), trainable=True)
        return Team(arm, seed, task, seats)

    def match(self, team: Team, split: str, index: int) -> Match:
        seed = derive("writing", team.seed, split, index)
        return Match(f"{team.key}-{split}-{index}", team.task.name, index, team.seats, team.task.problems(split, index), seed)  # type: ignore[arg-type]

    def train(self) -> None:
        """Rounds until every team has trained on its tokens."""
        began = time.process_time()
        while active := [team for team in self.teams if team.trained < self.arguments.tokens]:
            episodes = play([self.match(team, "train", team.rounds) for team in active], self.tasks, self.backend)
            samples: list[Sample] = []
            for team, episode in zip(active, episodes, strict=True):
                score = team.task.score(episode)
                lesson = learn_from(episode, score, Credit(normalise=self.arguments.normalise), {v.agent for v in team.seats.values()})
                samples += lesson.samples
                team.curve.append((team.trained, round(score.metrics["return"], 4)))
                # Flat groups cost no update, but they were sampled: count what was generated, so no arm profits from them.
                team.trained += sum(answer_tokens(root) for root in episode.roots)
                team.rounds += 1
            if samples:
                update(self.base, self.bank, samples, {s.agent: Hyper(self.arguments.rate) for s in samples}, Objective())
            shown = " ".join(f"{t.key} {t.trained} {t.curve[-1][1]:.2f}" for t in active)
            print(f"cpu {time.process_time() - began:.0f}s {shown}", flush=True)

    def examine(self) -> dict[str, dict[str, float]]:
        """Held-out texts, the same for all teams, with the training decoding."""
        matches = [(team, self.match(team, "test", index)) for team in self.teams for index in range(self.arguments.exam)]
        episodes = play([match for _, match in matches], self.tasks, self.backend)
        gathered: dict[str, list[dict[str, float]]] = {team.key: [] for team in self.teams}
        for (team, _), episode in zip(matches, episodes, strict=True):
            metrics = team.task.score(episode).metrics
            gathered[team.key].append({key: metrics[key] for key in METRICS} | {"serial": self._serial(episode)})
        return {key: {name: float(np.mean([row[name] for row in rows])) for name in rows[0]} for key, rows in gathered.items()}

    def _serial(self, episode: Episode) -> float:
        return fmean(serial_tokens(root) for root in episode.roots)


def table(before: dict[str, dict[str, float]], after: dict[str, dict[str, float]]) -> str:
    """Means over seeds with the range, held-out texts."""
    names = (*METRICS, "serial")
    lines = ["| arm | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]

    def row(label: str, rows: list[dict[str, float]]) -> str:
        cells = [[r[name] for r in rows] for name in names]
        return f"| {label} | " + " | ".join(f"{np.mean(c):.3f} [{min(c):.3f}, {max(c):.3f}]" for c in cells) + " |"

    for arm in dict.fromkeys(key.rpartition("-")[0] for key in after):
        keys = [key for key in after if key.rpartition("-")[0] == arm]
        lines += [row(f"{arm}, untrained", [before[key] for key in keys]), row(f"{arm}, trained", [after[key] for key in keys])]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=20_000, help="generated tokens per arm and seed")
    parser.add_argument("--items", type=int, default=2)
    parser.add_argument("--group", type=int, default=4)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--exam", type=int, default=12, help="held-out matches of `items` texts")
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--normalise", action="store_true", help="divide advantages by the group's standard deviation")
    parser.add_argument("--reward", default="hardened", choices=("hardened", "paper"))
    parser.add_argument("--source", default="docstrings")
    parser.add_argument("--perplexity", action="store_true", help="judge fluency by the base model too")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    study = Study(arguments)
    before = study.examine()
    study.train()
    after = study.examine()
    if arguments.out:
        curves = {team.key: team.curve for team in study.teams}
        settings = {key: str(value) for key, value in vars(arguments).items() if key != "model"}
        arguments.out.write_text(json.dumps({"settings": settings, "before": before, "after": after, "curves": curves}, indent=1) + "\n")
    print(table(before, after))


if __name__ == "__main__":
    main()
