"""What each channel of teaching does to a student's unaided accuracy, per thousand tokens.

For one student in one domain, a linear model of its accuracy on problems it has not learned from:

    right_r / n_r = a + Σ_c g_c · X_c(r) + noise,      noise variance ¼ / n_r

X_c(r) are the thousands of tokens that channel c (a teacher and a way of learning) had trained before the answers of
round r. Ridge regression with a prior Normal(0, `PRIOR`²) on each g_c and Normal(½, 1) on a gives a posterior mean and
a covariance; a Thompson draw is one sample of it. Old rounds count ½^(rounds / half_life), because gains fall as a
student saturates. What a token spent gains is g_c times the channel's yield, the share of its tokens that were trained
on,

    yield_c = (trained_c + ½ κ) / (trained_c + sampled_c + κ),      κ = `YIELD_TOKENS`

A teacher that is seldom right yields little, and that is known long before any gain could be measured.

Source: Bayesian linear bandits (Agrawal and Goyal 2013, arXiv 1209.3352), with forgetting.

Failure cases. Channels that always spend together cannot be told apart: their posterior stays wide along the
difference. Transfer from another domain is credited to whatever was spent here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from league.payoffs.matrix import FloatArray

PRIOR = 0.2
"""Standard deviation of a gain believed before any data: accuracy per thousand tokens trained on."""
YIELD_TOKENS = 300.0
"""κ: tokens whose yield of one half is believed before any data."""
NOISE = 0.25
"""Largest variance of one answer being right."""
Source = tuple[str, str]
"""(teacher's agent, or "" for none; channel)."""


@dataclass(frozen=True)
class GainEstimate:
    """Accuracy gained per thousand tokens spent, its standard deviation, and the thousands spent."""

    source: Source
    gain: float
    deviation: float
    tokens: float


@dataclass(frozen=True)
class _Model:
    """The regression of one student in one domain: C sources, and the intercept in front."""

    sources: tuple[Source, ...] = ()
    trained: tuple[float, ...] = ()
    """X_c now (C,)."""
    sampled: tuple[float, ...] = ()
    """Thousands of tokens (C,)."""
    precision: tuple[tuple[float, ...], ...] = ((1.0,),)
    """Σ w x xᵀ with the prior (C + 1, C + 1)."""
    moment: tuple[float, ...] = (0.5,)
    """Σ w x y with the prior (C + 1,)."""

    def with_source(self, source: Source) -> "_Model":
        if source in self.sources:
            return self
        rows = [(*row, 0.0) for row in self.precision]
        rows.append((*(0.0,) * len(self.moment), PRIOR**-2))
        return _Model(
            (*self.sources, source), (*self.trained, 0.0), (*self.sampled, 0.0), tuple(rows), (*self.moment, 0.0)
        )

    def paid(self, source: Source, sampled: float, trained: float) -> "_Model":
        model = self.with_source(source)
        place = model.sources.index(source)
        return replace(
            model,
            trained=_with_more(model.trained, place, trained / 1000.0),
            sampled=_with_more(model.sampled, place, sampled / 1000.0),
        )

    def yields(self) -> FloatArray:
        """Share of each source's tokens that were trained on (C,)."""
        believed, trained_C = YIELD_TOKENS / 1000.0, np.array(self.trained)
        return np.asarray((trained_C + believed / 2) / (trained_C + np.array(self.sampled) + believed))

    def observed(self, right: float, n: float) -> "_Model":
        x_C = np.array([1.0, *self.trained])
        weight = n / NOISE
        precision_CC = np.array(self.precision) + weight * np.outer(x_C, x_C)
        moment_C = np.array(self.moment) + weight * (right / n) * x_C
        return replace(self, precision=_rows(precision_CC), moment=tuple(moment_C.tolist()))

    def aged(self, worth: float) -> "_Model":
        """Old evidence counts less; the prior does not."""
        prior_C = np.array([1.0, *(PRIOR**-2,) * len(self.sources)])
        precision_CC = (np.array(self.precision) - np.diag(prior_C)) * worth + np.diag(prior_C)
        centre_C = np.array([0.5, *(0.0,) * len(self.sources)])
        moment_C = (np.array(self.moment) - centre_C) * worth + centre_C
        return replace(self, precision=_rows(precision_CC), moment=tuple(moment_C.tolist()))

    def posterior(self) -> tuple[FloatArray, FloatArray]:
        """Mean (C,) and covariance (C, C) of the gains per thousand tokens spent."""
        covariance_CC = np.linalg.inv(np.array(self.precision))
        yields_C = self.yields()
        mean_C = (covariance_CC @ np.array(self.moment))[1:]
        return mean_C * yields_C, covariance_CC[1:, 1:] * np.outer(yields_C, yields_C)


def _with_more(values: tuple[float, ...], place: int, more: float) -> tuple[float, ...]:
    return (*values[:place], values[place] + more, *values[place + 1 :])


def _rows(matrix_CC: FloatArray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix_CC.tolist())


@dataclass(frozen=True)
class ChannelGains:
    """The regressions of all (student, domain); `ChannelGains()` has seen nothing."""

    models: Mapping[tuple[str, str], _Model] = field(default_factory=dict)

    def observed(self, student: str, domain: str, right: float, n: float) -> "ChannelGains":
        """The student answered `right` of `n` problems unaided, after all that was spent so far."""
        if n <= 0:
            return self
        return self._changed(student, domain, self._model(student, domain).observed(right, n))

    def paid(
        self, student: str, domain: str, source: Source, *, sampled: float = 0.0, trained: float = 0.0
    ) -> "ChannelGains":
        """A channel spent tokens on the student in the domain."""
        return self._changed(student, domain, self._model(student, domain).paid(source, sampled, trained))

    def aged(self, half_life: float) -> "ChannelGains":
        """One round later."""
        return ChannelGains({key: model.aged(0.5 ** (1.0 / half_life)) for key, model in self.models.items()})

    def kept(self, students: Iterable[str]) -> "ChannelGains":
        """Only of these students."""
        wanted = set(students)
        return ChannelGains({key: model for key, model in self.models.items() if key[0] in wanted})

    def draws(
        self, wanted: Iterable[tuple[str, str, Source]], rng: np.random.Generator
    ) -> dict[tuple[str, str, Source], float]:
        """One Thompson draw of every gain (student, domain, source); the prior's where nothing is known."""
        by_model: dict[tuple[str, str], list[Source]] = {}
        for student, domain, source in wanted:
            by_model.setdefault((student, domain), []).append(source)
        found: dict[tuple[str, str, Source], float] = {}
        for (student, domain), sources in by_model.items():
            model = self._model(student, domain)
            for source in dict.fromkeys(sources):
                model = model.with_source(source)
            mean_C, covariance_CC = model.posterior()
            drawn_C = rng.multivariate_normal(mean_C, covariance_CC, method="eigh")
            found |= {
                (student, domain, source): float(gain) for source, gain in zip(model.sources, drawn_C, strict=True)
            }
        return found

    def estimates(self) -> dict[tuple[str, str], list[GainEstimate]]:
        """(student, domain) → each source's estimate."""
        found = {}
        for key, model in self.models.items():
            mean_C, covariance_CC = model.posterior()
            deviation_C = np.sqrt(np.diag(covariance_CC))
            found[key] = [
                GainEstimate(source, float(gain), float(deviation), trained + sampled)
                for source, gain, deviation, trained, sampled in zip(
                    model.sources, mean_C, deviation_C, model.trained, model.sampled, strict=True
                )
            ]
        return found

    def _model(self, student: str, domain: str) -> _Model:
        return self.models.get((student, domain), _Model())

    def _changed(self, student: str, domain: str, model: _Model) -> "ChannelGains":
        return ChannelGains({**self.models, (student, domain): model})

    # ------------------------------------------------------------------------------------------------ storage
    def to_json(self) -> list[Any]:
        """Rows [student, domain, sources, trained, sampled, precision, moment]."""
        return [
            [
                student,
                domain,
                [list(s) for s in m.sources],
                list(m.trained),
                list(m.sampled),
                [list(r) for r in m.precision],
                list(m.moment),
            ]
            for (student, domain), m in self.models.items()
        ]

    @classmethod
    def from_json(cls, data: Iterable[Any]) -> "ChannelGains":
        return cls(
            {
                (student, domain): _Model(
                    tuple((teacher, channel) for teacher, channel in sources),
                    tuple(trained),
                    tuple(sampled),
                    tuple(tuple(row) for row in precision),
                    tuple(moment),
                )
                for student, domain, sources, trained, sampled, precision, moment in data
            }
        )
