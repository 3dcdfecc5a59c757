"""From a round's episodes to its updates: credit, the steps of every channel, and their numbers."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from league.errors import TrainingDiverged
from league.learning.accounting import heard_in, model_size, played, trained
from league.learning.advantages import EpisodeSamples, collect_samples, learn_from
from league.learning.alarms import Alarm
from league.learning.rate_schedule import rate_factor, scaled, way
from league.learning.update import AgentUpdate, update
from league.population import Population
from league.rollouts import result_of, transcript
from league.round.channels import distilled, fitting, remembered, replayed, rescue_rate, texts
from league.round.competence import answered, paid
from league.round.values import RoundDraft
from league.runtime.league import League, LeagueState
from league.seeds import generator
from league.types import Episode, Hyper, MatchResult, Sample, Score


def learn(
    league: League,
    state: LeagueState,
    draft: RoundDraft,
    episodes: Sequence[Episode],
    scores: Sequence[Score | None],
) -> tuple[LeagueState, dict[str, AgentUpdate]]:
    """Credit and the updates of every channel; the match results go into the draft.

    First one fused update from everyone's own replies (MAGRPO and distillation), then the replies that are learned as
    texts (worked replies and lessons), in steps of their own. Returns (state, agent → what was done).
    """
    state = answered(state, episodes, scores)
    samples, flat = _samples(league, state, draft, episodes, scores)
    channels = league.config.learning.channels
    own = (samples if channels.own_samples else []) + list(distilled(league, state, episodes, scores))
    state, found = texts(league, state, draft.number, episodes, scores)
    new_texts = fitting(league, found)
    found = [*found, *(recalled := replayed(league, state, draft.number, new_texts))]
    old_texts = fitting(league, recalled)
    if left_out := len(found) - len(new_texts) - len(old_texts):
        draft.scalars["too_long/texts"] = float(left_out)
    factor = _rate_factor(league, state, draft)
    hypers = {name: scaled(member.hyper, factor) for name, member in state.population.members.items()}
    _account_for_playing(league, draft, episodes)
    updates = _update(league, draft, own, hypers)
    draft.broken += _broken_teachers(own, updates, league.objective().epochs)
    text_steps, learned_texts = _update_texts(league, draft, new_texts + old_texts, factor)
    state = remembered(league, state, draft.number, learned_texts)
    draft.scalars |= {**draft.spent.scalars(), "groups/flat": flat}
    for agent, done in updates.items():
        draft.scalars |= _update_scalars(agent, done, hypers[agent], clips=league.objective().clip is not None)
    for agent, steps in text_steps.items():
        draft.scalars |= _texts_scalars(agent, steps, sum(sample.agent == agent for sample in old_texts))
        updates.setdefault(agent, steps[-1])
    learned = [*(sample for sample in own if sample.agent in updates), *learned_texts]
    if league.config.learning.channels.lessons is not None:
        draft.scalars |= rescue_rate(episodes, scores)
    draft.scalars |= _channel_scalars(learned)
    draft.scalars |= _task_scalars(draft.matches)
    draft.scalars |= _rewards(state.population, episodes, scores)
    draft.scalars |= _against_pasts(state.population, draft.matches)
    state = paid(state, episodes, league.tasks, learned)
    return state.spent(draft.spent), updates


def _samples(
    league: League,
    state: LeagueState,
    draft: RoundDraft,
    episodes: Sequence[Episode],
    scores: Sequence[Score | None],
) -> tuple[list[Sample], float]:
    """(what there is to learn from, share of groups without variance).

    A few episodes keep their transcript, or all do with what it takes to play them again.
    """
    trainable, credit = state.population.trainable(), league.credit()
    replays = league.replays(state.players())
    found: list[EpisodeSamples] = []
    for episode, score in zip(episodes, scores, strict=True):
        if score is None:
            draft.matches.append(result_of(episode, None))
            continue
        learned = learn_from(episode, score, credit, trainable)
        keeps = len(found) < league.config.league.transcripts_per_round
        found.append(learned)
        shown: object | None
        if replays is not None:
            shown = replays.transcript(episode, score, learned.advantages, "train")
        else:
            shown = transcript(episode, score, learned.advantages) if keeps else None
        draft.matches.append(result_of(episode, score, shown))
    return collect_samples(found)


# ------------------------------------------------------------------------------------------------- updates
def _update(
    league: League, draft: RoundDraft, samples: Sequence[Sample], hypers: Mapping[str, Hyper]
) -> dict[str, AgentUpdate]:
    """One fused update.

    An agent whose numbers are not finite keeps its weights and is reported; the others go on.
    """

    def broken(error: TrainingDiverged) -> None:
        draft.broken.append(_non_finite(error))

    if league.bank is None or not samples:
        return {}
    done = update(league.bank.base, league.bank, samples, hypers, league.objective(), diverged=broken)
    draft.spent += trained(samples, done, hypers, league.objective(), model_size(league.bank))
    return done


def _non_finite(error: TrainingDiverged) -> Alarm:
    """The alarm of an agent whose numbers were not finite in an update."""
    assert error.agent is not None
    return Alarm(error.agent, "non_finite", 1.0, 0.0, "roll back")


def _broken_teachers(samples: Sequence[Sample], updates: Mapping[str, AgentUpdate], epochs: int) -> list[Alarm]:
    """A warning for every student that was to learn from a teacher whose numbers are not finite."""
    asked: dict[str, int] = {}
    for sample in samples:
        if sample.rule == "distillation":
            asked[sample.agent] = asked.get(sample.agent, 0) + epochs * len(sample.tokens)
    return [
        Alarm(agent, "teacher_non_finite", 1.0 - updates[agent].distilled / tokens, 0.0, "warn")
        for agent, tokens in asked.items()
        if agent in updates and updates[agent].distilled < tokens
    ]


def _update_texts(
    league: League, draft: RoundDraft, samples: Sequence[Sample], factor: float
) -> tuple[dict[str, list[AgentUpdate]], list[Sample]]:
    """Steps of `batch` samples of every agent, `epochs` times over all of them.

    The order is drawn anew each time.

    Returns (agent → what was done in each step, the samples that were learned, once for every time).
    """
    channels, bank = league.config.learning.channels, league.bank
    by_agent: dict[str, list[Sample]] = {}
    for sample in samples:
        by_agent.setdefault(sample.agent, []).append(sample)
    done: dict[str, list[AgentUpdate]] = {}
    learned: list[Sample] = []

    def broken(error: TrainingDiverged) -> None:
        alarm = _non_finite(error)
        by_agent.pop(alarm.agent, None)
        draft.broken.append(alarm)

    for epoch in range(channels.epochs if bank is not None else 0):
        assert bank is not None
        for agent, own in by_agent.items():
            order = generator(league.config.seed, "texts", draft.number, agent, epoch).permutation(len(own))
            by_agent[agent] = [own[place] for place in order]
        for start in range(0, max(map(len, by_agent.values()), default=0), channels.batch):
            step = [sample for own in by_agent.values() for sample in own[start : start + channels.batch]]
            hypers = {sample.agent: scaled(Hyper(channels.learning_rate), factor) for sample in step}
            found = update(bank.base, bank, step, hypers, league.texts_objective(), diverged=broken)
            for agent, each in found.items():
                done.setdefault(agent, []).append(each)
            learned += [sample for sample in step if sample.agent in found]
            draft.spent += trained(step, found, hypers, league.texts_objective(), model_size(bank))
    return done, learned


def _rate_factor(league: League, state: LeagueState, draft: RoundDraft) -> float:
    """What the schedule makes of this round's learning rates; told where there is one."""
    schedule, limits, rounds = league.config.learning.schedule, league.config.league, draft.number - 1
    if schedule.kind == "constant" and not schedule.warm_up:
        return 1.0
    if schedule.unit == "tokens":
        horizon = schedule.horizon or limits.trained_tokens
        share = state.totals.tokens["trained"] / horizon if horizon else 0.0
    else:
        share = way(schedule, rounds, schedule.horizon or limits.rounds)
    draft.scalars["learning_rate/factor"] = factor = rate_factor(schedule, rounds, share)
    return factor


# ------------------------------------------------------------------------------------------------- numbers
def _channel_scalars(samples: Sequence[Sample]) -> dict[str, float]:
    """channel/CHANNEL/AGENT/DOMAIN/samples and …/tokens: what each learned from, but for its own samples."""
    found: dict[str, float] = {}
    for sample in samples:
        if sample.channel != "own_samples":
            for name, value in (("samples", 1.0), ("tokens", float(len(sample.tokens)))):
                key = f"channel/{sample.channel}/{sample.agent}/{sample.domain}/{name}"
                found[key] = found.get(key, 0.0) + value
    return found


def _account_for_playing(league: League, draft: RoundDraft, episodes: Sequence[Episode]) -> None:
    """Note what it took to play and judge."""
    calls = sum(league.tasks[each.match.task].verifier_calls(each) for each in episodes if each.void is None)
    draft.spent += played(heard_in(episodes), league.size(), calls)


def _update_scalars(agent: str, done: AgentUpdate, hyper: Hyper, *, clips: bool) -> dict[str, float]:
    """update/AGENT/quantity → its value.

    Left out is what was not measured: KL where it is not asked for, KL to a teacher where none distils, the share of
    clipped tokens where the objective does not clip, and the mean log-probability where no token carried a gradient.
    """
    found = {"loss": done.loss, "grad_norm": done.grad_norm, "entropy": done.entropy, "samples": float(done.samples)}
    if hyper.kl:
        found["kl"] = done.kl
    if done.teacher_kl is not None:
        found["teacher_kl"] = done.teacher_kl
    if done.tokens:
        found["mean_logprob"] = done.mean_logprob
        if clips:
            found["clip_fraction"] = done.clip_fraction
    return {f"update/{agent}/{name}": value for name, value in found.items()}


def _texts_scalars(agent: str, steps: Sequence[AgentUpdate], replayed: int) -> dict[str, float]:
    """texts/AGENT/quantity: mean loss, largest gradient norm, steps, and samples of earlier rounds."""
    return {
        f"texts/{agent}/loss": fmean(step.loss for step in steps),
        f"texts/{agent}/grad_norm": max(step.grad_norm for step in steps),
        f"texts/{agent}/steps": float(len(steps)),
        f"texts/{agent}/replayed": float(replayed),
    }


def _rewards(population: Population, episodes: Sequence[Episode], scores: Sequence[Score | None]) -> dict[str, float]:
    """reward/ROLE → mean immediate reward of the role's spoken replies."""
    found: dict[str, list[float]] = {}
    for episode, score in zip(episodes, scores, strict=True):
        if score is None:
            continue
        for _, decision in episode.decisions():
            for seat in decision.turn.prompts:
                member = population.members.get(episode.match.seats[seat].agent)
                if member is not None and episode.match.seats[seat] == member.version:
                    rewards = [score.rewards.get(node.id, {}).get(seat, 0.0) for node in decision.nodes]
                    found.setdefault(member.role, []).extend(rewards)
    return {f"reward/{role}": fmean(values) for role, values in found.items()}


def _against_pasts(population: Population, matches: Sequence[MatchResult]) -> dict[str, float]:
    """win_rate/past → share of items that live agents won of frozen versions, draws half.

    Absent when none were met.
    """
    won = items = 0.0
    live = set(population.live().values())
    for outcome in (outcome for result in matches for outcome in result.outcomes if outcome.relation == "contest"):
        row, col = outcome.row in live, outcome.col in live
        if row == col:
            continue
        items += outcome.wins + outcome.draws + outcome.losses
        won += (outcome.wins if row else outcome.losses) + outcome.draws / 2
    return {"win_rate/past": won / items} if items else {}


def _task_scalars(matches: Sequence[MatchResult]) -> dict[str, float]:
    """task/metric → mean over the round's matches."""
    values: dict[str, list[float]] = {}
    for result in matches:
        for metric, value in result.metrics.items():
            if "/" not in metric:
                values.setdefault(f"{result.match.task}/{metric}", []).append(value)
    return {name: fmean(found) for name, found in values.items()}
