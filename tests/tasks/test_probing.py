"""Probes: a group is drawn in two parts, and the second only where the group is likely to have variance."""

from fractions import Fraction
from math import exp, prod
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaln

from league.backends.local import LocalBackend
from league.backends.scripted import ScriptedBackend, mixed_strategy
from league.errors import BackendError
from league.learning.advantages import Credit, learn_from
from league.model.bank import AdapterBank, LoraSpec
from league.rollouts import Player, play
from league.types import BetaBelief, Episode, Match, Version
from tasks import check_task, make_task
from tasks.contest import Contest
from tasks.domains import make_domain
from tasks.probing import (
    THRESHOLD,
    about_one_problem,
    chance_of_variance,
    counted_nodes,
    probes_for,
    probing_metrics,
    worth_drawing,
)
from tasks.teaching import STUDENT, TEACHER, Teaching
from tests.helpers.players import Bernoulli

SUMS = make_domain("chain_sum")
TRUTH = {SUMS.problem("train", i).question: SUMS.problem("train", i).answer for i in range(60)}
HOPELESS, SURE, EVEN = BetaBelief(0.5, 30.0), BetaBelief(30.0, 0.5), BetaBelief()


# ---------------------------------------------------------------------------------------------- the decision
def test_golden_chances_after_two_equal_probes() -> None:
    """Beta(1/2, 1/2), two right, six to come: 1 − Π (5/2 + i)/(3 + i) as a fraction."""
    exact = 1 - prod(Fraction(5 + 2 * i, 2) / (3 + i) for i in range(6))
    assert exact == Fraction(1951, 4096)
    assert chance_of_variance(EVEN, 2, 0, 6) == pytest.approx(float(exact), abs=1e-15)
    assert chance_of_variance(EVEN, 0, 2, 6) == pytest.approx(float(exact), abs=1e-15)
    assert chance_of_variance(EVEN, 1, 1, 6) == 1.0
    assert chance_of_variance(EVEN, 2, 0, 0) == 0.0


@given(st.floats(0.01, 50), st.floats(0.01, 50), st.integers(0, 4), st.integers(0, 30))
def test_the_chance_is_a_ratio_of_beta_functions(a: float, b: float, drawn: int, further: int) -> None:
    def same(right: int, wrong: int, more_right: int, more_wrong: int) -> float:
        before = betaln(a + right, b + wrong)
        return exp(betaln(a + right + more_right, b + wrong + more_wrong) - before)

    belief = BetaBelief(a, b)
    if drawn:
        assert chance_of_variance(belief, drawn, 0, further) == pytest.approx(1 - same(drawn, 0, further, 0), abs=1e-9)
        assert chance_of_variance(belief, 0, drawn, further) == pytest.approx(1 - same(0, drawn, 0, further), abs=1e-9)
    elif further:
        expected = 1 - same(0, 0, further, 0) - same(0, 0, 0, further)
        assert chance_of_variance(belief, 0, 0, further) == pytest.approx(expected, abs=1e-9)


@given(st.floats(0.01, 50), st.floats(0.01, 50), st.integers(1, 8), st.integers(0, 8))
def test_right_and_wrong_are_alike(a: float, b: float, drawn: int, further: int) -> None:
    one, other = (
        chance_of_variance(BetaBelief(a, b), drawn, 0, further),
        chance_of_variance(BetaBelief(b, a), 0, drawn, further),
    )
    assert one == pytest.approx(other, abs=1e-12)


@pytest.mark.parametrize("belief", [(0.0, 1.0), (1.0, -1.0), (float("nan"), 1.0)])
def test_a_belief_that_is_none_is_refused(belief: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="two positive parts"):
        chance_of_variance(BetaBelief(*belief), 1, 0, 2)


def test_a_belief_about_a_domain_weighs_one_answer_for_a_problem() -> None:
    assert about_one_problem(BetaBelief(30.0, 70.0)) == pytest.approx((0.3, 0.7))
    assert about_one_problem(EVEN) == EVEN
    assert about_one_problem(BetaBelief(0.1, 0.2)) == (0.1, 0.2)


def draws_per_mixed_group(mean: float, samples: int, threshold: float) -> float:
    """Replies a group with variance costs, for p ~ Beta(mean, 1 − mean): draws expected over groups mixed.

    Two probes are equal and right with E[p²] = a(a+1)/((a+b)(a+b+1)), here mean·(mean + 1)/2.
    """
    prior, rest = BetaBelief(mean, 1 - mean), samples - 2
    both = {True: mean * (mean + 1) / 2, False: (1 - mean) * (2 - mean) / 2}
    mixed = 1 - both[True] - both[False]
    drawn = 2 + rest * mixed
    for right, share in both.items():
        if worth_drawing(prior, [right, right], samples, threshold):
            drawn += rest * share
            mixed += share * chance_of_variance(prior, 2 * right, 2 * (not right), rest)
    return drawn / mixed


def test_the_table_of_the_docstring() -> None:
    means = (0.01, 0.03, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9, 0.99)
    rows = {
        0.0: (312.4, 106.8, 65.8, 35.1, 20.1, 15.5, 13.7, 13.2, 15.5, 35.1, 312.4),
        0.25: (152.9, 56.0, 36.6, 22.3, 15.4, 15.5, 13.7, 13.2, 15.5, 22.3, 152.9),
        0.35: (152.9, 56.0, 36.6, 22.3, 15.4, 13.5, 13.7, 13.2, 13.5, 22.3, 152.9),
        0.5: (152.9, 56.0, 36.6, 22.3, 15.4, 13.5, 13.0, 14.0, 13.5, 22.3, 152.9),
        1.0: (208.0, 74.7, 48.1, 28.2, 18.5, 15.5, 14.3, 14.0, 15.5, 28.2, 208.0),
    }
    for threshold, expected in rows.items():
        found = [draws_per_mixed_group(mean, 8, threshold) for mean in means]
        assert found == pytest.approx(expected, abs=0.051)
    for mean in means:  # without probes: K draws, mixed with the chance before the first answer
        full = 8 / chance_of_variance(BetaBelief(mean, 1 - mean), 0, 0, 8)
        assert full == pytest.approx(draws_per_mixed_group(mean, 8, 0.0))


@pytest.mark.parametrize("samples", [4, 5, 6, 7, 8])
def test_the_default_never_costs_noticeably_more_than_no_probes(samples: int) -> None:
    for mean in (place / 100 for place in range(1, 100)):
        with_probes, without = (draws_per_mixed_group(mean, samples, chosen) for chosen in (THRESHOLD, 0.0))
        assert with_probes <= without * (1.03 if samples == 4 else 1 + 1e-9)


def test_no_probes_where_nothing_they_say_would_stop_the_group() -> None:
    assert probes_for(EVEN, 2, 8, 0.25) == 0
    assert probes_for(EVEN, 2, 8, 0.5) == 2
    assert probes_for(HOPELESS, 2, 8, 0.25) == probes_for(SURE, 2, 8, 0.25) == 2


# ------------------------------------------------------------------------------------------------ the groups
def contest(threshold: float = THRESHOLD, probes: int = 2, items: int = 3, answers: int = 8, **more) -> Contest:
    return Contest(
        "c", {SUMS.name: SUMS}, items=items, answers=answers, probes=probes, probe_threshold=threshold, **more
    )


def match(task, belief: BetaBelief = EVEN, names: tuple[str, ...] = ("ann", "bob"), purpose="train") -> Match:
    seats = {f"player-{place}": Version(name, 0) for place, name in enumerate(names, 1)}
    problems = task.problems("train", 2, SUMS.name)
    return Match("m", "c", 1, seats, problems, 5, purpose, beliefs=dict.fromkeys(seats, belief))


def knows(chance: float):
    def policy(messages, stream) -> str:
        return f"Answer: {TRUTH[messages[-1].content]}" if stream.random() < chance else "Answer: -999"

    return policy


def replies_of(episode: Episode) -> list[tuple]:
    return [
        (d.turn.tag, seat, r, [n.id for n in d.nodes]) for _, d in episode.decisions() for seat, r in d.replies.items()
    ]


def test_flat_groups_stop_and_what_they_save_is_counted() -> None:
    task = contest()
    backend = Bernoulli({"ann": knows(0.0), "bob": knows(0.0)})
    (episode,) = play([match(task, HOPELESS)], {"c": task}, backend)
    score = task.score(episode)
    assert [len(batch) for batch in backend.batches] == [6], "nobody goes on, so there is no second batch"
    assert all(len(replies) == 2 for _, _, replies, _ in replies_of(episode))
    assert {name: score.metrics[name] for name in score.metrics if "/" not in name} == {
        "accuracy": 0.0, "groups_probed": 6.0, "groups_stopped": 6.0, "replies_not_drawn": 36.0, "tokens_saved": 72.0,
    }  # fmt: skip
    lesson = learn_from(episode, score, Credit(), {"ann", "bob"})
    assert not lesson.samples and lesson.groups == lesson.flat_groups == 6
    assert score.outcomes[0].n == 6, "three problems with two probes each"
    assert [(each.n, each.right) for each in score.unaided] == [(2, 0.0)] * 6


def test_probes_that_differ_are_never_stopped() -> None:
    task = contest(threshold=1.0, items=8)
    (episode,) = play([match(task, HOPELESS)], {"c": task}, Bernoulli({"ann": knows(0.5), "bob": knows(0.5)}))
    sizes = set()
    for _, decision in episode.decisions():
        ((seat, replies),) = decision.replies.items()
        first = {"-999" in reply.text for reply in replies[:2]}
        assert len(replies) == len(decision.nodes) == (8 if len(first) == 2 else 2)
        sizes.add(len(replies))
    assert sizes == {2, 8}, "both kinds occur in 16 groups, but for 2 in 65536 seeds"


def everything(task, backend, probes: int, players=None) -> list[tuple]:
    """All that is said in a match that goes on everywhere."""
    found = []
    for names in (("ann", "bob"), ("bob",)):
        seated = match(task, HOPELESS, names)
        (episode,) = play([seated], {"c": task}, backend, players)
        assert {d.turn.probes for _, d in episode.decisions()} == {probes}
        found += replies_of(episode)
    return found


class GoesOn(Contest):
    """Whatever the probes say."""

    def goes_on(self, match, turn, probes) -> bool:
        return True


def in_parts_and_at_once() -> tuple[Contest, Contest]:
    settings = {"items": 2, "answers": 5, "temperature": 0.9}
    parts = GoesOn("c", {SUMS.name: SUMS}, probes=2, **settings)
    return parts, Contest("c", {SUMS.name: SUMS}, **settings)


@pytest.mark.parametrize("kind", ["bernoulli", "scripted"])
def test_a_continued_group_is_the_group_drawn_at_once(kind: str) -> None:
    parts, whole = in_parts_and_at_once()
    says = mixed_strategy({"Answer: 1": 1, "Answer: 2": 2, "?": 1})
    backend = (
        Bernoulli({"ann": knows(0.5), "bob": knows(0.3)})
        if kind == "bernoulli"
        else ScriptedBackend({"ann": says, "bob": says})
    )
    assert everything(parts, backend, 2) == everything(whole, backend, 0)


def test_a_continued_group_of_a_real_model_is_the_group_drawn_at_once(tiny) -> None:
    """The same tokens; log-probabilities to the last bits, which depend on the shape of a batch."""
    parts, whole = in_parts_and_at_once()
    bank = AdapterBank(tiny)
    for seed, name in enumerate(("ann", "bob")):
        bank.add(Version(name, 0), LoraSpec(4, 8), seed=seed, trainable=True)
    backend, players = LocalBackend(tiny, bank), {"ann": Player("Be brief.", 1.3)}
    for one, other in zip(everything(parts, backend, 2, players), everything(whole, backend, 0, players), strict=True):
        assert one[:2] == other[:2] and one[3] == other[3]
        for ours, theirs in zip(one[2], other[2], strict=True):
            assert (ours.text, ours.tokens, ours.prompt_tokens) == (theirs.text, theirs.tokens, theirs.prompt_tokens)
            assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-5)


def test_a_player_that_fails_on_the_way_voids_its_match_only() -> None:
    asked = {"bob": 0}

    def gives_up(messages, stream) -> str:
        asked["bob"] += 1
        if asked["bob"] > 2:
            raise BackendError("connection refused")
        return "Answer: 1" if asked["bob"] == 1 else f"Answer: {TRUTH[messages[-1].content]}"

    class Probing(Contest):
        def _probes(self, match, seat) -> int:
            return self.probes

    task = Probing("c", {SUMS.name: SUMS}, items=1, answers=4, probes=2, probe_threshold=0.0)
    backend = Bernoulli({"ann": knows(0.5), "bob": gives_up, "cat": knows(0.5)})
    first, second = play([match(task), match(task, names=("ann", "cat"))], {"c": task}, backend)
    assert first.void == "connection refused" and second.void is None
    assert asked["bob"] == 3 and [len(batch) for batch in backend.batches] == [4, 4]
    assert all(len(replies) == 4 for _, _, replies, _ in replies_of(second))


def test_nobody_is_asked_again_in_a_match_whose_probes_failed() -> None:
    def gone(messages, stream) -> str:
        raise BackendError("gone")

    parts, _ = in_parts_and_at_once()
    backend = Bernoulli({"ann": knows(0.5), "bob": gone})
    (episode,) = play([match(parts, HOPELESS)], {"c": parts}, backend)
    assert episode.void == "gone" and len(backend.batches) == 1


def test_evaluation_never_probes() -> None:
    for task in (contest(threshold=1.0), teaching(probe_threshold=1.0)):
        seated = match(task, HOPELESS, purpose="evaluate")
        if isinstance(task, Teaching):
            seated = lesson_for(task, HOPELESS, "evaluate")
        assert all(not turn.probing and turn.samples == 1 for turn in task.open(seated))


def test_a_certain_group_is_one_batch_and_counts_whole() -> None:
    task = contest()
    backend = Bernoulli({"ann": knows(0.5), "bob": knows(0.5)})
    (episode,) = play([match(task)], {"c": task}, backend)
    assert len(backend.batches) == 1 and task.score(episode).outcomes[0].n == 24
    assert not set(probing_metrics(episode.roots))


def test_accuracy_over_probes_is_unbiased() -> None:
    """With p = 0.3 the groups' means would be p² + 2p(1 − p)(1 + 6p)/8 = 0.237 on average, not p.

    3000 probes have a standard error of 0.0084, 1500 groups' means one of 0.007: four of them miss in 1 of 8,000 seeds.
    """
    task = contest(threshold=1.0, items=1500)
    seated = Match("m", "c", 1, {"player-1": Version("ann", 0)}, (SUMS.problem("train", 3),) * 1500, 8)
    (episode,) = play([seated], {"c": task}, Bernoulli({"ann": knows(0.3)}))
    assert task.score(episode).metrics["accuracy"] == pytest.approx(0.3, abs=0.034)
    shares = [fmean("-999" not in r.text for r in d.replies["player-1"]) for d in episode.roots]
    assert fmean(shares) == pytest.approx(0.237, abs=0.028)


# ---------------------------------------------------------------------------------------------- teaching
def teaching(**settings) -> Teaching:
    return Teaching("t", {SUMS.name: SUMS}, **{"explanations": 2, "similar": 2, "answers": 4, "probes": 2, **settings})


def lesson_for(task: Teaching, belief: BetaBelief, purpose="train") -> Match:
    seats = {TEACHER: Version("tess", 0), STUDENT: Version("stu", 0)}
    return Match("m", "t", 1, seats, task.problems("train", 2, SUMS.name), 5, purpose, beliefs={STUDENT: belief})


@pytest.mark.parametrize(("threshold", "taught"), [(THRESHOLD, 4), (0.5, 2)])
def test_teaching_probes_the_student_and_believes_only_what_is_unaided(threshold: float, taught: int) -> None:
    """Beta(1/2, 1/2), two wrong, two to come: 1 − (5/2 · 7/2)/(3 · 4) = 0.27, between the thresholds."""
    task = teaching(probe_threshold=threshold)
    backend = Bernoulli({"tess": lambda messages, stream: "Add.", "stu": lambda messages, stream: "Answer: -999"})
    (episode,) = play([lesson_for(task, HOPELESS)], {"t": task}, backend)
    sizes = {(d.turn.tag, len(d.nodes)) for _, d in episode.decisions()}
    assert sizes == {("explain", 2), ("control", 2), ("taught", taught)}
    score = task.score(episode)
    assert score.metrics["groups_stopped"] == (2 if taught == 4 else 6)
    assert [(each.n, each.right) for each in score.unaided] == [(2, 0.0)] * 2
    assert score.outcomes[0].losses == 4 * taught


def test_the_improvement_is_taken_over_the_probes() -> None:
    """The student's control is right at first, then wrong: only what was drawn for certain counts."""
    task = teaching(probe_threshold=0.5)
    (episode,) = play(
        [lesson_for(task, EVEN)],
        {"t": task},
        Bernoulli({"tess": lambda m, s: "Add.", "stu": lambda m, s: knows(0.5)(m, s)}),
    )
    control = [d for d in episode.roots if d.turn.tag == "control"]
    shares = [
        sum(SUMS.correct(episode.match.problems[d.turn.about], d.texts(n)[STUDENT]) for n in counted_nodes(d)) / 2
        for d in control
    ]
    assert task.score(episode).metrics["control_accuracy"] == sum(shares) / len(shares)
    assert all(len(counted_nodes(d)) == 2 for d in control)


# ---------------------------------------------------------------------------------------------- settings
@pytest.mark.parametrize("kind", ["contest", "teaching"])
def test_settings_that_cannot_be_are_refused(kind: str) -> None:
    for probes in (1, 4, 9):
        with pytest.raises(
            Exception, match=rf"tasks.x.settings.probes: expected 0 .* below answers \(4\), found {probes}"
        ):
            make_task(kind, "x", {"answers": 4, "probes": probes}, {SUMS.name: SUMS})
    assert make_task(kind, "x", {"answers": 4, "probes": 3}, {SUMS.name: SUMS})
    problems = check_task(kind, {"probes": -1, "probe_threshold": 1.5})
    assert len(problems) == 2 and problems[0].startswith("settings.probes")
