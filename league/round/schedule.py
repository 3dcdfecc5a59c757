"""The matches of a round: candidate pairings of each task, drawn by the matchmaking rules.

Who may sit where follows from the task's relation: teaching pairs experts with students in the expert's domain, and
generalists with the others in all domains; contests and games pair a learner with anyone (live, frozen past);
cooperation pairs learners with one another, and with frozen pasts where the rule `pasts` has a weight. In a contest of
one seat an expert practises its own domain only. Where the config names agents for seats (roles that differ: the
writer of the helper, the writer of the main function), they keep to them, else the order is drawn. Problem sets are
numbered by match within each task and domain, behind those of the warm-up, so a league walks through its train split
and every run of the same config sees the same problems.

Weighing a pairing costs about a microsecond a match, and a thousand agents have a million pairings. So where there
would be more than `CROWD`, the learners of a round are drawn by lot, anew every round, and all their pairings
weighed: whom a learner meets is decided as ever, and all learners get the same share of matches. A rule that compares
learners (the teachers' bandit) then compares those drawn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from league.config import TaskConfig
from league.learning.channels.gate import teachers_of
from league.matchmaking import Pairing, RuleContext, draw_pairings
from league.matchmaking.gain import GainPerToken
from league.population import Member, Population
from league.population.exploiters import targets_of
from league.rollouts import make_match
from league.round.allocate import share_matches
from league.round.candidates import able_teachers
from league.runtime.league import League, LeagueState
from league.seeds import derive, generator
from league.types import BetaBelief, Match, RewardMix, Version
from tasks import Task
from tasks.teaching import STUDENT, TEACHER

T = TypeVar("T")

CROWD = 65_536
"""Pairings weighed in a round, of one task: at most this many, or those of one learner."""


def schedule_matches(league: League, state: LeagueState, number: int) -> tuple[LeagueState, list[Match]]:
    """All training matches of round `number`, in a fixed order: the tasks' own, then the shared ones.

    Returns (state, matches). The state counts the matches of each task and domain, by which problems are numbered.
    """
    config, matches = league.config, list[Match]()
    begun = dict(state.begun)

    def add(
        name: str, pairing: Pairing, place: int, candidates: Sequence[Pairing], stream: np.random.Generator
    ) -> None:
        key = name, pairing.domain
        index = begun.get(key, 0)
        begun[key] = index + 1
        at = number, place
        matches.append(_match(league, state, name, pairing, at=at, index=index, candidates=candidates, stream=stream))

    offers: dict[str, tuple[RuleContext, list[Pairing]]] = {}
    sharing: dict[str, GainPerToken] = {}
    for name, chosen in config.tasks.items():
        task, stream = league.tasks[name], generator(config.seed, "schedule", number, name)
        candidates = pairings(task, chosen, state.population, stream)
        if task.relation == "teaching" and config.learning.channels.pasts:
            candidates = best_teachers(league, state, task, chosen)
        context = RuleContext(
            state.view,
            name,
            number,
            gains=state.gains,
            competence=state.competence,
            channel=task.channel,
            taught=task.relation == "teaching",
        )
        if task.channel == "worked_replies":
            candidates = _for_learners(context, candidates, state.population)
        rule = league.mixtures[name].rules.get("gain")
        if isinstance(rule, GainPerToken):
            sharing[name], offers[name] = rule, (context, _for_learners(context, candidates, state.population))
        count = chosen.matches if candidates or task.channel != "worked_replies" else 0  # nobody is left to learn
        drawn = draw_pairings(context, candidates, count, mixture=league.mixtures[name], rng=stream)
        for place, pairing in enumerate(drawn):
            add(name, pairing, place, candidates, stream)
    if config.league.shared_matches and sharing:
        stream = generator(config.seed, "shared matches", number)
        shared = share_matches(offers, sharing, config.league.shared_matches, cap=config.league.shared_cap, rng=stream)
        for place, (name, pairing) in enumerate(shared):
            add(name, pairing, config.tasks[name].matches + place, offers[name][1], stream)
    return replace(state, begun=begun), matches


def _match(
    league: League,
    state: LeagueState,
    name: str,
    pairing: Pairing,
    *,
    at: tuple[int, int],
    index: int,
    candidates: Sequence[Pairing],
    stream: np.random.Generator,
) -> Match:
    """A pairing as match `at` (round, place) of its task, the one number `index` in its domain."""
    config, chosen, task = league.config, league.config.tasks[name], league.tasks[name]
    number, place = at
    warmed_up = -(-max(config.warmed_up, config.league.skip_problems) // task.width)
    situation, rewards = _situation(chosen, stream)
    seats = _seats(task, chosen, state.population, pairing, candidates=candidates, stream=stream)
    return make_match(
        name,
        at=at,
        seats=seats,
        problems=task.problems("train", warmed_up + index, pairing.domain),
        seed=derive(config.seed, "round", number, "task", name, "match", place),
        situation=situation,
        rewards=rewards,
        beliefs={seat: BetaBelief(*state.competence.belief(who, pairing.domain)) for seat, who in seats.items()},
    )


# -------------------------------------------------------------------------------------------------- candidates
def pairings(task: Task, chosen: TaskConfig, population: Population, stream: np.random.Generator) -> list[Pairing]:
    """Every pairing the task allows now, of learners drawn from `stream` where that is a crowd."""
    domains, places = task.domain_names, open_to(task, chosen, population)
    self_play = chosen.matchmaking.get("self_play", 0.0) > 0
    if task.relation == "teaching":
        students = places[STUDENT]
        able = [(teacher, domain) for teacher in places[TEACHER] for domain in teacher.teaches_in(domains)]
        lessons = [(each, s) for each in _few(able, len(students), stream) for s in students]
        return [Pairing(t.version, s.version, domain) for (t, domain), s in lessons if t.may_teach(s.name)]
    if chosen.seats:
        return _between_seats(task, chosen, population, places=list(places.values()), stream=stream)
    learners = [m.version for m in population.members.values() if m.role in chosen.roles]
    rows = [version for version in learners if population.members[version.agent].trains] or learners
    if task.seat_count == 1:
        return [
            Pairing(row, row, domain) for row in rows for domain in _practised(population.members[row.agent], domains)
        ]
    others = [*learners, *_pasts_of(population, learners)] if _meets_pasts(task, chosen) else learners
    rows = _few(rows, len(others) * len(domains), stream)
    met = ((row, col) for row in rows for col in targets_of(population, row, others) if row != col)
    found = [Pairing(row, col, domain) for row, col in met for domain in domains]
    if self_play or not found:
        found += [Pairing(row, row, domain) for row in rows for domain in domains]
    return found


def _for_learners(context: RuleContext, found: Sequence[Pairing], population: Population) -> list[Pairing]:
    """The pairings that help somebody who is taught and trains; others would be wasted."""
    learners = {member.version for member in population.members.values() if member.can.taught and member.trains}
    return [pairing for pairing in found if (pairing.col if context.taught else pairing.row) in learners]


def best_teachers(league: League, state: LeagueState, task: Task, chosen: TaskConfig) -> list[Pairing]:
    """One pairing for every student and domain, with the best teacher, pasts too.

    The best has the highest lower bound of its unaided accuracy; a live one goes before a past that is as good. Where
    the config names the teachers, it is one of them or of their pasts.
    """
    gate, named = league.gate(state), chosen.seats.get(TEACHER)
    able = [each for each in able_teachers(league, state) if named is None or each[0].agent in named]
    live = frozenset(state.population.live().values())
    students = [member.version for member in open_to(task, chosen, state.population)[STUDENT]]
    return [
        Pairing(teacher, student, domain)
        for student in students
        for domain, teacher in teachers_of(able, student, gate, task.domain_names, live=live).items()
    ]


def open_to(task: Task, chosen: TaskConfig, population: Population) -> dict[str, list[Member]]:
    """seat → who may take it: the agents the config names for it, else those whose role can.

    Teachers' and students' seats go to roles that teach and are taught, all others to the config's `roles`.
    """
    found = {}
    for seat in task.seat_names(task.seat_count):
        named = chosen.seats.get(seat)
        found[seat] = [
            member
            for member in population.members.values()
            if (member.name in named if named is not None else _may_take(member, seat, task, chosen))
        ]
    return found


def _may_take(member: Member, seat: str, task: Task, chosen: TaskConfig) -> bool:
    """Whether a member may take a seat for which nobody is named."""
    if task.relation != "teaching":
        return member.role in chosen.roles
    return member.can.teaches if seat == TEACHER else member.can.taught


def _practised(member: Member, domains: Sequence[str]) -> Sequence[str]:
    """The domains that a member meets alone: a specialist keeps to its own, where the task has it."""
    own = member.teaches_in(domains) if member.can.specialist else ()
    return own or domains


def _meets_pasts(task: Task, chosen: TaskConfig) -> bool:
    """Whether learners may meet frozen pasts: in contests always, in cooperation with the rule `pasts`."""
    return task.relation != "cooperation" or chosen.matchmaking.get("pasts", 0.0) > 0


def _between_seats(
    task: Task,
    chosen: TaskConfig,
    population: Population,
    *,
    places: Sequence[Sequence[Member]],
    stream: np.random.Generator,
) -> list[Pairing]:
    """Pairings of who may take the first seat (row) with who may take the second (col).

    With frozen pasts of the second, where they may be met. Where anyone trains, one of the two does. An agent meets
    itself with the rule `self_play`, or when nobody else is left.
    """
    domains, self_play = task.domain_names, chosen.matchmaking.get("self_play", 0.0) > 0
    if len(places) == 1:
        rows = [m.version for m in places[0] if m.trains] or [m.version for m in places[0]]
        return [Pairing(row, row, domain) for row in rows for domain in domains]
    first, second = places[:2]
    pasts = _pasts_of(population, [member.version for member in second]) if _meets_pasts(task, chosen) else []
    first = _few(first, (len(second) + len(pasts)) * len(domains), stream)
    pairs = [(one, two) for one in first for two in second]
    learning = [(one, two) for one, two in pairs if one.trains or two.trains] or pairs
    apart = [(one, two) for one, two in learning if self_play or one is not two] or learning
    met = [(one.version, two.version) for one, two in apart]
    met += [(one.version, past) for one in first if one.trains for past in pasts]
    return [Pairing(row, col, domain) for row, col in met for domain in domains]


def _few(rows: Sequence[T], width: int, stream: np.random.Generator) -> list[T]:
    """All of `rows`, in order, or as many by lot as keep their pairings within `CROWD`.

    Each row has `width` pairings.
    """
    most = max(1, CROWD // max(width, 1))
    if len(rows) <= most:
        return list(rows)
    return [rows[place] for place in np.sort(stream.choice(len(rows), size=most, replace=False))]


def _pasts_of(population: Population, learners: Sequence[Version]) -> list[Version]:
    """Frozen pasts of the agents that play.

    Left out are copies of an agent's present weights: a snapshot just made.
    """
    return [
        past
        for version in learners
        for past in population.pasts.get(version.agent, ())
        if past != population.members[version.agent].twin
    ]


# ----------------------------------------------------------------------------------------------------- matches
def _situation(chosen: TaskConfig, stream: np.random.Generator) -> tuple[str, RewardMix]:
    """Draw one of the task's reward mixes by weight.

    Without any, everyone is rewarded for their own result.
    """
    if not chosen.situations:
        return "default", RewardMix()
    names = list(chosen.situations)
    weights = np.array([chosen.situations[name].weight for name in names])
    name = names[int(stream.choice(len(names), p=weights / weights.sum()))]
    drawn = chosen.situations[name]
    return name, RewardMix(**drawn.model_dump(exclude={"weight"}))


def _seats(
    task: Task,
    chosen: TaskConfig,
    population: Population,
    pairing: Pairing,
    *,
    candidates: Sequence[Pairing],
    stream: np.random.Generator,
) -> Mapping[str, Version]:
    """Seat the pairing. Named seats keep their places, and further ones go to who may take them.

    Without named seats, other partners of the same row take the further ones, and the order is drawn.
    """
    if task.relation == "teaching":
        return {TEACHER: pairing.row, STUDENT: pairing.col}
    count = task.seat_count
    players = [pairing.row, pairing.col][:count]
    if chosen.seats:
        for members in list(open_to(task, chosen, population).values())[2:]:
            players.append(members[int(stream.integers(len(members)))].version)
        return dict(zip(task.seat_names(count), players, strict=True))
    spare: list[Version] = []
    if len(players) < count:
        same = (c.col for c in candidates if c.row == pairing.row and c.domain == pairing.domain)
        spare += dict.fromkeys(col for col in same if col not in players)
    while len(players) < count:
        players.append(spare.pop(int(stream.integers(len(spare)))) if spare else pairing.row)
    return dict(zip(task.seat_names(count), [players[int(place)] for place in stream.permutation(count)], strict=True))
