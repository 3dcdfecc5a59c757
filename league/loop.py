"""One round of the league, top to bottom:

    schedule → play → score → update → measure → guard → evolve → commit → report

`train` starts a run, `resume` continues one; both end in `run`, which plays rounds until the config, a limit or a
person says stop. A round exists when its commit returns, and nothing outside the commit is needed to play the next
one.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from league.config import Config, draft_config
from league.config.fixed import unsettled
from league.learning.update import AgentUpdate
from league.preflight.checks import Prepared, prepare
from league.rollouts import outcomes_of, play
from league.round.evolve import evolve
from league.round.guard import guard, measured
from league.round.learn import learn
from league.round.measure import measure
from league.round.schedule import schedule_matches
from league.round.signals import Signals
from league.round.stop import reached
from league.round.values import Audience, Round, timed
from league.round.versions import reconcile, snapshot
from league.round.warm_up import warm_up_all
from league.runtime import assembly
from league.runtime.assembly import League
from league.runtime.checkpoint import save_adapter, save_optimizer
from league.store.records import RoundRecord
from league.store.run import RunStore
from league.types import BASE, Episode, Score, VersionRow


# ------------------------------------------------------------------------------------------------ beginnings
def train(prepared: Prepared, audience: Audience) -> Path:
    """Start a run: round 0 is the warm-up and the first exam. Returns the run folder."""
    league = assembly.create(prepared)
    with closing(league.store):
        run(league, audience)
    return prepared.config.folder


def resume(folder: Path, audience: Audience) -> Path:
    """Continue a run where its last committed round left it. Raises UserError when the folder does
    not allow it."""
    config = assembly.read_config(folder)
    store = RunStore.open(folder, assembly.retention_of(config))
    try:
        prepared = prepare(config, new_run=False, known=_unsettled(store, config), source=str(folder / "config.yaml"))
        store.clear_stop()
        if store.latest_round() is None:
            league = assembly.begin_again(prepared, store)
        else:
            league = assembly.restore(prepared, store)
            reconcile(league)
        store.adopt_config((folder / "config.yaml").read_text(encoding="utf-8"))
        run(league, audience)
    finally:
        store.close()
    return folder


def _unsettled(store: RunStore, config: Config) -> tuple[str, ...]:
    """What is wrong with a configuration that was edited since the last round."""
    before = draft_config(store.config_text(), "the database").config
    return unsettled(before, config) if before is not None and store.latest_round() is not None else ()


def run(league: League, audience: Audience) -> None:
    """Play rounds until the last one, a limit, or a wish to stop; a signal finishes the round, a
    second one stops at once."""
    with Signals() as signals:
        if league.store.latest_round() is None:
            _open_round(league, audience)
        while (reason := _finished(league, signals)) is None:
            play_round(league, (league.store.latest_round() or 0) + 1, audience)
        league.store.event("stopped", reason=reason)
        league.store.beat(league.store.latest_round() or 0, f"stopped: {reason}")


# ------------------------------------------------------------------------------------------------- one round
def play_round(league: League, number: int, audience: Audience) -> None:
    """Schedule, play, score, update, measure, guard, evolve, commit, report."""
    now = Round(number)
    with timed(league, now, "schedule"):
        fixtures = schedule_matches(league, number)
    with timed(league, now, "generate"):
        audience.phase(league, number, f"playing {len(fixtures)} matches")
        episodes = play(fixtures, league.tasks, league.backend, league.players())
    with timed(league, now, "score"):
        scores = [
            league.tasks[episode.match.task].score(episode) if episode.void is None else None for episode in episodes
        ]
    with timed(league, now, "update"):
        audience.phase(league, number, "updating")
        updates = learn(league, now, episodes, scores)
    with timed(league, now, "evolve"):
        _move(league, now, updates)
    ends = reached(league, number) is not None
    if ends or number % league.config.evaluation.every == 0:
        with timed(league, now, "evaluate"):
            audience.phase(league, number, "measuring")
            _measure(league, now, ends)
    with timed(league, now, "evolve"):
        _guard(league, now, episodes, scores, updates)
        evolve(league, now)
    with timed(league, now, "commit"):
        _commit(league, now)
    with timed(league, now, "report"):
        audience.round(league, now.report(league.config.league.rounds))


def _open_round(league: League, audience: Audience) -> None:
    """Round 0: warm-up of all agents in one fused pass, their first frozen snapshot, the first
    exam."""
    now = Round(0)
    with timed(league, now, "warm-up"):
        trained = warm_up_all(league, lambda step, steps: audience.phase(league, 0, f"warm-up, step {step} of {steps}"))
    league.tokens["trained"] += sum(trained.values())
    now.scalars |= {f"warmup_tokens/{agent}": float(tokens) for agent, tokens in trained.items()}
    for member in league.population.members.values():
        if not member.trains and league.bank is not None and member.version in league.bank:
            league.bank.freeze(member.version)
        now.came(league, member.version, (), "warm-up" if trained.get(member.name) else "created")
    if league.base is not None:
        now.versions.append(VersionRow(BASE, "past", 0, None, None, (), "base model"))
    for name in sorted(league.population.trainable()):
        snapshot(league, now, name)
    with timed(league, now, "evaluate"):
        audience.phase(league, 0, "first exam")
        _measure(league, now, reached(league, 0) is not None)
    _commit(league, now)
    audience.round(league, now.report(league.config.league.rounds))


# ------------------------------------------------------------------------------------------- what follows a match
def _guard(
    league: League,
    now: Round,
    episodes: Sequence[Episode],
    scores: Sequence[Score | None],
    updates: Mapping[str, AgentUpdate],
) -> None:
    """Alarms of the round, and what they lead to."""
    held_out: dict[str, list[float]] = {}
    for mark in now.marks:
        held_out.setdefault(mark.version.agent, []).append(mark.accuracy)
    quantities = measured(
        league, episodes, scores, updates, {agent: fmean(values) for agent, values in held_out.items()}
    )
    now.alarms, rows = guard(league, now.number, quantities, now.broken)
    now.versions += rows
    now.scalars |= {f"alarm/{alarm.agent}/{alarm.sign}": alarm.value for alarm in now.alarms}


def _move(league: League, now: Round, updates: Mapping[str, AgentUpdate]) -> None:
    """Updated agents step to their next version; payoffs and ratings take the round's outcomes."""
    for agent in updates:
        before = league.population.members[agent].version
        after = league.weights().advance(before, before.step + 1)
        league.population = league.population.moved({agent: after})
        now.came(league, after, (before,), "update")
    league.count(now.number, now.matches)


# ------------------------------------------------------------------------------------------------- measuring
def _measure(league: League, now: Round, ends: bool) -> None:
    """On test problems before the first round and after the last (`ends`), on validation problems
    between."""
    found = measure(league, now.number, now.number == 0 or ends)
    now.marks, now.lessons = list(found.marks), list(found.lessons)
    now.matches += found.matches
    now.scalars |= found.scalars()
    league.count(now.number, found.matches)
    if now.number == 0:
        league.marks["start"] = found.to_json()
    league.marks.pop("end", None)
    if ends:
        league.marks["end"] = found.to_json()


# --------------------------------------------------------------------------------------------- the commit
def _commit(league: League, now: Round) -> None:
    """Blobs first, then one transaction with everything that belongs to the round."""
    rows = []
    for row in now.versions:
        if league.bank is not None and row.version in league.bank:
            row = replace(
                row,
                blob=save_adapter(league.store, league.bank, row.version),
                optimizer=save_optimizer(league.store, league.bank, row.version),
            )
        rows.append(row)
    state = {
        "population": league.population.to_json(),
        "tokens": league.tokens,
        "marks": league.marks,
        "guards": league.guards.to_json(),
        "evolution": league.evolution.to_json(),
        "config": league.config.model_dump(mode="json", exclude={"name", "runs"}),
        "clock": league.clock,
    }
    played = {version for outcome in outcomes_of(now.matches) for version in (outcome.row, outcome.col)}
    seconds = time.perf_counter() - now.started
    league.store.commit(
        RoundRecord(
            round=now.number, versions=tuple(rows), matches=tuple(now.matches), ratings=league.ratings.rows(of=played), scalars=now.scalars,
            live=league.population.live(), state=state, figures={"lessons": [lesson.to_json() for lesson in now.lessons]}, seconds=seconds,
        )
    )  # fmt: skip
    league.store.collect_garbage()
    assembly.forget(league, now.number)


# -------------------------------------------------------------------------------------------------- the end
def _finished(league: League, signals: Signals) -> str | None:
    """Why no further round is played, or None. A limit ends the run once the last exam has been
    sat: time may run out behind it."""
    number = league.store.latest_round() or 0
    if (limit := reached(league, number)) is not None and "end" in league.marks:
        return limit
    while (wish := league.store.stop_requested()) == "pause" and not signals.received:
        league.store.beat(number, "paused")
        time.sleep(1.0)
    if signals.received:
        return f"signal {signals.received}"
    if wish is not None:
        return league.store.stop_reason() or "stop requested"
    return None
