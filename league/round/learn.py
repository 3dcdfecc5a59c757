"""From a round's episodes to its update: credit, one fused step for all who learn, its numbers."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from league.errors import TrainingDiverged
from league.learning.advantages import EpisodeSamples, collect_samples, learn_from
from league.learning.alarms import Alarm
from league.learning.update import AgentUpdate, update
from league.population import Population
from league.rollouts import result_of, transcript
from league.round.values import RoundDraft
from league.runtime.league import League, LeagueState
from league.types import Episode, Hyper, MatchResult, Sample, Score


def learn(
    league: League,
    state: LeagueState,
    draft: RoundDraft,
    episodes: Sequence[Episode],
    scores: Sequence[Score | None],
) -> tuple[LeagueState, dict[str, AgentUpdate]]:
    """Credit and one fused update; the match results go into the draft.

    Returns (state, agent → what was done).
    """
    samples, flat = _samples(league, state.population, draft, episodes, scores)
    hypers = {name: member.hyper for name, member in state.population.members.items()}
    updates = _update(league, draft, samples, hypers)
    spoken = (replies for each in episodes for _, d in each.decisions() for replies in d.replies.values())
    sampled = sum(len(reply.tokens) for replies in spoken for reply in replies)
    trained = sum(done.tokens for done in updates.values())
    draft.scalars |= {"tokens/sampled": float(sampled), "tokens/trained": float(trained), "groups/flat": flat}
    for agent, done in updates.items():
        draft.scalars |= _update_scalars(agent, done, hypers[agent], clips=league.objective().clip is not None)
    draft.scalars |= _task_scalars(draft.matches)
    draft.scalars |= _rewards(state.population, episodes, scores)
    draft.scalars |= _against_pasts(state.population, draft.matches)
    return state.spent(sampled=sampled, trained=trained), updates


def _samples(
    league: League,
    population: Population,
    draft: RoundDraft,
    episodes: Sequence[Episode],
    scores: Sequence[Score | None],
) -> tuple[list[Sample], float]:
    """(what there is to learn from, share of groups without variance).

    A few episodes keep their transcript.
    """
    trainable, credit = population.trainable(), league.credit()
    found: list[EpisodeSamples] = []
    for episode, score in zip(episodes, scores, strict=True):
        if score is None:
            draft.matches.append(result_of(episode, None))
            continue
        learned = learn_from(episode, score, credit, trainable)
        keeps = len(found) < league.config.league.transcripts_per_round
        found.append(learned)
        shown = transcript(episode, score, learned.advantages) if keeps else None
        draft.matches.append(result_of(episode, score, shown))
    return collect_samples(found)


def _update(
    league: League, draft: RoundDraft, samples: Sequence[Sample], hypers: Mapping[str, Hyper]
) -> dict[str, AgentUpdate]:
    """One fused update.

    An agent whose numbers are not finite keeps its weights and is reported; the others go on.
    """

    def broken(error: TrainingDiverged) -> None:
        assert error.agent is not None
        draft.broken.append(Alarm(error.agent, "non_finite", 1.0, 0.0, "roll back"))

    if league.bank is None or not samples:
        return {}
    return update(league.bank.base, league.bank, samples, hypers, league.objective(), diverged=broken)


def _update_scalars(agent: str, done: AgentUpdate, hyper: Hyper, *, clips: bool) -> dict[str, float]:
    """update/AGENT/quantity → its value.

    Left out is what was not measured: KL where it is not asked for, the share of clipped tokens where the objective
    does not clip, and the mean log-probability where no token carried a gradient.
    """
    found = {"loss": done.loss, "grad_norm": done.grad_norm, "entropy": done.entropy, "samples": float(done.samples)}
    if hyper.kl:
        found["kl"] = done.kl
    if done.tokens:
        found["mean_logprob"] = done.mean_logprob
        if clips:
            found["clip_fraction"] = done.clip_fraction
    return {f"update/{agent}/{name}": value for name, value in found.items()}


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
