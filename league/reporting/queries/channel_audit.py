"""What teaching caused, from a run's state: every channel, who rose, and two matrices.

Needs no pandas. A run of a version that did not audit was not measured: None, never 0.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import numpy as np

from league.payoffs.channel_audit import OTHERS, ChannelAudit, ChannelCredit, Credits, mean_credit
from league.payoffs.channel_gains import Source
from league.reporting.queries.estimates import Z, as_arrays, proportion
from league.reporting.views import Estimate, Matrix, Rise, Taught, TeachingAudit

BY_ITSELF = "by itself"
"""Stands for the teacher of what an agent learns from its own samples."""
Known = Mapping[tuple[str, str], Credits]
"""(student, domain) → what its sources caused."""


def channel_audit(state: Mapping[str, Any]) -> TeachingAudit | None:
    """The audit of a run of any age; None where there is none."""
    stored = state.get("channel_audit")
    if stored is None:
        return None
    audit = ChannelAudit.from_json(stored)
    known = {key: credits for key, credits in audit.credits().items() if credits.sources}
    channels = _matrix(known, "channel", lambda source: channel_name(source[1]))
    teachers = _matrix(known, "teacher", lambda source: teacher_name(source[0]))
    return TeachingAudit(
        taught=tuple(
            _taught(student, domain, credits, at)
            for (student, domain), credits in known.items()
            for at in range(len(credits.sources))
        ),
        rises=tuple(_rise(student, domain, credits) for (student, domain), credits in known.items()),
        channels=channels,
        teachers=teachers,
        complete=audit.complete,
    )


def taught_so_far(state: Mapping[str, Any]) -> dict[str, Estimate]:
    """Channel → points credited to its teachers, mean over the (student, domain) it taught."""
    stored = state.get("channel_audit")
    known = {} if stored is None else ChannelAudit.from_json(stored).credits()
    every = list(dict.fromkeys(source for found in known.values() for source in found.sources))
    channels = dict.fromkeys(channel for teacher, channel in every if teacher)
    means = {
        channel: mean_of(known.values(), {source for source in every if source[0] and source[1] == channel})
        for channel in channels
    }
    return {channel: found for channel, found in means.items() if found is not None}


def mean_of(found: Iterable[Credits], chosen: Collection[Source]) -> Estimate | None:
    """Mean over cells of the sum over the chosen sources, in points.

    Over those cells where it is known, which `n` counts; None where it is in none.
    """
    sums = [credits.together(chosen) for credits in found]
    known = [each for each in sums if each is not None]
    if not known:
        return None
    return _points(mean_credit(known), len(known))


def _points(credit: ChannelCredit, n: int = 0) -> Estimate:
    half = Z * credit.deviation
    return Estimate(100 * credit.mean, 100 * (credit.mean - half), 100 * (credit.mean + half), n)


def teacher_name(teacher: str) -> str:
    """A source's teacher in words."""
    return {"": BY_ITSELF, OTHERS: "other teachers"}.get(teacher, teacher)


def channel_name(channel: str) -> str:
    """A channel in words."""
    return channel.replace("_", " ")


def _taught(student: str, domain: str, credits: Credits, at: int) -> Taught:
    source, paid, followed = credits.sources[at], credits.paid[at], credits.followed[at]
    known = credits.together([source])
    return Taught(
        teacher=source[0],
        student=student,
        domain=domain,
        channel=source[1],
        sampled=round(paid.sampled),
        trained=round(paid.trained),
        samples=paid.samples,
        credit=None if known is None else _points(known),
        per_thousand=None if known is None else 100 * known.mean / (followed / 1000.0),
        entangled=tuple(_named(other) for other in credits.entangled(source)),
    )


def _named(source: Source) -> str:
    return channel_name(source[1]) + (f" of {teacher_name(source[0])}" if source[0] else "")


def _rise(student: str, domain: str, credits: Credits) -> Rise:
    kinds = sorted(credits.accuracy, key=lambda kind: sum(n for _, n in credits.accuracy[kind]))
    first, last = credits.accuracy[kinds[-1]] if kinds else ((0.0, 0.0), (0.0, 0.0))
    together = credits.together(credits.sources)
    return Rise(
        student=student,
        domain=domain,
        kind=kinds[-1] if kinds else "",
        first=proportion(first[0], round(first[1])),
        last=proportion(last[0], round(last[1])),
        credited=None if together is None else _points(together),
    )


def _matrix(known: Known, axis: str, name: Callable[[Source], str]) -> Matrix:
    """Rows (named by source) × domains: points, mean over the students that were taught so in the domain."""
    rows: dict[str, set[Source]] = {}
    by_domain: dict[str, list[Credits]] = {}
    for (_, domain), credits in known.items():
        by_domain.setdefault(domain, []).append(credits)
    every = dict.fromkeys(source for credits in known.values() for source in credits.sources)
    for source in sorted(every, key=lambda source: not source[0]):  # what nobody taught comes last
        rows.setdefault(name(source), set()).add(source)
    cols = list(by_domain)
    cells = [[mean_of(by_domain[domain], chosen) for domain in cols] for chosen in rows.values()]
    values_RC, low_RC, high_RC, n_RC = as_arrays(cells) if cells else (np.zeros((0, len(cols))),) * 4
    return Matrix(
        f"What teaching caused, by {axis}",
        "percentage points of held-out accuracy",
        rows=tuple(rows),
        cols=tuple(cols),
        values=values_RC,
        scale="points",
        low=low_RC,
        high=high_RC,
        n=n_RC,
        # a cell that is mostly uncertainty is pale
        reach=float(np.nanmax([10.0, *np.abs(values_RC).flat, *((high_RC - low_RC) / 2).flat])),
        row_axis=axis,
        col_axis="domain",
    )
