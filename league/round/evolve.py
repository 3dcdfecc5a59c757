"""How the population changes at the end of a round.

Snapshots, resets of exploiters, population-based training, retirement and mergers, in this order. The rules are pure
functions of `league.population`; `league.round.strength` reads their numbers from the payoffs,
`league.round.versions` carries out what they say. Everything here is drawn from the run's seed and belongs to the
round's transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from league.config import MergingConfig, PbtConfig, RetirementConfig
from league.evaluation.exams import hold_exam
from league.model.merging import merge_adapters
from league.payoffs.diversity import dissimilarity
from league.payoffs.edges import certified_edges
from league.payoffs.graph import components
from league.payoffs.matrix import Counts
from league.population import Member
from league.population.exploiters import is_target
from league.population.pbt import exploits, explore
from league.population.retirement import to_retire
from league.population.snapshots import PROGRESS, TIMEOUT, beats_its_past, does_better_than_before
from league.population.tallies import Games
from league.rollouts import Player, make_match, play_unseen
from league.round.strength import games, items, relation_of, task_of, who_is_better
from league.round.values import RoundDraft
from league.round.versions import admit, refuse, retire, snapshot, take_over
from league.runtime.league import League, LeagueState
from league.seeds import derive, generator
from league.types import EXAM, MatchResult, Version


def evolve(league: League, state: LeagueState, draft: RoundDraft) -> LeagueState:
    """Look at everyone, and at the dearer questions every so many rounds only."""
    chosen = league.config.evolution
    for name in sorted(state.population.trainable()):
        exploiter = state.population.members[name].targets is not None
        if why := _snapshot_is_due(league, state, draft.number, name):
            state = snapshot(league, state, draft, name, afresh=exploiter and chosen.exploiters.reset)
            draft.scalars[f"evolution/snapshots/{why}"] = draft.scalars.get(f"evolution/snapshots/{why}", 0.0) + 1.0
    if chosen.pbt is not None and draft.number % chosen.pbt.every == 0:
        state = _exploit_and_explore(league, state, draft, chosen.pbt)
    if chosen.retirement is not None and draft.number % chosen.retirement.every == 0:
        state = _retire(league, state, draft, chosen.retirement)
    if chosen.merging is not None and draft.number % chosen.merging.every == 0:
        state = _merge(league, state, draft, chosen.merging)
    return state


# ------------------------------------------------------------------------------------------------- snapshots
def _snapshot_is_due(league: League, state: LeagueState, number: int, name: str) -> str | None:
    """Why an agent is frozen now, or None."""
    chosen, member = league.config.evolution, state.population.members[name]
    rounds = number - state.evolution.frozen_at.get(name, 0)
    targeting = member.targets is not None
    if rounds >= (chosen.exploiters.timeout if targeting else league.config.league.snapshot_every):
        return TIMEOUT
    if (targeting or chosen.snapshots is not None) and _has_progressed(league, state, member):
        return PROGRESS
    return None


def _has_progressed(league: League, state: LeagueState, member: Member) -> bool:
    name, rule = member.name, league.config.evolution.snapshots
    task = task_of(league, member)
    if task is None:
        return False
    relation, evolution = relation_of(league, task), state.evolution
    last = evolution.frozen_at.get(name, 0)
    if relation == "contest":
        played = state.view.recent(relation, task, last)
        if member.targets is not None:
            against = games(state, name, lambda version: is_target(state.population, name, version), played)
            return beats_its_past(against, league.config.evolution.exploiters)
        pasts = state.population.pasts.get(name, ())
        if rule is None or not pasts:
            return False
        chosen = set(pasts[-1:] if rule.against == "last" else pasts)
        return beats_its_past(games(state, name, chosen.__contains__, played, pasts[-1].step + 1), rule)
    if rule is None:
        return False
    rounds_since = state.view.recent(relation, task, evolution.frozen_before.get(name, 0) + 1)
    before = items(state, name, relation, [one for one in rounds_since if one.round <= last])
    return does_better_than_before(
        before, items(state, name, relation, [one for one in rounds_since if one.round > last]), rule
    )


# ------------------------------------------------------------------------------------------------------- PBT
def _groups(league: League, state: LeagueState) -> list[list[Member]]:
    """Trainable agents that can stand in for one another: same role, domain and shape of adapter.

    Exploiters with targets are left out.
    """
    found: dict[tuple[object, ...], list[Member]] = {}
    for member in state.population.members.values():
        if member.trains and member.targets is None:
            found.setdefault((member.role, member.domain, league.weights().spec(member.version)), []).append(member)
    return [group for group in found.values() if len(group) > 1]


def _exploit_and_explore(league: League, state: LeagueState, draft: RoundDraft, rule: PbtConfig) -> LeagueState:
    for group in _groups(league, state):
        task = task_of(league, group[0])
        if task is None:
            continue
        chance = who_is_better(
            league, state, group, task=task, since=draft.number - rule.window + 1, min_games=rule.min_games
        )
        for loser, winner in exploits(chance, rule.confidence):
            name, donor = group[loser].name, group[winner]
            stream = generator(league.config.seed, "pbt", draft.number, name)
            hyper = explore(
                donor.hyper, state.evolution.start.get(name, group[loser].hyper), rule.factor, rule.spread, stream
            )
            state = take_over(league, state, draft, name=name, donor=donor.name, hyper=hyper)
            draft.scalars[f"evolution/exploits/{name}"] = float(chance[loser, winner])
    for member in state.population.members.values():
        if member.trains:
            draft.scalars |= {f"hyper/{member.name}/{key}": value for key, value in vars(member.hyper).items()}
    return state


# ------------------------------------------------------------------------------------------------ retirement
def _retire(league: League, state: LeagueState, draft: RoundDraft, rule: RetirementConfig) -> LeagueState:
    """Retire pasts of each task's players, by their payoffs in it.

    Everyone's first past stays, as the measure of progress.
    """
    judged: dict[str, list[Member]] = {}
    for member in state.population.members.values():
        task = task_of(league, member)
        if task is not None and relation_of(league, task) == "contest":
            judged.setdefault(task, []).append(member)
    for task, members in judged.items():
        pasts = [past for m in members for past in state.population.pasts.get(m.name, ())]
        kept = {past for m in members for past in (*state.population.pasts.get(m.name, ())[:1], m.twin)}
        candidates = [place for place, past in enumerate(pasts) if past not in kept]
        if not candidates:
            continue
        versions = [*pasts, *(m.version for m in members)]
        met = state.view.meetings(task, versions, versions)
        beats = certified_edges(Counts(met.wins, met.draws))
        cyclic = np.zeros(len(versions), dtype=bool)
        for component in components(beats):
            cyclic[component] = len(component) > 1
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = np.where(met.n >= rule.min_games, (met.wins + met.draws / 2) / met.n, np.nan)
        gone = [versions[place] for place in to_retire(candidates, beats, cyclic, dissimilarity(rate), rule.distance)]
        if gone:
            state = retire(league, state, draft, gone, rule.stored)
            draft.scalars[f"evolution/retired/{task}"] = float(len(gone))
    return state


# --------------------------------------------------------------------------------------------------- mergers
def _merge(league: League, state: LeagueState, draft: RoundDraft, rule: MergingConfig) -> LeagueState:
    """One candidate a time: the two best of the first group that has two, while there is room."""
    if len(state.evolution.merged) >= rule.limit:
        return state
    for group in _groups(league, state):
        task = task_of(league, group[0])
        if task is None or relation_of(league, task) != "contest" or group[0].can.specialist:
            continue
        chance = who_is_better(league, state, group, task=task, since=0, min_games=1.0)
        known = [place for place in range(len(group)) if not np.isnan(chance[place]).all()]
        # best first: by the mean probability that another is better
        best = sorted(known, key=lambda place: (float(np.nanmean(chance[place])), place))
        if len(best) < 2:
            continue
        first, second = group[best[0]], group[best[1]]
        return _try_merger(league, state, draft, rule, task=task, parents=(first, second))
    return state


def _try_merger(
    league: League,
    state: LeagueState,
    draft: RoundDraft,
    rule: MergingConfig,
    *,
    task: str,
    parents: tuple[Member, Member],
) -> LeagueState:
    """Merge, play against both parents, and let the candidate in when it is good enough.

    That is: not worse than the better (first) parent.
    """
    first, second = parents
    candidate, versions = (
        Version(_free_name(league, state, f"merge-{draft.number}"), 0),
        (first.version, second.version),
    )
    member = replace(first, name=candidate.agent, version=candidate, trains=True, targets=None, twin=None)
    merge_adapters(
        league.weights(),
        versions,
        candidate,
        rule.method,
        density=rule.density,
        rank=rule.rank,
        seed=derive(league.config.seed, "merge", draft.number),
        trainable=True,
    )
    players = state.players() | {member.name: Player(member.system, member.hyper.temperature)}
    played = _trial(league, players, draft.number, task=task, matches=rule.matches, versions=[candidate, *versions])
    draft.matches += played
    state = state.counted(draft.number, played)
    met = state.view.meetings(task, [candidate], [first.version])
    bound = Games(float(met.wins[0, 0]), float(met.draws[0, 0]), float(met.losses[0, 0])).lower_bound(rule.confidence)
    admitted = bound > 0.5 - rule.margin
    draft.scalars |= {"evolution/merger/bound": bound, "evolution/merger/admitted": float(admitted)}
    if admitted:
        return admit(league, state, draft, member, versions)
    refuse(league, draft, candidate, versions)
    return state


def _trial(
    league: League,
    players: Mapping[str, Player],
    number: int,
    *,
    task: str,
    matches: int,
    versions: Sequence[Version],
) -> list[MatchResult]:
    """Evaluation matches of the candidate, first of `versions`, against each parent.

    In an exam all answer the same problems.
    """
    candidate, *parents = versions
    if task == EXAM:
        count = league.config.evaluation.problems
        _, result = hold_exam(
            versions,
            league.domains,
            split="validation",
            problems=range(count, 2 * count),
            backend=league.backend,
            players=players,
            number=number,
        )
        return [result]
    rules = league.tasks[task]
    domains = rules.domain_names
    planned = []
    for index in range(matches * len(parents)):
        sides = (candidate, parents[index % len(parents)])
        ordered = sides if index // len(parents) % 2 else sides[::-1]
        place, domain = number * matches * 2 + index, domains[index % len(domains)]
        planned.append(
            make_match(
                task,
                at=(number, "merge", index),
                seats=dict(zip(rules.seat_names(2), ordered, strict=True)),
                problems=rules.problems("validation", place, domain),
                seed=derive(league.config.seed, "merge", number, "match", index),
                purpose="evaluate",
            )
        )
    keep = league.keeping(players, "merge")
    return play_unseen(planned, league.tasks, league.backend, players, keep=keep)


def _free_name(league: League, state: LeagueState, name: str) -> str:
    """A name nobody of this run has had: the config may already have an agent called so."""
    taken = {row.version.agent for row in league.store.versions()} | set(state.population.members)
    while name in taken:
        name += "x"
    return name
