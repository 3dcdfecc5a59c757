"""From a round's episodes to its update: credit, one fused step for every agent with something to
learn, and the numbers that go with it."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from league.errors import TrainingDiverged
from league.learning.advantages import collect, learn_from
from league.learning.alarms import Alarm
from league.learning.update import AgentUpdate, update
from league.rollouts import result_of, transcript
from league.round.values import Round
from league.runtime.assembly import League
from league.types import Episode, Hyper, MatchResult, Sample, Score


def learn(
    league: League, now: Round, episodes: Sequence[Episode], scores: Sequence[Score | None]
) -> dict[str, AgentUpdate]:
    """Credit, one fused update of every agent with something to learn, and the round's match
    results."""
    trainable = league.population.trainable()
    credited = []
    kept = 0
    for episode, score in zip(episodes, scores, strict=True):
        if score is None:
            now.matches.append(result_of(episode, None))
            continue
        samples_of = learn_from(episode, score, league.credit(), trainable)
        credited.append(samples_of)
        shown = None
        if kept < league.config.league.transcripts_per_round:
            shown = transcript(episode, score, samples_of.advantages)
            kept += 1
        now.matches.append(result_of(episode, score, shown))
    samples, flat = collect(credited)
    hypers = {name: member.hyper for name, member in league.population.members.items()}
    updates = _update(league, now, samples, hypers)
    sampled = sum(
        len(reply.tokens)
        for e in episodes
        for _, d in e.decisions()
        for replies in d.replies.values()
        for reply in replies
    )
    trained = sum(done.tokens for done in updates.values())
    league.tokens["sampled"] += sampled
    league.tokens["trained"] += trained
    now.scalars |= {"tokens/sampled": float(sampled), "tokens/trained": float(trained), "groups/flat": flat}
    for agent, done in updates.items():
        now.scalars |= {
            f"update/{agent}/loss": done.loss, f"update/{agent}/grad_norm": done.grad_norm, f"update/{agent}/entropy": done.entropy,
            f"update/{agent}/samples": float(done.samples),
        }  # fmt: skip
        if hypers[agent].kl:  # measured only where it is asked for
            now.scalars[f"update/{agent}/kl"] = done.kl
    now.scalars |= _task_scalars(now.matches) | _rewards(league, episodes, scores) | _against_pasts(league, now.matches)
    return updates


def _update(
    league: League, now: Round, samples: Sequence[Sample], hypers: Mapping[str, Hyper]
) -> dict[str, AgentUpdate]:
    """One fused update. An agent whose numbers are not finite keeps its weights and is reported;
    the others go on."""

    def broken(error: TrainingDiverged) -> None:
        assert error.agent is not None
        now.broken.append(Alarm(error.agent, "non_finite", 1.0, 0.0, "roll back"))

    if league.base is None or league.bank is None or not samples:
        return {}
    return update(league.base, league.bank, samples, hypers, league.objective(), diverged=broken)


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
                    found.setdefault(member.role, []).extend(
                        score.rewards.get(node.id, {}).get(seat, 0.0) for node in decision.nodes
                    )
    return {f"reward/{role}": fmean(values) for role, values in found.items()}


def _against_pasts(league: League, matches: Sequence[MatchResult]) -> dict[str, float]:
    """win_rate/past → share of items that live agents won of frozen versions, draws half; absent
    when none were met."""
    won = items = 0.0
    live = {member.version for member in league.population.members.values()}
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
