"""Where the learners of `benchmarks.games` play and learn.

One fused population over the real engine, and what its replies say of a policy.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from league.backends.local import LocalBackend
from league.learning.advantages import Credit, learn_from
from league.learning.objective import Objective
from league.learning.update import update
from league.learning.warmup import Target, supervised_sample
from league.model.bank import AdapterBank
from league.model.base import BaseModel
from league.rollouts.play import play
from league.seeds import derive
from league.types import Decision, Episode, Hyper, Match, Reply, Sample, Score, Version
from tasks.games.matrix_games import SEATS, MatrixGame
from tasks.games.replies import parse_move

STEP = Objective(betas=(0.0, 0.99))
"""No momentum: the game changes under the learner with every step.

Momentum drives policies into corners.
"""


def exact_policy(replies: Sequence[Reply], moves: Sequence[str]) -> tuple[np.ndarray, float, float]:
    """(policy over moves, probability of no move, probability never sampled).

    From distinct replies' log-probabilities.
    """
    mass = dict.fromkeys((*moves, None), 0.0)
    for tokens, reply in {reply.tokens: reply for reply in replies}.items():
        assert tokens
        mass[parse_move(reply.text, moves)] += float(np.exp(sum(reply.logprobs)))
    valid = np.array([mass[move] for move in moves])
    if valid.sum() == 0:
        return np.full(len(moves), 1 / len(moves)), mass[None], 1 - mass[None]
    return valid / valid.sum(), mass[None], max(0.0, 1 - float(sum(mass.values())))


def merged(samples: Sequence[Sample]) -> list[Sample]:
    """Samples with equal prompt and tokens as one, with the gradient of all.

    L = 1/n Σ A log π over n becomes 1/m over the m distinct.
    """
    summed: dict[tuple[str, tuple[int, ...], tuple[int, ...]], float] = defaultdict(float)
    first: dict[tuple[str, tuple[int, ...], tuple[int, ...]], Sample] = {}
    count: Counter[str] = Counter(sample.agent for sample in samples)
    for sample in samples:
        key = (sample.agent, sample.prompt_tokens, sample.tokens)
        summed[key] += sample.advantage
        first.setdefault(key, sample)
    distinct: Counter[str] = Counter(agent for agent, _, _ in summed)
    return [
        Sample(
            key[0], key[1], key[2], first[key].logprobs, total * distinct[key[0]] / count[key[0]], first[key].sampling
        )
        for key, total in summed.items()
    ]


class Arena:
    """The population, the task and the engine."""

    def __init__(self, chosen: argparse.Namespace):
        self.base = BaseModel.load(chosen.model, threads=chosen.threads)
        self.bank = AdapterBank(self.base)
        self.backend = LocalBackend(self.base, self.bank, max_rows=1024)
        self.task = MatrixGame("game", game=chosen.game, samples=chosen.group, joint="cross")
        self.rate, self.entropy, self.group = chosen.rate, chosen.entropy, chosen.group

    def moves(self) -> tuple[str, ...]:
        return self.task.form.moves

    def match(self, name: str, row: Version, col: Version) -> Match:
        return Match(name, "game", round=0, seats={"row": row, "col": col}, problems=(), seed=derive("games", name))

    def play(self, matches: Sequence[Match]) -> list[Episode]:
        return play(matches, {"game": self.task}, self.backend)

    def teach_moves(self, agents: dict[str, np.ndarray], steps: int, rate: float) -> None:
        """Supervised: each agent learns to answer with a move, in the proportions given."""
        prompt = self.task.open(self.match("warm-up", Version("a", 0), Version("b", 0)))[0].prompts["row"]
        samples = []
        for agent, wanted in agents.items():
            for move, share in zip(self.moves(), wanted, strict=True):
                target = supervised_sample(self.base, agent, Target(prompt, move))
                samples.append(Sample(agent, target.prompt_tokens, target.tokens, (), float(share) * len(wanted)))
        for _ in range(steps):
            update(self.base, self.bank, samples, {agent: Hyper(rate) for agent in agents}, Objective())

    def learn(self, lessons: Sequence[tuple[str, Episode]]) -> int:
        """One fused MAGRPO update of every learner on its matches.

        Returns the number of samples before merging.
        """
        samples: list[Sample] = []
        for agent, episode in lessons:
            samples += learn_from(
                episode, with_entropy(episode, self.task.score(episode), self.entropy), Credit(), {agent}
            ).samples
        agents = {sample.agent for sample in samples}
        if samples:
            update(self.base, self.bank, merged(samples), {agent: Hyper(self.rate) for agent in agents}, STEP)
        return len(samples)


def with_entropy(episode: Episode, score: Score, weight: float) -> Score:
    """The score with −weight · ln π(reply) added to the rewards of whoever replied.

    An unbiased gradient of the replies' entropy.
    """
    rewards = {node: dict(earned) for node, earned in score.rewards.items()}
    for _, decision in episode.decisions():
        for node in decision.nodes:
            for seat, pick in node.picks.items():
                rewards[node.id][seat] -= weight * sum(decision.replies[seat][pick].logprobs)
    return replace(score, rewards=rewards)


def replies_of(episode: Episode, version: Version) -> list[Reply]:
    root: Decision = episode.roots[0]
    return [reply for seat in SEATS if episode.match.seats[seat] == version for reply in root.replies[seat]]
