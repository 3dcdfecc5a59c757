"""One round of the league, top to bottom:

    schedule → play → score → update → measure → guard → evolve → commit → report

`train` starts a run, `resume` continues one; both end in `run`, which plays rounds until the config, a limit or a
person says stop. A round exists when its commit returns, and nothing outside the commit is needed to play the next one.
Each phase takes the league, which never changes, and its state, and returns the next state. What a round will store and
say (matches, versions, scalars, alarms) is gathered in its draft: the one thing that phases write to.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from league.config import Config, try_parse_config
from league.config.fixed_settings import changed_fixed_settings
from league.learning.accounting import Spent, all_scored
from league.learning.update import AgentUpdate
from league.preflight.checks import Prepared, prepare
from league.preflight.trust import trust_own
from league.rollouts import play, score_all, voids_of
from league.rollouts.readings import read_likelihoods
from league.round.changed_rates import with_changed_rates
from league.round.commit import commit
from league.round.competence import audit_scalars, examined, handed_on
from league.round.evolve import evolve
from league.round.guard import guard
from league.round.heartbeats import Heartbeats
from league.round.learn import learn
from league.round.measure import measure
from league.round.membership import newcomers, require_joinable, say_goodbye, take_up_requests, welcome
from league.round.progress import judge_progress
from league.round.schedule import schedule_matches
from league.round.stop import Signals, StoppedInWarmup, expected_seconds, limit_reached, why_stop
from league.round.values import Audience, RoundDraft, base_row, metered, timed
from league.round.versions import snapshot
from league.round.warm_up import WarmupNews, beginning, in_order_of_beginning, warm_up_all
from league.runtime import assembly
from league.runtime.changed_config import read_changed
from league.runtime.league import League, LeagueState
from league.store.run import RunStore
from league.types import Episode


# ------------------------------------------------------------------------------------------------ beginnings
def train(prepared: Prepared, audience: Audience) -> Path:
    """Start a run: round 0 is the warm-up and the first exam. Returns the run folder."""
    league, state = assembly.create(prepared)
    with closing(league.store), Heartbeats(league.store):
        run(league, state, audience)
    return prepared.config.folder


def resume(folder: Path, audience: Audience, changes: Sequence[str] = ()) -> Path:
    """Continue a run where its last committed round left it.

    `changes` are settings as `key.sub=value`; they are kept once all is checked and loaded. Raises UserError when the
    folder does not allow it, or a setting cannot change any more.
    """
    changed = read_changed(folder, changes)
    config = changed.config
    with RunStore.open(folder, assembly.retention_of(config)) as store, Heartbeats(store):
        newest = store.latest_round()
        store.beat(0 if newest is None else newest, "opening")
        prepared = prepare(
            config, new_run=False, known=_changed_fixed_settings(store, config), source=str(folder / "config.yaml")
        )
        store.clear_stop()
        if newest is None:
            league, state = assembly.begin_again(prepared, store)
        else:
            league, state = assembly.restore(prepared, store)
            require_joinable(league, state)
            state = with_changed_rates(state, store.state().get("config", {}), config)
            state = say_goodbye(league, state)
        if changed.text is not None:
            trust_own(folder, config)
            store.change_config(changed.text)
        store.adopt_config((folder / "config.yaml").read_text(encoding="utf-8"))
        run(league, state, audience)
    return folder


def _changed_fixed_settings(store: RunStore, config: Config) -> tuple[str, ...]:
    """What is wrong with a configuration that was edited since the last round."""
    before = try_parse_config(store.config_text(), "the database").config
    return changed_fixed_settings(before, config) if before is not None and store.latest_round() is not None else ()


def run(league: League, state: LeagueState, audience: Audience) -> LeagueState:
    """Play rounds until the last one, a limit, or a request to stop.

    A signal finishes the round, or the step of the warm-up; a second one stops at once. Agents join and leave between
    two rounds.
    """
    with Signals() as signals:
        try:
            if league.store.latest_round() is None:
                state = open_round(league, state, audience, signals)
            while (reason := why_stop(league, state, signals)) is None:
                league, state = take_up_requests(league, state)
                number = (league.store.latest_round() or 0) + 1
                signals.under_way("finishing the round", expected_seconds(league.config, state, number))
                state = play_round(league, state, number, audience, signals)
        except StoppedInWarmup as stopped:
            reason = str(stopped)
        league.store.event("stopped", reason=reason)
        league.store.beat(league.store.latest_round() or 0, f"stopped: {reason}")
    return state


# ------------------------------------------------------------------------------------------------- one round
def play_round(league: League, state: LeagueState, number: int, audience: Audience, signals: Signals) -> LeagueState:
    """Schedule, play, score, update, measure, guard, evolve, commit, report; returns the state after it.

    Agents that are new join first. Raises StoppedInWarmup when it is asked to stop while they warm up.
    """
    config, store, draft = league.config, league.store, RoundDraft(number)
    if newcomers(league, state):
        with timed(store, draft, "warm-up"):
            state = welcome(league, state, draft, _between_steps(league, state, number, audience, signals))
        signals.under_way("finishing the round", expected_seconds(config, state, number))
    with timed(store, draft, "schedule"):
        state, matches = schedule_matches(league, state, number)
    with timed(store, draft, "generate"):
        audience.phase(league, number, f"playing {len(matches)} matches")
        episodes = play(matches, league.tasks, league.backend, state.players())
    with timed(store, draft, "score"):
        draft.spent += _read(league, state, episodes)
        scores = score_all(episodes, league.tasks)
    with timed(store, draft, "update"):
        audience.phase(league, number, "updating")
        state, updates = learn(league, state, draft, episodes, scores)
    with timed(store, draft, "rate"):
        state = _advance(league, state, draft, updates)
    ends = limit_reached(config, state.after(draft.clock), number) is not None
    if ends or number % config.evaluation.every == 0:
        with timed(store, draft, "evaluate"):
            audience.phase(league, number, "measuring")
            state = _measure(league, state, draft, ends)
    with timed(store, draft, "evolve"):
        state = guard(league, state, draft, episodes=episodes, scores=scores, updates=updates)
        with metered(league, draft) as measuring:
            state = evolve(measuring, state, draft)
        state = judge_progress(league, state, draft)
    return _commit_and_report(league, state, draft, audience)


def open_round(league: League, state: LeagueState, audience: Audience, signals: Signals) -> LeagueState:
    """Round 0: warm-up of all agents, a fused pass per wave, their first frozen snapshot, the first exam.

    Raises StoppedInWarmup when it is asked to stop between two steps of the warm-up.
    """
    store, draft = league.store, RoundDraft(0)
    signals.under_way("trying out how fast this machine is")
    store.beat(0, "trying out how fast this machine is")
    audience.opens(league, state)
    if (reason := why_stop(league, state, signals)) is not None:
        raise StoppedInWarmup(reason)
    signals.under_way("finishing this step of the warm-up")
    with timed(store, draft, "warm-up"):
        warmed = warm_up_all(league, state.population, _between_steps(league, state, 0, audience, signals))
    draft.began_earlier("warm-up", warmed.earlier)
    spent = warmed.spent
    signals.under_way("finishing the first exam (the warm-up is kept)")
    state = state.spent(spent)
    draft.scalars |= {f"warmup_tokens/{agent}": float(spent.trained_by(agent)) for agent in spent.trained}
    draft.scalars |= spent.scalars()
    for member in in_order_of_beginning(league, state.population):
        if not member.trains and league.bank is not None and member.version in league.bank:
            league.bank.freeze(member.version)
        parents, reason = beginning(league, state.population, member, spent.trained_by(member.name))
        draft.made(state.population, member.version, parents, reason)
    if league.bank is not None:
        draft.versions.append(base_row())
    for name in sorted(state.population.trainable()):
        state = snapshot(league, state, draft, name)
    with timed(store, draft, "evaluate"):
        audience.phase(league, 0, "first exam")
        ends = limit_reached(league.config, state.after(draft.clock), 0) is not None
        state = _measure(league, state, draft, ends)
    return _commit_and_report(league, state, draft, audience)


# ------------------------------------------------------------------------------------------- parts of a round
def _between_steps(
    league: League, state: LeagueState, number: int, audience: Audience, signals: Signals
) -> Callable[[WarmupNews], None]:
    """What happens behind each step of a warm-up: people hear of it, and may stop it there."""

    def hear(news: WarmupNews) -> None:
        league.store.beat(number, "warm-up", str(news))
        audience.phase(league, number, f"warm-up, {news}")
        if (reason := why_stop(league, state, signals)) is not None:
            raise StoppedInWarmup(reason)
        signals.under_way("finishing this step of the warm-up", news.seconds_a_step)

    return hear


def _advance(league: League, state: LeagueState, draft: RoundDraft, updates: Mapping[str, AgentUpdate]) -> LeagueState:
    """Updated agents step to their next version; payoffs and ratings take the round's outcomes."""
    for agent in updates:
        before = state.population.members[agent].version
        after = league.weights().advance(before, before.step + 1)
        state = replace(state, population=state.population.moved({agent: after}))
        draft.made(state.population, after, (before,), "update")
    return state.counted(draft.number, draft.matches)


def _read(league: League, state: LeagueState, episodes: Sequence[Episode]) -> Spent:
    """Answer the likelihoods that tasks ask for; returns what that took."""
    asked = [(each, league.tasks[each.match.task].readings(each)) for each in episodes if each.void is None]
    return all_scored(read_likelihoods(asked, league.bank, state.players()), league.size())


def _measure(league: League, state: LeagueState, draft: RoundDraft, ends: bool) -> LeagueState:
    """On test problems before the first round and after the last (`ends`), on validation problems between."""
    with metered(league, draft) as measuring:
        found = measure(measuring, state, draft.number, draft.number == 0 or ends)
    draft.measured += found.spent
    draft.exams, draft.gains = list(found.exams), list(found.gains)
    draft.matches += found.matches
    draft.scalars |= found.scalars()
    exams = {sitting: kept for sitting, kept in state.exams.items() if sitting != "end"}
    if draft.number == 0:
        exams["start"] = found.to_json()
    if ends:
        exams["end"] = found.to_json()
    state = examined(state.counted(draft.number, found.matches), found.exams)
    draft.scalars |= audit_scalars(state.audit)
    return replace(state, exams=exams)


def _commit_and_report(league: League, state: LeagueState, draft: RoundDraft, audience: Audience) -> LeagueState:
    """The round exists once the commit returns; then people hear of it."""
    state = handed_on(state, draft.versions, league.config.learning.channels.half_life)
    state = state.measured(draft.measured)
    draft.scalars |= draft.measured.measured_scalars()
    for task, reasons in voids_of(draft.matches).items():
        draft.scalars[f"void/{task}"] = float(len(reasons))
        league.store.event("void matches", round=draft.number, task=task, count=len(reasons), first=reasons[0])
    with timed(league.store, draft, "commit"):
        state = commit(league, state, draft)
    with timed(league.store, draft, "report"):
        audience.round(league, draft.report(league.config.league.rounds, state.after(draft.clock)))
    return state.after(draft.clock)
