"""Scores of finished episodes: the task's verdict, or none where a verifier failed.

All replies of a round about the problems of a domain are told to it first, so that a slow verifier can judge them
together. An episode that cannot be judged becomes void: it counts for nothing, and is nobody's loss.
"""

from collections.abc import Iterator, Mapping, Sequence

from league.errors import Unjudged
from league.types import Episode, Problem, Score
from tasks import Task


def score_all(episodes: Sequence[Episode], tasks: Mapping[str, Task]) -> list[Score | None]:
    """The score of each episode, None where it is void. `tasks` maps a match's task to its rules."""
    _announce(episodes, tasks)
    return [_score(episode, tasks[episode.match.task]) for episode in episodes]


def _score(episode: Episode, task: Task) -> Score | None:
    if episode.void is not None:
        return None
    try:
        return task.score(episode)
    except Unjudged as error:
        episode.void = str(error)
        return None


def _announce(episodes: Sequence[Episode], tasks: Mapping[str, Task]) -> None:
    for task in {episode.match.task: tasks[episode.match.task] for episode in episodes}.values():
        asked: dict[str, list[tuple[Problem, str]]] = {}
        for episode in episodes if task.uses_domains else ():
            if episode.match.task == task.name and episode.void is None:
                for problem, reply in _replies(episode):
                    asked.setdefault(problem.domain, []).append((problem, reply))
        for name in asked.keys() & task.domains.keys():
            task.domains[name].expect(asked[name])


def _replies(episode: Episode) -> Iterator[tuple[Problem, str]]:
    """Every reply about a problem of the match, with the problem."""
    for _, decision in episode.decisions():
        if decision.turn.about is not None:
            for replies in decision.replies.values():
                yield from ((episode.match.problems[decision.turn.about], reply.text) for reply in replies)
