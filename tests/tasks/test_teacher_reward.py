"""What an explanation earns by each rule: golden values, and the guards that hold for all."""

from collections.abc import Mapping
from dataclasses import replace
from math import log
from statistics import fmean, pvariance

import pytest

from league.errors import LeagueError
from league.rollouts import play
from league.types import Episode, Likelihood, Match, Reading, Version
from tasks import check_task
from tasks.domains import make_domain
from tasks.domains.answers import first_answer
from tasks.teacher_reward import capped_gain, copied_spans, expected_right
from tasks.teaching import STUDENT, TEACHER, Teaching
from tests.helpers.players import Bernoulli

SUMS = make_domain("chain_sum")
SEATS = {TEACHER: Version("tess", 3), STUDENT: Version("stu", 1)}


def played(rule: str, teacher, student, purpose: str = "train") -> tuple[Teaching, Episode]:
    settings = {"explanations": 4, "similar": 2, "answers": 2, "teacher_reward": rule}
    task = Teaching("teaching", {"chain_sum": SUMS}, **settings)
    match = Match("m", "teaching", 1, SEATS, task.problems("train", 5, "chain_sum"), 12, purpose)
    (episode,) = play([match], {"teaching": task}, Bernoulli({"tess": teacher, "stu": student}))
    return task, episode


def good_or_bad(messages, stream) -> str:
    """Among the four samples of the match are both."""
    return "good words" if stream.random() < 0.5 else "bad words"


def answers_seven(messages, stream) -> str:
    return "It is so.\nAnswer: 7"


def says_nothing(messages, stream) -> str:
    return "I do not know."


def read(reading: Reading, per_token: float, tokens: int = 4) -> Likelihood:
    """Equal log-probabilities of tokens of equal length, the end token last."""
    size = len(reading.completion)
    ends = [round(size * place / (tokens - 1)) for place in range(tokens)]
    return Likelihood((per_token,) * tokens, (*zip(ends, ends[1:], strict=False), (size, size)))


def answered(episode: Episode, task: Teaching, values: Mapping[str, float]) -> Episode:
    """Every reading gets the value of the first word that its prompt contains."""
    found = {}
    for reading in task.readings(episode):
        text = " ".join(message.content for message in reading.prompt)
        found[reading.key] = read(reading, next(value for word, value in values.items() if word in text))
    return replace(episode, likelihoods=found)


def by_wording(task: Teaching, episode: Episode) -> dict[str, float]:
    rewards = task.score(episode).rewards
    explain = next(root for root in episode.roots if root.turn.tag == "explain")
    return {explain.texts(node)[TEACHER]: rewards[node.id][TEACHER] for node in explain.nodes}


def test_expected_accuracy_is_the_chance_of_the_true_answer_behind_the_answer_line() -> None:
    """exp(4 · (log x)/4) = x for a completion of four tokens: 0.5 after good words, 0.25 after bad, 0.125 alone."""
    task, episode = played("expected_accuracy", good_or_bad, answers_seven)
    readings = task.readings(episode)
    assert len(readings) == 2 * 2 + 4 * 2 * 2  # control and four explanations: two problems, two samples each
    assert {reading.completion for reading in readings} == {f" {p.answer}" for p in episode.match.problems[1:-1]}
    assert {reading.characters for reading in readings} == {len("It is so.\nAnswer:")}
    values = {"good words": log(0.5) / 4, "bad words": log(0.25) / 4, "": log(0.125) / 4}
    found = by_wording(task, answered(episode, task, values))
    assert found == pytest.approx({"good words": 0.375, "bad words": 0.125})


def test_a_reply_without_an_answer_line_counts_nothing() -> None:
    task, episode = played("expected_accuracy", good_or_bad, says_nothing)
    assert task.readings(episode) == []
    assert set(by_wording(task, episode).values()) == {0.0}


def test_likelihood_is_the_gain_of_the_solution_over_an_answer_without_explanation() -> None:
    task, episode = played("likelihood", good_or_bad, says_nothing)
    readings = task.readings(episode)
    assert len(readings) == 4 * 2 + 2  # each explanation and problem, and the baseline of each problem
    assert {r.completion for r in readings} == {SUMS.solution(p) for p in episode.match.problems[1:-1]}
    baseline = [r for r in readings if r.key.endswith("an answer")]
    assert all(r.prompt[2].content == f"Answer: {episode.match.problems[0].answer}" for r in baseline)
    found = by_wording(task, answered(episode, task, {"good words": -1.0, "bad words": -1.75, "": -2.0}))
    assert found == pytest.approx({"good words": 1.0, "bad words": 0.25})
    capped = by_wording(task, answered(episode, task, {"good words": -1.0, "bad words": -9.0, "": -7.0}))
    assert capped == pytest.approx({"good words": 2.0, "bad words": -2.0})


def test_words_copied_into_the_explanation_earn_nothing() -> None:
    """Runs of 3 words: "2 + 3" and "+ 3 =" are shared, "3 = 5" is not; punctuation counts, space and case do not."""
    assert copied_spans("Ab 2 + 3 = 5.", "I see 2 +3 = 6", 3) == [(3, 8), (5, 10)]
    assert copied_spans("Ab cd EF", "xx ab CD  ef yy", 3) == [(0, 8)]
    assert copied_spans("Ab cd EF", "xx ab CD", 3) == copied_spans("a b", "a b", 3) == []
    after = Likelihood((-1.0, -1.0, -1.0, -0.5), ((0, 4), (4, 8), (8, 12), (12, 12)))
    before = Likelihood((-2.0, -2.0, -2.0, -0.5), after.spans)
    assert capped_gain(after, before, [], 2.0) == pytest.approx(0.75)
    assert capped_gain(after, before, [(3, 5)], 2.0) == pytest.approx(0.25)  # it touches two of the tokens
    assert capped_gain(after, before, [], 0.5) == pytest.approx(0.375)


def test_an_explanation_that_is_the_solution_earns_nothing_for_it() -> None:
    def copies(messages, stream) -> str:
        problems = Teaching("t", {"chain_sum": SUMS}, similar=2).problems("train", 5, "chain_sum")
        return " ".join(SUMS.solution(problem) for problem in problems[1:-1])

    task, episode = played("likelihood", copies, says_nothing)
    free = answered(episode, task, {"Answer:": -1.0, "": -1.0})
    gains = {key: read(reading, -0.1) for reading in task.readings(episode) for key in [reading.key]}
    gains |= {key: value for key, value in free.likelihoods.items() if key.endswith("an answer")}
    score = task.score(replace(episode, likelihoods=gains))
    assert score.metrics["leaks"] > 0
    assert score.metrics["teacher_reward"] <= 0.0


def test_by_default_and_in_evaluation_nothing_is_read() -> None:
    task, episode = played("accuracy", good_or_bad, answers_seven)
    assert list(task.readings(episode)) == [] and task.read_seats == ()
    task, episode = played("likelihood", good_or_bad, answers_seven, purpose="evaluate")
    assert list(task.readings(episode)) == [] and task.read_seats == (STUDENT,)
    assert task.score(episode).metrics["teacher_reward"] == 0.0


@pytest.mark.parametrize("rule", ["expected_accuracy", "likelihood"])
def test_a_reward_whose_likelihoods_nobody_read_is_an_error(rule: str) -> None:
    task, episode = played(rule, good_or_bad, answers_seven)
    with pytest.raises(LeagueError, match="match m: no answer to the reading"):
        task.score(episode)


def test_unknown_rewards_and_bounds_are_refused() -> None:
    lines = check_task("teaching", {"teacher_reward": "luck", "gain_cap": 0.0, "copied_words": 0})
    assert [line.partition(":")[0] for line in sorted(lines)] == [
        "settings.copied_words", "settings.gain_cap", "settings.teacher_reward",
    ]  # fmt: skip


def test_the_first_answer_begins_behind_its_marker() -> None:
    assert first_answer("So.\nAnswer: 7\nAnswer: 8") == len("So.\nAnswer:")
    assert first_answer("answer  = 7") == len("answer  =") and first_answer("no line") is None


def test_rao_blackwell_keeps_the_mean_and_lowers_the_variance() -> None:
    """A student of two reasonings, half each, that is right with chance 0.9 and 0.3.

    c is whether a sample is right, V its chance given the reasoning. Both have mean 0.6; Var c = 0.6 · 0.4 = 0.24,
    Var V = (0.9 − 0.3)² / 4 = 0.09. Of 480 samples, means lie within 4.5 standard errors (false alarm < 1e-5).
    """
    chance = {"Ay": 0.9, "Bee": 0.3}

    def reasons(messages, stream) -> str:
        answer = next(p.answer for p in problems if p.question == messages[-1].content)
        word = "Ay" if stream.random() < 0.5 else "Bee"
        return f"{word}.\nAnswer: {answer if stream.random() < chance[word] else -999}"

    task = Teaching(
        "teaching", {"chain_sum": SUMS}, explanations=2, similar=2, answers=4, teacher_reward="expected_accuracy"
    )
    problems = [SUMS.problem("train", index) for index in range(120)]
    matches = [Match(f"m{i}", "teaching", 1, SEATS, task.problems("train", i, "chain_sum"), i) for i in range(20)]
    right, expected = [], []
    for episode in play(matches, {"teaching": task}, Bernoulli({"tess": good_or_bad, "stu": reasons})):
        for reading in task.readings(episode):
            assert reading.reply is not None
            value = log(chance[reading.reply.text.partition(".")[0]])
            episode.likelihoods = {**episode.likelihoods, reading.key: Likelihood((value,), ((0, 1),))}
        expected += list(expected_right(episode, STUDENT).values())
        right += list(task._correctness(episode, SUMS).values())
    assert len(right) == len(expected) == 480
    assert fmean(right) == pytest.approx(0.6, abs=4.5 * (0.24 / 480) ** 0.5)
    assert fmean(expected) == pytest.approx(0.6, abs=4.5 * (0.09 / 480) ** 0.5)
    assert pvariance(expected) == pytest.approx(0.09, abs=0.01) and pvariance(right) > 0.2
