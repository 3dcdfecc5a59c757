"""What the audit takes as held out: first answers of learners in training, validation exams, never test problems."""

from dataclasses import replace

from league.evaluation.exams import ExamResult
from league.learning.accounting import Spent
from league.payoffs.channel_audit import ChannelAudit
from league.population import Member, Population
from league.round.competence import answered, examined
from league.runtime.league import LeagueState
from league.types import Episode, Hyper, Match, Problem, Score, UnaidedAnswers, Version

ADA, EXPERT = Version("ada", 3), Version("exp", 1)


def state() -> LeagueState:
    members = {
        version.agent: Member(version.agent, role, version=version, trains=True, hyper=Hyper(0.1))
        for version, role in ((ADA, "student"), (EXPERT, "expert"))
    }
    return LeagueState(Population(members, {}))


def played(*indices: int, purpose: str = "train") -> tuple[Episode, Score]:
    """A match in which both answer; the student is right in all of its two answers to each problem."""
    problems = tuple(Problem("sums", "train", index, "", "") for index in indices)
    seats = {"teacher": EXPERT, "student": ADA}
    match = Match("m", "worked", round=1, seats=seats, problems=problems, seed=0, purpose=purpose)  # type: ignore[arg-type]
    unaided = tuple(UnaidedAnswers(seat, "sums", 2.0, 2) for seat in seats for _ in indices)
    return Episode(match, []), Score({}, {}, (), unaided=unaided)


def answers(audit: ChannelAudit) -> float:
    """Answers of the student that were counted."""
    assert all(agent == "ada" for agent, _ in audit.cells), "experts are not taught"
    found = audit.credits().get(("ada", "sums"))
    return 0.0 if found is None else sum(last[1] for _, last in found.accuracy.values())


def after(state: LeagueState, *found: tuple[Episode, Score]) -> LeagueState:
    return answered(state, [episode for episode, _ in found], [score for _, score in found])


def test_only_the_first_answer_to_a_problem_is_held_out() -> None:
    once = after(state(), played(0, 1), played(1, 2))
    assert answers(once.audit) == 4, "within a round nothing was learned yet; two replies to a problem are one answer"
    assert answers(after(once, played(2, 3)).audit) == 4, "problem 2 was met in the round before"
    assert answers(after(once, played(3)).audit) == 5


def test_problems_of_the_warm_up_are_not_held_out() -> None:
    begun = state().spent(Spent(given=frozenset({"sums/train/7"})))
    assert answers(after(begun, played(7)).audit) == 0 and answers(after(begun, played(8)).audit) == 1


def test_exams_count_on_validation_problems_only() -> None:
    for split, expected in (("validation", 3), ("test", 0)):
        exam = ExamResult(ADA, "sums", split, (True, False, True))  # type: ignore[arg-type]
        assert answers(examined(state(), [exam]).audit) == expected


def test_other_matches_and_past_versions_do_not_count() -> None:
    assert answers(after(state(), played(0, purpose="evaluate")).audit) == 0
    episode, score = played(0)
    past = replace(episode, match=replace(episode.match, seats={"teacher": EXPERT, "student": Version("ada", 1)}))
    assert answers(after(state(), (past, score)).audit) == 0
