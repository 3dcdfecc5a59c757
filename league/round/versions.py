"""Every way in which one version follows another outside training.

Each is one step for weights, population, guards and lineage. Nothing here decides anything: `league.round.evolve`
does. Each change makes a new version; what was committed is never rewritten.
"""

from collections.abc import Sequence
from dataclasses import replace

from league.population import Member
from league.round.values import RoundDraft
from league.runtime.checkpoint import load_adapter
from league.runtime.league import League, LeagueState
from league.types import Hyper, Version


def snapshot(league: League, state: LeagueState, draft: RoundDraft, name: str, *, afresh: bool = False) -> LeagueState:
    """Freeze the live version; the agent goes on as the next step, with the same weights and optimizer.

    `afresh`: go on with the weights of its warm-up and an empty optimizer instead (the reset of exploiters).
    """
    bank, member = league.weights(), state.population.members[name]
    frozen, successor = member.version, Version(name, member.version.step + 1)
    evolution = state.evolution.begun(name, frozen, member.hyper)
    origin = evolution.origin[name]
    if afresh:
        _put_back(league, origin, successor)
    else:
        bank.clone(frozen, successor, trainable=True)
    bank.freeze(frozen)
    population, gone = state.population.snapshot(name, frozen, successor, league.config.league.snapshots_kept)
    for version in gone:
        bank.drop(version)
    state = replace(state, population=population, evolution=evolution.frozen(name, draft.number))
    if afresh:
        kept = origin in population.pasts[name]
        state = replace(state, population=population.changed(name, twin=origin if kept else None))
        draft.made(state.population, successor, (origin, frozen), "reset")
        return _begin_again(state, successor)
    if state.alarms.good.get(name) == frozen:
        state = replace(state, alarms=state.alarms.with_good(name, successor))
    draft.made(state.population, successor, (frozen,), "snapshot")
    return state


def take_over(
    league: League, state: LeagueState, draft: RoundDraft, *, name: str, donor: str, hyper: Hyper
) -> LeagueState:
    """The agent goes on with a copy of the donor's weights and optimizer, and with other hyper-parameters."""
    bank, members = league.weights(), state.population.members
    mine, theirs = members[name].version, members[donor].version
    successor = Version(name, mine.step + 1)
    bank.drop(mine)
    bank.clone(theirs, successor, trainable=True)
    state = replace(state, population=state.population.moved({name: successor}).changed(name, hyper=hyper))
    state = _begin_again(state, successor)
    state = replace(state, alarms=state.alarms.with_firsts_of(name, donor))
    draft.made(state.population, successor, (mine, theirs), "exploit")
    return state


def retire(
    league: League, state: LeagueState, draft: RoundDraft, versions: Sequence[Version], stored: int
) -> LeagueState:
    """Take pasts out of the league.

    They are met no more; rows and payoffs stay, and the weights of the newest `stored` of them.
    """
    for version in versions:
        league.weights().drop(version)
    return replace(
        state,
        population=state.population.retired(frozenset(versions)),
        evolution=state.evolution.with_retired(versions, draft.number, stored),
    )


def admit(
    league: League, state: LeagueState, draft: RoundDraft, member: Member, parents: Sequence[Version]
) -> LeagueState:
    """A merged candidate joins as an agent of its own.

    Its version is frozen at once as its first past, and it trains from there.
    """
    state = replace(
        state, population=state.population.joined(member), evolution=state.evolution.with_merged(member.name)
    )
    draft.made(state.population, member.version, tuple(parents), "merge")
    return snapshot(league, state, draft, member.name)


def refuse(league: League, draft: RoundDraft, candidate: Version, parents: Sequence[Version]) -> None:
    """A merged candidate that was not shown to be as good stays in lineage and payoffs, without weights."""
    league.weights().drop(candidate)
    draft.refused(candidate, tuple(parents))


def _put_back(league: League, source: Version, target: Version) -> None:
    """A frozen version's weights, from the bank or the store, as a trainable one with an empty optimizer."""
    bank = league.weights()
    borrowed = source not in bank
    if borrowed:
        load_adapter(league.store, bank, league.store.version_row(source), trainable=False)
    bank.clone(source, target, trainable=True)
    if borrowed:
        bank.drop(source)


def _begin_again(state: LeagueState, version: Version) -> LeagueState:
    """Games of the agent's earlier weights say nothing of it now.

    There is nothing before to roll back to, either.
    """
    name = version.agent
    return replace(
        state,
        evolution=state.evolution.cut(name, version.step),
        alarms=state.alarms.with_good(name, version).with_strikes(name, 0),
    )
