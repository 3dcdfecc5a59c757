"""What a version's model card says: its most telling exam, its ratings, and its ancestry."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from league.reporting.queries.estimates import proportion
from league.reporting.queries.exam_results import NEWEST_FIRST, read_exam
from league.reporting.queries.run_status import lineage
from league.reporting.text.model_card import Card, CardExam
from league.reporting.views import LadderRow, LineageEdge
from league.store.reader import RunReader
from league.types import Rating, Version


def card_of(reader: RunReader, version: Version, base: str, run: str, merged: bool) -> Card:
    """What the run measured of a version, of a member or of an agent that left, and its way there."""
    state = reader.state()
    members = [*state["population"]["members"], *(row["member"] for row in state.get("left", ()))]
    system = next((m["system"] for m in members if m["name"] == version.agent), None)
    role = reader.version_row(version).role
    ratings = [
        LadderRow(r.ladder, r.version.agent, role=role, mu=r.mu, sigma=r.sigma, games=r.games)
        for r in _ratings_at(reader, version)
    ]
    return Card(
        agent=version.agent,
        step=version.step,
        role=role,
        base=base,
        exam=card_exam(reader, state, version),
        ratings=ratings,
        lineage=ancestry(reader, version),
        prompt=system or "",
        run=run,
        merged=merged,
    )


def _ratings_at(reader: RunReader, version: Version) -> list[Rating]:
    """Per ladder, the rating of the version, or of the newest one before it that was rated."""
    newest: dict[str, Rating] = {}
    for rating in reader.ratings():
        if rating.version.agent == version.agent and rating.version.step <= version.step:
            known = newest.get(rating.ladder)
            if known is None or rating.version.step > known.version.step:
                newest[rating.ladder] = rating
    return [newest[ladder] for ladder in sorted(newest)]


def card_exam(reader: RunReader, state: Mapping[str, Any], version: Version) -> CardExam | None:
    """The exam that tells most of a version; None when its agent has sat none.

    The newest exam of exactly these weights, under whatever step they were stored (a snapshot or a rollback makes a new
    one), on test problems first; else the agent's newest exam, which names the version that sat it.
    """
    blob = reader.version_row(version).blob
    same = {version, *(row.version for row in reader.versions(version.agent) if blob is not None and row.blob == blob)}
    for which in NEWEST_FIRST:
        exam = read_exam(state, which)
        if exam is not None and exam.versions.get(version.agent) in same:
            found = [(domain, exam.accuracy(version.agent, domain)) for domain in exam.domains()]
            return CardExam(tuple((domain, estimate) for domain, estimate in found if estimate is not None))
    exams = _exams(reader, version.agent, min(reader.version_row(each).round for each in same))
    newest = next(exams, None)
    own = next((sat for sat in ([newest] if newest else []) + list(exams) if sat.sat_by in same), None)
    return replace(own, sat_by=None) if own is not None else newest


def _exams(reader: RunReader, agent: str, since: int) -> Iterator[CardExam]:
    """The agent's exams whose matches still have their details, newest first.

    Those of the rounds from `since` on, or the last before it. An exam is all the matches of its round together.
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
            yield CardExam(tuple((domain, e) for domain, e in found if e is not None), split, number, sat)


def _domains(keys: tuple[str, ...]) -> dict[str, list[str]]:
    """Problem keys (domain/split/index) by domain."""
    found: dict[str, list[str]] = {}
    for key in keys:
        found.setdefault(key.split("/")[0], []).append(key)
    return found


def ancestry(reader: RunReader, version: Version) -> list[LineageEdge]:
    """Everything the version came from, oldest first.

    Versions of other agents that it took over too; a chain of plain updates is one line.
    """
    edges = {edge.child: edge for edge in lineage(reader, updates=False)}
    if str(version) not in edges:
        row = reader.version_row(version)
        known = [Version.parse(child) for child in edges]
        before = max((v for v in known if v.agent == version.agent and v < version), default=None)
        parents = tuple(str(parent) for parent in row.parents) if before is None else (str(before),)
        edges[str(version)] = LineageEdge(str(version), parents, row.round, row.reason, role=row.role)
    wanted, open_ = {str(version)}, [str(version)]
    while open_:
        new = [parent for parent in edges[open_.pop()].parents if parent in edges and parent not in wanted]
        wanted.update(new)
        open_ += new
    return [edge for child, edge in edges.items() if child in wanted]
