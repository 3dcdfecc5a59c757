"""Every way in which one version follows another outside training, each in one step for weights,
population, guards and lineage.

Nothing here decides anything: `league.round.evolve` does. Each change makes a new version; what was committed is
never rewritten.
"""

from collections.abc import Sequence
from dataclasses import replace

from league.errors import UserError, nearest
from league.population import Member
from league.round.values import Round
from league.runtime.assembly import League
from league.runtime.checkpoint import load_adapter
from league.types import Hyper, Version, VersionRow


def snapshot(league: League, now: Round, name: str, *, afresh: bool = False) -> None:
    """Freeze the live version and let the agent go on as the next step, with the same weights and
    optimizer.

    `afresh`: go on with the weights of its warm-up and an empty optimizer instead (the reset of exploiters).
    """
    bank, evolution, frozen = league.weights(), league.evolution, league.population.members[name].version
    evolution.begins(name, frozen, league.population.members[name].hyper)
    successor, origin = Version(name, frozen.step + 1), evolution.origin[name]
    if afresh:
        _put_back(league, origin, successor)
    else:
        bank.clone(frozen, successor, trainable=True)
    bank.freeze(frozen)
    league.population, gone = league.population.snapshot(name, frozen, successor, league.config.league.snapshots_kept)
    for version in gone:
        bank.drop(version)
    evolution.freezes(name, now.number)
    if afresh:
        kept = origin in league.population.pasts[name]
        league.population = league.population.changed(name, twin=origin if kept else None)
        _begins_again(league, name, successor)
        now.came(league, successor, (origin, frozen), "reset")
        return
    if league.guards.good.get(name) == frozen:
        league.guards.good[name] = successor
    now.came(league, successor, (frozen,), "snapshot")


def take_over(league: League, now: Round, name: str, donor: str, hyper: Hyper) -> None:
    """The agent goes on with a copy of the donor's weights and optimizer, and with other
    hyper-parameters."""
    bank, mine, theirs = (
        league.weights(),
        league.population.members[name].version,
        league.population.members[donor].version,
    )
    successor = Version(name, mine.step + 1)
    bank.drop(mine)
    bank.clone(theirs, successor, trainable=True)
    league.population = league.population.moved({name: successor}).changed(name, hyper=hyper)
    _begins_again(league, name, successor)
    if donor in league.guards.first:
        league.guards.first[name] = dict(league.guards.first[donor])
    now.came(league, successor, (mine, theirs), "exploit")


def retire(league: League, now: Round, versions: Sequence[Version], stored: int) -> None:
    """Take pasts out of the league. They are met no more; rows and payoffs stay, and the weights of
    the newest `stored` of them."""
    league.population = league.population.retired(frozenset(versions))
    league.evolution.retires(list(versions), now.number, stored)
    for version in versions:
        league.weights().drop(version)


def admit(league: League, now: Round, member: Member, parents: Sequence[Version]) -> None:
    """A merged candidate joins as an agent of its own: its version is frozen at once as its first
    past, and it trains from there."""
    league.population = league.population.joined(member)
    league.evolution.merged.append(member.name)
    now.came(league, member.version, tuple(parents), "merge")
    snapshot(league, now, member.name)


def refuse(league: League, now: Round, candidate: Version, parents: Sequence[Version]) -> None:
    """A merged candidate that was not shown to be as good: it stays in the lineage and in the
    payoffs, without weights."""
    league.weights().drop(candidate)
    now.versions.append(VersionRow(candidate, "past", now.number, None, None, tuple(parents), "merge refused"))


def reconcile(league: League) -> None:
    """On resume: agents that the config no longer names leave the league. Raises UserError for new
    ones, which have no past to resume from."""
    named, known = set(league.config.agents), set(league.population.members)
    if new := sorted(named - known):
        raise UserError(
            f"agents.{new[0]}: the run has no agent '{new[0]}'{nearest(new[0], sorted(known))}; agents can leave a run but not join it: "
            "take the name out of its config.yaml, or start a new run"
        )
    gone = frozenset(known - named - set(league.evolution.merged))
    if gone:
        leave(league, gone)
        league.store.event("agents left", round=league.store.latest_round(), agents=sorted(gone))


def leave(league: League, names: frozenset[str]) -> None:
    """Agents leave the league with their pasts, for good. What they played stays in payoffs and
    ratings."""
    for name in names:
        league.guards.forget(name)
    if league.bank is not None:
        for version in [version for version in league.bank.versions() if version.agent in names]:
            league.bank.drop(version)
    league.population = league.population.without(names)
    league.population = replace(
        league.population,
        members={name: _without_targets(member, names) for name, member in league.population.members.items()},
    )
    league.evolution.forgets(names)


def _without_targets(member: Member, names: frozenset[str]) -> Member:
    """An exploiter all of whose targets left exploits the whole league."""
    if not isinstance(member.targets, tuple):
        return member
    return replace(member, targets=tuple(target for target in member.targets if target not in names) or "league")


def _put_back(league: League, source: Version, target: Version) -> None:
    """The weights of a frozen version, from the bank or from the store, as a trainable one with an
    empty optimizer."""
    bank = league.weights()
    borrowed = source not in bank
    if borrowed:
        load_adapter(league.store, bank, league.store.version_row(source), trainable=False)
    bank.clone(source, target, trainable=True)
    if borrowed:
        bank.drop(source)


def _begins_again(league: League, name: str, version: Version) -> None:
    """Games of the agent's earlier weights say nothing of it now, and there is nothing before to
    roll back to."""
    league.evolution.since[name] = version.step
    league.guards.good[name] = version
    league.guards.strikes.pop(name, None)
