"""Signs that an agent is going wrong, and when a sign is an alarm.

Pure functions of a round's episodes and updates.

    kl            mean k3 to the base per token (only where the KL term is on)
    entropy_low   entropy of its training replies as a share of the agent's first round; alarm when *below*
    entropy_high  the same, alarm when above
    length        mean tokens of a reply as a multiple of the first round's
    capped        share of replies that hit their token cap
    repetition    share of a reply's 4-grams of words that repeat an earlier one of the same reply, mean over replies
    overfit       share of right answers, alone, to training problems minus accuracy on validation problems (0…1),
                  where both were measured; rewards play no part, because a mix of them is no accuracy
    flat_groups   share of the agent's groups without variance

Each has two thresholds: warn, and roll back. An agent is never rolled back for what it was born with: where its first
round was already beyond the threshold, the alarm stays a warning. What its first round did not measure it was not born
with: a sign that appears later (the first exam) acts, and a relative one compares with the first time that its quantity
was measured. Nor is one rolled back that became sure because it became right: while its training accuracy is above its
first round's, low entropy stays a warning.

KL is the exception. An update measures it with the weights from before that update, so an agent's first KL, in whatever
round, is that of the weights it was born with. One born beyond the threshold is rolled back when its KL has grown by
as much again as the threshold allows.

Entropy is estimated per token from what was sampled, −Σ log π(t) / tokens: the same for every channel of learning,
where that of an update's tokens would depend on whose replies were learned.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from league.types import Episode, Reply, Score

Action = Literal["warn", "roll back", "quarantine"]
BELOW = frozenset({"entropy_low"})
"""Signs that are alarming when small; all others when large."""
DETERMINISTIC = 0.01
"""Nats a token: where no earlier entropy is known, low entropy is a share of this.

Hardly any agent that samples is born with less.
"""
UNAIDED = frozenset({"answer", "control", "work", "probe"})
"""Tags of turns in which an agent answers a problem alone."""
RELATIVE = {"entropy_low": "entropy", "entropy_high": "entropy", "length": "length"}
"""sign → the measured quantity it compares with the agent's first round."""


BORN_WITH = "kl"
"""The quantity whose first value, in whatever round, is that of the weights an agent was born with."""


@dataclass(frozen=True)
class Thresholds:
    """Of one sign; None switches one off."""

    warn: float | None
    roll_back: float | None


@dataclass(frozen=True)
class Alarm:
    agent: str
    sign: str
    value: float
    limit: float
    action: Action

    def __str__(self) -> str:
        side = "below" if self.sign in BELOW else "above"
        return f"{self.agent}: {self.sign} {self.value:.3g} {side} {self.limit:.3g} ({self.action})"


def repeated_share(text: str, n: int = 4) -> float:
    """Share in [0, 1) of the n-grams of words that occurred before in the text; 0 for short texts."""
    words = text.split()
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return 1.0 - len(set(grams)) / len(grams) if grams else 0.0


def speech(
    episodes: Sequence[Episode], scores: Sequence[Score | None], agents: frozenset[str]
) -> dict[str, dict[str, float]]:
    """agent → length (tokens), capped, repetition, entropy, flat_groups and train_accuracy.

    The last is the share of right answers among those the tasks count as unaided.
    """
    said: dict[str, list[Reply]] = {}
    groups: dict[str, list[bool]] = {}
    for episode, score in zip(episodes, scores, strict=True):
        if score is None:
            continue
        for _, decision in episode.decisions():
            for seat, replies in decision.replies.items():
                agent = episode.match.seats[seat].agent
                if agent not in agents or not any(reply.tokens for reply in replies):
                    continue
                said.setdefault(agent, []).extend(replies)
                rewards = [score.rewards.get(node.id, {}).get(seat, 0.0) for node in decision.nodes]
                if len(replies) > 1:
                    groups.setdefault(agent, []).append(max(rewards) - min(rewards) < 1e-9)
    found = {}
    for agent, replies_of in said.items():
        found[agent] = {
            "length": fmean(len(reply.tokens) for reply in replies_of),
            "capped": fmean(reply.finish == "length" for reply in replies_of),
            "repetition": fmean(repeated_share(reply.text) for reply in replies_of),
        }
        surprise = [value for reply in replies_of for value in reply.logprobs]
        if surprise:
            found[agent]["entropy"] = fmean(-value for value in surprise)
        if agent in groups:
            found[agent]["flat_groups"] = fmean(groups[agent])
    for agent, by_domain in unaided_answers(episodes, scores, agents).items():
        if agent in found:
            right, answers = (sum(counts) for counts in zip(*by_domain.values(), strict=True))
            found[agent]["train_accuracy"] = right / answers
    return found


def unaided_answers(
    episodes: Sequence[Episode], scores: Sequence[Score | None], agents: frozenset[str]
) -> dict[str, dict[str, tuple[float, int]]]:
    """agent → domain → (right answers, answers), of those that the tasks count as unaided."""
    found: dict[str, dict[str, tuple[float, int]]] = {}
    for episode, score in zip(episodes, scores, strict=True):
        for each in score.unaided if score is not None else ():
            agent = episode.match.seats[each.seat].agent
            if agent in agents and each.n:
                right, answers = found.setdefault(agent, {}).get(each.domain, (0.0, 0))
                found[agent][each.domain] = right + each.right, answers + each.n
    return found


def signs(
    measured: Mapping[str, float], first: Mapping[str, float], later: Mapping[str, float] | None = None
) -> dict[str, float]:
    """The table's signs from measured quantities and those of the agent's first round.

    `later`: quantities that the first round lacked, as they were when they were first measured. What cannot be known is
    left out.
    """
    found = {sign: measured[sign] for sign in ("kl", "capped", "repetition", "flat_groups") if sign in measured}
    reference = {**(later or {}), **first}
    for sign, quantity in RELATIVE.items():
        if quantity in measured and reference.get(quantity, 0.0) > 0:
            found[sign] = measured[quantity] / reference[quantity]
        elif quantity in measured and sign == "entropy_low" and quantity not in reference:
            found[sign] = min(1.0, measured[quantity] / DETERMINISTIC)
    if "train_accuracy" in measured and "held_out" in measured:
        found["overfit"] = measured["train_accuracy"] - measured["held_out"]
    return found


def not_known_before(measured: Mapping[str, float], *known: Mapping[str, float]) -> dict[str, float]:
    """The quantities that later rounds are compared with and that were never measured before."""
    wanted = (*dict.fromkeys(RELATIVE.values()), "train_accuracy", BORN_WITH)
    return {name: measured[name] for name in wanted if name in measured and not any(name in each for each in known)}


def alarms(
    agent: str,
    measured: Mapping[str, float],
    first: Mapping[str, float],
    thresholds: Mapping[str, Thresholds],
    later: Mapping[str, float] | None = None,
) -> list[Alarm]:
    """The alarms of one agent's round, each for the stronger threshold it crosses.

    A sign that is not a number is an alarm of its own.
    """
    current, reference = signs(measured, first, later), {**(later or {}), **first}
    born = signs(first, first)
    if BORN_WITH in current:
        born[BORN_WITH] = reference.get(BORN_WITH, current[BORN_WITH])
    found = []
    for sign, value in current.items():
        limits = thresholds[sign]
        acting = _acting(sign, born.get(sign), limits.roll_back)
        if not math.isfinite(value):
            found.append(Alarm(agent, sign, value, limits.roll_back or limits.warn or 0.0, "roll back"))
        elif acting is not None and _beyond(sign, value, acting) and not _sure_and_right(sign, measured, reference):
            found.append(Alarm(agent, sign, value, acting, "roll back"))
        elif _beyond(sign, value, limits.warn):
            found.append(Alarm(agent, sign, value, limits.warn or 0.0, "warn"))
    return found


def _acting(sign: str, born: float | None, limit: float | None) -> float | None:
    """The value beyond which a sign rolls its agent back; None where it never does.

    `born`: the sign as the agent was born with it, None where it was born without.
    """
    if limit is None or born is None or not _beyond(sign, born, limit):
        return limit
    return born + limit if sign == BORN_WITH else None


def _sure_and_right(sign: str, measured: Mapping[str, float], first: Mapping[str, float]) -> bool:
    """Whether low entropy comes with more right answers than in the first round."""
    return sign == "entropy_low" and measured.get("train_accuracy", 0.0) > first.get("train_accuracy", 1.0)


def _beyond(sign: str, value: float, limit: float | None) -> bool:
    return limit is not None and (value < limit if sign in BELOW else value > limit)
