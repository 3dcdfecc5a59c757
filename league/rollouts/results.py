"""Played episodes as the results that are stored and counted."""

from collections.abc import Iterable, Mapping, Sequence

from league.rollouts.play import Player, play
from league.types import Backend, Episode, Match, MatchResult, Outcome, Score
from tasks import Task


def result_of(episode: Episode, score: Score | None, shown: object | None = None) -> MatchResult:
    """`score` is None for an episode that is void, `shown` the transcript to keep, if any."""
    if score is None:
        return MatchResult(episode.match, {}, (), None, episode.void)
    return MatchResult(episode.match, score.metrics, score.outcomes, shown)


def play_unseen(
    matches: Sequence[Match], tasks: Mapping[str, Task], backend: Backend, players: Mapping[str, Player]
) -> list[MatchResult]:
    """Play and score; nothing is kept of what was said."""
    return [
        result_of(episode, tasks[episode.match.task].score(episode) if episode.void is None else None)
        for episode in play(matches, tasks, backend, players)
    ]


def outcomes_of(results: Iterable[MatchResult]) -> list[Outcome]:
    """What counts for payoffs and ratings: nothing of a void match."""
    return [outcome for result in results if result.void is None for outcome in result.outcomes]
