"""How the population changes at the end of a round: snapshots, resets of exploiters, PBT,
retirement, mergers, in this order.

The rules are pure functions of `league.population`; `league.round.strength` reads their numbers from the payoffs,
`league.round.versions` carries out what they say. Everything here is drawn from the run's seed and belongs to the
round's transaction.
"""

from collections.abc import Sequence

import numpy as np

from league.config import MergingConfig, PbtConfig, RetirementConfig
from league.evaluation.exams import sit_exam
from league.model.merging import merge_adapters
from league.payoffs.diversity import dissimilarity
from league.payoffs.edges import certified_edges
from league.payoffs.graph import components
from league.payoffs.matrix import Counts
from league.population import Member
from league.population.exploiters import is_target
from league.population.pbt import exploits, explore
from league.population.retirement import retire as to_retire
from league.population.snapshots import PROGRESS, TIMEOUT, beats_its_past, does_better_than_before
from league.population.tallies import Games
from league.rollouts import Player, play_unseen
from league.round.strength import games, items, relation_of, task_of, who_is_better
from league.round.values import Round
from league.round.versions import admit, refuse, retire, snapshot, take_over
from league.runtime.assembly import League
from league.seeds import derive, generator
from league.types import EXAM, Match, MatchResult, Version


def evolve(league: League, now: Round) -> None:
    """Look at everyone, and at the dearer questions every so many rounds only."""
    chosen = league.config.evolution
    for name in sorted(league.population.trainable()):
        exploiter = league.population.members[name].targets is not None
        if why := _snapshot_is_due(league, now.number, name):
            snapshot(league, now, name, afresh=exploiter and chosen.exploiters.reset)
            now.scalars[f"evolution/snapshots/{why}"] = now.scalars.get(f"evolution/snapshots/{why}", 0.0) + 1.0
    if chosen.pbt is not None and now.number % chosen.pbt.every == 0:
        _exploit_and_explore(league, now, chosen.pbt)
    if chosen.retirement is not None and now.number % chosen.retirement.every == 0:
        _retire(league, now, chosen.retirement)
    if chosen.merging is not None and now.number % chosen.merging.every == 0:
        _merge(league, now, chosen.merging)


# ------------------------------------------------------------------------------------------------- snapshots
def _snapshot_is_due(league: League, number: int, name: str) -> str | None:
    """Why an agent is frozen now, or None."""
    chosen, member = league.config.evolution, league.population.members[name]
    rounds = number - league.evolution.frozen_at.get(name, 0)
    targeting = member.targets is not None
    if rounds >= (chosen.exploiters.timeout if targeting else league.config.league.snapshot_every):
        return TIMEOUT
    if (targeting or chosen.snapshots is not None) and _has_progressed(league, member):
        return PROGRESS
    return None


def _has_progressed(league: League, member: Member) -> bool:
    name, rule = member.name, league.config.evolution.snapshots
    task = task_of(league, member)
    if task is None:
        return False
    relation, evolution = relation_of(league, task), league.evolution
    last = evolution.frozen_at.get(name, 0)
    if relation == "contest":
        played = league.view.recent(relation, task, last)
        if member.targets is not None:
            against = games(league, name, lambda version: is_target(league.population, name, version), played)
            return beats_its_past(against, league.config.evolution.exploiters)
        pasts = league.population.pasts.get(name, ())
        if rule is None or not pasts:
            return False
        chosen = set(pasts[-1:] if rule.against == "last" else pasts)
        return beats_its_past(games(league, name, chosen.__contains__, played, pasts[-1].step + 1), rule)
    if rule is None:
        return False
    laps = league.view.recent(relation, task, evolution.frozen_before.get(name, 0) + 1)
    before = items(league, name, relation, [one for one in laps if one.round <= last])
    return does_better_than_before(
        before, items(league, name, relation, [one for one in laps if one.round > last]), rule
    )


# ------------------------------------------------------------------------------------------------------- PBT
def _groups(league: League) -> list[list[Member]]:
    """Trainable agents that can stand in for one another: same role, domain and shape of adapter.
    Exploiters with targets are left out."""
    found: dict[tuple[object, ...], list[Member]] = {}
    for member in league.population.members.values():
        if member.trains and member.targets is None:
            found.setdefault((member.role, member.domain, league.weights().spec(member.version)), []).append(member)
    return [group for group in found.values() if len(group) > 1]


def _exploit_and_explore(league: League, now: Round, rule: PbtConfig) -> None:
    for group in _groups(league):
        task = task_of(league, group[0])
        if task is None:
            continue
        chance = who_is_better(league, group, task, now.number - rule.window + 1, rule.min_games)
        for loser, winner in exploits(chance, rule.confidence):
            name, donor = group[loser].name, group[winner]
            stream = generator(league.config.seed, "pbt", now.number, name)
            hyper = explore(
                donor.hyper, league.evolution.start.get(name, group[loser].hyper), rule.factor, rule.spread, stream
            )
            take_over(league, now, name, donor.name, hyper)
            now.scalars[f"evolution/exploits/{name}"] = float(chance[loser, winner])
    for member in league.population.members.values():
        if member.trains:
            now.scalars |= {f"hyper/{member.name}/{key}": value for key, value in vars(member.hyper).items()}


# ------------------------------------------------------------------------------------------------ retirement
def _retire(league: League, now: Round, rule: RetirementConfig) -> None:
    """Pasts of each task's players, by their payoffs in it; everyone's first past stays, as the
    measure of progress."""
    judged: dict[str, list[Member]] = {}
    for member in league.population.members.values():
        task = task_of(league, member)
        if task is not None and relation_of(league, task) == "contest":
            judged.setdefault(task, []).append(member)
    for task, members in judged.items():
        pasts = [past for m in members for past in league.population.pasts.get(m.name, ())]
        kept = {past for m in members for past in (*league.population.pasts.get(m.name, ())[:1], m.twin)}
        candidates = [place for place, past in enumerate(pasts) if past not in kept]
        if not candidates:
            continue
        versions = [*pasts, *(m.version for m in members)]
        met = league.view.meetings(task, versions, versions)
        beats = certified_edges(Counts(met.wins, met.draws))
        cyclic = np.zeros(len(versions), dtype=bool)
        for component in components(beats):
            cyclic[component] = len(component) > 1
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = np.where(met.n >= rule.min_games, (met.wins + met.draws / 2) / met.n, np.nan)
        gone = [versions[place] for place in to_retire(candidates, beats, cyclic, dissimilarity(rate), rule.distance)]
        if gone:
            retire(league, now, gone, rule.stored)
            now.scalars[f"evolution/retired/{task}"] = float(len(gone))


# --------------------------------------------------------------------------------------------------- mergers
def _merge(league: League, now: Round, rule: MergingConfig) -> None:
    """One candidate a time: the two best of the first group that has two, while there is room."""
    if len(league.evolution.merged) >= rule.limit:
        return
    for group in _groups(league):
        task = task_of(league, group[0])
        if task is None or relation_of(league, task) != "contest" or group[0].role == "expert":
            continue
        chance = who_is_better(league, group, task, 0, 1.0)
        known = [place for place in range(len(group)) if not np.isnan(chance[place]).all()]
        best = sorted(
            known, key=lambda place: (float(np.nanmean(chance[place])), place)
        )  # by the mean P(another is better)
        if len(best) < 2:
            continue
        first, second = group[best[0]], group[best[1]]
        _try_merger(league, now, rule, task, first, second)
        return


def _try_merger(league: League, now: Round, rule: MergingConfig, task: str, first: Member, second: Member) -> None:
    """Merge, play against both parents, and let the candidate in when it is not worse than the
    better one."""
    name = _free_name(league, f"merge-{now.number}")
    candidate, parents = Version(name, 0), (first.version, second.version)
    member = Member(name, first.role, candidate, True, first.hyper, first.domain, first.system)
    seed = derive(league.config.seed, "merge", now.number)
    merge_adapters(
        league.weights(),
        parents,
        candidate,
        rule.method,
        density=rule.density,
        rank=rule.rank,
        seed=seed,
        trainable=True,
    )
    played = _tried(league, now, rule, task, member, parents)
    now.matches += played
    league.count(now.number, played)
    met = league.view.meetings(task, [candidate], [first.version])
    bound = Games(float(met.wins[0, 0]), float(met.draws[0, 0]), float(met.losses[0, 0])).lower_bound(rule.confidence)
    now.scalars |= {"evolution/merger/bound": bound, "evolution/merger/admitted": float(bound > 0.5 - rule.margin)}
    if bound > 0.5 - rule.margin:
        admit(league, now, member, parents)
    else:
        refuse(league, now, candidate, parents)


def _tried(
    league: League, now: Round, rule: MergingConfig, task: str, member: Member, parents: Sequence[Version]
) -> list[MatchResult]:
    """Evaluation matches of the candidate against each parent; in an exam, all three answer the
    same problems."""
    players = {**league.players(), member.name: Player(member.system, member.hyper.temperature)}
    if task == EXAM:
        count = league.config.evaluation.problems
        sitting = [member.version, *parents]
        _, result = sit_exam(
            sitting, league.domains, "validation", range(count, 2 * count), league.backend, players, now.number
        )
        return [result]
    rules = league.tasks[task]
    domains = rules.domain_names
    fixtures = []
    for index in range(rule.matches * len(parents)):
        sides = (member.version, parents[index % len(parents)])
        seats = dict(zip(rules.seat_names(2), sides if index // len(parents) % 2 else sides[::-1], strict=True))
        problems = tuple(
            rules.problems("validation", now.number * rule.matches * 2 + index, domains[index % len(domains)])
        )
        seed = derive(league.config.seed, "merge", now.number, "match", index)
        fixtures.append(
            Match(f"{now.number}-{task}-merge-{index}", task, now.number, seats, problems, seed, "evaluate")
        )
    return play_unseen(fixtures, league.tasks, league.backend, players)


def _free_name(league: League, name: str) -> str:
    """A name nobody of this run has had: the config may already have an agent called so."""
    taken = {row.version.agent for row in league.store.versions()} | set(league.population.members)
    while name in taken:
        name += "x"
    return name
