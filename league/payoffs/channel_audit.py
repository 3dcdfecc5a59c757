"""What each channel of teaching caused in a run: held-out accuracy credited to it.

Unlike `channel_gains`, which steers the next tokens and forgets, this regression forgets nothing. For one student in
one domain, over all rounds r in which it answered held-out problems of kind k (in training, or in exams):

    right_r / n_r = a_k + Σ_c b_c · X_c(r) / X_c(last) + noise,      noise variance ¼ / n_r

X_c(r) are the thousands of tokens, sampled and trained on, that source c (a teacher and a channel) had spent before
the answers; b_c is the rise credited to it up to the last answers: its gain per thousand tokens times its tokens.
Exams are greedy and training samples, so each kind has a level a_k of its own. Priors: b_c ~ Normal(0, `REACH`²),
a_k ~ Normal(½, 1). A channel without evidence thus has the interval ± 98 points, and shares that cannot be told apart
are split evenly between their channels.

Source: Bayesian linear regression (Bishop, Pattern Recognition and Machine Learning, section 3.3).

Failure cases. Sources that always spend in the same proportion cannot be told apart: only their sum is known, each
interval is wide, and `Credits.entangled` names them. It is an observational study: what happened at the same time and
cost no tokens here (lessons in another domain, weights copied from another agent, a roll back) is credited to what was
spent meanwhile. The gain is taken as equal for every token; of channels used one after the other, the later one is
underrated when the student saturates.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from league.payoffs.channel_gains import NOISE, Source
from league.payoffs.matrix import FloatArray

REACH = 0.5
"""Standard deviation of a credit believed before any data: half of all problems."""
LEVEL, LEVEL_DEVIATION = 0.5, 1.0
"""Mean and standard deviation of a level believed before any data."""
WINDOW = 20
"""The first and the last accuracy are those of whole rounds with at least so many answers."""
SOURCES = 24
"""Sources of one student in one domain that are told apart.

Later teachers are booked together, under `OTHERS`.
"""
OTHERS = "*"
"""Stands for the teachers beyond `SOURCES`; no agent can have this name."""
ENTANGLED, UNSURE = -0.7, 0.05
"""Credits are hardly told apart below this posterior correlation, with both deviations above that."""
Kind = Literal["training", "exam"]
KINDS: tuple[Kind, ...] = ("training", "exam")
Answers = tuple[float, float]
"""(right, all)."""
Windows = tuple[tuple[Answers, ...], ...]
"""Kind → rounds of answers, oldest first."""


@dataclass(frozen=True)
class Paid:
    """What a source spent: tokens sampled, tokens trained on, and samples learned."""

    sampled: float = 0.0
    trained: float = 0.0
    samples: int = 0

    def __add__(self, other: "Paid") -> "Paid":
        return Paid(self.sampled + other.sampled, self.trained + other.trained, self.samples + other.samples)

    @property
    def tokens(self) -> float:
        return self.sampled + self.trained


@dataclass(frozen=True)
class ChannelCredit:
    """What some sources caused together: mean and variance of the posterior of the sum."""

    mean: float
    by_chance: float
    """Variance that comes from chance in the answers: independent between students."""
    by_prior: float
    """Variance where the answers cannot tell and the prior decides: alike for all students."""

    @property
    def deviation(self) -> float:
        return (self.by_chance + self.by_prior) ** 0.5


def mean_credit(found: Sequence[ChannelCredit]) -> ChannelCredit:
    """The mean of credits of different students or domains.

    Chance averages out; what the prior decides does not: the same channels are mixed up in the same way.
    """
    n = len(found)
    return ChannelCredit(
        sum(each.mean for each in found) / n,
        sum(each.by_chance for each in found) / n**2,
        (sum(each.by_prior**0.5 for each in found) / n) ** 2,
    )


@dataclass(frozen=True)
class Credits:
    """What the C sources of one student in one domain caused. Accuracies are fractions, 0…1."""

    sources: tuple[Source, ...]
    paid: tuple[Paid, ...]
    followed: tuple[float, ...]
    """Tokens that held-out answers have followed (C,): only these can be credited."""
    mean_C: FloatArray
    """Credited rise; NaN where no answer has followed."""
    covariance_CC: FloatArray
    """NaN in the same rows and columns."""
    prior_CC: FloatArray
    """The part of the covariance that comes from the prior.

    P⁻¹ Λ P⁻¹, with P the posterior's and Λ the prior's precision; the rest is the sampling variance of the mean.
    """
    accuracy: Mapping[Kind, tuple[Answers, Answers]]
    """Kind → the first and the last answers; without kinds that were never answered."""

    def together(self, chosen: Iterable[Source]) -> ChannelCredit | None:
        """The sum over these sources; None where none of them is known."""
        wanted = set(chosen)
        pick_C = np.array([source in wanted for source in self.sources], dtype=bool) & ~np.isnan(self.mean_C)
        if not pick_C.any():
            return None
        whole, prior = (float(each[np.ix_(pick_C, pick_C)].sum()) for each in (self.covariance_CC, self.prior_CC))
        return ChannelCredit(float(self.mean_C[pick_C].sum()), max(0.0, whole - prior), max(0.0, prior))

    def entangled(self, source: Source) -> tuple[Source, ...]:
        """The sources that are hardly told apart from this one."""
        at = self.sources.index(source)
        deviation_C = np.sqrt(np.diag(self.covariance_CC))
        correlation_C = self.covariance_CC[at] / (deviation_C * deviation_C[at])
        hardly_C = (correlation_C < ENTANGLED) & (np.minimum(deviation_C, deviation_C[at]) > UNSURE)
        return tuple(self.sources[c] for c in np.flatnonzero(hardly_C))


@dataclass(frozen=True)
class _Cell:
    """The regression of one student in one domain: K levels, then C sources; no prior is in it."""

    sources: tuple[Source, ...] = ()
    paid: tuple[Paid, ...] = ()
    followed: tuple[float, ...] = ()
    gram: tuple[float, ...] = (0.0,) * 3
    """Σ w x xᵀ (K + C, K + C) in thousands of tokens: its lower triangle, row by row."""
    moment: tuple[float, ...] = (0.0,) * 2
    """Σ w x y (K + C,)."""
    first: Windows = ((), ())
    last: Windows = ((), ())

    def more(self, source: Source, paid: Paid) -> "_Cell":
        """A source spent more."""
        if source not in self.sources and len(self.sources) >= SOURCES:
            source = (OTHERS, source[1])
        if source not in self.sources:
            return replace(
                self,
                sources=(*self.sources, source),
                paid=(*self.paid, paid),
                followed=(*self.followed, 0.0),
                gram=(*self.gram, *(0.0,) * (len(self.moment) + 1)),
                moment=(*self.moment, 0.0),
            )
        at = self.sources.index(source)
        return replace(self, paid=(*self.paid[:at], self.paid[at] + paid, *self.paid[at + 1 :]))

    def observed(self, kind: Kind, right: float, n: float) -> "_Cell":
        """A round of answers, after all that was spent so far."""
        followed = tuple(each.tokens for each in self.paid)
        x = np.array([*(float(kind == each) for each in KINDS), *(tokens / 1000.0 for tokens in followed)])
        weight = n / NOISE
        lower = np.outer(x, x)[np.tril_indices(len(x))]
        at = KINDS.index(kind)
        first, last = self.first[at], [*self.last[at], (right, n)]
        if _count(first) < WINDOW:
            first = (*first, (right, n))
        while _count(last[1:]) >= WINDOW:
            last.pop(0)
        return replace(
            self,
            followed=followed,
            gram=tuple((np.array(self.gram) + weight * lower).tolist()),
            moment=tuple((np.array(self.moment) + weight * (right / n) * x).tolist()),
            first=(*self.first[:at], first, *self.first[at + 1 :]),
            last=(*self.last[:at], tuple(last), *self.last[at + 1 :]),
        )

    def credits(self) -> Credits:
        """The posterior of what every source caused."""
        levels, sources = len(KINDS), len(self.sources)
        spent_C = np.array(self.followed) / 1000.0
        inverse_C = np.divide(1.0, spent_C, out=np.zeros(sources), where=spent_C > 0)
        scale = np.concatenate([np.ones(levels), inverse_C])
        gram = np.zeros((len(scale), len(scale)))
        gram[np.tril_indices(len(scale))] = self.gram
        gram += np.tril(gram, -1).T
        prior = np.array([*(LEVEL_DEVIATION**-2,) * levels, *(REACH**-2,) * sources])
        centre = np.array([*(LEVEL,) * levels, *(0.0,) * sources])
        precision = gram * np.outer(scale, scale) + np.diag(prior)
        covariance = np.asarray(np.linalg.inv(precision), dtype=np.float64)
        mean_C = (covariance @ (np.array(self.moment) * scale + prior * centre))[levels:]
        covariance_CC = covariance[levels:, levels:]
        prior_CC = ((covariance * prior) @ covariance)[levels:, levels:]
        unknown_C = spent_C == 0
        mean_C[unknown_C] = covariance_CC[unknown_C, :] = covariance_CC[:, unknown_C] = np.nan
        accuracy = {
            kind: (_pooled(self.first[at]), _pooled(self.last[at])) for at, kind in enumerate(KINDS) if self.first[at]
        }
        return Credits(
            self.sources,
            self.paid,
            self.followed,
            mean_C=mean_C,
            covariance_CC=covariance_CC,
            prior_CC=prior_CC,
            accuracy=accuracy,
        )


def _count(rounds: Sequence[Answers]) -> float:
    return sum(n for _, n in rounds)


def _pooled(rounds: Sequence[Answers]) -> Answers:
    return sum(right for right, _ in rounds), _count(rounds)


@dataclass(frozen=True)
class ChannelAudit:
    """The audit of all (student, domain); `ChannelAudit()` has seen nothing."""

    cells: Mapping[tuple[str, str], _Cell] = field(default_factory=dict)
    complete: bool = True
    """False where the run had rounds before it was audited."""

    def observed(self, student: str, domain: str, kind: Kind, *, right: float, n: float) -> "ChannelAudit":
        """The student answered `right` of `n` held-out problems, after all that was spent so far."""
        if n <= 0:
            return self
        return self._changed(student, domain, self._cell(student, domain).observed(kind, right, n))

    def paid(self, student: str, domain: str, source: Source, paid: Paid) -> "ChannelAudit":
        """A source spent tokens on the student in the domain."""
        return self._changed(student, domain, self._cell(student, domain).more(source, paid))

    def credits(self) -> dict[tuple[str, str], Credits]:
        """(student, domain) → what its sources caused, in the order in which they were first heard of."""
        return {key: cell.credits() for key, cell in self.cells.items()}

    def _cell(self, student: str, domain: str) -> _Cell:
        return self.cells.get((student, domain), _Cell())

    def _changed(self, student: str, domain: str, cell: _Cell) -> "ChannelAudit":
        return replace(self, cells={**self.cells, (student, domain): cell})

    # ------------------------------------------------------------------------------------------------ storage
    def to_json(self) -> dict[str, Any]:
        """`complete`, and `cells`.

        A cell is student, domain, sources with what they spent, gram, moment, first and last answers.
        """
        return {
            "complete": self.complete,
            "cells": [
                [
                    student,
                    domain,
                    [
                        [*source, paid.sampled, paid.trained, paid.samples, followed]
                        for source, paid, followed in zip(cell.sources, cell.paid, cell.followed, strict=True)
                    ],
                    list(cell.gram),
                    list(cell.moment),
                    [[list(each) for each in rounds] for rounds in cell.first],
                    [[list(each) for each in rounds] for rounds in cell.last],
                ]
                for (student, domain), cell in self.cells.items()
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> "ChannelAudit":
        """What `to_json` gave; None, from a run that was not audited, is an incomplete audit."""
        if data is None:
            return cls(complete=False)
        cells = {}
        for student, domain, sources, gram, moment, first, last in data["cells"]:
            cells[student, domain] = _Cell(
                sources=tuple((teacher, channel) for teacher, channel, *_ in sources),
                paid=tuple(Paid(sampled, trained, samples) for *_, sampled, trained, samples, _ in sources),
                followed=tuple(followed for *_, followed in sources),
                gram=tuple(gram),
                moment=tuple(moment),
                first=_windows(first),
                last=_windows(last),
            )
        return cls(cells, data["complete"])


def _windows(data: Iterable[Iterable[Answers]]) -> Windows:
    return tuple(tuple((right, n) for right, n in rounds) for rounds in data)
