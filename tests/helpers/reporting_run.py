"""A small synthetic run in a real store.

It has two experts, two students, the base, frozen pasts, exams, lessons, ratings and transcripts. Numbers are drawn
from a seed with known truth (students rise from 20% to about 60%), so that tests can say what must come out.
"""

from pathlib import Path
from typing import Any

import numpy as np

from league.store.records import RoundRecord
from league.store.run import RunStore
from league.types import BASE, Match, MatchResult, Outcome, Rating, Role, Version, VersionRow
from tests.reporting.test_transcripts import match as transcript

ROUNDS, PROBLEMS = 6, 200
EXPERTS, STUDENTS = ("gcd_expert", "sum_expert"), ("alice", "bob")
DOMAINS = ("gcd", "chain_sum")


def accuracy(name: str, number: int) -> float:
    return {"base": 0.05}.get(name, 0.7 if name in EXPERTS else 0.2 + 0.4 * number / ROUNDS)


def bits(rng: np.random.Generator, share: float, n: int) -> str:
    return "".join("01"[int(hit)] for hit in rng.random(n) < share)


def lessons(rng: np.random.Generator, number: int, held_out: Version | None) -> list[dict[str, Any]]:
    students = [Version(s, number + 1) for s in STUDENTS] + ([held_out] if held_out else [])
    return [
        {
            "teacher": f"{t}@{number}",
            "student": str(s),
            "domain": DOMAINS[EXPERTS.index(t)],
            "control": bits(rng, 0.3, 60),
            "taught": bits(rng, 0.5, 60),
            "shuffled": bits(rng, 0.32, 60),
        }
        for t in EXPERTS
        for s in students
    ]


def make_run(folder: Path, rounds: int = ROUNDS) -> Path:
    """Write rounds 0…`rounds` of a run of ROUNDS; returns the folder."""
    rng = np.random.default_rng(0)
    config = {
        "league": {"rounds": ROUNDS},
        "evaluation": {"every": 3, "final_problems": PROBLEMS, "problems": 50},
        "seed": 0,
        "domains": {},
    }
    marks: dict[str, Any] = {}
    with RunStore.create(folder, "name: synthetic\n") as store:
        for number in range(rounds + 1):
            live = {name: Version(name, number + (name in STUDENTS)) for name in (*EXPERTS, *STUDENTS)}
            measured = lessons(rng, number, Version("alice", 0)) if number % 3 == 0 else []
            if number in (0, ROUNDS):
                sat = [(BASE.agent, BASE)] if number == 0 else []
                exams = [
                    {
                        "version": str(v),
                        "domain": d,
                        "split": "test",
                        "correct": bits(rng, accuracy(n, number), 50 if n in EXPERTS else PROBLEMS),
                    }
                    for n, v in [*live.items(), *sat]
                    for d in DOMAINS
                ]
                marks["start" if number == 0 else "end"] = {"exams": exams, "lessons": measured}
            members = [
                {"name": n, "role": "expert" if n in EXPERTS else "student", "version": str(v), "trains": True}
                for n, v in live.items()
            ]
            store.commit(
                RoundRecord(
                    round=number,
                    versions=tuple(_versions(number, live)),
                    matches=tuple(_matches(rng, number, live)),
                    ratings=tuple(
                        Rating("overall", v, 25.0 + i + 0.2 * number, 4.0 / (1 + number), 3 * number)
                        for i, v in enumerate(live.values())
                    ),
                    scalars={f"accuracy/{n}/{d}": accuracy(n, number) for n in (*live, "base") for d in DOMAINS}
                    if number % 3 == 0
                    else {"x": 1.0},
                    live=live,
                    state={
                        "population": {"members": members, "pasts": {"alice": ["alice@0"]}},
                        "marks": marks,
                        "config": config,
                        "tokens": {},
                    },
                    figures={"lessons": measured},
                    seconds=2.5,
                )
            )
    return folder


def _versions(number: int, live: dict[str, Version]) -> list[VersionRow]:
    rows = []
    for name, version in live.items():
        role: Role = "expert" if name in EXPERTS else "student"
        if number == 0:
            rows.append(VersionRow(Version(name, 0), role, 0, blob=None, optimizer=None, parents=(), reason="warm-up"))
        if version.step:
            reason = "snapshot" if number == 0 else "update"
            rows.append(
                VersionRow(
                    version,
                    role,
                    number,
                    blob=None,
                    optimizer=None,
                    parents=(Version(name, version.step - 1),),
                    reason=reason,
                )
            )
    return rows + (
        [VersionRow(BASE, "past", 0, blob=None, optimizer=None, parents=(), reason="created")] if number == 0 else []
    )


def _matches(rng: np.random.Generator, number: int, live: dict[str, Version]) -> list[MatchResult]:
    """A teaching match, and three contests.

    alice beats bob, bob beats her frozen past, the past beats the base, all more often than not.
    """
    pairs = [
        (live["alice"], live["bob"], 0.8),
        (Version("alice", 0), live["bob"], 0.2),
        (Version("alice", 0), BASE, 0.9),
    ]
    found = []
    for place, (first, second, chance) in enumerate(pairs):
        wins = int(rng.binomial(40, chance))
        outcome = Outcome(
            "contest", "contest", "default", "gcd", row=first, col=second, wins=wins, draws=5, losses=40 - wins, n=45
        )
        seats = {"player-1": first, "player-2": second}
        found.append(
            MatchResult(
                Match(f"{number}-c{place}", "contest", round=number, seats=seats, problems=(), seed=0),
                {"accuracy": 0.5},
                (outcome,),
                None,
            )
        )
    taught = Outcome(
        "teaching",
        "teaching",
        "default",
        "gcd",
        row=live["gcd_expert"],
        col=live["alice"],
        n=8,
        total=1.6,
        total_sq=2.0,
    )
    seats = {"teacher": live["gcd_expert"], "student": live["alice"]}
    shown = transcript() | {"match": f"{number}-t", "round": number}
    found.append(
        MatchResult(
            Match(f"{number}-t", "teaching", round=number, seats=seats, problems=(), seed=0),
            {"improvement": 0.2},
            (taught,),
            shown,
        )
    )
    return found
