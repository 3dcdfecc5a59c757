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
from league.learning.alarms import Alarm, Thresholds, alarms, not_known_before, speech, unaided_answers
from league.learning.update import AgentUpdate
from league.round.values import RoundDraft
from league.runtime.checkpoint import load_adapter
from league.runtime.league import League, LeagueState
from league.types import Episode, Score

HELD_OUT_ANSWERS = 50
"""Answers, held out and in training, below which they say nothing about overfitting.

With 50 of each at an accuracy of ½, equal chances differ by 25 points or more in 0.6% of the rounds.
"""


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
            first, later = history.first[agent], history.later.get(agent, {})
            found = alarms(agent, quantities[agent], first, levels, later)
            raised += found
            if not any(alarm.action == "roll back" for alarm in found):
                history = history.with_later(agent, not_known_before(quantities[agent], first, later))
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
    """agent → the quantities that alarms look at, of one round.

    Only exams on validation problems count: test problems must decide nothing, and guard runs after the last exam.
    """
    found = speech(episodes, scores, state.population.trainable())
    for agent, done in updates.items():
        if state.population.members[agent].hyper.kl > 0:
            found.setdefault(agent, {})["kl"] = done.kl
    answers = unaided_answers(episodes, scores, state.population.trainable())
    held_out: dict[str, list[ExamResult]] = {}
    for exam in draft.exams:
        if exam.split != "validation":
            continue
        member = state.population.members.get(exam.version.agent)
        if member is None or member.domain in (None, exam.domain):  # a specialist trains on its own domain alone
            held_out.setdefault(exam.version.agent, []).append(exam)
    for agent, exams in held_out.items():
        if agent in found and sum(len(exam.correct) for exam in exams) >= HELD_OUT_ANSWERS:
            found[agent] |= _held_out(exams, answers.get(agent, {}))
    return found


def _held_out(exams: Sequence[ExamResult], answers: Mapping[str, tuple[float, int]]) -> dict[str, float]:
    """held_out, and train_accuracy where it can be compared with it.

    Domains count by how much of each was answered in training, so that a round of easy domains is no overfitting: of
    those that were both answered and examined. With too few answers in training nothing is held out from them.
    """
    both = {exam.domain: answers[exam.domain] for exam in exams if exam.domain in answers}
    count = sum(n for _, n in both.values())
    if not answers:
        return {"held_out": fmean(exam.accuracy for exam in exams)}
    if count < HELD_OUT_ANSWERS:
        return {}
    accuracy = {exam.domain: exam.accuracy for exam in exams}
    return {
        "held_out": sum(n * accuracy[domain] for domain, (_, n) in both.items()) / count,
        "train_accuracy": sum(right for right, _ in both.values()) / count,
    }


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
