"""From a run's store to the model card of one version: the exam that tells most of it, its ratings,
where its weights came from."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from league.reporting.queries.estimates import proportion
from league.reporting.queries.exam_results import exam
from league.reporting.queries.overview import current_ratings, lineage
from league.reporting.text.model_card import Card, Measured
from league.reporting.views import LadderRow, LineageEdge
from league.store.reader import RunReader
from league.types import Version


def card_of(reader: RunReader, version: Version, base: str, run: str, merged: bool) -> Card:
    """What the run measured of a member's version, and its way there."""
    state = reader.state()
    member = next(m for m in state["population"]["members"] if m["name"] == version.agent)
    role = reader.version_row(version).role
    return Card(
        agent=version.agent, step=version.step, role=role, base=base, measured=measured(reader, state, version),
        ratings=[LadderRow(r.ladder, r.version.agent, role, r.mu, r.sigma, r.games) for r in current_ratings(reader) if r.version.agent == version.agent],
        lineage=ancestry(reader, version), prompt=member["system"] or "", run=run, merged=merged,
    )  # fmt: skip


def measured(reader: RunReader, state: Mapping[str, Any], version: Version) -> Measured | None:
    """The newest exam of exactly these weights, under whatever step they were stored (a snapshot or
    a roll-back makes a new one), on test problems first; else the agent's newest exam, which names the version
    that sat it; None when the agent has sat none."""
    blob = reader.version_row(version).blob
    same = {version, *(row.version for row in reader.versions(version.agent) if blob is not None and row.blob == blob)}
    for sitting in ("end", "start"):
        book = exam(state, sitting)
        if book is not None and book.versions.get(version.agent) in same:
            found = [(domain, book.accuracy(version.agent, domain)) for domain in book.domains()]
            return Measured(tuple((domain, estimate) for domain, estimate in found if estimate is not None))
    exams = _exams(reader, version.agent, min(reader.version_row(each).round for each in same))
    newest = next(exams, None)
    own = next((sat for sat in ([newest] if newest else []) + list(exams) if sat.sat_by in same), None)
    return replace(own, sat_by=None) if own is not None else newest


def _exams(reader: RunReader, agent: str, since: int) -> Iterator[Measured]:
    """The agent's exams whose matches still have their details, newest first: right answers and
    problems of all sittings of a round.

    Those of the rounds from `since` on, or the last before it.
    """
    rounds = {
        int(number)
        for name in reader.scalar_names()
        if name.startswith(f"accuracy/{agent}/")
        for number in reader.scalars(name)[0]
    }
    given = False
    for number in sorted(rounds, reverse=True):
        if given and number < since:
            return
        right: dict[str, list[int]] = {}
        sat, split = None, ""
        for match in reader.matches(number, number, agent=agent):
            for domain, keys in _domains(match.problems or ()).items():
                share = (match.metrics or {}).get(f"accuracy/{agent}/{domain}")
                if match.purpose == "evaluate" and share is not None:
                    tally = right.setdefault(domain, [0, 0])
                    tally[0], tally[1] = tally[0] + round(share * len(keys)), tally[1] + len(keys)
                    sat, split = next(v for v in match.seats.values() if v.agent == agent), keys[0].split("/")[1]
        found = [(domain, proportion(*tally)) for domain, tally in right.items()]
        if found:
            given = True
            yield Measured(tuple((domain, e) for domain, e in found if e is not None), split, number, sat)


def _domains(keys: tuple[str, ...]) -> dict[str, list[str]]:
    """domain → its problem keys (domain/split/index)."""
    found: dict[str, list[str]] = {}
    for key in keys:
        found.setdefault(key.split("/")[0], []).append(key)
    return found


def ancestry(reader: RunReader, version: Version) -> list[LineageEdge]:
    """Everything the version came from, oldest first, other agents' versions it took over too; a
    chain of plain updates is one line."""
    edges = {edge.child: edge for edge in lineage(reader, updates=False)}
    if str(version) not in edges:
        row = reader.version_row(version)
        known = [Version.parse(child) for child in edges]
        before = max((v for v in known if v.agent == version.agent and v < version), default=None)
        parents = tuple(str(parent) for parent in row.parents) if before is None else (str(before),)
        edges[str(version)] = LineageEdge(str(version), parents, row.round, row.reason, row.role)
    wanted, open_ = {str(version)}, [str(version)]
    while open_:
        new = [parent for parent in edges[open_.pop()].parents if parent in edges and parent not in wanted]
        wanted.update(new)
        open_ += new
    return [edge for child, edge in edges.items() if child in wanted]
