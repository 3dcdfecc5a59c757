"""Which levels are sparse: the adapter on all the data is right less than 3% of the time, an expert is better.

Candidates are measured on validation problems of one seed, few of each. First the adapter on all the data; for the
candidates that it fails, experts are trained as the regime trains its own, and measured too. A candidate is chosen
when

    right(adapter) / n < 0.03    and    right(expert) − right(adapter) ≥ 0.1 n

at most one level of a kind, the one with the best expert. What is found is written at once, so an interrupted probe
goes on, and so does one with more candidates.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.pays import arms, run
from benchmarks.pays.exams import ExamRoom
from benchmarks.pays.place import Place
from benchmarks.pays.regimes import Asked, read_levels, sparse

SPARSE, BETTER = 0.03, 0.1
NAMED = ("name", "kind", "level", "chosen")
PROBLEMS = 40
"""With 40 problems, one right answer is still sparse, two are not."""
Row = dict[str, Any]


def probe(seed: int, place: Place, levels: Path, *, problems: int = PROBLEMS) -> None:
    """Measure the candidates in the file, choose, and write the file anew."""
    found = read_levels(levels)
    rows: list[Row] = [
        row if found["seed"] == seed and found["problems"] == problems else {key: row[key] for key in NAMED}
        for row in found["levels"]
    ]
    regime = replace(sparse(levels), domains={row["name"]: (row["kind"], row["level"]) for row in rows})
    run.make_general(regime, seed, place)
    room = ExamRoom(place.model, seed)
    room.bring("generalist", regime.adapter("generalist", seed, place.work))
    for row in rows:
        if "generalist" not in row:
            row["generalist"] = _right(room, "generalist", row, problems)
            _write(levels, rows, seed, problems)
    failed = [row for row in rows if share(row["generalist"]) < SPARSE]
    if not failed:
        raise SystemExit(f"the adapter on all the data is right too often in every level of {levels}: add harder ones")
    for row in failed:
        if "expert" not in row:
            own = replace(
                regime, domains={row["name"]: regime.domains[row["name"]]}, start=f"start-probe-{row['name']}"
            )
            run.make(arms.start(own, seed, place.work / "runs"), own.start, seed, place)
            room.bring(row["name"], own.adapter(row["name"], seed, place.work))
            row["expert"] = _right(room, row["name"], row, problems)
            _write(levels, rows, seed, problems)
    for row in rows:
        row["chosen"] = False
    for row in choose(rows):
        row["chosen"] = True
    _write(levels, rows, seed, problems, probed=True)


def _right(room: ExamRoom, agent: str, row: Row, problems: int) -> str:
    """Right and wrong answers of an agent at a candidate level."""
    domain: Mapping[str, Asked] = {row["name"]: (row["kind"], row["level"])}
    return room.examine({agent: domain}, domain, problems, "validation")[agent][row["name"]]


def share(bits: str) -> float:
    return bits.count("1") / len(bits)


def choose(rows: list[Row]) -> list[Row]:
    """The sparse levels whose expert is better, one of each kind: the one with the best expert."""
    able = [
        row
        for row in rows
        if "expert" in row
        and share(row["generalist"]) < SPARSE
        and share(row["expert"]) - share(row["generalist"]) >= BETTER - 1e-9
    ]
    best: dict[str, Row] = {}
    for row in sorted(able, key=lambda row: -share(row["expert"])):
        best.setdefault(row["kind"], row)
    return [row for row in rows if row in best.values()]


def _write(levels: Path, rows: list[Row], seed: int, problems: int, *, probed: bool = False) -> None:
    text = ",\n".join("    " + json.dumps(row) for row in rows)
    temporary = levels.with_suffix(".tmp")
    head = f'  "probed": {json.dumps(probed)},\n  "seed": {seed},\n  "problems": {problems},\n'
    temporary.write_text("{\n" + head + '  "levels": [\n' + text + "\n  ]\n}\n", encoding="utf-8")
    os.replace(temporary, levels)
