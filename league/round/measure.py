"""What a league measures of itself: who sits which exam, and who teaches whom.

All on held-out problems. How an exam is held and a teaching gain measured is said in `league.evaluation`; when to
measure is the loop's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from league.config import EvaluationConfig, TaskConfig
from league.evaluation.exams import ExamResult, hold_exam, joined
from league.evaluation.teaching_gains import TeachingGain, measure_teaching
from league.learning.accounting import Spent, all_scored
from league.matchmaking import Pairing, RuleContext, draw_pairings
from league.payoffs.view import PayoffView
from league.population import Population
from league.rollouts import make_match, outcomes_of, play_unseen
from league.round.schedule import open_to
from league.runtime.league import League, LeagueState
from league.seeds import derive, generator
from league.types import BASE, Match, MatchResult, Split, Version
from tasks import Task
from tasks.teaching import STUDENT, TEACHER, Teaching


@dataclass(frozen=True)
class Measurement:
    """Exams and teaching gains of one round, with the matches they were played as."""

    exams: tuple[ExamResult, ...]
    gains: tuple[TeachingGain, ...]
    matches: tuple[MatchResult, ...]
    spent: Spent = Spent()
    """What reading likelihoods took; what playing took is noted as it is played."""
    live: frozenset[Version] = frozenset()
    """The members as they were then: what is measured of them goes on under their names."""

    def scalars(self) -> dict[str, float]:
        """accuracy/AGENT/DOMAIN, delta/TEACHER/STUDENT (the mean over domains); means over all pairs.

        A frozen past as a student is named with its step, which stays.

        These are of Δ and of the lesson's own share. The two of log-probabilities, in nats per token of the true
        solution, are there only where they were measured.
        """
        found = {f"accuracy/{exam.version.agent}/{exam.domain}": exam.accuracy for exam in self.exams}
        deltas: dict[str, dict[str, float]] = {}
        for gain in self.gains:
            student = gain.student.agent if gain.student in self.live else str(gain.student)
            deltas.setdefault(f"delta/{gain.teacher.agent}/{student}", {})[gain.domain] = gain.improvement
        found |= {tag: fmean(by_domain.values()) for tag, by_domain in deltas.items()}
        if self.gains:
            found["teaching/delta"] = fmean(gain.improvement for gain in self.gains)
            found["teaching/own_share"] = fmean(gain.own_share for gain in self.gains)
        read = [gain.logprobs for gain in self.gains if gain.logprobs is not None]
        if read:
            found["teaching/delta_logprob"] = fmean(each.improvement for each in read)
            found["teaching/own_share_logprob"] = fmean(each.own_share for each in read)
        return found

    def to_json(self) -> dict[str, object]:
        """As it is kept in the run's state; "lessons" are the teaching gains."""
        return {"exams": [exam.to_json() for exam in self.exams], "lessons": [gain.to_json() for gain in self.gains]}


def measure(league: League, state: LeagueState, number: int, first_or_last: bool) -> Measurement:
    """The exam, Δ with its controls, and contests between frozen versions.

    On test problems before the first round and after the last (`first_or_last`), else on validation problems.
    """
    split: Split = "test" if first_or_last else "validation"
    chosen, players = league.config.evaluation, state.players()
    exams: list[ExamResult] = []
    gains: list[TeachingGain] = []
    results: list[MatchResult] = []
    spent = Spent()
    for versions, problems in _sittings(chosen, state.population, first_or_last) if league.domains else ():
        sat, result = hold_exam(
            versions,
            league.domains,
            split=split,
            problems=problems,
            backend=league.backend,
            players=players,
            number=number,
        )
        exams = joined([*exams, *sat])
        results.append(result)
    matches = chosen.final_teaching_matches if first_or_last else chosen.teaching_matches
    for task in league.tasks.values():
        if isinstance(task, Teaching) and matches:
            pairs = _teaching_pairs(chosen, league.config.tasks[task.name], task, state.population)
            taught, played, read = measure_teaching(
                task,
                pairs,
                split=split,
                matches=matches,
                backend=league.backend,
                players=players,
                number=number,
                bank=league.bank if chosen.teaching_logprobs else None,
                replays=league.replays(players),
            )
            gains += taught
            results += played
            spent += all_scored(read, league.size())
    results += _between_versions(league, state, number, split, last=first_or_last and number > 0)
    live = frozenset(state.population.live().values())
    return Measurement(tuple(exams), tuple(gains), tuple(results), spent, live)


def _sittings(
    chosen: EvaluationConfig, population: Population, first_or_last: bool
) -> Iterator[tuple[list[Version], range]]:
    """(who, which problems).

    Specialists and the base sit only the first of the problems, and only at both ends.
    """
    members = population.members.values()
    everyone = [member.version for member in members if member.can.has_weights]
    learners = [member.version for member in members if member.can.has_weights and not member.can.specialist]
    if not first_or_last:
        if learners:
            yield learners, range(chosen.problems)
        return
    first = min(chosen.problems, chosen.final_problems)
    yield from (([member.version], range(first)) for member in members if member.can.sits_alone)
    if not everyone:
        return
    yield [*everyone, BASE], range(first)
    if learners and chosen.final_problems > first:
        yield learners, range(first, chosen.final_problems)


def _teaching_pairs(
    chosen: EvaluationConfig, playing: TaskConfig, task: Task, population: Population
) -> Iterator[tuple[Version, Version, str]]:
    """Everyone who may teach with everyone who may learn, and with the held-out student.

    That is the first student's first frozen self, which never trains: of one that is no teacher, where there is one.
    """
    places = open_to(task, playing, population)
    learners = places[STUDENT]
    students = [member.version for member in learners]
    if chosen.held_out_student and learners:
        first = next((member for member in learners if not member.can.teaches_all), learners[0])
        students += population.pasts.get(first.name, ())[:1]
    for teacher in places[TEACHER]:
        met = [student for student in students if teacher.may_teach(student.agent)]
        for domain in teacher.teaches_in(task.domain_names):
            yield from ((teacher.version, student, domain) for student in met)


# ---------------------------------------------------------------------------------- contests of frozen versions
def _between_versions(league: League, state: LeagueState, number: int, split: Split, last: bool) -> list[MatchResult]:
    """Contests between frozen versions, batch by batch. Matches keep no transcript."""
    chosen = league.config.evaluation.versions
    batches = 1 + (-(-chosen.final_matches // chosen.matches) if last and chosen.matches else 0)
    view, results = state.view, []
    for batch in range(batches):
        matches = [
            match
            for name in league.tasks
            for match in _version_matches(league, state.population, view, name, at=(number, batch), split=split)
        ]
        keep = league.keeping(state.players(), f"versions/{batch}")
        played = play_unseen(matches, league.tasks, league.backend, state.players(), keep=keep)
        view = view.add(number, outcomes_of(played))
        results += played
    return results


def _version_matches(
    league: League, population: Population, view: PayoffView, name: str, *, at: tuple[int, int], split: Split
) -> Iterator[Match]:
    """Matches of one task between its players' pasts and the members that do not train.

    `at` is (round, batch). Drawn by the config's mixture of rules. Problems follow on those of earlier measurements:
    frozen and greedy, a version answers a repeated problem as it did before.
    """
    chosen, playing, task = league.config.evaluation.versions, league.config.tasks[name], league.tasks[name]
    if not chosen.matches or not playing.matches or task.relation != "contest":
        return
    open_places = open_to(task, playing, population).values()
    members = {member.name: member for place in open_places for member in place}.values()
    frozen = [m.version for m in members if not m.trains]
    frozen += [past for m in members for past in population.pasts.get(m.name, ())]
    pairs = [Pairing(row, col, domain) for row, col in combinations(frozen, 2) for domain in task.domain_names]
    if not pairs:
        return
    number, batch = at
    stream = generator(league.config.seed, "versions", number, batch, name)
    drawn = draw_pairings(
        RuleContext(view, name, number),
        pairs,
        chosen.matches,
        mixture=league.version_mixture,
        rng=stream,
    )
    for place, pairing in enumerate(drawn):
        sides = [(pairing.row, pairing.col)[int(side)] for side in stream.permutation(2)]
        yield make_match(
            name,
            at=(number, "versions", batch, place),
            seats=dict(zip(task.seat_names(2), sides, strict=True)),
            problems=task.problems(split, (number + batch) * chosen.matches + place, pairing.domain),
            seed=derive(league.config.seed, "versions", number, batch, name, place),
            purpose="evaluate",
        )
