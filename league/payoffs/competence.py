"""How good each player is alone in each domain, with its uncertainty.

A cell counts right and all unaided answers of a version in a domain. A version that learns carries its counts on,
worth ½^(1 / half_life) after every update: old answers were another policy's. With r of n,

    accuracy ~ Beta(r + ½, n − r + ½)

(Jeffreys' prior). Bounds are its quantiles. Only answers to training and validation problems are counted, before they
were learned from; test problems must decide nothing.

Failure case. An agent that improves faster than the half-life is underrated; a collapse is seen late for the same
reason.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from scipy.special import betaincinv

from league.types import Version

PRIOR = 0.5
"""Of Jeffreys' Beta(½, ½)."""
Cell = tuple[float, float]
"""Right answers and all answers; fractions, because old ones count less."""


@lru_cache(maxsize=65_536)
def _bounds(one: float, other: float, confidence: float) -> tuple[float, float]:
    low, high = betaincinv(one, other, (1.0 - confidence, confidence))
    return float(low), float(high)


@dataclass(frozen=True)
class Competence:
    """Right and all unaided answers of versions by domain. `Competence()` knows nothing."""

    cells: Mapping[tuple[Version, str], Cell] = field(default_factory=dict)

    # ------------------------------------------------------------------------------------------- read from it
    def counts(self, version: Version, domain: str) -> Cell:
        """(right, answers); zeros when nothing is known."""
        return self.cells.get((version, domain), (0.0, 0.0))

    def belief(self, version: Version, domain: str) -> tuple[float, float]:
        """The two parameters of the Beta posterior of its accuracy."""
        right, answers = self.counts(version, domain)
        return right + PRIOR, answers - right + PRIOR

    def mean(self, version: Version, domain: str) -> float:
        """Posterior mean of its accuracy."""
        one, other = self.belief(version, domain)
        return one / (one + other)

    def bounds(self, version: Version, domain: str, confidence: float) -> tuple[float, float]:
        """Lower and upper bound of its accuracy, each one-sided at `confidence`."""
        return _bounds(*self.belief(version, domain), confidence)

    # --------------------------------------------------------------------------------------------- next values
    def add(self, found: Iterable[tuple[Version, str, float, float]]) -> "Competence":
        """With more answers, each (version, domain, right, answers)."""
        cells = dict(self.cells)
        for version, domain, right, answers in found:
            before = cells.get((version, domain), (0.0, 0.0))
            cells[version, domain] = before[0] + right, before[1] + answers
        return Competence(cells)

    def inherited(self, heirs: Mapping[Version, Version], worth: float = 1.0) -> "Competence":
        """With the counts of each version passed on to its heir, times `worth`; the version keeps its own.

        They add to what the heir has answered already: an exam may come before.
        """
        return self.add(
            (heir, domain, right * worth, answers * worth)
            for (version, domain), (right, answers) in self.cells.items()
            if (heir := heirs.get(version)) is not None
        )

    def kept(self, versions: Iterable[Version]) -> "Competence":
        """Only of these versions."""
        wanted = set(versions)
        return Competence({key: cell for key, cell in self.cells.items() if key[0] in wanted})

    # ------------------------------------------------------------------------------------------------ storage
    def to_json(self) -> list[Any]:
        """Rows [version, domain, right, answers]."""
        return [[str(version), domain, *cell] for (version, domain), cell in self.cells.items()]

    @classmethod
    def from_json(cls, data: Iterable[Any]) -> "Competence":
        return cls({(Version.parse(name), domain): (right, answers) for name, domain, right, answers in data})
