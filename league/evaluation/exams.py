"""Held-out measurements: exams (everybody answers the same problems, unaided, greedily) and Δ of
teaching with its controls.

Evaluation matches have their own budget, use the validation and test splits only, and are never trained on. One exam
yields the expert × domain accuracies and, because all answer the same items, every pair's wins, draws and losses.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from league.rollouts import Player, play, result_of, transcript
from league.seeds import derive
from league.types import EXAM, Backend, Episode, Match, MatchResult, Split, Version
from tasks.contest import Contest
from tasks.domains import Domain
from tasks.teaching import STUDENT, TEACHER, Teaching


@dataclass(frozen=True)
class Marks:
    """One agent's exam in one domain: `correct[i]` tells whether problem i of the split was
    answered right."""

    version: Version
    domain: str
    split: Split
    correct: tuple[bool, ...]

    @property
    def accuracy(self) -> float:
        return fmean(self.correct)

    def to_json(self) -> dict[str, object]:
        bits = "".join("01"[right] for right in self.correct)
        return {"version": str(self.version), "domain": self.domain, "split": self.split, "correct": bits}


@dataclass(frozen=True)
class Lesson:
    """Δ of one teacher with one student: paired items in matching order, with the shuffled control
    beside them."""

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

    @property
    def shuffled_improvement(self) -> float:
        return fmean(self.shuffled) - fmean(self.control)

    def to_json(self) -> dict[str, object]:
        arms = {"control": self.control, "taught": self.taught, "shuffled": self.shuffled}
        return {
            "teacher": str(self.teacher),
            "student": str(self.student),
            "domain": self.domain,
            "similar": self.similar,
            **{arm: "".join("01"[value > 0.5] for value in values) for arm, values in arms.items()},
        }


def sit_exam(
    versions: Sequence[Version],
    domains: Mapping[str, Domain],
    split: Split,
    problems: range,
    backend: Backend,
    players: Mapping[str, Player],
    number: int,
) -> tuple[list[Marks], MatchResult]:
    """The problems of the split with these indices, in every domain, for every version, in one
    pass."""
    exam = Contest(EXAM, domains)
    items = tuple(domain.problem(split, index) for domain in domains.values() for index in problems)
    seats = {f"player-{place}": version for place, version in enumerate(dict.fromkeys(versions), 1)}
    alone = f"-{versions[0].agent}" if len(seats) == 1 else ""
    match = Match(
        f"{number}-exam-{split}-{problems.start}{alone}",
        EXAM,
        number,
        seats,
        items,
        derive("exam", split, problems.start),
        "evaluate",
    )
    (episode,) = play([match], {EXAM: exam}, backend, players)
    if episode.void:
        return [], result_of(episode, None)
    score = exam.score(episode)
    right: dict[tuple[str, str], list[bool]] = {}
    for decision in episode.roots:
        (seat,) = decision.turn.prompts
        reward = score.rewards[decision.nodes[0].id][seat]
        right.setdefault((seat, items[decision.turn.about or 0].domain), []).append(reward > 0.5)
    marks = [Marks(seats[seat], domain, split, tuple(found)) for (seat, domain), found in right.items()]
    metrics = {f"accuracy/{mark.version.agent}/{mark.domain}": mark.accuracy for mark in marks}
    return marks, result_of(episode, replace(score, metrics=metrics))


def joined(marks: Iterable[Marks]) -> list[Marks]:
    """Sittings of the same version in the same domain put together, in the order in which they were
    sat."""
    found: dict[tuple[Version, str, Split], tuple[bool, ...]] = {}
    for mark in marks:
        key = (mark.version, mark.domain, mark.split)
        found[key] = found.get(key, ()) + mark.correct
    return [Marks(version, domain, split, correct) for (version, domain, split), correct in found.items()]


def teach(
    task: Teaching,
    pairs: Iterable[tuple[Version, Version, str]],
    split: Split,
    matches: int,
    backend: Backend,
    players: Mapping[str, Player],
    number: int,
    transcripts: int = 1,
) -> tuple[list[Lesson], list[MatchResult]]:
    """`matches` teaching matches for each (teacher, student, domain), all in one batch; the first
    of each pair may keep its transcript."""
    wanted = list(pairs)
    fixtures = [
        Match(
            f"{number}-{task.name}-{split}-{place}-{index}", task.name, number, {TEACHER: teacher, STUDENT: student},
            task.problems(split, index, domain), derive("lesson", split, str(teacher), str(student), index), "evaluate",
        )
        for place, (teacher, student, domain) in enumerate(wanted)
        for index in range(matches)
    ]  # fmt: skip
    episodes = play(fixtures, {task.name: task}, backend, players)
    lessons, results = [], []
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
            control, taught, shuffled = (tuple(arms[arm]) for arm in ("control", "taught", "shuffled"))
            lessons.append(Lesson(teacher, student, domain, control, taught, shuffled, task.similar))
    return lessons, results


def _arms(episode: Episode, rewards: Mapping[int, Mapping[str, float]]) -> dict[str, list[float]]:
    """arm → the student's correctness per problem, problems in the match's order in every arm."""
    found: dict[str, dict[int, float]] = {"control": {}, "taught": {}, "shuffled": {}}
    for _, decision in episode.decisions():
        if decision.turn.tag in found:
            found[decision.turn.tag][decision.turn.about or 0] = fmean(
                rewards[node.id][STUDENT] for node in decision.nodes
            )
    return {arm: [values[about] for about in sorted(values)] for arm, values in found.items()}
