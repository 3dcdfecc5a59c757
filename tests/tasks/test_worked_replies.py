"""Worked replies by hand: which of a teacher's replies a student learns, and what a match says about the two."""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from league.errors import BackendError
from league.learning.advantages import Credit, learn_from
from league.learning.channels.examples import useful_examples
from league.rollouts import play
from league.types import BASE, Episode, Match, Message, Outcome, Score, UnaidedAnswers, Version
from tasks import check_task
from tasks.domains import make_domain
from tasks.teaching import STUDENT, TEACHER
from tasks.worked_replies import WorkedReplies
from tests.helpers.players import Bernoulli, Policy

SUMS = make_domain("chain_sum")
TESS, STU = Version("tess", 3), Version("stu", 1)
TAUGHT = ("10", "11", "01")
"""The teacher's two replies to each of three problems: 1 is right."""
ALONE = ("0", "1")
"""The student's one reply to the first two: it solves the second."""


def says(task: WorkedReplies, match: Match, script: Sequence[str]) -> Policy:
    """A player that answers problem i right or wrong as `script[i]` says, sample by sample."""
    lines = {problem.question: iter(script[i]) for i, problem in enumerate(match.problems) if i < len(script)}
    answers = {problem.question: problem.answer for problem in match.problems}

    def policy(messages: Sequence[Message], stream: np.random.Generator) -> str:
        asked = messages[-1].content
        assert all(message.role != "assistant" for message in messages), "no example is shown to anybody"
        return f"Answer: {answers[asked] if next(lines[asked]) == '1' else -999}"

    return policy


def played(
    teacher: Sequence[str] = TAUGHT,
    student: Sequence[str] = ALONE,
    *,
    purpose: str = "train",
    split: str = "train",
    **settings: int,
) -> tuple[Episode, Score]:
    task = WorkedReplies("worked", {"chain_sum": SUMS}, **{"items": 3, "answers": 2, "student_items": 2, **settings})
    problems = task.problems(split, 5, "chain_sum")  # type: ignore[arg-type]
    match = Match("m", "worked", 1, {TEACHER: TESS, STUDENT: STU}, problems, 7, purpose)  # type: ignore[arg-type]
    backend = Bernoulli({"tess": says(task, match, teacher), "stu": says(task, match, student)})
    (episode,) = play([match], {"worked": task}, backend)
    return episode, task.score(episode)


def learned(episode: Episode, score: Score) -> list[tuple[int, int]]:
    """(problem, which reply) of every example."""
    places = {
        node.id: (decision.turn.about, node.picks[TEACHER])
        for decision in episode.roots
        for node in decision.nodes
        if decision.turn.tag == "work"
    }
    return [places[example.node] for example in score.examples]  # type: ignore[misc]


def test_right_replies_to_what_the_student_cannot_do_are_examples() -> None:
    """The second problem teaches nothing, because the student solved it; the third was not asked of it."""
    episode, score = played()
    assert learned(episode, score) == [(0, 0), (2, 1)]
    for example, about in zip(score.examples, (0, 2), strict=True):
        problem = episode.match.problems[about]
        assert (example.channel, example.domain, example.weight) == ("worked_replies", "chain_sum", 1.0)
        assert (example.speaker, example.learner, example.teacher) == (TEACHER, STUDENT, TEACHER)
        assert example.prompt == SUMS.prompt(problem), "the student's own prompt, without any example"
    assert score.metrics == {"teacher_accuracy": 2 / 3, "student_accuracy": 0.5, "examples": 2.0}
    found = useful_examples([episode], [score], frozenset({"stu"}))
    assert [(each.learner, each.teacher, each.problem) for each in found] == [
        (STU, TESS, episode.match.problems[about].key) for about in (0, 2)
    ]


def test_everyone_is_rewarded_for_right_replies_only() -> None:
    episode, score = played()
    rewards = {
        (decision.turn.tag, decision.turn.about): [score.rewards[node.id] for node in decision.nodes]
        for decision in episode.roots
    }
    for about, marks in enumerate(TAUGHT):
        assert rewards["work", about] == [{TEACHER: float(mark)} for mark in marks]
    for about, marks in enumerate(ALONE):
        assert rewards["probe", about] == [{STUDENT: float(mark)} for mark in marks]
    lesson = learn_from(episode, score, Credit(), frozenset({"tess", "stu"}))
    by_place = [lesson.advantages[node.id, TEACHER] for d in episode.roots[:3] for node in d.nodes]
    assert by_place == [0.5, -0.5, 0.0, 0.0, -0.5, 0.5]


def test_the_contest_pairs_first_replies_on_what_both_answered() -> None:
    """First: right against wrong, a win. Second: both right, a draw. The third problem is the teacher's alone."""
    _, score = played()
    expected = Outcome("contest", "worked", "default", "chain_sum", TESS, STU, wins=1, draws=1, losses=0, n=2)
    assert score.outcomes == (expected,)
    _, lost = played(teacher=("01", "01", "11"), student=("1", "0"))
    (outcome,) = lost.outcomes
    assert (outcome.wins, outcome.draws, outcome.losses, outcome.n) == (0, 1, 1, 2)


def test_all_answers_are_unaided() -> None:
    _, score = played()
    assert score.unaided == (
        UnaidedAnswers(TEACHER, "chain_sum", 1.0, 2),
        UnaidedAnswers(TEACHER, "chain_sum", 2.0, 2),
        UnaidedAnswers(TEACHER, "chain_sum", 1.0, 2),
        UnaidedAnswers(STUDENT, "chain_sum", 0.0, 1),
        UnaidedAnswers(STUDENT, "chain_sum", 1.0, 1),
    )


def test_without_probes_of_the_student_every_right_reply_counts_and_nothing_is_compared() -> None:
    episode, score = played(student=(), student_items=0)
    assert learned(episode, score) == [(0, 0), (1, 0), (1, 1), (2, 1)]
    assert score.outcomes == () and "student_accuracy" not in score.metrics
    assert {each.seat for each in score.unaided} == {TEACHER}


def test_a_teacher_that_is_never_right_teaches_nothing() -> None:
    _, score = played(teacher=("00", "00", "00"))
    assert score.examples == () and score.metrics["teacher_accuracy"] == 0.0


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_evaluation_gives_no_examples(split: str) -> None:
    episode, score = played(purpose="evaluate", split=split)
    assert score.examples == () and score.metrics["examples"] == 0.0
    assert list(useful_examples([episode], [score], frozenset({"stu"}))) == []
    assert score.metrics["teacher_accuracy"] == 2 / 3, "it still measures"


def test_a_version_is_not_compared_with_itself() -> None:
    task = WorkedReplies("worked", {"chain_sum": SUMS}, items=1, answers=1, student_items=1)
    match = Match("m", "worked", 1, {TEACHER: BASE, STUDENT: BASE}, task.problems("train", 0, "chain_sum"), 7)
    (episode,) = play([match], {"worked": task}, Bernoulli({"base": says(task, match, ["11"])}))
    assert task.score(episode).outcomes == ()


def test_a_match_whose_teacher_is_not_reached_is_void_and_teaches_nothing() -> None:
    def gone(messages: Iterable[Message], stream: np.random.Generator) -> str:
        raise BackendError("no answer")

    task = WorkedReplies("worked", {"chain_sum": SUMS}, items=2, student_items=1)
    match = Match("m", "worked", 1, {TEACHER: TESS, STUDENT: STU}, task.problems("train", 0, "chain_sum"), 7)
    (episode,) = play([match], {"worked": task}, Bernoulli({"tess": gone, "stu": says(task, match, ["1"])}))
    assert episode.void is not None
    assert list(useful_examples([episode], [None], frozenset({"stu"}))) == []


def test_matches_walk_through_the_problems_and_never_share_one() -> None:
    task = WorkedReplies("worked", {"chain_sum": SUMS}, items=3)
    seen = [problem.index for index in range(4) for problem in task.problems("train", index, "chain_sum")]
    assert seen == list(range(12))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"items": 0}, "settings.items: must be at least 1, found 0"),
        ({"answers": 0}, "settings.answers: must be at least 1, found 0"),
        ({"temperature": 0.0}, "settings.temperature: must be above 0, found 0.0"),
        ({"student_items": -1}, "settings.student_items: must be at least 0, found -1"),
    ],
)
def test_bad_settings_are_named(settings: dict, said: str) -> None:
    assert check_task("worked_replies", settings) == [said]


def test_what_does_not_fit_together_is_refused_with_the_remedy() -> None:
    assert WorkedReplies("w", {"sums": SUMS}, items=2, student_items=3).check() == [
        "student_items: 3 of 2 items; ask for at most `items`"
    ]
    assert "at least one domain" in WorkedReplies("w", {}).check()[0]
