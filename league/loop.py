"""One round of the league, top to bottom:

    schedule → play → score → update → measure → guard → evolve → commit → report

`train` starts a run, `resume` continues one; both end in `run`, which plays rounds until the config, a limit or a person says stop. A
round exists when its commit returns, and nothing outside the commit is needed to play the next one.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Protocol

from league import assembly
from league.assembly import League
from league.checkpoint import save_adapter, save_optimizer
from league.errors import LeagueError, TrainingDiverged
from league.evaluation import Lesson, Marks, outcomes_of
from league.guards import guard, measured
from league.learning.advantages import learn_from, merge
from league.learning.alarms import Alarm
from league.learning.update import AgentUpdate, update
from league.learning.warmup import Curriculum, Target, warm_up
from league.measuring import measure
from league.model.bank import AdapterBank
from league.population import Member
from league.preflight import Prepared, prepare
from league.rollouts import play, transcript
from league.scheduling import schedule
from league.seeds import derive
from league.signals import Signals
from league.store.records import RoundRecord
from league.store.run import RunStore
from league.types import BASE, Episode, Hyper, MatchResult, Sample, Score, Version, VersionRow


@dataclass(frozen=True)
class RoundReport:
    """What a finished, committed round looks like to people."""

    round: int
    rounds: int
    scalars: Mapping[str, float]
    marks: tuple[Marks, ...]
    lessons: tuple[Lesson, ...]
    matches: tuple[MatchResult, ...]
    alarms: tuple[Alarm, ...]
    clock: Mapping[str, float]
    """Seconds of this round by phase."""
    seconds: float


class Audience(Protocol):
    """Who is told: the terminal, TensorBoard, or nobody in tests."""

    def phase(self, league: League, number: int, text: str) -> None: ...

    def round(self, league: League, report: RoundReport) -> None: ...


@dataclass
class _Round:
    """What a round gathers on its way to the commit."""

    number: int
    started: float = field(default_factory=time.perf_counter)
    scalars: dict[str, float] = field(default_factory=dict)
    matches: list[MatchResult] = field(default_factory=list)
    versions: list[VersionRow] = field(default_factory=list)
    marks: list[Marks] = field(default_factory=list)
    lessons: list[Lesson] = field(default_factory=list)
    clock: dict[str, float] = field(default_factory=dict)
    broken: list[Alarm] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)


# ------------------------------------------------------------------------------------------------ beginnings
def train(prepared: Prepared, audience: Audience) -> Path:
    """Start a run: round 0 is the warm-up and the first exam. Returns the run folder."""
    league = assembly.create(prepared)
    with _closing(league):
        _open_round(league, audience)
        run(league, audience)
    return prepared.config.folder


def resume(folder: Path, audience: Audience) -> Path:
    """Continue a run where its last committed round left it. Raises UserError when the folder does not allow it."""
    config = assembly.read_config(folder)
    store = RunStore.open(folder, assembly.limits_of(config))
    try:
        prepared = prepare(config, new_run=False)
        store.clear_stop()
        if store.latest_round() is None:
            league = assembly.begin_again(prepared, store)
            _open_round(league, audience)
        else:
            league = assembly.restore(prepared, store)
        run(league, audience)
    finally:
        store.close()
    return folder


def run(league: League, audience: Audience) -> None:
    """Play rounds until the last one, a limit, or a wish to stop; a signal finishes the round, a second one stops at once."""
    with Signals() as signals:
        while (reason := _finished(league, signals)) is None:
            play_round(league, (league.store.latest_round() or 0) + 1, audience)
        league.store.event("stopped", reason=reason)
        league.store.beat(league.store.latest_round() or 0, f"stopped: {reason}")


# ------------------------------------------------------------------------------------------------- one round
def play_round(league: League, number: int, audience: Audience) -> None:
    """Schedule, play, score, update, measure, guard, evolve, commit, report."""
    now = _Round(number)
    with _timed(league, now, "schedule"):
        fixtures = schedule(league, number)
    with _timed(league, now, "generate"):
        audience.phase(league, number, f"playing {len(fixtures)} matches")
        episodes = play(fixtures, league.tasks, league.backend, league.players())
    with _timed(league, now, "score"):
        scores = [league.tasks[episode.match.task].score(episode) if episode.void is None else None for episode in episodes]
    with _timed(league, now, "update"):
        audience.phase(league, number, "updating")
        updates = _learn(league, now, episodes, scores)
    with _timed(league, now, "evolve"):
        _move(league, now, updates)
    if _due(league, number):
        with _timed(league, now, "evaluate"):
            audience.phase(league, number, "measuring")
            _measure(league, now)
    with _timed(league, now, "evolve"):
        _guard(league, now, episodes, scores, updates)
        _evolve(league, now)
    with _timed(league, now, "commit"):
        _commit(league, now)
    with _timed(league, now, "report"):
        _report(league, now, audience)


def _open_round(league: League, audience: Audience) -> None:
    """Round 0: warm-up of all agents in one fused pass, their first frozen snapshot, the first exam."""
    now = _Round(0)
    trained: dict[str, int] = {}
    with _timed(league, now, "warm-up"):
        if league.base is not None and league.bank is not None:
            supervised = replace(league.objective(), aggregation="token", entropy=0.0, clip=None)
            trained = warm_up(
                league.base, league.bank, _curricula(league), supervised, league.config.seed,
                lambda step, steps, _: audience.phase(league, 0, f"warm-up, step {step} of {steps}"),
            )  # fmt: skip
    league.tokens["trained"] += sum(trained.values())
    now.scalars |= {f"warmup_tokens/{agent}": float(tokens) for agent, tokens in trained.items()}
    for member in league.population.members.values():
        if not member.trains and league.bank is not None and member.version in league.bank:
            league.bank.freeze(member.version)
        now.versions.append(_version_row(league, member.version, 0, (), "warm-up" if trained.get(member.name) else "created"))
    if league.base is not None:
        now.versions.append(VersionRow(BASE, "past", 0, None, None, (), "base model"))
    for name in sorted(league.population.trainable()):
        _snapshot(league, now, name)
    with _timed(league, now, "evaluate"):
        audience.phase(league, 0, "first exam")
        _measure(league, now)
    _commit(league, now)
    _report(league, now, audience)


def _curricula(league: League) -> list[Curriculum]:
    found = []
    for member in league.population.members.values():
        if member.role == "scripted":
            continue
        expert = member.role == "expert"
        domains = (league.domains[member.domain],) if member.domain else tuple(league.domains.values())
        phase = league.config.warmup.expert if expert else league.config.warmup.student
        found.append(Curriculum(member.name, domains, phase, tuple(_demonstrations(league, member, phase.demonstrations))))
    return found


def _demonstrations(league: League, member: Member, count: int) -> Iterator[Target]:
    """Prompts with a legal reply, from the tasks the agent will play that can show their format."""
    for name, task in league.tasks.items():
        if count and hasattr(task, "demonstrations") and member.role in league.config.tasks[name].roles:
            for prompt, reply in task.demonstrations(count, derive(league.config.seed, "demonstrations", name, member.name)):
                yield Target(prompt, reply)


# -------------------------------------------------------------------------------------------------- learning
def _learn(league: League, now: _Round, episodes: Sequence[Episode], scores: Sequence[Score | None]) -> dict[str, AgentUpdate]:
    """Credit, one fused update of every agent with something to learn, and the round's match results."""
    trainable = league.population.trainable()
    lessons = []
    kept = 0
    for episode, score in zip(episodes, scores, strict=True):
        if score is None:
            now.matches.append(MatchResult(episode.match, {}, (), None, episode.void))
            continue
        lesson = learn_from(episode, score, league.credit(), trainable)
        lessons.append(lesson)
        shown = None
        if kept < league.config.league.transcripts_per_round:
            shown = transcript(episode, score, lesson.advantages)
            kept += 1
        now.matches.append(MatchResult(episode.match, score.metrics, score.outcomes, shown))
    samples, flat = merge(lessons)
    hypers = {name: member.hyper for name, member in league.population.members.items()}
    updates = _update(league, now, samples, hypers)
    sampled = sum(len(reply.tokens) for e in episodes for _, d in e.decisions() for replies in d.replies.values() for reply in replies)
    trained = sum(done.tokens for done in updates.values())
    league.tokens["sampled"] += sampled
    league.tokens["trained"] += trained
    now.scalars |= {"tokens/sampled": float(sampled), "tokens/trained": float(trained), "groups/flat": flat}
    for agent, done in updates.items():
        now.scalars |= {
            f"update/{agent}/loss": done.loss, f"update/{agent}/grad_norm": done.grad_norm, f"update/{agent}/entropy": done.entropy,
            f"update/{agent}/kl": done.kl, f"update/{agent}/samples": float(done.samples),
        }  # fmt: skip
    now.scalars |= _task_scalars(now.matches) | _rewards(league, episodes, scores)
    return updates


def _update(league: League, now: _Round, samples: Sequence[Sample], hypers: Mapping[str, Hyper]) -> dict[str, AgentUpdate]:
    """One fused update. An agent whose numbers are not finite keeps its weights and is reported; the others go on."""
    left = list(samples)
    while left and league.base is not None and league.bank is not None:
        try:
            return update(league.base, league.bank, left, hypers, league.objective())
        except TrainingDiverged as error:
            if error.agent is None:
                raise
            now.broken.append(Alarm(error.agent, "non_finite", 1.0, 0.0, "roll back"))
            left = [sample for sample in left if sample.agent != error.agent]
    return {}


def _guard(
    league: League, now: _Round, episodes: Sequence[Episode], scores: Sequence[Score | None], updates: Mapping[str, AgentUpdate]
) -> None:
    """Alarms of the round, and what they lead to."""
    held_out: dict[str, list[float]] = {}
    for mark in now.marks:
        held_out.setdefault(mark.version.agent, []).append(mark.accuracy)
    quantities = measured(league, episodes, scores, updates, {agent: fmean(values) for agent, values in held_out.items()})
    now.alarms, rows = guard(league, now.number, quantities, now.broken)
    now.versions += rows
    now.scalars |= {f"alarm/{alarm.agent}/{alarm.sign}": alarm.value for alarm in now.alarms}


def _rewards(league: League, episodes: Sequence[Episode], scores: Sequence[Score | None]) -> dict[str, float]:
    """reward/ROLE → mean immediate reward of the role's spoken replies."""
    found: dict[str, list[float]] = {}
    for episode, score in zip(episodes, scores, strict=True):
        if score is None:
            continue
        for _, decision in episode.decisions():
            for seat in decision.turn.prompts:
                member = league.population.members.get(episode.match.seats[seat].agent)
                if member is not None and episode.match.seats[seat] == member.version:
                    found.setdefault(member.role, []).extend(score.rewards.get(node.id, {}).get(seat, 0.0) for node in decision.nodes)
    return {f"reward/{role}": fmean(values) for role, values in found.items()}


def _task_scalars(matches: Sequence[MatchResult]) -> dict[str, float]:
    """task/metric → mean over the round's matches."""
    values: dict[str, list[float]] = {}
    for result in matches:
        for metric, value in result.metrics.items():
            if "/" not in metric:
                values.setdefault(f"{result.match.task}/{metric}", []).append(value)
    return {name: fmean(found) for name, found in values.items()}


def _move(league: League, now: _Round, updates: Mapping[str, AgentUpdate]) -> None:
    """Updated agents step to their next version; payoffs and ratings take the round's outcomes."""
    moved = {}
    for agent in updates:
        before = league.population.members[agent].version
        moved[agent] = _bank(league).advance(before, before.step + 1)
        now.versions.append(_version_row(league, moved[agent], now.number, (before,), "update"))
    league.population = league.population.moved(moved)
    _count(league, now.number, now.matches)


def _count(league: League, number: int, matches: Sequence[MatchResult]) -> None:
    outcomes = outcomes_of(matches)
    league.view = league.view.add(number, outcomes)
    league.ratings = league.ratings.update(outcomes)


def _evolve(league: League, now: _Round) -> None:
    """Frozen snapshots every k rounds."""
    if now.number % league.config.league.snapshot_every == 0:
        for name in sorted(league.population.trainable()):
            _snapshot(league, now, name)


def _snapshot(league: League, now: _Round, name: str) -> None:
    """Freeze the live version and let the agent go on, with the same weights and optimizer, as the next step."""
    frozen, bank = league.population.members[name].version, _bank(league)
    successor = Version(name, frozen.step + 1)
    bank.clone(frozen, successor, trainable=True)
    bank.freeze(frozen)
    league.population, gone = league.population.snapshot(name, frozen, successor, league.config.league.snapshots_kept)
    if league.guards.good.get(name) == frozen:
        league.guards.good[name] = successor
    for version in gone:
        bank.drop(version)
    now.versions.append(_version_row(league, successor, now.number, (frozen,), "snapshot"))


def _bank(league: League) -> AdapterBank:
    """The adapters of a league in which somebody trains."""
    if league.bank is None:
        raise LeagueError("this league has no model: every agent is scripted, so none has weights")
    return league.bank


def _version_row(league: League, version: Version, number: int, parents: tuple[Version, ...], reason: str) -> VersionRow:
    """A row without blobs yet: they are written at the commit, for the versions that are still in the bank."""
    return VersionRow(version, league.population.members[version.agent].role, number, None, None, parents, reason)


# ------------------------------------------------------------------------------------------------- measuring
def _due(league: League, number: int) -> bool:
    return number % league.config.evaluation.every == 0 or _last(league, number)


def _last(league: League, number: int) -> bool:
    """Whether the run ends with this round, as far as the run itself decides: by its rounds or its tokens."""
    limits = league.config.league
    return number >= limits.rounds or (limits.token_budget is not None and sum(league.tokens.values()) >= limits.token_budget)


def _measure(league: League, now: _Round) -> None:
    """On test problems before the first round and after the last, on validation problems between."""
    outermost = now.number == 0 or _last(league, now.number)
    found = measure(league, now.number, outermost)
    now.marks, now.lessons = list(found.marks), list(found.lessons)
    now.matches += found.matches
    now.scalars |= found.scalars()
    _count(league, now.number, found.matches)
    if outermost:
        league.marks["start" if now.number == 0 else "end"] = found.to_json()


# --------------------------------------------------------------------------------------- commit and report
def _commit(league: League, now: _Round) -> None:
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
        "config": league.config.model_dump(mode="json", exclude={"name", "runs"}),
        "clock": league.clock,
    }
    seconds = time.perf_counter() - now.started
    league.store.commit(
        RoundRecord(
            round=now.number, versions=tuple(rows), matches=tuple(now.matches), ratings=league.ratings.rows(), scalars=now.scalars,
            live=league.population.live(), state=state, figures={"lessons": [lesson.to_json() for lesson in now.lessons]}, seconds=seconds,
        )
    )  # fmt: skip
    league.store.collect_garbage()


def _report(league: League, now: _Round, audience: Audience) -> None:
    seconds = time.perf_counter() - now.started
    report = RoundReport(
        now.number,
        league.config.league.rounds,
        now.scalars,
        tuple(now.marks),
        tuple(now.lessons),
        tuple(now.matches),
        tuple(now.alarms),
        dict(now.clock),
        seconds,
    )
    audience.round(league, report)


# ------------------------------------------------------------------------------------------ time and signals
@contextmanager
def _timed(league: League, now: _Round, phase: str) -> Iterator[None]:
    """Add the block's wall time to the round's and the run's clock, and leave a heartbeat."""
    league.store.beat(now.number, phase)
    started = time.perf_counter()
    yield
    for clock in (now.clock, league.clock):
        clock[phase] = clock.get(phase, 0.0) + time.perf_counter() - started


@contextmanager
def _closing(league: League) -> Iterator[None]:
    try:
        yield
    finally:
        league.store.close()


def _finished(league: League, signals: Signals) -> str | None:
    """Why no further round is played, or None."""
    limits = league.config.league
    if (league.store.latest_round() or 0) >= limits.rounds:
        return "all rounds played"
    while (wish := league.store.stop_requested()) == "pause" and not signals.received:
        league.store.beat(league.store.latest_round() or 0, "paused")
        time.sleep(1.0)
    if signals.received:
        return f"signal {signals.received}"
    if wish is not None:
        return league.store.stop_reason() or "stop requested"
    if limits.token_budget and sum(league.tokens.values()) >= limits.token_budget:
        return f"token budget of {limits.token_budget} spent"
    if limits.max_hours and sum(league.clock.values()) >= 3600 * limits.max_hours:
        return f"{limits.max_hours} hours spent"
    return None
