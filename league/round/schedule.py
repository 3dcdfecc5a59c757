"""The fixtures of a round: candidate pairings of each task, drawn by the config's mixture of
matchmaking rules, made into matches.

Who may sit where follows from the task's relation: teaching pairs experts with students in the expert's domain;
contests and games pair a learner with anyone (live, frozen past); cooperation pairs learners with one another. Where
the config names agents for seats (roles that differ: the writer of the helper, the writer of the main function), they
keep to them, else the order is drawn. Problem sets are numbered by round and match, behind those of the warm-up, so a
league walks through its train split and every run of the same config sees the same problems.

Weighing a pairing costs about a microsecond a match, and a thousand agents have a million pairings. So where there
would be more than `CROWD`, the learners of a round are drawn by lot, anew every round, and all their pairings
weighed: whom a learner meets is decided as ever, and all learners get the same share of matches. A rule that compares
learners (the teachers' bandit) then compares those drawn.

Evaluation matches are not scheduled here: they have their own budget (`league.evaluation.exams`).
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from league.config import TaskConfig
from league.matchmaking import Pairing, RuleContext, draw_pairings
from league.population import Member
from league.population.exploiters import targets_of
from league.runtime.assembly import League
from league.seeds import derive, generator
from league.types import Match, RewardMix, Version
from tasks import Task
from tasks.teaching import STUDENT, TEACHER

T = TypeVar("T")

CROWD = 65_536
"""Pairings weighed in a round, of one task: at most this many, or those of one learner."""


def schedule_matches(league: League, number: int) -> list[Match]:
    """All training matches of round `number`, in a fixed order."""
    matches = []
    for name, chosen in league.config.tasks.items():
        stream = generator(league.config.seed, "schedule", number, name)
        candidates = pairings(league, name, stream, self_play=chosen.matchmaking.get("self_play", 0.0) > 0)
        drawn = draw_pairings(
            RuleContext(league.view, name, number),
            candidates,
            chosen.matches,
            mixture=chosen.matchmaking,
            parameters=chosen.rules,
            rng=stream,
        )
        for place, pairing in enumerate(drawn):
            matches.append(_match(league, name, number, place, pairing, candidates, stream))
    return matches


def pairings(league: League, name: str, stream: np.random.Generator, *, self_play: bool = False) -> list[Pairing]:
    """Every pairing the task allows now, of learners drawn from `stream` where that is a crowd.
    `self_play` adds an agent with itself."""
    task = league.tasks[name]
    domains = task.domain_names
    population = league.population
    places = open_to(league, name)
    if task.relation == "teaching":
        students = places[STUDENT]
        experts = _few(
            [(e.version, e.domain) for e in places[TEACHER] if e.domain and e.domain in domains], len(students), stream
        )
        return [Pairing(teacher, s.version, domain) for teacher, domain in experts for s in students]
    if league.config.tasks[name].seats:
        return _placed(league, task, list(places.values()), domains, stream, self_play)
    learners = [m.version for m in population.members.values() if m.role in league.config.tasks[name].roles]
    rows = [version for version in learners if population.members[version.agent].trains] or learners
    if task.seat_count == 1:
        return [Pairing(row, row, domain) for row in rows for domain in domains]
    others = learners if task.relation == "cooperation" else [*learners, *_past_of(league, learners)]
    rows = _few(rows, len(others) * len(domains), stream)
    found = [
        Pairing(row, col, domain)
        for row in rows
        for col in targets_of(population, row, others)
        for domain in domains
        if row != col
    ]
    if self_play or not found:
        found += [Pairing(row, row, domain) for row in rows for domain in domains]
    return found


def _few(rows: Sequence[T], width: int, stream: np.random.Generator) -> list[T]:
    """All of `rows`, in order, or as many of them drawn by lot as keep their pairings, `width`
    each, within `CROWD`."""
    most = max(1, CROWD // max(width, 1))
    if len(rows) <= most:
        return list(rows)
    return [rows[place] for place in np.sort(stream.choice(len(rows), size=most, replace=False))]


def open_to(league: League, name: str) -> dict[str, list[Member]]:
    """seat → who may take it: the agents the config names for it, else experts and remote players
    as teachers, students as students, and learners elsewhere."""
    task, chosen, members = league.tasks[name], league.config.tasks[name], league.population.members
    found = {}
    for seat in task.seat_names(task.seat_count):
        roles: tuple[str, ...] = chosen.roles
        if task.relation == "teaching":
            roles = ("expert", "remote") if seat == TEACHER else ("student",)
        named = chosen.seats.get(seat)
        found[seat] = [m for m in members.values() if (m.name in named if named is not None else m.role in roles)]
    return found


def _placed(
    league: League,
    task: Task,
    places: Sequence[Sequence[Member]],
    domains: Sequence[str],
    stream: np.random.Generator,
    self_play: bool,
) -> list[Pairing]:
    """Pairings of who may take the first seat (row) with who may take the second (col); in
    contests, with their frozen pasts too.

    Where anyone trains, one of the two does. An agent meets itself with `self_play`, or when nobody else is left.
    """
    if len(places) == 1:
        rows = [m.version for m in places[0] if m.trains] or [m.version for m in places[0]]
        return [Pairing(row, row, domain) for row in rows for domain in domains]
    first, second = places[:2]
    pasts = [] if task.relation == "cooperation" else _past_of(league, [member.version for member in second])
    first = _few(first, (len(second) + len(pasts)) * len(domains), stream)
    pairs = [(one, two) for one in first for two in second]
    learning = [(one, two) for one, two in pairs if one.trains or two.trains] or pairs
    met = [(one.version, two.version) for one, two in learning if self_play or one is not two] or [
        (one.version, two.version) for one, two in learning
    ]
    met += [(one.version, past) for one in first if one.trains for past in pasts]
    return [Pairing(row, col, domain) for row, col in met for domain in domains]


def _past_of(league: League, learners: Sequence[Version]) -> list[Version]:
    """Frozen pasts of the agents that play, except copies of an agent's present weights (a snapshot
    taken just now)."""
    members = league.population.members
    return [
        past
        for version in learners
        for past in league.population.pasts.get(version.agent, ())
        if past != members[version.agent].twin
    ]


def _match(
    league: League,
    name: str,
    number: int,
    place: int,
    pairing: Pairing,
    candidates: Sequence[Pairing],
    stream: np.random.Generator,
) -> Match:
    task, chosen = league.tasks[name], league.config.tasks[name]
    situation, mix = _situation(chosen, stream)
    first = max(league.config.warmup.expert.problems, league.config.warmup.student.problems)
    index = first + (number - 1) * chosen.matches + place
    return Match(
        id=f"{number}-{name}-{place}",
        task=name,
        round=number,
        seats=_seats(league, name, pairing, candidates, stream),
        problems=tuple(task.problems("train", index, pairing.domain)),
        seed=derive(league.config.seed, "round", number, "task", name, "match", place),
        situation=situation,
        rewards=mix,
    )


def _situation(chosen: TaskConfig, stream: np.random.Generator) -> tuple[str, RewardMix]:
    """Draw one of the task's reward mixes by weight; without any, everyone is rewarded for their
    own result."""
    if not chosen.situations:
        return "default", RewardMix()
    names = list(chosen.situations)
    weights = np.array([chosen.situations[name].weight for name in names])
    name = names[int(stream.choice(len(names), p=weights / weights.sum()))]
    drawn = chosen.situations[name]
    return name, RewardMix(drawn.individual, drawn.team, drawn.competitive)


def _seats(
    league: League, name: str, pairing: Pairing, candidates: Sequence[Pairing], stream: np.random.Generator
) -> Mapping[str, Version]:
    """Seat the pairing. Named seats keep their places, further ones go to who may take them; else
    to other partners of the same row, and the order is drawn."""
    task = league.tasks[name]
    if task.relation == "teaching":
        return {TEACHER: pairing.row, STUDENT: pairing.col}
    count = task.seat_count
    players = [pairing.row, pairing.col][:count]
    if league.config.tasks[name].seats:
        for members in list(open_to(league, name).values())[2:]:
            players.append(members[int(stream.integers(len(members)))].version)
        return dict(zip(task.seat_names(count), players, strict=True))
    spare: list[Version] = []
    if len(players) < count:
        spare += dict.fromkeys(
            c.col for c in candidates if c.row == pairing.row and c.domain == pairing.domain and c.col not in players
        )
    while len(players) < count:
        players.append(spare.pop(int(stream.integers(len(spare)))) if spare else pairing.row)
    return dict(zip(task.seat_names(count), [players[int(place)] for place in stream.permutation(count)], strict=True))
