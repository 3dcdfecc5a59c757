"""Worked replies that wait for the gate: right, but not yet known to come from a better teacher.

With few answers the gate's bounds are wide, so the first right replies of a good teacher are held back. They are kept,
the newest `LIMIT` of each student and domain, and learned when the gate opens: at most `AT_ONCE` of a student in a
round, oldest first. A reply waits at most `PATIENCE` rounds: a gate that stays shut that long has judged its teacher.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from league.learning.channels.examples import FoundExample
from league.learning.channels.gate import Gate
from league.learning.channels.kept import KeptReply, newest_replies
from league.types import Version

LIMIT = 64
PATIENCE = 20
AT_ONCE = 32


@dataclass(frozen=True)
class WaitingReplies:
    """All that wait, oldest first."""

    rows: tuple[KeptReply, ...] = ()

    def held(self, found: Iterable[tuple[FoundExample, tuple[int, ...]]], number: int) -> "WaitingReplies":
        """With the replies (example, tokens) that the gate held back in round `number`; no text waits twice."""
        rows = [row for row in self.rows if number - row.since < PATIENCE]
        known = {row.key for row in rows}
        for each, tokens in found:
            if (key := (each.learner.agent, each.problem, tokens)) not in known:
                known.add(key)
                rows.append(
                    KeptReply(
                        learner=each.learner.agent,
                        teacher=each.teacher,
                        domain=each.example.domain,
                        problem=each.problem,
                        tokens=tokens,
                        weight=each.example.weight,
                        since=number,
                    )
                )
        return WaitingReplies(newest_replies(rows, LIMIT))

    def released(
        self, gate: Gate, learners: Mapping[str, Version], teachers: Mapping[str, Version]
    ) -> tuple[list[tuple[KeptReply, float]], "WaitingReplies"]:
        """(reply, the gate's strength) of those that may be learned now, and who still waits.

        `learners` and `teachers` are live versions by agent: a teacher that has trained since is judged as it is now. A
        reply whose learner has left, or trains no more, is forgotten.
        """
        out: list[tuple[KeptReply, float]] = []
        rest: list[KeptReply] = []
        left = dict.fromkeys(learners, AT_ONCE)
        for row in self.rows:
            learner = learners.get(row.learner)
            if learner is None:
                continue
            known = gate.competence.counts(row.teacher, row.domain)[1] > 0
            teacher = row.teacher if known else teachers.get(row.teacher.agent, row.teacher)
            strength = gate.weight(teacher, learner, row.domain)
            if strength > 0 and left[row.learner] > 0:
                left[row.learner] -= 1
                out.append((row, strength))
            else:
                rest.append(row)
        return out, WaitingReplies(tuple(rest))

    def to_json(self) -> list[Any]:
        """A row for each reply (league.learning.channels.kept)."""
        return [row.to_json() for row in self.rows]

    @classmethod
    def from_json(cls, data: Iterable[Any]) -> "WaitingReplies":
        return cls(tuple(KeptReply.from_json(row) for row in data))
