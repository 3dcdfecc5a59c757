"""A run's first and last exam: accuracies with intervals, paired gains, two runs side by side.

The store keeps, for the first and the last exam, which problems each agent answered right, so gains are paired problem
by problem: an agent against its own start, a league's students against a baseline's, on the same test problems. Exams
between, on validation problems, are in `history`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from league.reporting.queries.estimates import as_arrays, difference, mean, proportion
from league.reporting.queries.run_status import agents_in_order
from league.reporting.views import Comparison, Estimate, Floats, Gain, Matrix
from league.store.reader import RunReader
from league.types import ROLES, Version

if TYPE_CHECKING:
    import pandas as pd

ALL = "all"
"""All domains together, each with equal weight."""
Which = Literal["start", "end"]
"""The exam at the first or at the last round."""
NEWEST_FIRST: tuple[Which, Which] = ("end", "start")


@dataclass(frozen=True)
class ExamResults:
    """One exam on test problems."""

    answers: "pd.DataFrame"
    """A row per answer: agent (str), domain (str), problem (int) and right (0 or 1).

    Problems are counted within the domain.
    """
    versions: Mapping[str, Version]
    """The version of each agent that sat it."""

    def domains(self) -> list[str]:
        return list(self.answers["domain"].unique())

    def agents(self) -> list[str]:
        return list(self.answers["agent"].unique())

    def accuracy(self, agent: str, domain: str) -> Estimate | None:
        """The share of the domain's problems the agent got right; None when it did not sit them."""
        right = self._right.get((agent, domain), np.zeros(0))
        return proportion(int(right.sum()), len(right))

    def shares_right(self, agents: Sequence[str], domain: str) -> list[float]:
        """Per problem, the share of the agents that got it right; ALL chains the domains' problems.

        Raises ValueError when the agents did not sit the same problems.
        """
        if domain == ALL:
            return [share for each in self.domains() for share in self.shares_right(agents, each)]
        sat = {agent: self._right[agent, domain] for agent in agents if (agent, domain) in self._right}
        if len({len(right) for right in sat.values()}) > 1:
            raise ValueError(f"{', '.join(sorted(sat))} sat exams of different lengths in '{domain}'")
        return np.mean(list(sat.values()), axis=0).tolist() if sat else []

    @cached_property
    def _right(self) -> Mapping[tuple[str, str], Floats]:
        """(agent, domain) → 1 or 0 for each problem, in order.

        The table is grouped once, for all questions to it.
        """
        groups = self.answers.groupby(["agent", "domain"], sort=False)["right"]
        return {(agent, domain): right.to_numpy(float) for (agent, domain), right in groups}


def read_exam(state: Mapping[str, Any], which: Which) -> ExamResults | None:
    """The first ("start") or last ("end") exam of a run's state; None when it has not been sat."""
    import pandas as pd

    stored = state.get("marks", {}).get(which)
    if stored is None:
        return None
    versions: dict[str, Version] = {}
    right: dict[tuple[str, str], str] = {}
    for row in stored["exams"]:
        version = Version.parse(row["version"])
        versions[version.agent] = version
        right[version.agent, row["domain"]] = row["correct"]
    rows = [
        (agent, domain, problem, int(bit))
        for (agent, domain), bits in right.items()
        for problem, bit in enumerate(bits)
    ]
    return ExamResults(pd.DataFrame(rows, columns=["agent", "domain", "problem", "right"]), versions)


def learners(state: Mapping[str, Any]) -> list[str]:
    """The agents whose unaided accuracy is the run's result.

    Those are its students, or everyone who trains when it has none.
    """
    members = state["population"]["members"]
    students = [member["name"] for member in members if ROLES[member["role"]].taught]
    return students or [member["name"] for member in members if member["trains"]]


def gains(state: Mapping[str, Any], agents: Sequence[str] | None = None) -> list[Gain]:
    """Start, end and paired gain per agent and domain, and over all domains.

    Empty before the last exam.
    """
    start, end = read_exam(state, "start"), read_exam(state, "end")
    if start is None or end is None:
        return []
    found = []
    for agent in agents or learners(state):
        for domain in [*end.domains(), ALL]:
            before, after = start.shares_right([agent], domain), end.shares_right([agent], domain)
            if before and len(before) == len(after):
                found.append(Gain(agent, domain, _share(before), _share(after), paired_gain(before, after)))
    return found


def overall_gain(state: Mapping[str, Any]) -> Gain | None:
    """All learners and domains together, paired by problem (the mean over learners is one item)."""
    start, end = read_exam(state, "start"), read_exam(state, "end")
    if start is None or end is None:
        return None
    agents = [agent for agent in learners(state) if agent in start.agents()]
    before, after = start.shares_right(agents, ALL), end.shares_right(agents, ALL)
    if not before or len(before) != len(after):
        return None
    return Gain("learners", ALL, _share(before), _share(after), paired_gain(before, after))


def accuracy_matrix(reader: RunReader, which: Which) -> Matrix | None:
    """Agent × domain accuracy at the first or last exam, on test problems; None when it was not sat."""
    exam = read_exam(reader.state(), which)
    if exam is None or exam.answers.empty:
        return None
    rows = tuple(name for name in agents_in_order(reader) if name in exam.versions)
    cols = tuple(exam.domains())
    values_RC, low_RC, high_RC, n_RC = as_arrays([[exam.accuracy(agent, domain) for domain in cols] for agent in rows])
    return Matrix(
        f"Held-out accuracy, {'first' if which == 'start' else 'last'} exam",
        "share right",
        rows=rows,
        cols=cols,
        values=values_RC,
        scale="share",
        low=low_RC,
        high=high_RC,
        n=n_RC,
        row_axis="agent",
        col_axis="domain",
    )


def compare_runs(first: RunReader, second: RunReader) -> list[Comparison]:
    """Learners' accuracy at the last exam per domain and overall, first − second.

    Paired where both runs sat the same problems.
    """
    states = first.state(), second.state()
    exams = [read_exam(state, "end") for state in states]
    domains = list(dict.fromkeys(domain for exam in exams if exam for domain in exam.domains()))
    same = same_problems(*states)
    rows = []
    for domain in [*domains, ALL]:
        items = [
            exam.shares_right(learners(state), domain) if exam else []
            for exam, state in zip(exams, states, strict=True)
        ]
        shown = [_share(values) if values else None for values in items]
        gap = None
        if all(items):
            paired = same and len(items[0]) == len(items[1])
            independent = difference(_share(items[0]), _share(items[1]))
            gap = paired_gain(items[1], items[0]) if paired else independent
        rows.append(Comparison(domain, shown[0], shown[1], gap))
    return rows


def same_problems(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two runs, by their states, sat the same test problems."""
    return _problems(first) == _problems(second)


def _problems(state: Mapping[str, Any]) -> object:
    """What decides which test problems were sat."""
    config = state["config"]
    return config["seed"], config["domains"], config["evaluation"]["final_problems"]


def _share(values: Sequence[float]) -> Estimate:
    """Accuracy over problems with Wilson's interval.

    A problem's mean over agents varies less than one answer, so the interval errs on the wide side.
    """
    found = proportion(sum(values), len(values))
    assert found is not None
    return found


def paired_gain(before: Sequence[float], after: Sequence[float]) -> Estimate:
    """The mean of after − before over the same items, of which there is at least one."""
    found = mean([b - a for a, b in zip(before, after, strict=True)])
    assert found is not None
    return found
