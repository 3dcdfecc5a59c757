"""Replies kept beyond their round, to be learned later or again, each with its learner and problem."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from league.learning.channels.examples import Encode
from league.types import Channel, Sample, Version
from tasks.domains import Domain


@dataclass(frozen=True)
class KeptReply:
    """A teacher's right reply to a training problem, for one learner."""

    learner: str
    teacher: Version
    domain: str
    problem: str
    """Key of the problem that it solves."""
    tokens: tuple[int, ...]
    weight: float
    since: int
    """Round in which it was given."""
    channel: Channel = "worked_replies"

    @property
    def key(self) -> tuple[str, str, tuple[int, ...]]:
        """What makes two of them the same: who learns what for which problem."""
        return self.learner, self.problem, self.tokens

    def sample(self, domain: Domain, weight: float, encode: Encode) -> Sample:
        """As a text to be learned on the learner's prompt of today."""
        split, _, index = self.problem.removeprefix(f"{self.domain}/").partition("/")
        assert split == "train", "only training problems are learned from"
        return Sample(
            agent=self.learner,
            prompt_tokens=encode(self.learner, domain.prompt(domain.problem("train", int(index)))),
            tokens=self.tokens,
            logprobs=(),
            advantage=weight,
            channel=self.channel,
            teacher=self.teacher,
            domain=self.domain,
            problem=self.problem,
        )

    def to_json(self) -> list[Any]:
        """[learner, teacher, domain, problem, tokens, weight, since, channel]."""
        return [
            self.learner,
            str(self.teacher),
            self.domain,
            self.problem,
            list(self.tokens),
            self.weight,
            self.since,
            self.channel,
        ]

    @classmethod
    def from_json(cls, row: list[Any]) -> "KeptReply":
        """What `to_json` gave. Rows of seven are older: worked replies."""
        learner, teacher, domain, problem, tokens, weight, since, *rest = row
        return cls(
            learner=learner,
            teacher=Version.parse(teacher),
            domain=domain,
            problem=problem,
            tokens=tuple(tokens),
            weight=weight,
            since=since,
            channel=rest[0] if rest else "worked_replies",
        )


def newest_replies(rows: Iterable[KeptReply], limit: int) -> tuple[KeptReply, ...]:
    """The last `limit` of every learner and domain, in order."""
    left: dict[tuple[str, str], int] = {}
    kept = []
    for row in reversed(list(rows)):
        key = row.learner, row.domain
        left[key] = left.get(key, limit) - 1
        if left[key] >= 0:
            kept.append(row)
    return tuple(kept[::-1])
