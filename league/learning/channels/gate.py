"""From whom a student may learn in a domain, and how much.

A teacher must be surely better: the lower bound of its unaided accuracy lies above the upper bound of the student's,
each one-sided at `confidence`. How much a teacher counts is the share of the student's errors that it would not make,

    λ = clip((a_E − a_S) / (1 − a_S), 0, 1)

with the posterior means a_E and a_S. It falls to 0 as the student catches up: this is the annealing.

Failure case. With few answers the bounds are wide and the gate stays shut: a teacher needs about ten answers in a
domain before it is surely better than a student that answers nothing right.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from league.payoffs.competence import Competence
from league.types import Version


@dataclass(frozen=True)
class Gate:
    """What is known about who is better, and how sure one has to be."""

    competence: Competence
    confidence: float
    """One-sided, of each bound."""

    def surely_better(self, teacher: Version, student: Version, domain: str) -> bool:
        """Whether the teacher's lower bound lies above the student's upper bound."""
        low, _ = self.competence.bounds(teacher, domain, self.confidence)
        _, high = self.competence.bounds(student, domain, self.confidence)
        return low > high

    def strength(self, teacher: Version, student: Version, domain: str) -> float:
        """λ in [0, 1]: the share of the student's errors that the teacher would not make."""
        better, own = self.competence.mean(teacher, domain), self.competence.mean(student, domain)
        return min(1.0, max(0.0, (better - own) / (1.0 - own)))

    def weight(self, teacher: Version, student: Version, domain: str) -> float:
        """λ where the teacher is surely better, else 0."""
        return self.strength(teacher, student, domain) if self.surely_better(teacher, student, domain) else 0.0


def teachers_of(
    able: Iterable[tuple[Version, str]],
    student: Version,
    gate: Gate,
    domains: Iterable[str],
    *,
    live: Collection[Version],
) -> dict[str, Version]:
    """domain → who teaches the student there: the best lower bound among (version, domain) in `able`.

    A live teacher that has not answered yet goes first, so that it becomes known; a past that has not goes last. A
    past of the student itself must be surely better than the student is now, unless nobody else could teach.
    """
    wanted, offered = set(domains), [each for each in able if each[0] != student]
    others = {domain for version, domain in offered if version.agent != student.agent}
    found: dict[str, tuple[float, Version]] = {}
    for version, domain in offered:
        if domain not in wanted:
            continue
        own_past = version.agent == student.agent and domain in others
        if own_past and not gate.surely_better(version, student, domain):
            continue
        low, _ = gate.competence.bounds(version, domain, gate.confidence)
        if gate.competence.counts(version, domain)[1] <= 0:
            low = 1.0 if version in live else -1.0
        if domain not in found or low > found[domain][0]:
            found[domain] = low, version
    return {domain: version for domain, (_, version) in found.items()}
