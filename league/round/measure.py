"""What a league measures of itself: who sits which exam, who teaches whom on held-out problems, and
what comes out.

How an exam or a lesson is held is `league.evaluation.exams`'s; when to measure is the loop's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from league.evaluation.exams import Lesson, Marks, joined, sit_exam, teach
from league.matchmaking import Pairing, RuleContext, draw_pairings
from league.payoffs.view import PayoffView
from league.rollouts import outcomes_of, play_unseen
from league.round.schedule import open_to
from league.runtime.assembly import League
from league.seeds import derive, generator
from league.types import BASE, Match, MatchResult, Split, Version
from tasks.teaching import STUDENT, TEACHER, Teaching


@dataclass(frozen=True)
class Measurement:
    """Exams and lessons of one round, with the matches they were played as."""

    marks: tuple[Marks, ...]
    lessons: tuple[Lesson, ...]
    matches: tuple[MatchResult, ...]

    def scalars(self) -> dict[str, float]:
        found = {f"accuracy/{mark.version.agent}/{mark.domain}": mark.accuracy for mark in self.marks}
        found |= {f"delta/{lesson.teacher.agent}/{lesson.student}": lesson.improvement for lesson in self.lessons}
        return found | (
            {"teaching/delta": fmean(lesson.improvement for lesson in self.lessons)} if self.lessons else {}
        )

    def to_json(self) -> dict[str, object]:
        return {
            "exams": [mark.to_json() for mark in self.marks],
            "lessons": [lesson.to_json() for lesson in self.lessons],
        }


def measure(league: League, number: int, outermost: bool) -> Measurement:
    """The exam and Δ with its controls: on test problems before the first round and after the last
    (`outermost`), else on validation."""
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
        if isinstance(task, Teaching) and matches:
            taught, played = teach(
                task, _teaching_pairs(league, task.name), split, matches, league.backend, players, number
            )
            lessons += taught
            results += played
    results += _between_versions(league, number, split, last=outermost and number > 0)
    return Measurement(tuple(marks), tuple(lessons), tuple(results))


def _sittings(league: League, outermost: bool) -> Iterator[tuple[list[Version], range]]:
    """(who, which problems). Before and after the run everyone and the base sit the first
    `problems`, who learns all domains sits the rest."""
    chosen, members = league.config.evaluation, league.population.members.values()
    everyone = [member.version for member in members if member.has_weights]
    learners = [member.version for member in members if member.has_weights and member.role != "expert"]
    if not league.domains:
        return
    if not outermost:
        if learners:
            yield learners, range(chosen.problems)
        return
    first = min(chosen.problems, chosen.final_problems)
    for member in league.population.with_role("remote"):  # alone: an unreachable player must void nobody else's exam
        yield [member.version], range(first)
    if not everyone:
        return
    yield [*everyone, BASE], range(first)
    if learners and chosen.final_problems > first:
        yield learners, range(first, chosen.final_problems)


def _teaching_pairs(league: League, task: str) -> Iterator[tuple[Version, Version, str]]:
    """Everyone who may teach with everyone who may learn, and with the held-out student: the first
    student's first frozen self, which never trains."""
    places = open_to(league, task)
    students = [member.version for member in places[STUDENT]]
    if league.config.evaluation.held_out_student and students:
        students += league.population.pasts.get(students[0].agent, ())[:1]
    for teacher in places[TEACHER]:
        if teacher.domain:
            yield from ((teacher.version, student, teacher.domain) for student in students)


def _between_versions(league: League, number: int, split: Split, last: bool) -> list[MatchResult]:
    """Contests between frozen versions, batch by batch. Matches keep no transcript."""
    chosen = league.config.evaluation.versions
    batches = 1 + (-(-chosen.final_matches // chosen.matches) if last and chosen.matches else 0)
    view, results = league.view, []
    for batch in range(batches):
        fixtures = [
            match for name in league.tasks for match in _version_matches(league, view, name, number, batch, split)
        ]
        played = play_unseen(fixtures, league.tasks, league.backend, league.players())
        view = view.add(number, outcomes_of(played))
        results += played
    return results


def _version_matches(
    league: League, view: PayoffView, name: str, number: int, batch: int, split: Split
) -> Iterator[Match]:
    """Matches of one task between its players' pasts and the members that do not train, drawn by
    the config's mixture of rules.

    Problems follow on those of earlier measurements: frozen and greedy, a version answers a repeated problem as it
    did before.
    """
    chosen, playing, task = league.config.evaluation.versions, league.config.tasks[name], league.tasks[name]
    if not chosen.matches or not playing.matches or task.relation != "contest":
        return
    members = {member.name: member for places in open_to(league, name).values() for member in places}.values()
    frozen = [m.version for m in members if not m.trains]
    frozen += [past for m in members for past in league.population.pasts.get(m.name, ())]
    domains = task.domain_names
    pairs = [Pairing(row, col, domain) for row, col in combinations(frozen, 2) for domain in domains]
    if not pairs:
        return
    stream = generator(league.config.seed, "versions", number, batch, name)
    drawn = draw_pairings(
        RuleContext(view, name, number),
        pairs,
        chosen.matches,
        mixture=chosen.matchmaking,
        parameters=chosen.rules,
        rng=stream,
    )
    for place, pairing in enumerate(drawn):
        sides = [(pairing.row, pairing.col)[int(side)] for side in stream.permutation(2)]
        yield Match(
            id=f"{number}-{name}-versions-{batch}-{place}",
            task=name,
            round=number,
            seats=dict(zip(task.seat_names(2), sides, strict=True)),
            problems=tuple(task.problems(split, (number + batch) * chosen.matches + place, pairing.domain)),
            seed=derive(league.config.seed, "versions", number, batch, name, place),
            purpose="evaluate",
        )
