"""Reading back a run's exams and lessons: accuracies with intervals, paired gains, two runs side by
side.

The store keeps, for the first and the last exam, which problems each agent answered right (`state["marks"]`), so
gains are paired item by item: an agent against its own start, a league's students against a baseline's, on the same
test problems.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from league.reporting.queries.estimates import difference, mean, proportion
from league.reporting.views import Comparison, Estimate, Gain
from league.store.reader import RunReader
from league.types import Version

ALL = "all"
"""All domains together, each with equal weight."""


@dataclass(frozen=True)
class ExamBook:
    """One sitting ("start" or "end"): (agent, domain) → right or wrong per problem."""

    bits: Mapping[tuple[str, str], tuple[int, ...]]
    versions: Mapping[str, Version]
    lessons: Sequence[Mapping[str, Any]]

    def domains(self) -> list[str]:
        return list(dict.fromkeys(domain for _, domain in self.bits))

    def agents(self) -> list[str]:
        return list(dict.fromkeys(agent for agent, _ in self.bits))

    def accuracy(self, agent: str, domain: str) -> Estimate | None:
        bits = self.bits.get((agent, domain))
        if bits is None:
            return None
        return proportion(sum(bits), len(bits))

    def pooled(self, agents: Sequence[str], domain: str) -> list[float]:
        """Per problem, the share of the agents that got it right; ALL chains the domains' problems."""
        if domain == ALL:
            return [value for each in self.domains() for value in self.pooled(agents, each)]
        rows = [self.bits[agent, domain] for agent in agents if (agent, domain) in self.bits]
        return [fmean(column) for column in zip(*rows, strict=True)] if rows else []

    def lesson_items(self, held_out: bool | None = None, arm: str = "taught") -> list[float]:
        """Δ per (teacher, match): the mean over the match's similar problems and over the students,
        who meet the same problems, so that what shares an explanation or a problem counts once. `arm` may be
        "shuffled"; `held_out` keeps only lessons with, or without, a frozen student."""
        live = set(self.versions.values())
        clusters: dict[tuple[str, int], list[float]] = {}
        for lesson in self.lessons:
            if held_out is not None and held_out == (Version.parse(lesson["student"]) in live):
                continue
            for place, (with_it, without) in enumerate(zip(lesson[arm], lesson["control"], strict=True)):
                clusters.setdefault((lesson["teacher"], place // lesson.get("similar", 1)), []).append(
                    float(int(with_it) - int(without))
                )
        return [fmean(items) for items in clusters.values()]


def exam(state: Mapping[str, Any], sitting: str) -> ExamBook | None:
    """The first ("start") or last ("end") exam of a run's state; None when it has not been sat."""
    marks = state.get("marks", {}).get(sitting)
    if marks is None:
        return None
    bits, versions = {}, {}
    for row in marks["exams"]:
        version = Version.parse(row["version"])
        versions[version.agent] = version
        bits[version.agent, row["domain"]] = tuple(int(bit) for bit in row["correct"])
    return ExamBook(bits, versions, marks["lessons"])


def learners(state: Mapping[str, Any]) -> list[str]:
    """The agents whose unaided accuracy is the run's result: its students, or everyone who trains
    when it has none."""
    members = state["population"]["members"]
    students = [member["name"] for member in members if member["role"] == "student"]
    return students or [member["name"] for member in members if member["trains"]]


def gains(state: Mapping[str, Any], agents: Sequence[str] | None = None) -> list[Gain]:
    """Start, end and paired gain per agent and domain, and over all domains; empty before the last
    exam."""
    start, end = exam(state, "start"), exam(state, "end")
    if start is None or end is None:
        return []
    found = []
    for agent in agents or learners(state):
        for domain in [*end.domains(), ALL]:
            before, after = start.pooled([agent], domain), end.pooled([agent], domain)
            if before and len(before) == len(after):
                found.append(
                    Gain(
                        agent,
                        domain,
                        _share(before),
                        _share(after),
                        _required([b - a for a, b in zip(before, after, strict=True)]),
                    )
                )
    return found


def overall_gain(state: Mapping[str, Any]) -> Gain | None:
    """All learners and domains together, paired by problem (the mean over learners is one item)."""
    start, end = exam(state, "start"), exam(state, "end")
    if start is None or end is None:
        return None
    agents = [agent for agent in learners(state) if agent in start.agents()]
    before, after = start.pooled(agents, ALL), end.pooled(agents, ALL)
    if not before or len(before) != len(after):
        return None
    return Gain(
        "learners", ALL, _share(before), _share(after), _required([b - a for a, b in zip(before, after, strict=True)])
    )


def teaching(state: Mapping[str, Any]) -> dict[str, Estimate]:
    """Mean Δ in percentage points at the start and the end, of the live students and of the
    held-out one, and the change between."""
    found: dict[str, Estimate] = {}
    for label, held_out in (("live", False), ("held_out", True)):
        items = {}
        for sitting in ("start", "end"):
            book = exam(state, sitting)
            if book is not None and (values := book.lesson_items(held_out)):
                items[sitting] = [100 * value for value in values]
                found[f"{label}_{sitting}"] = _required(items[sitting])
        if len(items) == 2:
            start, end = items["start"], items["end"]
            paired = len(start) == len(end)
            found[f"{label}_change"] = (
                _required([b - a for a, b in zip(start, end, strict=True)])
                if paired
                else difference(_required(end), _required(start))
            )
    return found


def compare_runs(first: RunReader, second: RunReader) -> list[Comparison]:
    """Learners' accuracy at the last exam per domain and overall, first − second; paired where both
    sat the same problems."""
    states = first.state(), second.state()
    books = [exam(state, "end") for state in states]
    domains = list(dict.fromkeys(domain for book in books if book for domain in book.domains()))
    same = _problems(states[0]) == _problems(states[1])
    rows = []
    for domain in [*domains, ALL]:
        items = [
            book.pooled(learners(state), domain) if book else [] for book, state in zip(books, states, strict=True)
        ]
        shown = [_share(values) if values else None for values in items]
        gap = None
        if all(items):
            paired = same and len(items[0]) == len(items[1])
            independent = difference(_share(items[0]), _share(items[1]))
            gap = _required([a - b for a, b in zip(*items, strict=True)]) if paired else independent
        rows.append(Comparison(domain, shown[0], shown[1], gap))
    return rows


def _problems(state: Mapping[str, Any]) -> object:
    """What decides which test problems were sat."""
    config = state["config"]
    return config["seed"], config["domains"], config["evaluation"]["final_problems"]


def _share(values: Sequence[float]) -> Estimate:
    """Accuracy over problems with Wilson's interval; a problem's mean over agents varies less than
    one answer, so it errs on the wide side."""
    found = proportion(sum(values), len(values))
    assert found is not None
    return found


def _required(values: Sequence[float]) -> Estimate:
    """The mean of what is known not to be empty."""
    found = mean(values)
    assert found is not None
    return found
