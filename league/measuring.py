"""What a league measures of itself: who sits which exam, who teaches whom on held-out problems, and what comes out.

How an exam or a lesson is held is `league.evaluation`'s; when to measure is the loop's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from league.assembly import League
from league.evaluation import Lesson, Marks, joined, sit_exam, teach
from league.types import BASE, MatchResult, Split, Version


@dataclass(frozen=True)
class Measurement:
    """Exams and lessons of one round, with the matches they were played as."""

    marks: tuple[Marks, ...]
    lessons: tuple[Lesson, ...]
    matches: tuple[MatchResult, ...]

    def scalars(self) -> dict[str, float]:
        found = {f"accuracy/{mark.version.agent}/{mark.domain}": mark.accuracy for mark in self.marks}
        found |= {f"delta/{lesson.teacher.agent}/{lesson.student}": lesson.improvement for lesson in self.lessons}
        return found | ({"teaching/delta": fmean(lesson.improvement for lesson in self.lessons)} if self.lessons else {})

    def to_json(self) -> dict[str, object]:
        return {"exams": [mark.to_json() for mark in self.marks], "lessons": [lesson.to_json() for lesson in self.lessons]}


def measure(league: League, number: int, outermost: bool) -> Measurement:
    """The exam and Δ with its controls: on test problems before the first round and after the last (`outermost`), else on validation."""
    split: Split = "test" if outermost else "validation"
    chosen, players = league.config.evaluation, league.players()
    marks: list[Marks] = []
    lessons: list[Lesson] = []
    results: list[MatchResult] = []
    for versions, problems in _sittings(league, outermost):
        sat, result = sit_exam(versions, league.domains, split, problems, league.backend, players, number)
        marks = joined([*marks, *sat])
        results.append(result)
    matches = chosen.final_teaching_matches if outermost else chosen.teaching_matches
    for task in league.tasks.values():
        if task.relation == "teaching" and matches:
            taught, played = teach(task, _teaching_pairs(league), split, matches, league.backend, players, number)
            lessons += taught
            results += played
    return Measurement(tuple(marks), tuple(lessons), tuple(results))


def _sittings(league: League, outermost: bool) -> Iterator[tuple[list[Version], range]]:
    """(who, which problems). Before and after the run everyone and the base sit the first `problems`, who learns all domains sits the rest."""
    chosen, members = league.config.evaluation, league.population.members.values()
    everyone = [member.version for member in members if member.role != "scripted"]
    learners = [member.version for member in members if member.role not in ("expert", "scripted")]
    if not league.domains or not everyone:
        return
    if not outermost:
        yield learners, range(chosen.problems)
        return
    first = min(chosen.problems, chosen.final_problems)
    yield [*everyone, BASE], range(first)
    if learners and chosen.final_problems > first:
        yield learners, range(first, chosen.final_problems)


def _teaching_pairs(league: League) -> Iterator[tuple[Version, Version, str]]:
    """Every expert with every student, and with the held-out student: the first student's first frozen self, which never trains."""
    students = [member.version for member in league.population.with_role("student")]
    if league.config.evaluation.held_out_student and students:
        students += league.population.pasts.get(students[0].agent, ())[:1]
    for expert in league.population.with_role("expert"):
        if expert.domain:
            yield from ((expert.version, student, expert.domain) for student in students)
