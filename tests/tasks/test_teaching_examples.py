"""What a teaching match hands on to weights: rescued answers as examples, and the control arm as unaided answers."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from league.rollouts import play
from league.round.channels import rescue_rate
from league.types import Episode, Match, Message, Score, UnaidedAnswers, Version
from tasks.domains import make_domain
from tasks.teaching import STUDENT, TEACHER, Teaching
from tests.helpers.players import Bernoulli

SUMS = make_domain("chain_sum")
SEATS = {TEACHER: Version("tess", 3), STUDENT: Version("stu", 1)}
CONTROL = {1: "10", 2: "00"}
"""Similar problem → the student's two answers without an example; 1 is right. So c₀ is ½ and 0."""
TAUGHT = {1: ("10", "00"), 2: ("01", "11")}
"""The same with the first explanation, and with the second."""


def played(
    control: Mapping[int, str] = CONTROL,
    taught: Mapping[int, Sequence[str]] = TAUGHT,
    *,
    explanations: Sequence[str] = ("Add.", "Subtract."),
    purpose: str = "train",
    split: str = "train",
) -> tuple[Episode, Score]:
    """A match whose answers go by script; `taught` has one string for each of two explanations."""
    task = Teaching("teaching", {"chain_sum": SUMS}, explanations=2, similar=2, answers=2)
    problems = task.problems(split, 5, "chain_sum")  # type: ignore[arg-type]
    match = Match("m", "teaching", 1, SEATS, problems, 11, purpose)  # type: ignore[arg-type]
    said = iter([*explanations, *explanations])
    marks = {(problems[about].question, False): iter(script) for about, script in control.items()}
    marks |= {(problems[about].question, True): iter("".join(scripts)) for about, scripts in taught.items()}
    answers = {problem.question: problem.answer for problem in problems}

    def explains(messages: Sequence[Message], stream: np.random.Generator) -> str:
        return next(said)

    def answer(messages: Sequence[Message], stream: np.random.Generator) -> str:
        asked, shown = messages[-1].content, any(message.role == "assistant" for message in messages)
        return f"Answer: {answers[asked] if next(marks[asked, shown]) == '1' else -999}"

    (episode,) = play([match], {"teaching": task}, Bernoulli({"tess": explains, "stu": answer}))
    return episode, task.score(episode)


def rescued(episode: Episode, score: Score) -> list[tuple[int | None, int, float]]:
    """(problem, number of the explanation, weight) of every example."""
    explain = next(decision for decision in episode.roots if decision.turn.tag == "explain")
    place = {
        node.id: (decision.turn.about, number)
        for number, lesson in enumerate(explain.nodes)
        for decision in lesson.next
        for node in decision.nodes
    }
    return [(*place[example.node], example.weight) for example in score.examples]


def test_right_taught_answers_are_examples_by_what_the_control_lacked() -> None:
    """Weight r − c₀ = 1 − c₀: ½ for the first problem, 1 for the second."""
    episode, score = played()
    assert rescued(episode, score) == [(1, 0, 0.5), (2, 0, 1.0), (2, 1, 1.0), (2, 1, 1.0)]
    for example, about in zip(score.examples, (1, 2, 2, 2), strict=True):
        assert (example.channel, example.domain) == ("lessons", "chain_sum")
        assert (example.speaker, example.learner, example.teacher) == (STUDENT, STUDENT, TEACHER)
        assert example.prompt == SUMS.prompt(episode.match.problems[about]), "the prompt without the example"


def test_what_the_student_always_solves_alone_is_no_example() -> None:
    episode, score = played(control={1: "11", 2: "00"})
    assert [about for about, *_ in rescued(episode, score)] == [2, 2, 2]
    _, nothing = played(control={1: "11", 2: "11"})
    assert nothing.examples == ()


def test_the_rescue_rate_counts_answers_where_every_control_failed() -> None:
    """Three of the eight taught answers: those of the second problem that are right."""
    episode, score = played()
    assert rescue_rate([episode, episode], [score, None]) == {"lessons/rescue_rate": 3 / 8}
    assert rescue_rate([episode], [None]) == {}


def test_the_control_arm_is_unaided() -> None:
    _, score = played()
    assert score.unaided == (
        UnaidedAnswers(STUDENT, "chain_sum", 1.0, 2),
        UnaidedAnswers(STUDENT, "chain_sum", 0.0, 2),
    )


def test_a_leaked_problem_gives_no_example() -> None:
    """A teacher that says the solution of the first similar problem gains nothing by it, and passes nothing on.

    The same teacher's other explanation, and the other problem, are not touched.
    """
    plain, _ = played()
    leak = "Remember: " + SUMS.solution(plain.match.problems[1])
    right = {1: ("11", "11"), 2: ("11", "11")}
    episode, score = played(taught=right, explanations=(leak, "Add."))
    assert score.metrics["leaks"] == 1.0
    found = sorted(rescued(episode, score))
    assert found == [(1, 1, 0.5)] * 2 + [(2, 0, 1.0)] * 2 + [(2, 1, 1.0)] * 2
    everything = leak + " " + SUMS.solution(plain.match.problems[2])
    _, nothing = played(taught=right, explanations=(everything, everything))
    assert nothing.examples == () and nothing.metrics["leaks"] == 4.0
    assert nothing.metrics["teacher_reward"] <= 0.0


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_evaluation_gives_no_examples_in_any_arm(split: str) -> None:
    """One greedy answer an arm: control wrong, taught and shuffled right."""
    episode, score = played(
        control={1: "0", 2: "0"}, taught={1: ("1", "1"), 2: ("1", "1")}, purpose="evaluate", split=split
    )
    assert score.metrics["taught_accuracy"] == 1.0 and score.metrics["shuffled_accuracy"] == 1.0
    assert score.examples == ()
    assert [(each.right, each.n) for each in score.unaided] == [(0.0, 1), (0.0, 1)], "the control arm alone"


def test_training_has_no_shuffled_arm_to_learn_from() -> None:
    episode, score = played()
    taught = {node.id for _, d in episode.decisions() if d.turn.tag == "taught" for node in d.nodes}
    assert {example.node for example in score.examples} <= taught
    assert "shuffled" not in {decision.turn.tag for _, decision in episode.decisions()}
