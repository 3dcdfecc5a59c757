"""What the league does about alarms: warn, roll an agent back, stop training it.

An agent stops learning after three strikes. A version is good when its round raised no alarm at the level of rolling
back. Rolled-back weights come from the store, optimizer included, and go on as a new version, so nothing that was
committed is rewritten.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from league.config import AlarmConfig
from league.evaluation.exams import ExamResult
from league.learning.alarms import Alarm, Thresholds, alarms, speech
from league.learning.update import AgentUpdate
from league.round.values import RoundDraft
from league.runtime.checkpoint import load_adapter
from league.runtime.league import League, LeagueState
from league.types import Episode, Score

HELD_OUT_ANSWERS = 50
"""Answers of an exam below which it says nothing about overfitting."""


def guard(
    league: League,
    state: LeagueState,
    draft: RoundDraft,
    *,
    episodes: Sequence[Episode],
    scores: Sequence[Score | None],
    updates: Mapping[str, AgentUpdate],
) -> LeagueState:
    """Raise the round's alarms and act on them."""
    levels = {
        name: Thresholds(each.warn, each.roll_back)
        for name, each in league.config.alarms
        if isinstance(each, AlarmConfig)
    }
    quantities = alarm_quantities(state, draft, episodes, scores, updates)
    raised = list(draft.broken)
    for agent in sorted(state.population.trainable()):
        history = state.alarms
        if agent in quantities:
            if agent not in history.first:
                history = history.with_first(agent, quantities[agent])
            raised += alarms(agent, quantities[agent], history.first[agent], levels)
        if any(alarm.agent == agent and alarm.action == "roll back" for alarm in raised):
            strikes = history.strikes.get(agent, 0) + 1
            state = replace(state, alarms=history.with_strikes(agent, strikes))
            state = _roll_back(league, state, draft, agent)
            if strikes >= league.config.alarms.quarantine_after:
                state = _quarantine(league, state, agent)
                limit = league.config.alarms.quarantine_after - 1
                raised.append(Alarm(agent, "strikes", strikes, limit, "quarantine"))
        else:
            good = state.population.members[agent].version
            state = replace(state, alarms=history.with_strikes(agent, 0).with_good(agent, good))
    _tell(league, draft, raised)
    return replace(state, alarms=replace(state.alarms, raised=tuple(str(alarm) for alarm in raised)))


def _tell(league: League, draft: RoundDraft, raised: Sequence[Alarm]) -> None:
    """Leave the alarms in the round, its scalars and the run's events."""
    draft.alarms = list(raised)
    draft.scalars |= {f"alarm/{alarm.agent}/{alarm.sign}": alarm.value for alarm in raised}
    for alarm in raised:
        league.store.event(
            "alarm",
            round=draft.number,
            agent=alarm.agent,
            sign=alarm.sign,
            value=alarm.value,
            limit=alarm.limit,
            action=alarm.action,
        )


def alarm_quantities(
    state: LeagueState,
    draft: RoundDraft,
    episodes: Sequence[Episode],
    scores: Sequence[Score | None],
    updates: Mapping[str, AgentUpdate],
) -> dict[str, dict[str, float]]:
    """agent → the quantities that alarms look at, of one round."""
    found = speech(episodes, scores, state.population.trainable())
    for agent, done in updates.items():
        if state.population.members[agent].hyper.kl > 0:
            found.setdefault(agent, {})["kl"] = done.kl
    held_out: dict[str, list[ExamResult]] = {}
    for exam in draft.exams:
        member = state.population.members.get(exam.version.agent)
        if member is None or member.domain in (None, exam.domain):  # a specialist trains on its own domain alone
            held_out.setdefault(exam.version.agent, []).append(exam)
    for agent, exams in held_out.items():
        if agent in found and sum(len(exam.correct) for exam in exams) >= HELD_OUT_ANSWERS:
            found[agent]["held_out"] = fmean(exam.accuracy for exam in exams)
    return found


def _roll_back(league: League, state: LeagueState, draft: RoundDraft, agent: str) -> LeagueState:
    """Put the last good version's weights and optimizer back, as a new step.

    Nothing happens when the live version is the good one.
    """
    bank, live = league.weights(), state.population.members[agent].version
    good = state.alarms.good.get(agent)
    if good is None or good == live:
        return state
    row = league.store.version_row(good)
    bank.drop(live)
    if good in bank:
        bank.clone(good, live, trainable=True)
    else:
        load_adapter(league.store, bank, row, trainable=True)
        bank.advance(good, live.step)
    successor = bank.advance(live, live.step + 1)
    draft.made(state.population, successor, (live, good), "rollback")
    return replace(state, population=state.population.moved({agent: successor}))


def _quarantine(league: League, state: LeagueState, agent: str) -> LeagueState:
    """The agent trains no more."""
    if league.bank is not None:
        league.bank.freeze(state.population.members[agent].version)
    history = replace(state.alarms, quarantined=(*state.alarms.quarantined, agent))
    return replace(state, population=state.population.changed(agent, trains=False), alarms=history)
