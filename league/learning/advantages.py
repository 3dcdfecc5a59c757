"""From a scored episode tree to samples with advantages: the credit assignment of MAGRPO.

For seat i at a node (Liu, Liang, Lyu, Amato, arXiv 2508.04652, with the children's mean of a tree of depth T):

    G_i(node)  = r_i(node) + γ · mean over next decisions of ( mean over their nodes of G_i )
    G_i(reply) = mean of G_i over the nodes that picked the reply   (aligned: one node; cross: all partners' samples)
    A_i(reply) = G_i(reply) − mean over the group's replies         (the siblings)

Options: `normalise` divides by the group's standard deviation (off in the paper), `leave_one_out` takes the baseline
over the other replies only, which multiplies A by G/(G−1). A group without variance teaches nothing and is dropped,
so it costs nothing. One reply alone is no group.

Left out on purpose: the loss, which sees only samples.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from league.errors import TrainingDiverged
from league.types import Decision, Episode, Node, Sample, Score, Turn

SPREAD = 1e-9
"""A group whose returns differ by less than this has no variance: it is floating-point noise."""


@dataclass(frozen=True)
class Credit:
    """How returns become advantages."""

    discount: float = 1.0
    normalise: bool = False
    leave_one_out: bool = False


@dataclass(frozen=True)
class Group:
    """One seat's replies at one decision, with the returns of those that count."""

    seat: str
    decision: Decision
    returns: Mapping[int, float]
    """reply index → return; void replies are absent."""

    def advantages(self, credit: Credit) -> dict[int, float]:
        """reply index → advantage; empty when the group has no variance."""
        returns_G = list(self.returns.values())
        if len(returns_G) < 2 or max(returns_G) - min(returns_G) < SPREAD:
            return {}
        mean = fmean(returns_G)
        scale = len(returns_G) / (len(returns_G) - 1) if credit.leave_one_out else 1.0
        if credit.normalise:
            scale /= math.sqrt(fmean((value - mean) ** 2 for value in returns_G))
        return {reply: (value - mean) * scale for reply, value in self.returns.items()}


@dataclass(frozen=True)
class EpisodeSamples:
    """What one episode gives to learning: samples, and how many groups had no variance."""

    samples: tuple[Sample, ...]
    groups: int
    flat_groups: int
    advantages: Mapping[tuple[int, str], float]
    """(node id, seat) → advantage, for transcripts; 0 where the group was dropped."""


def node_return(node: Node, seat: str, score: Score, discount: float) -> float:
    """G_i(node), folded from the leaves."""
    reward = score.rewards.get(node.id, {}).get(seat, 0.0)
    if not node.next:
        return reward
    following = [fmean(node_return(child, seat, score, discount) for child in decision.nodes) for decision in node.next]
    return reward + discount * fmean(following)


def groups(episode: Episode, score: Score, discount: float) -> list[Group]:
    """Every (decision, speaking seat) of the tree with its replies' returns.

    Raises TrainingDiverged when a return is not finite, naming match and seat.
    """
    found = []
    for _, decision in episode.decisions():
        for seat, replies in decision.replies.items():
            per_reply: dict[int, list[float]] = {reply: [] for reply in range(len(replies))}
            for node in decision.nodes:
                if (node.id, seat) not in score.void:
                    per_reply[node.picks[seat]].append(node_return(node, seat, score, discount))
            returns = {reply: fmean(values) for reply, values in per_reply.items() if values}
            for value in returns.values():
                if not math.isfinite(value):
                    agent = episode.match.seats[seat].agent
                    raise TrainingDiverged(
                        f"match {episode.match.id}: the return of seat '{seat}' (agent '{agent}') "
                        f"is {value}, not finite"
                    )
            found.append(Group(seat, decision, returns))
    return found


def domain_of(episode: Episode, turn: Turn) -> str:
    """The domain of the problem a turn is about; "" where it is about none."""
    return "" if turn.about is None else episode.match.problems[turn.about].domain


def learn_from(episode: Episode, score: Score, credit: Credit, trainable: frozenset[str] | set[str]) -> EpisodeSamples:
    """Samples of the seats whose agents are trainable, and the advantages of all.

    A reply without tokens (scripted, remote) never becomes a sample.
    """
    samples: list[Sample] = []
    shown: dict[tuple[int, str], float] = {}
    total = flat = 0
    for group in groups(episode, score, credit.discount):
        agent = episode.match.seats[group.seat].agent
        advantages = group.advantages(credit)
        for node in group.decision.nodes:
            shown[node.id, group.seat] = advantages.get(node.picks[group.seat], 0.0)
        if agent not in trainable or len(group.decision.replies[group.seat]) < 2:
            continue
        total += 1
        flat += not advantages
        for reply, advantage in advantages.items():
            spoken = group.decision.replies[group.seat][reply]
            if spoken.tokens and advantage != 0.0:
                samples.append(
                    Sample(
                        agent=agent,
                        prompt_tokens=spoken.prompt_tokens,
                        tokens=spoken.tokens,
                        logprobs=spoken.logprobs,
                        advantage=advantage,
                        sampling=group.decision.turn.sampling[group.seat],
                        domain=domain_of(episode, group.decision.turn),
                    )
                )
    return EpisodeSamples(tuple(samples), total, flat, shown)


def collect_samples(episodes: Sequence[EpisodeSamples]) -> tuple[list[Sample], float]:
    """All samples of a round, and the share of groups without variance (0 when there were none)."""
    samples = [sample for episode in episodes for sample in episode.samples]
    total = sum(episode.groups for episode in episodes)
    return samples, sum(episode.flat_groups for episode in episodes) / total if total else 0.0
