"""What a match needs so that it can be played again, token for token; part of its transcript.

`league.keep: replayable` adds it to the transcript of every match: the match's seed and beliefs, the task's kind and
settings, what the players brought, the problems' worked solutions, and of every reply its tokens and log-probabilities.
Weights are not in it: the run keeps the versions' adapters.

Left out on purpose: playing again, and comparing (league.evaluation.replay).
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from league.config import TaskConfig
from league.errors import DataError
from league.rollouts.play import Player
from league.rollouts.transcripts import transcript
from league.types import BetaBelief, Episode, Reply, Score

KEY = "replay"
"""Where a transcript has its record."""


@dataclass(frozen=True)
class ReplayKeeper:
    """Writes transcripts that can be played again."""

    rules: Mapping[str, TaskConfig]
    """Task → its kind and settings."""
    players: Mapping[str, Player]

    def transcript(
        self, episode: Episode, score: Score, advantages: Mapping[tuple[int, str], float], batch: str
    ) -> dict[str, object]:
        """The episode's transcript with its record. `batch` names, within the round, who was played together."""
        return transcript(episode, score, advantages) | {KEY: self._record(episode, batch)}

    def _record(self, episode: Episode, batch: str) -> dict[str, object]:
        match, rules = episode.match, self.rules[episode.match.task]
        agents = dict.fromkeys(version.agent for version in match.seats.values())
        brought = {agent: self.players.get(agent, Player()) for agent in agents}
        return {
            "batch": batch,
            "seed": match.seed,
            "beliefs": {seat: list(belief) for seat, belief in match.beliefs.items()},
            "task": {"kind": rules.kind, "settings": dict(rules.settings)},
            "players": {name: [player.system, player.temperature] for name, player in brought.items()},
            "solutions": [problem.solution for problem in match.problems],
            "replies": [packed(reply) for reply in replies_of(episode)],
        }


def replies_of(episode: Episode) -> Iterator[Reply]:
    """All replies in the order in which a transcript has them."""
    for _, decision in episode.decisions():
        for replies in decision.replies.values():
            yield from replies


def packed(reply: Reply) -> list[object]:
    """[tokens, log-probabilities in base64], both empty for players without tokens.

    Log-probabilities are little-endian, as fp32 where that is exact (sampling gives fp32), else as fp64.
    """
    exact = np.asarray(reply.logprobs, "<f8")
    short = exact.astype("<f4")
    kept = short if np.array_equal(short.astype("<f8"), exact) else exact
    return [list(reply.tokens), base64.b64encode(kept.tobytes()).decode()]


@dataclass(frozen=True)
class SaidTokens:
    """The tokens of one reply with their log-probabilities."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]

    @classmethod
    def unpacked(cls, data: Any) -> "SaidTokens":
        """What `packed` gave. Raises ValueError or TypeError for anything else."""
        tokens, text = data
        raw = base64.b64decode(text, validate=True)
        kind = "<f8" if tokens and len(raw) == 8 * len(tokens) else "<f4"
        found = cls(tuple(map(int, tokens)), tuple(np.frombuffer(raw, kind).astype("<f8").tolist()))
        if len(found.tokens) != len(found.logprobs):
            raise ValueError(f"{len(found.tokens)} tokens have {len(found.logprobs)} log-probabilities")
        return found


@dataclass(frozen=True, kw_only=True)
class ReplayRecord:
    """A stored record, read and checked. It may come from a stranger's database."""

    batch: str
    seed: int
    beliefs: Mapping[str, BetaBelief]
    kind: str
    """Of the task; for comparing with the config's, never for making one."""
    settings: Mapping[str, Any]
    players: Mapping[str, Player]
    solutions: tuple[str | None, ...]
    replies: tuple[SaidTokens, ...]

    @classmethod
    def of(cls, shown: object) -> "ReplayRecord | None":
        """The record in a stored transcript, None where it has none.

        Raises DataError for one that is not of the stored shape.
        """
        data = shown.get(KEY) if isinstance(shown, dict) else None
        if data is None:
            return None
        try:
            return cls(
                batch=str(data["batch"]),
                seed=int(data["seed"]),
                beliefs={
                    seat: BetaBelief(float(right), float(wrong)) for seat, (right, wrong) in data["beliefs"].items()
                },
                kind=str(data["task"]["kind"]),
                settings=dict(data["task"]["settings"]),
                players={name: Player(_text(system), float(f)) for name, (system, f) in data["players"].items()},
                solutions=tuple(map(_text, data["solutions"])),
                replies=tuple(SaidTokens.unpacked(each) for each in data["replies"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise DataError(f"the record for replays of a match is not of the stored shape: {error!r}") from error


def _text(value: object) -> str | None:
    return None if value is None else str(value)
