"""The fixtures of a round: candidate pairings of each task, drawn by the config's mixture of matchmaking rules, made into matches.

Who may sit where follows from the task's relation: teaching pairs experts with students in the expert's domain; contests and games pair a
learner with anyone (live, frozen past); cooperation pairs learners with one another. Problem sets are numbered by round and match,
behind those of the warm-up, so a league walks through its train split and every run of the same config sees the same problems.

Evaluation matches are not scheduled here: they have their own budget (`league.evaluation`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from league.assembly import League
from league.config import TaskConfig
from league.matchmaking import Pairing, Situation
from league.matchmaking import schedule as draw
from league.seeds import derive, generator
from league.types import Match, RewardMix, Version
from tasks import any_number, seat_names
from tasks.teaching import STUDENT, TEACHER


def schedule(league: League, number: int) -> list[Match]:
    """All training matches of round `number`, in a fixed order."""
    matches = []
    for name, chosen in league.config.tasks.items():
        stream = generator(league.config.seed, "schedule", number, name)
        candidates = pairings(league, name, number, self_play=chosen.matchmaking.get("self_play", 0.0) > 0)
        drawn = draw(Situation(league.view, name, number), candidates, chosen.matches, chosen.matchmaking, chosen.rules, stream)
        for place, pairing in enumerate(drawn):
            matches.append(_match(league, name, number, place, pairing, candidates, stream))
    return matches


def pairings(league: League, name: str, number: int, *, self_play: bool = False) -> list[Pairing]:
    """Every pairing the task allows now. `self_play` adds an agent with itself."""
    task = league.tasks[name]
    domains = list(task.domains) if hasattr(task, "domains") else [""]
    population = league.population
    if task.relation == "teaching":
        experts, students = population.with_role("expert"), population.with_role("student")
        return [Pairing(e.version, s.version, e.domain) for e in experts for s in students if e.domain and e.domain in domains]
    learners = [m.version for m in population.members.values() if m.role in league.config.tasks[name].roles]
    rows = [version for version in learners if population.members[version.agent].trains] or learners
    if seats_of(task) == 1:
        return [Pairing(row, row, domain) for row in rows for domain in domains]
    others = learners if task.relation == "cooperation" else [*learners, *_past_of(league, learners)]
    found = [Pairing(row, col, domain) for row in rows for col in others for domain in domains if row != col]
    if self_play or not found:
        found += [Pairing(row, row, domain) for row in rows for domain in domains]
    return found


def _past_of(league: League, learners: Sequence[Version]) -> list[Version]:
    """Frozen pasts of the agents that play, except copies of an agent's present weights (a snapshot taken just now)."""
    live = set(learners)
    return [
        past
        for version in learners
        for past in league.population.pasts.get(version.agent, ())
        if Version(past.agent, past.step + 1) not in live
    ]


def seats_of(task: Any) -> int:
    """Number of seats; a task for any number of players says how many it wants (`players`)."""
    return int(getattr(task, "players", 2)) if any_number(task) else len(task.seats())


def _match(
    league: League, name: str, number: int, place: int, pairing: Pairing, candidates: Sequence[Pairing], stream: np.random.Generator
) -> Match:
    task, chosen = league.tasks[name], league.config.tasks[name]
    situation, mix = _situation(chosen, stream)
    first = max(league.config.warmup.expert.problems, league.config.warmup.student.problems)
    index = first + (number - 1) * chosen.matches + place
    return Match(
        id=f"{number}-{name}-{place}",
        task=name,
        round=number,
        seats=_seats(task, pairing, candidates, stream),
        problems=tuple(task.problems("train", index, pairing.domain)),
        seed=derive(league.config.seed, "round", number, "task", name, "match", place),
        situation=situation,
        rewards=mix,
    )


def _situation(chosen: TaskConfig, stream: np.random.Generator) -> tuple[str, RewardMix]:
    """Draw one of the task's reward mixes by weight; without any, everyone is rewarded for their own result."""
    if not chosen.situations:
        return "default", RewardMix()
    names = list(chosen.situations)
    weights = np.array([chosen.situations[name].weight for name in names])
    name = names[int(stream.choice(len(names), p=weights / weights.sum()))]
    drawn = chosen.situations[name]
    return name, RewardMix(drawn.individual, drawn.team, drawn.competitive)


def _seats(task: Any, pairing: Pairing, candidates: Sequence[Pairing], stream: np.random.Generator) -> Mapping[str, Version]:
    """Seat the pairing; seats beyond two go to other partners of the same row, and where no seat is special the order is drawn."""
    if task.relation == "teaching":
        return {TEACHER: pairing.row, STUDENT: pairing.col}
    count = seats_of(task)
    players = [pairing.row, pairing.col][:count]
    spare = list(dict.fromkeys(c.col for c in candidates if c.row == pairing.row and c.domain == pairing.domain and c.col not in players))
    while len(players) < count:
        players.append(spare.pop(int(stream.integers(len(spare)))) if spare else pairing.row)
    return dict(zip(seat_names(task, count), [players[int(place)] for place in stream.permutation(count)], strict=True))
