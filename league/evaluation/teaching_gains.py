"""Teaching gains: Δ of one teacher with one student on held-out problems, with its two controls.

Without any explanation (control) and with that of another problem (shuffled), which tells a lesson from a template.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from league.rollouts import Player, make_match, play, result_of, transcript
from league.seeds import derive
from league.types import Backend, Episode, MatchResult, Split, Version
from tasks.teaching import STUDENT, TEACHER, Teaching


@dataclass(frozen=True)
class TeachingGain:
    """Δ of one teacher with one student: paired items in matching order, with the shuffled control."""

    teacher: Version
    student: Version
    domain: str
    control: tuple[float, ...]
    taught: tuple[float, ...]
    shuffled: tuple[float, ...]
    similar: int = 1
    """Items of one match: problems tried with the same explanation, so not independent."""

    @property
    def improvement(self) -> float:
        return fmean(self.taught) - fmean(self.control)

    def to_json(self) -> dict[str, object]:
        arms = {"control": self.control, "taught": self.taught, "shuffled": self.shuffled}
        return {
            "teacher": str(self.teacher),
            "student": str(self.student),
            "domain": self.domain,
            "similar": self.similar,
            **{arm: "".join("01"[value > 0.5] for value in values) for arm, values in arms.items()},
        }


def measure_teaching(
    task: Teaching,
    pairs: Iterable[tuple[Version, Version, str]],
    *,
    split: Split,
    matches: int,
    backend: Backend,
    players: Mapping[str, Player],
    number: int,
    transcripts: int = 1,
) -> tuple[list[TeachingGain], list[MatchResult]]:
    """`matches` teaching matches for each (teacher, student, domain), all in one batch.

    The first `transcripts` of each pair keep their transcript.
    """
    wanted = list(pairs)
    planned = [
        make_match(
            task.name,
            at=(number, split, place, index),
            seats={TEACHER: teacher, STUDENT: student},
            problems=task.problems(split, index, domain),
            # "lesson" is data: it addresses the random stream
            seed=derive("lesson", split, str(teacher), str(student), index),
            purpose="evaluate",
        )
        for place, (teacher, student, domain) in enumerate(wanted)
        for index in range(matches)
    ]
    episodes = play(planned, {task.name: task}, backend, players)
    gains, results = [], []
    for place, (teacher, student, domain) in enumerate(wanted):
        arms: dict[str, list[float]] = {"control": [], "taught": [], "shuffled": []}
        for index in range(matches):
            episode = episodes[place * matches + index]
            if episode.void:
                results.append(result_of(episode, None))
                continue
            score = task.score(episode)
            for arm, values in _arms(episode, score.rewards).items():
                arms[arm] += values
            kept = transcript(episode, score, {}) if index < transcripts else None
            results.append(result_of(episode, score, kept))
        if arms["control"]:
            items = {arm: tuple(values) for arm, values in arms.items()}
            gains.append(TeachingGain(teacher, student, domain, **items, similar=task.similar))
    return gains, results


def _arms(episode: Episode, rewards: Mapping[int, Mapping[str, float]]) -> dict[str, list[float]]:
    """arm → the student's correctness per problem, problems in the match's order in every arm."""
    found: dict[str, dict[int, float]] = {"control": {}, "taught": {}, "shuffled": {}}
    for _, decision in episode.decisions():
        if decision.turn.tag in found:
            found[decision.turn.tag][decision.turn.about or 0] = fmean(
                rewards[node.id][STUDENT] for node in decision.nodes
            )
    return {arm: [values[about] for about in sorted(values)] for arm, values in found.items()}
