"""Coding matches played from end to end.

Rewards, turns, feedback, histories, seats, what carries no gradient, what is reported.
"""

from collections.abc import Callable, Sequence
from typing import get_args

import numpy as np
import pytest

from league.learning.advantages import Credit, learn_from, node_return
from league.rollouts import play
from league.sandbox.shared import RememberingGrader
from league.sandbox.values import Grade, Job
from league.types import Episode, Match, Message, RewardMix, Version
from tasks import check_task
from tasks.coding.feedback import checks
from tasks.coding.levels import CodeLevels, shape_of
from tasks.coding.problems import code_problem, problems_of
from tasks.coding.prompts import demonstration
from tasks.coding.task import Coding
from tasks.multiturn.feedback import Check, Transition, feedback_text
from tests.helpers.players import Bernoulli, Policy

PROBLEM = problems_of("local-1")["train"][0]
NAME = code_problem(PROBLEM).entry_point
RIGHT = {seat: reply for seat, (_, reply) in demonstration(PROBLEM).items()}
WRONG = {"helper": RIGHT["helper"], "main": f"def {NAME}(x):\n    return aux(x) * 0 + 12345\n"}


def match(task: Coding, seed: int = 1, **changes: object) -> Match:
    seats = {seat: Version(f"agent-{seat}", 0) for seat in task.seats()}
    return Match("m", task.name, 0, seats, (PROBLEM,), seed, **changes)  # type: ignore[arg-type]


def always(text: str) -> Policy:
    return lambda messages, stream: text


def sometimes(texts: Sequence[str]) -> Policy:
    return lambda messages, stream: texts[int(stream.integers(len(texts)))]


def run(task: Coding, policies: dict[str, Policy], seed: int = 1, **changes: object) -> tuple[Episode, Bernoulli]:
    backend = Bernoulli({f"agent-{seat}": policy for seat, policy in policies.items()})
    (episode,) = play([match(task, seed, **changes)], {task.name: task}, backend)
    return episode, backend


def seen(backend: Bernoulli, seat: str, turn: int) -> str:
    """What a seat's newest message said in its request number `turn`."""
    requests = [
        request for batch in backend.batches for request in batch if request.version == Version(f"agent-{seat}", 0)
    ]
    return requests[turn].messages[-1].content


class FakeGrader:
    """Known grades, in place of running code; counts what it is asked."""

    def __init__(self, grade: Callable[[Job], Grade]):
        self.answer = grade
        self.asked: list[Job] = []

    def grade(self, jobs: Sequence[Job]) -> list[Grade]:
        self.asked += jobs
        return [self.answer(job) for job in jobs]


def test_right_and_wrong_pairs() -> None:
    task = Coding("code", samples=2)
    episode, _ = run(task, {seat: always(RIGHT[seat]) for seat in ("helper", "main")})
    score = task.score(episode)
    assert {value for seats in score.rewards.values() for value in seats.values()} == {4.0}
    assert score.metrics == {
        "infra": 0, "structure": 1, "syntax": 1, "tests": 1, "cooperation": 1, "return": 1, "solved": 1, "suspect": 0,
    }  # fmt: skip
    (outcome,) = score.outcomes
    assert (outcome.relation, outcome.n, outcome.total, outcome.domain) == ("cooperation", 2, 8.0, "coding-local-1")
    episode, _ = run(task, {seat: always(WRONG[seat]) for seat in ("helper", "main")})
    assert task.score(episode).metrics["return"] == pytest.approx(1.5 / 4)


def test_a_group_learns_from_what_differs() -> None:
    task = Coding("code", samples=12)
    episode, _ = run(
        task, {"helper": always(RIGHT["helper"]), "main": sometimes([RIGHT["main"], WRONG["main"], "no idea"])}, seed=3
    )
    lesson = learn_from(episode, task.score(episode), Credit(), {"agent-helper", "agent-main"})
    (decision,) = episode.roots
    assert {decision.texts(node)["main"] for node in decision.nodes} == {RIGHT["main"], WRONG["main"], "no idea"}
    best = max(lesson.advantages[node.id, "main"] for node in decision.nodes)
    for node in decision.nodes:
        right = decision.texts(node)["main"] == RIGHT["main"]
        assert (lesson.advantages[node.id, "main"] == best) == right
    assert sum(lesson.advantages.values()) == pytest.approx(0)


def test_cross_scores_every_combination() -> None:
    task = Coding("code", samples=3, joint="cross")
    policies = {seat: sometimes([RIGHT[seat], "no idea"]) for seat in ("helper", "main")}
    episode, _ = run(task, policies, seed=5)
    score = task.score(episode)
    assert len(score.rewards) == 9
    (decision,) = episode.roots
    for node in decision.nodes:
        right = sum(decision.texts(node)[seat] == RIGHT[seat] for seat in ("helper", "main"))
        assert (score.rewards[node.id]["main"] == 4.0) == (right == 2)


def test_the_reward_mix_applies() -> None:
    task = Coding("code", samples=1)
    policies = {seat: always(RIGHT[seat]) for seat in ("helper", "main")}
    episode, _ = run(task, policies, rewards=RewardMix(individual=0.5, team=0.25))
    assert task.score(episode).rewards[0] == {"helper": 3.0, "main": 3.0}


# ------------------------------------------------------------------------------------------------ turns
def improving(seat: str) -> Policy:
    """Wrong at first, right once it has been told something."""

    def policy(messages: Sequence[Message], stream: np.random.Generator) -> str:
        return RIGHT[seat] if len(messages) > 1 else WRONG[seat]

    return policy


@pytest.mark.parametrize("transition", [name for name in get_args(Transition) if name != "expert_edits"])
def test_second_turn_sees_its_own_history_and_the_feedback(transition: str) -> None:
    task = Coding("code", samples=2, branch=2, turns=2, transition=transition)  # type: ignore[arg-type]
    episode, backend = run(task, {seat: improving(seat) for seat in ("helper", "main")})
    second = [request for batch in backend.batches[1:] for request in batch]
    for request in second:
        roles = [message.role for message in request.messages]
        seat = str(request.version).split("@")[0].removeprefix("agent-")
        assert roles == ["user", "assistant", "user"]
        assert request.messages[1].content == WRONG[seat]  # its own reply, never its partner's
        said = request.messages[2].content
        assert ("Not all checks passed." in said) == (transition == "passed")
        assert ("tests: failed" in said) == transition.startswith("level_")
        assert ("0 of 6 tests pass" in said) == (transition == "level_feedback")
        assert "12345" not in said and "assert" not in said
    score = task.score(episode)
    assert score.metrics["return/turn-1"] == pytest.approx(1.5 / 4) and score.metrics["return/turn-2"] == 1
    assert score.metrics["return"] == 1
    assert len(score.rewards) == 2 + 2 * 2


def test_discount_reaches_the_first_turn() -> None:
    task = Coding("code", samples=1, turns=3)
    episode, _ = run(task, {seat: improving(seat) for seat in ("helper", "main")})
    score, root = task.score(episode), episode.roots[0].nodes[0]
    for discount in (0.0, 0.5, 1.0):
        assert node_return(root, "main", score, discount) == pytest.approx(1.5 + 4.0 * discount + 4.0 * discount**2)


@pytest.mark.parametrize("early", [False, True])
def test_early_stop_is_off_unless_asked_for(early: bool) -> None:
    task = Coding("code", samples=1, turns=3, early_stop=early)
    episode, _ = run(task, {seat: always(RIGHT[seat]) for seat in ("helper", "main")})
    assert len(list(episode.decisions())) == (1 if early else 3)
    episode, _ = run(task, {seat: always(WRONG[seat]) for seat in ("helper", "main")})
    assert len(list(episode.decisions())) == 3


def test_an_editor_speaks_between_turns() -> None:
    task = Coding("code", samples=2, turns=2, transition="expert_edits")
    assert task.seats() == ("helper", "main", "editor")
    policies = {**{seat: improving(seat) for seat in ("helper", "main")}, "editor": always("Use a better number.")}
    episode, backend = run(task, policies)
    assert WRONG["main"].strip() in seen(backend, "editor", 0) and "assert" not in seen(backend, "editor", 0)
    assert "A reviewer says:\nUse a better number." in seen(backend, "main", 1)
    score = task.score(episode)
    assert [decision.turn.tag for _, decision in episode.decisions()] == ["write", "edit", "write", "edit", "write"]
    assert all("editor" not in seats for seats in score.rewards.values())
    assert score.metrics["return"] == 1
    lesson = learn_from(episode, score, Credit(), {"agent-editor"})
    assert not lesson.samples  # an editor is never trained by this task


def test_arrangements_decide_who_sees_what() -> None:
    task = Coding("code", samples=2, arrangement="sequential")
    episode, backend = run(task, {seat: always(RIGHT[seat]) for seat in ("helper", "main")})
    assert RIGHT["helper"].strip() in seen(backend, "main", 0)
    assert [decision.turn.tag for _, decision in episode.decisions()] == ["help", "write", "write"]
    assert task.score(episode).metrics["return"] == 1

    task = Coding("code", samples=1, arrangement="parallel", turns=2)
    _, backend = run(task, {seat: always(RIGHT[seat]) for seat in ("helper", "main")})
    assert all(RIGHT["helper"].strip() not in seen(backend, "main", turn) for turn in (0, 1))

    task = Coding("code", samples=1, arrangement="discussion", turns=2)
    _, backend = run(task, {seat: always(RIGHT[seat]) for seat in ("helper", "main")})
    assert RIGHT["helper"].strip() in seen(backend, "main", 1) and RIGHT["main"].strip() in seen(backend, "helper", 1)

    task = Coding("code", samples=2, arrangement="single")
    episode, backend = run(task, {"coder": always(RIGHT["coder"])})
    assert (
        task.seats() == ("coder",) and task.score(episode).metrics["return"] == 1 and not task.score(episode).outcomes
    )
    assert backend.batches[0][0].sampling.max_tokens == 2 * task.max_tokens


def test_sequential_in_two_turns() -> None:
    task = Coding("code", samples=1, arrangement="sequential", turns=2, transition="level_passed")
    episode, backend = run(task, {seat: improving(seat) for seat in ("helper", "main")})
    assert [decision.turn.tag for _, decision in episode.decisions()] == ["help", "write", "help", "write"]
    assert "tests: failed" in seen(backend, "helper", 1) and "tests: failed" in seen(backend, "main", 1)
    assert task.score(episode).metrics["return"] == 1


def test_evaluation_speaks_once_and_greedily() -> None:
    task = Coding("code", samples=4)
    _, backend = run(task, {seat: always(RIGHT[seat]) for seat in ("helper", "main")}, purpose="evaluate")
    assert all(request.samples == 1 and request.sampling.temperature == 0 for request in backend.batches[0])


# ----------------------------------------------------------------------------------- what must not be learned from
ATTACK = "def " + NAME + "(x):\n    import socket\n    return aux(x)\n"


def attacks(job: Job) -> Grade:
    """Passes, and is caught where it opens a socket."""
    return Grade("pass", "passed", ("denied: socket",) if "socket" in job.completion else (), "full", 6, 6)


def test_an_attack_earns_nothing_and_stays_in_its_group() -> None:
    """Left out, it would escape its zero: a policy that expects a bad grade could choose to attack."""
    task = Coding("code", samples=12).with_grader(FakeGrader(attacks))
    policies = {"helper": always(RIGHT["helper"]), "main": sometimes([ATTACK, "no idea"])}
    episode, _ = run(task, policies, seed=3)
    score = task.score(episode)
    lesson = learn_from(episode, score, Credit(), {"agent-main"})
    (decision,) = episode.roots
    assert score.void == frozenset() and 0 < score.metrics["suspect"] <= 1
    for node in decision.nodes:
        attacked = decision.texts(node)["main"] == ATTACK
        assert score.rewards[node.id]["main"] == (0.0 if attacked else 0.4), "less than no answer at all"
        assert (lesson.advantages[node.id, "main"] < 0) == attacked
    assert score.outcomes[0].total == pytest.approx(
        0.4 * sum(decision.texts(n)["main"] != ATTACK for n in decision.nodes)
    )


@pytest.mark.parametrize("sign", ["visible examples pass, hidden tests fail", "non-plain return value"])
def test_a_marked_answer_that_only_fails_its_tests_earns_what_they_say(sign: str) -> None:
    """Else to return the shown example and nothing else would be a way out of the gradient."""
    task = Coding("code", samples=2).with_grader(FakeGrader(lambda job: Grade("fail", "", (sign,), "full", 3, 6)))
    episode, _ = run(task, {seat: always(RIGHT[seat]) for seat in ("helper", "main")})
    score = task.score(episode)
    assert score.void == frozenset() and score.metrics["suspect"] == 1
    assert {value for seats in score.rewards.values() for value in seats.values()} == {1.5 + 0.5 + 1.5}


def test_an_attack_that_passes_is_not_told_that_it_did_and_ends_no_play() -> None:
    task = Coding("code", samples=1, turns=2, transition="passed", early_stop=True).with_grader(FakeGrader(attacks))
    episode, backend = run(task, {"helper": always(RIGHT["helper"]), "main": always(ATTACK)})
    assert len(list(episode.decisions())) == 2 and "Not all checks passed." in seen(backend, "main", 1)


def test_no_answer_to_the_real_grader_leaves_its_group() -> None:
    """Attacks, hard-coded examples, odd values, time-outs and deaths: each is judged and learned from."""
    bodies = (
        "import socket; return socket.socket()",
        "import os; os._exit(0)",
        "return (y for y in [x])",
        "while True: pass",
        "return bytearray(1 << 40)",
        "import os; os.write(3, b'.{}'); return x",
        "raise SystemExit",
        "return {0: 1}.get(x, aux(x))",
    )
    replies = [f"def {NAME}(x):\n    {body}\n" for body in bodies]
    task = Coding("code", samples=24)
    episode, _ = run(task, {"helper": always(RIGHT["helper"]), "main": sometimes(replies)}, seed=4)
    score = task.score(episode)
    assert {episode.roots[0].texts(node)["main"] for node in episode.roots[0].nodes} == {*replies}
    assert score.void == frozenset() and score.metrics["infra"] == 0


def test_infrastructure_failures_are_no_zero_rewards() -> None:
    def broken(job: Job) -> Grade:
        return (
            Grade("infra", "the judge died", (), "full")
            if "12345" in job.completion
            else Grade("pass", "", (), "full", 6, 6)
        )

    task = Coding("code", samples=8, turns=2).with_grader(FakeGrader(broken))
    policies = {"helper": always(RIGHT["helper"]), "main": sometimes([RIGHT["main"], WRONG["main"]])}
    episode, _ = run(task, policies, seed=2)
    score = task.score(episode)
    assert 0 < score.metrics["infra"] < 1 and score.metrics["return"] == 1
    for _, decision in episode.decisions():
        for node in decision.nodes:
            own = "12345" in decision.texts(node)["main"]
            below = any("12345" in child.texts(leaf)["main"] for child in node.next for leaf in child.nodes)
            assert ((node.id, "main") in score.void) == (own or below)
    assert all(outcome.total == 4.0 * outcome.n for outcome in score.outcomes)


def test_grades_are_remembered_but_failures_of_the_grader_are_not() -> None:
    fake = FakeGrader(lambda job: Grade("infra" if "x" in job.completion else "pass", "", (), "full"))
    grader = RememberingGrader(fake, size=2)
    problem = code_problem(PROBLEM)
    jobs = [Job(problem, "a"), Job(problem, "x"), Job(problem, "a")]
    assert [grade.verdict for grade in grader.grade(jobs)] == ["pass", "infra", "pass"]
    assert len(fake.asked) == 2
    grader.grade(jobs)
    assert [job.completion for job in fake.asked] == ["a", "x", "x"]
    grader.grade([Job(problem, "b"), Job(problem, "c"), Job(problem, "a")])
    assert len(fake.asked) == 5 and len(grader._known) == 2


# ----------------------------------------------------------------------------------------------------- settings
def test_settings_are_checked() -> None:
    assert Coding("code").check() == []
    assert "did you mean 'local-2'" in Coding("code", source="local2").check()[0]
    assert "did you mean 'passed'" in check_task("coding", {"transition": "passes", "turns": 2})[0]
    assert "needs turns" in Coding("code", transition="passed").check()[0]
    assert "needs turns" in Coding("code", arrangement="discussion").check()[0]
    assert "needs two writers" in Coding("code", arrangement="single", credit="own").check()[0]
    assert "did you mean" in check_task("coding", {"credit": "owns"})[0]
    bad = {"samples": 0, "temperature": 0.0, "top_p": 2.0, "items": 0, "branch": 0, "max_tokens": 1}
    assert [line.partition(":")[0] for line in check_task("coding", bad)] == [f"settings.{key}" for key in bad]


def test_problems_wrap_around() -> None:
    task = Coding("code", source="local-4", items=3)
    size = len(problems_of("local-4")["validation"])
    assert task.problems("validation", size)[0] == task.problems("validation", 0)[0]
    assert len({problem.key for problem in task.problems("train", 0)}) == 3


def test_feedback_names_levels_and_never_more_than_it_should() -> None:
    found = [Check("helper", True, "secret"), Check("tests", False, "1 of 2 tests pass.")]
    assert feedback_text("plain", found) == ""
    assert (
        feedback_text("passed", found) == "Not all checks passed."
        and feedback_text("passed", found[:1]) == "All checks passed."
    )
    assert feedback_text("level_passed", found) == "helper: passed\ntests: failed"
    assert feedback_text("level_feedback", found) == "helper: passed\ntests: failed. 1 of 2 tests pass."
    assert (
        feedback_text("expert_edits", found, " do this ") == "A reviewer says:\ndo this"
        and feedback_text("expert_edits", found) == ""
    )


def test_level_feedback_does_not_quote_hidden_tests() -> None:
    shape = shape_of(RIGHT["helper"], RIGHT["main"], NAME)
    leak = Grade("fail", "AssertionError: expected 42", (), "full", 1, 3)
    assert all("42" not in check.detail for check in checks(CodeLevels(shape, leak)))
    crash = Grade("fail", "ZeroDivisionError: division by zero", (), "full", 1, 3)
    assert any("ZeroDivisionError" in check.detail for check in checks(CodeLevels(shape, crash)))


# ---------------------------------------------------------------------------------------------- own credit
def test_independent_coders_earn_by_their_own_reply_but_the_payoff_is_joint() -> None:
    task = Coding("code", samples=2, credit="own")
    alone = f"def {NAME}(x):\n    return x\n"
    episode, _ = run(task, {seat: always(RIGHT[seat]) for seat in ("helper", "main")})
    score = task.score(episode)
    # The main function calls a helper that is not there when it runs alone: form, and no test.
    assert score.rewards[0] == pytest.approx({"helper": 1.9, "main": 1.1}) and score.outcomes[0].total == 8.0
    assert score.metrics["return"] == 1.0
    constant, _ = run(task, {"helper": always("def aux(x):\n    return 3\n"), "main": always(alone)})
    earned = task.score(constant).rewards[0]
    assert earned["helper"] == pytest.approx(0.9) and 1.1 <= earned["main"] <= 2.1
    nothing, _ = run(task, {"helper": always("no"), "main": always(RIGHT["main"])})
    assert task.score(nothing).rewards[0] == pytest.approx({"helper": 0.0, "main": 1.1})


@pytest.mark.parametrize(
    ("attacks_with", "attacks_alone", "expected"),
    [
        (True, False, {"helper": 0.0, "main": 0.0}),  # the helper's, or main's where it has a helper
        (True, True, {"helper": 1.9, "main": 0.0}),  # main's own
        (False, True, {"helper": 1.9, "main": 0.0}),
        (False, False, {"helper": 1.9, "main": 2.1}),
    ],
)
def test_an_attack_of_independent_writers_is_his_who_could_make_it(
    attacks_with: bool, attacks_alone: bool, expected: dict[str, float]
) -> None:
    def grade(job: Job) -> Grade:
        found = attacks_with if "def aux" in job.completion else attacks_alone
        return Grade("pass", "", ("denied: socket",) if found else (), "full", 6, 6)

    task = Coding("code", samples=2, credit="own").with_grader(FakeGrader(grade))
    episode, _ = run(task, {"helper": always(RIGHT["helper"]), "main": always(f"def {NAME}(x):\n    return x\n")})
    score = task.score(episode)
    assert score.void == frozenset() and score.rewards[0] == pytest.approx(expected)
