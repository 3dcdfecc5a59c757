"""How an agent plays a small OpenSpiel game: its policy, information set by information set.

Where a policy comes from:

    stated    a mixed strategy over texts (`says`), or a script that states its `chances`
    read off  an adapter whose replies are held to the legal actions by a grammar: the exact distribution over them,
              token by token (`league/evaluation/action_probabilities.py`)
    sampled   everybody else: replies drawn at each information set, as counts

A policy is what is played given a legal reply; the mean share of legal replies is told beside it. An information set
at which no reply was legal counts as uniform.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from league.backends.scripted import imported
from league.config import AgentConfig
from league.errors import BackendError, Foreign, UserError
from league.seeds import derive
from league.types import BASE, Backend, Message, Request, Sampling, Version
from tasks.openspiel.exact import InformationSet, Policy
from tasks.openspiel.task import OpenSpielGame
from tasks.openspiel.text import parse_action

if TYPE_CHECKING:
    from league.model.bank import AdapterBank
    from league.rollouts import Player

How = Literal["stated", "read off", "sampled"]
Shares = Mapping[int, float]
"""Action → weight of the legal replies that name it."""


@runtime_checkable
class StatesChances(Protocol):
    """A script that can say how likely each of its replies is."""

    def chances(self, messages: Sequence[Message]) -> Mapping[str, float]:
        """Reply → its probability."""
        ...


@dataclass(frozen=True)
class PlayedPolicy:
    """A version's policy, where it comes from, and the mean share of its replies that were legal."""

    version: Version
    how: How
    legal: float
    policy: Policy


@dataclass(frozen=True)
class Question:
    """What is asked at one or more information sets: the same words, the same actions."""

    messages: tuple[Message, ...]
    names: tuple[tuple[int, str], ...]
    sampling: Sampling


def questions(rules: OpenSpielGame, sets: Mapping[str, InformationSet]) -> dict[str, Question]:
    """Information set → what is asked there. Sets that read alike share a question."""
    return {
        key: Question(each.prompt, tuple(each.names.items()), rules.sampling(list(each.names.values())))
        for key, each in sets.items()
    }


def played_policy(
    version: Version,
    asked: Mapping[str, Question],
    *,
    agent: AgentConfig | None,
    player: "Player",
    bank: "AdapterBank | None",
    backend: Backend,
    samples: int,
) -> PlayedPolicy:
    """The policy of a version; `agent` is its config, None for the base model and frozen pasts.

    Raises UserError where the player cannot be asked.
    """
    from league.rollouts import with_instructions

    distinct = list(dict.fromkeys(asked.values()))
    messages = [with_instructions(each.messages, player.system) for each in distinct]
    how: How = "sampled"
    if agent is not None and agent.can.speaks == "script":
        script = imported(agent.script) if agent.script is not None else None
        if agent.says is not None:
            how, found = "stated", [_shares(agent.says, each) for each in distinct]
        elif isinstance(script, StatesChances):
            with Foreign(f"agents.{version.agent}: its script fails"):
                found = [_shares(script.chances(text), each) for text, each in zip(messages, distinct, strict=True)]
            how = "stated"
    elif bank is not None and (version == BASE or version in bank) and _readable(distinct):
        from league.evaluation.action_probabilities import action_probabilities

        scaled = [_scaled(each, player.temperature) for each in distinct]
        held = [(each.names, sampling) for each, sampling in zip(distinct, scaled, strict=True)]
        how, found = "read off", [(shares, 1.0) for shares in action_probabilities(bank, version, messages, held)]
    if how == "sampled":
        asks = [replace(each, messages=text) for each, text in zip(distinct, messages, strict=True)]
        found = _sampled(version, asks, player, backend, samples)
    by_question = dict(zip(distinct, found, strict=True))
    legal = sum(share for _, share in found) / max(1, len(found))
    return PlayedPolicy(version, how, legal, {key: _normal(by_question[each][0], each) for key, each in asked.items()})


def _readable(asked: Sequence[Question]) -> bool:
    """Whether replies are held to the actions, and drawn from a distribution that can be read off."""
    plain = all(name.isascii() for each in asked for _, name in each.names)
    return plain and all(each.sampling.grammar is not None and each.sampling.temperature > 0 for each in asked)


def _scaled(asked: Question, factor: float) -> Sampling:
    return replace(asked.sampling, temperature=asked.sampling.temperature * factor)


def _shares(chances: Mapping[str, float], asked: Question) -> tuple[Shares, float]:
    """(Action → weight, share of the weight that is legal) of weighted replies."""
    names, total = dict(asked.names), 0.0
    weights: dict[int, float] = {}
    for text, weight in chances.items():
        total += float(weight)
        action = parse_action(text, names)
        if action is not None:
            weights[action] = weights.get(action, 0.0) + float(weight)
    return weights, sum(weights.values()) / total if total > 0 else 0.0


def _sampled(
    version: Version,
    asked: Sequence[Question],
    player: "Player",
    backend: Backend,
    samples: int,
) -> list[tuple[Shares, float]]:
    requests = [
        Request(
            version=None if version == BASE else version,
            messages=each.messages,
            samples=samples,
            sampling=_scaled(each, player.temperature),
            seed=derive("policy", str(version), place),
        )
        for place, each in enumerate(asked)
    ]
    found = []
    for each, answer in zip(asked, backend.generate(requests), strict=True):
        if isinstance(answer, BackendError):
            raise UserError(f"{version} could not be asked: {answer}")
        found.append(_shares(Counter(reply.text for reply in answer), each))
    return found


def _normal(shares: Shares, asked: Question) -> dict[int, float]:
    """Action → probability, every action named; uniform where nothing legal was said."""
    total = sum(shares.values())
    if total <= 0:
        return {action: 1 / len(asked.names) for action, _ in asked.names}
    return {action: shares.get(action, 0.0) / total for action, _ in asked.names}
