"""Channels of learning: each term against its formula, each gate against its bounds, each sample against its rule."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from league.config import DistillationConfig, LessonsConfig, WorkedRepliesConfig
from league.errors import LeagueError
from league.learning.channels.distillation import distillation_samples, reverse_kl
from league.learning.channels.examples import useful_examples
from league.learning.channels.gate import Gate, teachers_of
from league.learning.channels.lessons import clipped_surrogate, lesson_samples, shaped_surrogate
from league.learning.channels.waiting import LIMIT, PATIENCE, WaitingReplies
from league.learning.channels.worked_replies import worked_reply_samples
from league.payoffs.competence import Competence
from league.types import (
    Decision,
    Episode,
    Match,
    Message,
    Node,
    Problem,
    Reply,
    Sample,
    Sampling,
    Score,
    Turn,
    UsefulExample,
    Version,
)

EXPERT, STUDENT = Version("expert", 3), Version("student", 5)
PROMPT = (Message("user", "1+1?"),)


# ------------------------------------------------------------------------------------------- terms of the loss
@given(st.lists(st.floats(-6, 0), min_size=1, max_size=8), st.floats(-6, 0), st.floats(0.05, 0.9), st.floats(0.01, 5))
def test_off_policy_slopes_are_the_derivatives_of_their_values(
    logprobs: list[float], behaviour: float, clip: float, shaping: float
) -> None:
    x_N = torch.tensor(logprobs, dtype=torch.float64, requires_grad=True)
    b_N = torch.full_like(x_N, behaviour).detach()
    for value_N, slope_N in (clipped_surrogate(x_N, b_N, clip), shaped_surrogate(x_N, b_N, shaping)):
        (expected_N,) = torch.autograd.grad(value_N.sum(), x_N, retain_graph=True)
        assert torch.allclose(slope_N.detach(), expected_N, rtol=1e-9, atol=1e-12)


def test_off_policy_values_by_hand() -> None:
    """ρ = 2: clip at 1.2 gives 1.2 with slope 0; ρ/(ρ + 0.1) = 20/21 with slope 0.1 · 2 / 2.1² = 20/441."""
    logprob, behaviour = torch.tensor([math.log(0.5)]), torch.tensor([math.log(0.25)])
    value, slope = clipped_surrogate(logprob, behaviour, 0.2)
    assert value.item() == pytest.approx(1.2) and slope.item() == 0.0
    value, slope = shaped_surrogate(logprob, behaviour, 0.1)
    assert value.item() == pytest.approx(20 / 21) and slope.item() == pytest.approx(20 / 441)


def test_the_slope_of_the_reverse_kl_is_that_of_autograd() -> None:
    torch.manual_seed(1)
    z_NV = torch.randn(5, 11, dtype=torch.float64, requires_grad=True)
    logq_NV = torch.randn(5, 11, dtype=torch.float64).log_softmax(1)
    logp_NV = z_NV.log_softmax(1)
    kl_N, slope_NV = reverse_kl(logp_NV.detach(), logq_NV, limit=1e9)
    exact_N = (logp_NV.exp() * (logp_NV - logq_NV)).sum(1)
    (expected_NV,) = torch.autograd.grad(exact_N.sum(), z_NV)
    assert torch.allclose(kl_N, exact_N.detach())
    assert torch.allclose(slope_NV, expected_NV, atol=1e-12)


def test_a_limit_bounds_the_slope_and_leaves_the_divergence_as_it_is() -> None:
    """p = (½, ½), q = (1 − e⁻¹⁰, e⁻¹⁰): with ratios bounded at ±2 the slope is ½ (r − mean r) with r = (−0.69…, 2)."""
    p = torch.tensor([[0.5, 0.5]]).log()
    q = torch.tensor([[1 - math.exp(-10), math.exp(-10)]]).log()
    kl, slope = reverse_kl(p, q, limit=2.0)
    first, second = math.log(0.5) - math.log(1 - math.exp(-10)), 2.0
    mean = (first + second) / 2
    assert slope[0].tolist() == pytest.approx([0.5 * (first - mean), 0.5 * (second - mean)])
    assert kl.item() == pytest.approx(0.5 * (first + math.log(0.5) + 10), rel=1e-5)


# ------------------------------------------------------------------------------------------------------- gate
def known(expert: tuple[float, float], student: tuple[float, float]) -> Gate:
    found = [(EXPERT, "sums", *expert), (STUDENT, "sums", *student)]
    return Gate(Competence().add(found), 0.9)


def test_the_gate_opens_when_the_bounds_part() -> None:
    gate = known((9, 12), (1, 12))
    assert gate.competence.bounds(EXPERT, "sums", 0.9)[0] == pytest.approx(float(beta.ppf(0.1, 9.5, 3.5)))
    assert gate.competence.bounds(STUDENT, "sums", 0.9)[1] == pytest.approx(float(beta.ppf(0.9, 1.5, 11.5)))
    assert gate.surely_better(EXPERT, STUDENT, "sums")
    assert gate.strength(EXPERT, STUDENT, "sums") == pytest.approx((9.5 - 1.5) / 13 / (1 - 1.5 / 13))
    shut = known((9, 12), (7, 12))
    assert not shut.surely_better(EXPERT, STUDENT, "sums") and shut.weight(EXPERT, STUDENT, "sums") == 0.0


def test_nobody_is_surely_better_where_nothing_is_known() -> None:
    gate = Gate(Competence(), 0.9)
    assert not gate.surely_better(EXPERT, STUDENT, "sums")
    assert gate.strength(EXPERT, STUDENT, "sums") == 0.0


def test_the_strength_falls_to_nothing_as_the_student_catches_up() -> None:
    strengths = [known((9, 12), (right, 12)).strength(EXPERT, STUDENT, "sums") for right in range(13)]
    assert strengths == sorted(strengths, reverse=True) and strengths[9:] == [0.0] * 4


def test_the_best_lower_bound_teaches_and_nobody_teaches_itself() -> None:
    past = Version("expert", 1)
    gate = Gate(Competence().add([(EXPERT, "sums", 5, 10), (past, "sums", 50, 60), (STUDENT, "sums", 60, 60)]), 0.9)
    able = [(EXPERT, "sums"), (past, "sums"), (STUDENT, "sums"), (EXPERT, "words")]
    live = {EXPERT, STUDENT}
    assert teachers_of(able, STUDENT, gate, ["sums", "words"], live=live) == {"sums": past, "words": EXPERT}


def test_an_unknown_past_never_goes_before_a_known_teacher_but_an_unknown_live_one_does() -> None:
    """Nothing known has a lower bound of 0.095 at 80%, above that of an expert with 1 of 16."""
    past, other = Version("expert", 1), Version("other", 0)
    gate = Gate(Competence().add([(EXPERT, "sums", 1, 16)]), 0.8)
    able = [(EXPERT, "sums"), (other, "sums"), (past, "sums")]
    assert teachers_of(able, STUDENT, gate, ["sums"], live={EXPERT, other}) == {"sums": other}
    assert teachers_of([able[0], able[2]], STUDENT, gate, ["sums"], live={EXPERT}) == {"sums": EXPERT}


def test_a_past_of_the_student_must_be_surely_better_than_it_is_now() -> None:
    past = Version("student", 1)
    able = [(EXPERT, "sums"), (past, "sums")]
    same = Gate(Competence().add([(EXPERT, "sums", 1, 9), (past, "sums", 6, 12), (STUDENT, "sums", 6, 12)]), 0.8)
    assert teachers_of(able, STUDENT, same, ["sums"], live={EXPERT, STUDENT}) == {"sums": EXPERT}
    assert teachers_of(able[1:], STUDENT, same, ["sums"], live={STUDENT}) == {"sums": past}, "nobody else could"
    fallen = Gate(Competence().add([(EXPERT, "sums", 1, 9), (past, "sums", 11, 12), (STUDENT, "sums", 3, 12)]), 0.8)
    assert teachers_of(able, STUDENT, fallen, ["sums"], live={EXPERT, STUDENT}) == {"sums": past}


# ------------------------------------------------------------------------------------------------- competence
def test_counts_are_handed_on_at_their_worth_and_come_back_from_json() -> None:
    after = Version("student", 6)
    found = Competence().add([(STUDENT, "sums", 4, 8), (STUDENT, "sums", 1, 1)]).inherited({STUDENT: after}, 0.5)
    assert found.counts(STUDENT, "sums") == (5, 9) and found.counts(after, "sums") == (2.5, 4.5)
    assert found.belief(after, "sums") == (3.0, 2.5)
    assert Competence.from_json(found.to_json()) == found
    assert found.kept([after]).counts(STUDENT, "sums") == (0.0, 0.0)


# ---------------------------------------------------------------------------------------------------- examples
def episode(*, split: str = "train", purpose: str = "train", finish: str = "end") -> Episode:
    problem = Problem("sums", split, 7, "1+1?", "2")  # type: ignore[arg-type]
    seats = {"teacher": EXPERT, "student": STUDENT}
    match = Match("m", "t", 1, seats, (problem,), 0, purpose)  # type: ignore[arg-type]
    replies = tuple(Reply("2", finish, (1, 2), (3, 4), (-0.1, -0.2)) for _ in range(2))  # type: ignore[arg-type]
    turn = Turn("work", {"teacher": PROMPT}, 2, {"teacher": Sampling(temperature=0.6)}, 0)
    return Episode(match, [Decision(turn, {"teacher": replies}, [Node(0, {"teacher": 0}), Node(1, {"teacher": 1})])])


def example(node: int, channel: str = "worked_replies", weight: float = 1.0) -> UsefulExample:
    return UsefulExample(
        channel=channel,  # type: ignore[arg-type]
        node=node,
        speaker="teacher",
        learner="student",
        teacher="teacher",
        domain="sums",
        prompt=PROMPT,
        weight=weight,
    )


def found_in(each: Episode, *examples: UsefulExample, trains: str = "student"):
    return list(useful_examples([each], [Score({}, {}, examples=examples)], frozenset({trains})))


def encode(agent: str, prompt: tuple[Message, ...]) -> tuple[int, ...]:
    return (len(agent), len(prompt))


def encode_reply(text: str) -> tuple[int, ...]:
    return (9, 9)


def test_the_same_text_is_learned_once() -> None:
    assert len(found_in(episode(), example(0), example(1))) == 1


def test_a_learner_that_does_not_train_learns_nothing() -> None:
    assert found_in(episode(), example(0), trains="somebody") == []


@pytest.mark.parametrize("changes", [{"split": "test"}, {"split": "validation"}, {"purpose": "evaluate"}])
def test_nothing_is_learned_from_what_an_exam_may_ask(changes: dict) -> None:
    with pytest.raises(LeagueError, match="not for training"):
        found_in(episode(**changes), example(0))


def test_void_replies_are_no_examples() -> None:
    score = Score({}, {}, void=frozenset({(0, "teacher")}), examples=(example(0),))
    assert list(useful_examples([episode()], [score], frozenset({"student"}))) == []


def test_a_worked_reply_is_a_text_on_the_learners_own_prompt() -> None:
    gate = known((9, 12), (1, 12))
    (sample,), held = worked_reply_samples(
        found_in(episode(), example(0, weight=0.5)), WorkedRepliesConfig(weight=2.0), gate, encode, encode_reply
    )
    assert held == []
    assert (sample.agent, sample.prompt_tokens, sample.tokens) == ("student", (7, 1), (3, 4))
    assert sample.logprobs == () and sample.rule == "policy_gradient" and sample.sampling.temperature == 1.0
    assert (sample.channel, sample.teacher, sample.domain) == ("worked_replies", EXPERT, "sums")
    assert sample.advantage == pytest.approx(2.0 * 0.5 * gate.strength(EXPERT, STUDENT, "sums"))


def test_the_gate_holds_back_a_teacher_that_is_not_surely_better() -> None:
    found, shut = found_in(episode(), example(0)), known((6, 12), (5, 12))
    learned, held = worked_reply_samples(found, WorkedRepliesConfig(), shut, encode, encode_reply)
    assert learned == [] and held == [(found[0], (3, 4))]
    (sample,), _ = worked_reply_samples(found, WorkedRepliesConfig(gate=False), shut, encode, encode_reply)
    assert sample.advantage == 1.0


def test_a_past_of_ones_own_need_not_be_better_where_the_gate_is_for_others() -> None:
    (found,), shut = found_in(episode(), example(0)), known((6, 12), (5, 12))
    own = replace(found, teacher=Version(found.learner.agent, 0))
    learned, held = worked_reply_samples([found, own], WorkedRepliesConfig(gate="others"), shut, encode, encode_reply)
    assert [sample.teacher for sample in learned] == [own.teacher] and learned[0].advantage == 1.0
    assert held == [(found, (3, 4))]
    assert worked_reply_samples([own], WorkedRepliesConfig(), shut, encode, encode_reply)[0] == []


def test_a_reply_that_was_cut_off_is_not_learned() -> None:
    found = found_in(episode(finish="length"), example(0))
    assert worked_reply_samples(
        found, WorkedRepliesConfig(gate=False), known((9, 9), (0, 9)), encode, encode_reply
    ) == ([], [])


def test_the_text_of_a_remote_teacher_is_encoded_here() -> None:
    (found,) = found_in(episode(), example(0))
    remote = replace(found, reply=Reply("2", "end"))
    (sample,), _ = worked_reply_samples(
        [remote], WorkedRepliesConfig(gate=False), known((9, 9), (0, 9)), encode, encode_reply
    )
    assert sample.tokens == (9, 9)


@pytest.mark.parametrize(("way", "rule", "logprobs"), [
    ("nll", "policy_gradient", ()),
    ("clip", "clip", (-0.1, -0.2)),
    ("shaped", "shaped", (-0.1, -0.2)),
])  # fmt: skip
def test_a_lesson_is_learned_by_the_named_rule(way: str, rule: str, logprobs: tuple) -> None:
    found = found_in(episode(), example(0, "lessons", weight=0.75))
    (sample,) = lesson_samples(found, LessonsConfig(off_policy=way, weight=4.0), encode)
    assert sample.advantage == 3.0 and sample.rule == rule and sample.logprobs == logprobs
    assert sample.sampling.temperature == (1.0 if way == "nll" else 0.6)
    assert sample.channel == "lessons" and sample.prompt_tokens == (7, 1)


def test_a_problem_that_the_student_mostly_solves_is_no_lesson() -> None:
    found = found_in(episode(), example(0, "lessons", weight=0.5))
    assert list(lesson_samples(found, LessonsConfig(control_below=0.5), encode)) == []
    assert len(list(lesson_samples(found, LessonsConfig(control_below=0.6), encode))) == 1


def distilled(known_now: Gate, count: int = 1, **settings: object) -> list[Sample]:
    reply = Reply("2", "end", (1,), (3, 4), (-0.1, -0.2))
    spoken = [(STUDENT, "sums", reply, Sampling(temperature=0.6, top_p=0.9, top_k=5))] * count
    teachers = {(STUDENT, "sums"): EXPERT}
    chosen = DistillationConfig(**settings)  # type: ignore[arg-type]
    return list(distillation_samples(spoken, teachers, chosen, known_now, np.random.default_rng(0)))


@pytest.mark.parametrize("student", [(0, 12), (0, 0), (0, 1), (2, 8)])
def test_distillation_waits_until_the_bridge_is_surely_crossed(student: tuple[float, float]) -> None:
    """Nothing known is no accuracy of one half; 2 of 8 is 25%, but may well be less than 20%."""
    assert distilled(known((30, 30), student), gate=False) == []
    (cold,) = distilled(known((30, 30), student), gate=False, bridge=0.0)
    assert cold.advantage == 1.0


def test_distillation_fades_as_the_student_catches_up() -> None:
    """Of 400 replies a share λ is distilled, within five standard errors (one false alarm in a million)."""
    gate = known((55, 60), (24, 60))
    strength, found = gate.strength(EXPERT, STUDENT, "sums"), distilled(gate, 400, weight=2.0)
    assert abs(len(found) - 400 * strength) < 5 * math.sqrt(400 * strength * (1 - strength))
    assert {sample.advantage for sample in found} == {2.0}
    assert found[0].rule == "distillation" and found[0].teacher == EXPERT
    assert found[0].sampling == Sampling(temperature=0.6), "over the whole vocabulary"
    assert distilled(known((40, 60), (39, 60)), 400) == [], "the gate is shut"


# ------------------------------------------------------------------------------------------ what waits at the gate
def waiting(number: int = 1, **changes: object) -> WaitingReplies:
    (found,) = found_in(episode(), example(0, weight=0.5))
    return WaitingReplies().held([(replace(found, problem="sums/train/7", **changes), (3, 4))], number)


def test_a_reply_waits_until_its_teacher_is_surely_better() -> None:
    live = {"student": STUDENT}
    out, still = waiting().released(known((6, 12), (5, 12)), live, {"expert": EXPERT})
    assert out == [] and still == waiting()
    ((row, strength),), still = waiting().released(known((9, 12), (1, 12)), live, {"expert": EXPERT})
    assert (row.tokens, row.problem, row.weight) == ((3, 4), "sums/train/7", 0.5) and still == WaitingReplies()
    assert strength == known((9, 12), (1, 12)).strength(EXPERT, STUDENT, "sums")


def test_a_teacher_that_trained_since_is_judged_as_it_is_now() -> None:
    later = Version("expert", 9)
    gate = Gate(Competence().add([(later, "sums", 9, 12), (STUDENT, "sums", 1, 12)]), 0.9)
    assert len(waiting().released(gate, {"student": STUDENT}, {"expert": later})[0]) == 1
    assert waiting().released(gate, {"student": STUDENT}, {})[0] == []


def test_replies_of_learners_that_left_are_forgotten() -> None:
    assert waiting().released(known((9, 12), (1, 12)), {}, {"expert": EXPERT}) == ([], WaitingReplies())


def test_nothing_waits_twice_nor_for_ever_nor_without_bound() -> None:
    (found,) = found_in(episode(), example(0))
    twice = waiting().held([(replace(found, problem="sums/train/7"), (3, 4))], 2)
    assert len(twice.rows) == 1
    assert WaitingReplies.held(twice, [], 1 + PATIENCE).rows == ()
    many = WaitingReplies().held([(replace(found, problem=f"sums/train/{i}"), (3, 4)) for i in range(LIMIT + 5)], 1)
    assert [row.problem for row in many.rows] == [f"sums/train/{i}" for i in range(5, LIMIT + 5)]


def test_what_waits_comes_back_from_json() -> None:
    assert WaitingReplies.from_json(json.loads(json.dumps(waiting().to_json()))) == waiting()
