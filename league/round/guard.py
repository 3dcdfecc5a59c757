"""What the league does about alarms: warn, roll an agent back to its last good version, take it out
of training after three strikes.

A version is good when its round raised no alarm at the level of rolling back. Rolled-back weights come from the
store, optimizer included, and go on as a new version, so nothing that was committed is rewritten.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from league.errors import LeagueError
from league.learning.alarms import Alarm, Thresholds, alarms, speech
from league.learning.update import AgentUpdate
from league.runtime.assembly import League
from league.runtime.checkpoint import load_adapter
from league.types import Episode, Score, VersionRow


def measured(
    league: League,
    episodes: Sequence[Episode],
    scores: Sequence[Score | None],
    updates: Mapping[str, AgentUpdate],
    held_out: Mapping[str, float],
) -> dict[str, dict[str, float]]:
    """agent → the quantities alarms look at, of one round. `held_out` is the mean accuracy of
    agents that sat an exam in it."""
    found = speech(episodes, scores, league.population.trainable())
    for agent, done in updates.items():
        quantities = found.setdefault(agent, {})
        quantities["entropy"] = done.entropy
        if league.population.members[agent].hyper.kl > 0:
            quantities["kl"] = done.kl
    for agent, accuracy in held_out.items():
        if agent in found:
            found[agent]["held_out"] = accuracy
    return found


def guard(
    league: League, number: int, quantities: Mapping[str, Mapping[str, float]], broken: Sequence[Alarm]
) -> tuple[list[Alarm], list[VersionRow]]:
    """Raise the round's alarms and act on them; returns them with the versions that came to be.
    `broken` are non-finite updates."""
    chosen = league.config.alarms
    levels = {
        name: Thresholds(getattr(chosen, name).warn, getattr(chosen, name).roll_back)
        for name in type(chosen).model_fields
        if name != "quarantine_after"
    }
    raised, rows = list(broken), []
    for agent in sorted(league.population.trainable()):
        if agent in quantities:
            first = league.guards.first.setdefault(agent, dict(quantities[agent]))
            raised += alarms(agent, quantities[agent], first, levels)
        mine = [alarm for alarm in raised if alarm.agent == agent]
        if not any(alarm.action == "roll back" for alarm in mine):
            league.guards.strikes.pop(agent, None)
            league.guards.good[agent] = league.population.members[agent].version
            continue
        league.guards.strikes[agent] = league.guards.strikes.get(agent, 0) + 1
        rows += _roll_back(league, number, agent)
        if league.guards.strikes[agent] >= chosen.quarantine_after:
            _quarantine(league, agent)
            raised.append(
                Alarm(agent, "strikes", league.guards.strikes[agent], chosen.quarantine_after - 1, "quarantine")
            )
    league.guards.raised = [str(alarm) for alarm in raised]
    for alarm in raised:
        league.store.event(
            "alarm",
            round=number,
            agent=alarm.agent,
            sign=alarm.sign,
            value=alarm.value,
            limit=alarm.limit,
            action=alarm.action,
        )
    return raised, rows


def _roll_back(league: League, number: int, agent: str) -> list[VersionRow]:
    """Put the last good version's weights and optimizer back, as a new step. Nothing happens when
    the live version is the good one."""
    bank, now = league.bank, league.population.members[agent].version
    good = league.guards.good.get(agent)
    if bank is None:
        raise LeagueError(f"agent {agent} has no weights to roll back")
    if good is None or good == now:
        return []
    row = league.store.version_row(good)
    bank.drop(now)
    frozen = good in bank
    if frozen:
        bank.clone(good, now, trainable=True)
    else:
        load_adapter(league.store, bank, row, trainable=True)
        bank.advance(good, now.step)
    successor = bank.advance(now, now.step + 1)
    league.population = league.population.moved({agent: successor})
    return [VersionRow(successor, row.role, number, None, None, (now, good), "rollback")]


def _quarantine(league: League, agent: str) -> None:
    member = league.population.members[agent]
    league.population = replace(
        league.population, members={**league.population.members, agent: replace(member, trains=False)}
    )
    league.guards.quarantined.append(agent)
    if league.bank is not None:
        league.bank.freeze(member.version)
