"""Each rule by itself: what it weighs, when it keeps silent, and that parameters matter."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated

import numpy as np
import pytest
from pydantic import Field

from league.errors import ConfigError, DataError
from league.matchmaking import (
    MATCHMAKERS,
    Pairing,
    Rule,
    RuleContext,
    check_rules,
    draw_pairings,
    make_mixture,
    make_rule,
)
from league.matchmaking.draw import apportion
from league.matchmaking.rules import RULES
from league.payoffs.view import PayoffView
from league.types import Outcome, Version
from tests.helpers.outcomes import contest

ME = Version("me", 10)
EASY, EVEN, HARD = (Version(name, 0) for name in ("easy", "even", "hard"))


def lesson(teacher: str, student: str, domain: str, deltas: list[float], right: int = 0, wrong: int = 0) -> Outcome:
    total, squares = sum(deltas), sum(delta * delta for delta in deltas)
    return Outcome(
        "teaching", "lesson", situation="default", domain=domain, row=Version(teacher, 0), col=Version(student, 0),
        wins=right, losses=wrong, n=len(deltas), total=total, total_sq=squares,
    )  # fmt: skip


def mean_weights(
    rule: str, context: RuleContext, pairings: list[Pairing], times: int = 300, **settings: object
) -> np.ndarray:
    rng = np.random.default_rng(0)
    made = make_rule(rule, settings)
    return np.mean([made(context, pairings, rng) for _ in range(times)], axis=0)


MEASURED = PayoffView().add(3, [contest(ME, EASY, 95, 5), contest(EVEN, ME, 50, 50), contest(HARD, ME, 90, 10)])
THREE = [Pairing(ME, EASY), Pairing(ME, EVEN), Pairing(ME, HARD)]
CHESS = RuleContext(MEASURED, "chess", 4)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [("variance", [0.19, 1.0, 0.36]), ("hard", [0.0025, 0.25, 0.81]), ("linear", [0.05, 0.5, 0.9])],
)
def test_pfsp_curves(curve: str, expected: list[float]) -> None:
    found = mean_weights("pfsp", CHESS, THREE, curve=curve, floor=0.0)
    assert np.allclose(found, np.array(expected) / sum(expected), atol=0.03)


def test_pfsp_floor_and_minimum_games() -> None:
    assert np.allclose(mean_weights("pfsp", CHESS, THREE, floor=1.0), 1 / 3)
    newcomer = [*THREE, Pairing(ME, Version("new", 0))]
    weights = mean_weights("pfsp", CHESS, newcomer, curve="hard", floor=0.0)
    assert weights[3] > weights[:3].max()
    assert mean_weights("pfsp", CHESS, newcomer, curve="hard", floor=0.0, min_games=0.0)[3] < weights[2]
    assert np.allclose(mean_weights("pfsp", CHESS, THREE, min_games=1e6), 1 / 3)


def test_pfsp_samples_the_posterior() -> None:
    """A pair met twice is not judged for good: its weight varies between calls.

    After 2,000 games it hardly does.
    """
    rng = np.random.default_rng(1)
    rule = make_rule("pfsp", {"min_games": 0.0, "floor": 0.0, "curve": "linear"})
    spread = {}
    for games in (2, 2000):
        view = PayoffView().add(0, [contest(ME, EASY, games // 2, games // 2), contest(ME, HARD, 5000, 5000)])
        spread[games] = np.std([rule(RuleContext(view, "chess", 1), THREE[::2], rng)[0] for _ in range(200)])
    assert spread[2] > 0.05 and spread[2000] < 0.01


def test_decayed_games_count_less() -> None:
    """Older versions of `me` lost to `even`; with a short half-life that is forgotten."""
    view = PayoffView().add(
        0, [contest(Version("me", 0), EVEN, 0, 60), contest(ME, EVEN, 30, 30), contest(ME, EASY, 60, 0)]
    )
    context, pairs = RuleContext(view, "chess", 1), THREE[:2]
    long, short = (
        mean_weights("pfsp", context, pairs, curve="hard", floor=0.0, half_life=life)[1] for life in (1000.0, 1.0)
    )
    assert long > short > 0.9


def test_student_prefers_half_right() -> None:
    view = PayoffView().add(
        0,
        [
            lesson("t", "s", domain=d, deltas=[0.0] * 40, right=right, wrong=40 - right)
            for d, right in (("known", 39), ("frontier", 20), ("far", 0))
        ],
    )
    pairs = [Pairing(Version("t", 0), Version("s", 0), domain) for domain in ("known", "frontier", "far")]
    weights = mean_weights("student", RuleContext(view, "lesson", 1), pairs)
    assert weights[1] > 0.7 and weights[0] < 0.2 and weights[2] < 0.2
    assert np.allclose(mean_weights("student", RuleContext(view, "lesson", 1), pairs, min_items=100.0), 1 / 3)
    assert np.allclose(mean_weights("student", RuleContext(PayoffView(), "lesson", 1), pairs), 1 / 3)


def test_teacher_bandit_prefers_improvement_then_its_trend_then_the_stale() -> None:
    def at(teacher: str, deltas: dict[int, float]) -> PayoffView:
        for number, delta in deltas.items():
            view[0] = view[0].add(number, [lesson(teacher, "s", "sums", [delta] * 40)])
        return view[0]

    view = [PayoffView()]
    for number in range(10):
        at("flat", {number: 0.1})
        at("good", {number: 0.4})
    pairs = [Pairing(Version(name, 0), Version("s", 0), "sums") for name in ("flat", "good")]
    weights = mean_weights("teacher", RuleContext(view[0], "lesson", 10), pairs)
    assert weights[1] > 0.9
    view = [PayoffView()]
    for number in range(10):
        at("falling", {number: 0.4 - 0.03 * number})
        at("rising", {number: 0.03 * number})
    pairs = [Pairing(Version(name, 0), Version("s", 0), "sums") for name in ("falling", "rising")]
    context = RuleContext(view[0], "lesson", 10)
    steep = {"prior": 1.0, "horizon": 5.0, "half_life": 0.0}
    assert (
        mean_weights("teacher", context, pairs, **steep)[1]
        > mean_weights("teacher", context, pairs, **(steep | {"horizon": 0.0}))[1] + 0.1
    )
    view = [PayoffView()]
    at("old", {0: 0.2})
    at("fresh", {50: 0.2})
    pairs = [Pairing(Version(name, 0), Version("s", 0), "sums") for name in ("old", "fresh")]
    assert mean_weights("teacher", RuleContext(view[0], "lesson", 51), pairs, staleness=0.1)[0] > 0.8
    assert 0.3 < mean_weights("teacher", RuleContext(view[0], "lesson", 51), pairs, staleness=0.0)[0] < 0.7


def test_dissimilar_prefers_other_profiles_and_is_silent_without_any() -> None:
    twin, other, probe1, probe2 = (Version(name, 0) for name in ("twin", "other", "probe1", "probe2"))
    outcomes = [contest(v, probe1, w, 20 - w) for v, w in ((ME, 18), (twin, 18), (other, 2))]
    outcomes += [contest(v, probe2, w, 20 - w) for v, w in ((ME, 3), (twin, 3), (other, 17))]
    pairs = [Pairing(ME, twin), Pairing(ME, other), Pairing(probe1, probe2)]
    weights = mean_weights(
        "dissimilar", RuleContext(PayoffView().add(0, outcomes), "chess", 1), pairs, times=1, floor=0.0
    )
    assert weights[1] > 10 * weights[0] >= 0
    assert not mean_weights("dissimilar", RuleContext(PayoffView(), "chess", 1), pairs, times=1).any()


def test_cycle_neighbours_only_when_certified_and_through_older_versions() -> None:
    rock, paper, scissors, stone = (Version(name, 0) for name in ("rock", "paper", "scissors", "stone"))
    ring = [(paper, rock), (scissors, paper), (rock, scissors)]
    view = PayoffView().add(0, [contest(x, y, 90, 30) for x, y in ring] + [contest(rock, stone, 90, 30)])
    live = Version("rock", 7)
    pairs = [Pairing(live, paper), Pairing(live, scissors), Pairing(live, stone), Pairing(rock, rock)]
    assert mean_weights("cycle", RuleContext(view, "chess", 1), pairs, times=1).tolist() == [1.0, 0.5, 0.0, 0.0]
    assert mean_weights("cycle", RuleContext(view, "chess", 1), pairs, times=1, behind=0.0).tolist() == [
        1.0,
        0.0,
        0.0,
        0.0,
    ]
    weak = PayoffView().add(0, [contest(x, y, 9, 3) for x, y in ring])
    assert not mean_weights("cycle", RuleContext(weak, "chess", 1), pairs, times=1).any()
    assert mean_weights("cycle", RuleContext(weak, "chess", 1), pairs, times=1, alpha=0.5).sum() == 0


def test_active_leaves_certified_pairs_and_mirrors_alone() -> None:
    view = PayoffView().add(0, [contest(EASY, HARD, 0, 400), contest(EASY, EVEN, 6, 4), contest(EVEN, HARD, 4, 6)])
    pairs = [Pairing(EASY, HARD), Pairing(EVEN, EASY), Pairing(HARD, EVEN), Pairing(EVEN, EVEN)]
    for goal in ("cycle", "graph"):
        weights = mean_weights("active", RuleContext(view, "chess", 1), pairs, goal=goal)
        assert weights[0] == weights[3] == 0 and weights[1] > 0 and weights[2] > 0 and weights.sum() == pytest.approx(1)
    done = PayoffView().add(0, [contest(x, y, 400, 0) for x, y in ((EASY, HARD), (EASY, EVEN), (EVEN, HARD))])
    assert not mean_weights("active", RuleContext(done, "chess", 1), pairs, times=1).any()


def test_self_play_and_uniform() -> None:
    pairs = [Pairing(ME, Version("me", 4)), Pairing(ME, ME), Pairing(ME, EASY)]
    assert mean_weights("self_play", CHESS, pairs, times=1).tolist() == [0, 1, 0]
    assert mean_weights("uniform", CHESS, pairs, times=1).tolist() == [1, 1, 1]


def test_live_pairs_newest_versions_of_different_agents() -> None:
    foe, past = Version("foe", 7), Version("foe", 3)
    pairs = [Pairing(ME, foe), Pairing(ME, past), Pairing(ME, ME), Pairing(ME, Version("me", 0)), Pairing(foe, ME)]
    assert mean_weights("live", CHESS, pairs, times=1).tolist() == [1, 0, 0, 0, 1]
    assert not mean_weights("live", CHESS, pairs[2:4], times=1).any()


def test_forgotten_pasts_come_back_and_unbeaten_ones_do_not() -> None:
    """A past once beaten comes back when it wins again.

    me@2 beat two pasts of `foe`; me@10 loses to foe@1 and still beats foe@0; foe@2 was never beaten.
    """
    foes = [Version("foe", step) for step in range(3)]
    young = Version("me", 2)
    outcomes = [contest(young, foes[0], 20, 5), contest(young, foes[1], 20, 5), contest(young, foes[2], 2, 20)]
    outcomes += [contest(ME, foes[0], 40, 5), contest(ME, foes[1], 5, 40), contest(ME, foes[2], 5, 40)]
    pairs = [Pairing(ME, foe) for foe in (*foes, Version("foe", 9))]
    weights = mean_weights(
        "forgotten", RuleContext(PayoffView().add(0, outcomes), "chess", 1), pairs, floor=0.0, half_life=2.0
    )
    assert weights[1] > 0.85 and weights[2] == weights[3] == 0
    assert not mean_weights("forgotten", RuleContext(PayoffView(), "chess", 1), pairs, times=1).any()
    old = RuleContext(PayoffView().add(0, outcomes[:2]), "chess", 1)
    assert (
        mean_weights("forgotten", old, pairs, half_life=1.0)[:2].min() > 0.3
    )  # not met for 8 half-lives: both are checked again


def test_solver_weights_follow_the_nash_mixture() -> None:
    names = [Version(name, 0) for name in ("rock", "paper", "scissors", "mud")]
    outcomes = [contest(names[i], names[j], 5000, 0) for i, j in ((1, 0), (2, 1), (0, 2), (0, 3), (1, 3), (2, 3))]
    view = PayoffView().add(0, outcomes)
    pairs = [Pairing(ME, name) for name in names]
    weights = mean_weights("solver", RuleContext(view, "chess", 1), pairs, times=1, floor=0.0)
    assert np.allclose(weights, [1 / 3, 1 / 3, 1 / 3, 0], atol=1e-6)
    assert np.allclose(mean_weights("solver", RuleContext(view, "chess", 1), pairs, times=1, solver="uniform"), 0.25)
    assert np.allclose(mean_weights("solver", RuleContext(PayoffView(), "chess", 1), pairs, times=1), 0.25)


def test_pasts_are_who_has_a_newer_self_among_the_candidates() -> None:
    """Its own past and another's count alike; without pasts the rule keeps silent."""
    past, other, older = Version("me", 4), Version("you", 9), Version("you", 2)
    pairs = [Pairing(ME, ME), Pairing(ME, past), Pairing(ME, other), Pairing(ME, older), Pairing(other, older)]
    assert mean_weights("pasts", CHESS, pairs, times=1).tolist() == [0, 1, 0, 1, 1]
    assert mean_weights("pasts", CHESS, THREE, times=1).tolist() == [0, 0, 0]


# --------------------------------------------------------------------------------------- interface and schedule
@pytest.mark.parametrize("name", sorted(MATCHMAKERS))
def test_every_rule_is_a_pure_function_with_sane_weights(name: str) -> None:
    rule = make_rule(name)
    view = MEASURED.add(4, [lesson("me", "easy", "sums", [0.1, 0.2])])
    for context in (RuleContext(view, "chess", 4), RuleContext(PayoffView(), "chess", 0)):
        if not rule.random:
            assert np.array_equal(
                rule(context, THREE, np.random.default_rng(1)), rule(context, THREE, np.random.default_rng(2))
            )
        for pairs in (
            [],
            THREE,
            [Pairing(ME, ME)],
            [*THREE, Pairing(ME, ME)],
            [Pairing(ME, EASY, "sums"), Pairing(ME, EASY, "words")],
        ):
            one, two = (rule(context, pairs, np.random.default_rng(5)) for _ in range(2))
            assert (
                one.shape == (len(pairs),) and np.isfinite(one).all() and (one >= 0).all() and np.array_equal(one, two)
            )
    assert view.size == 4


def test_schedule_keeps_the_mixture_and_hands_on_what_a_rule_leaves() -> None:
    rng = np.random.default_rng(0)
    pairs = [*THREE, Pairing(ME, ME)]
    drawn = draw_pairings(
        CHESS,
        pairs,
        20,
        mixture=make_mixture({"self_play": 0.25, "pfsp": 0.75}, {"pfsp": {"curve": "hard", "floor": 0.0}}),
        rng=rng,
    )
    assert sum(p.col == ME for p in drawn) >= 5 and len(drawn) == 20
    handed = draw_pairings(
        CHESS, pairs, 40, mixture=make_mixture({"cycle": 0.9, "self_play": 0.1}, {}), rng=rng
    )  # no certified cycle: self-play takes all
    assert all(p.col == ME for p in handed)
    alone = draw_pairings(
        CHESS, THREE, 300, mixture=make_mixture({"cycle": 1.0}, {}), rng=rng
    )  # nobody speaks: uniform
    assert {p.col for p in alone} == {EASY, EVEN, HARD}
    again = [
        draw_pairings(CHESS, pairs, 8, mixture=make_mixture({"pfsp": 1.0}, {}), rng=np.random.default_rng(3))
        for _ in range(2)
    ]
    assert again[0] == again[1]
    assert draw_pairings(CHESS, [], 0, mixture=make_mixture({"uniform": 1.0}, {}), rng=rng) == []
    with pytest.raises(DataError, match="no candidate pairing"):
        draw_pairings(CHESS, [], 3, mixture=make_mixture({"uniform": 1.0}, {}), rng=rng)


def test_apportionment_is_exact_on_average_and_never_off_by_one() -> None:
    rng = np.random.default_rng(1)
    counts = np.array([np.bincount(apportion(np.array([0.1, 0.25, 0.65]), 10, rng), minlength=3) for _ in range(400)])
    assert (counts.sum(axis=1) == 10).all() and (np.abs(counts - [1, 2.5, 6.5]) < 1).all()
    assert np.allclose(counts.mean(axis=0), [1, 2.5, 6.5], atol=0.12)  # five standard errors of 0.025


def test_unknown_names_and_values_are_errors_that_help() -> None:
    with pytest.raises(ConfigError, match="did you mean 'pfsp'"):
        make_rule("pfspp")
    with pytest.raises(ConfigError, match="did you mean 'curve'"):
        make_rule("pfsp", {"curv": "hard"})
    problems = check_rules(
        {"pfsp": 0.0, "unifrom": 0.0},
        {"pfsp": {"floor": 2, "curve": "soft", "min_games": True}, "teacher": {"window": 2.5}},
    )
    text = "\n".join(problems)
    for part in (
        "unifrom",
        "'uniform'",
        "above 0",
        "floor: must lie in [0, 1]",
        "'soft' is not one of variance, hard, linear",
        "min_games: expected",
        "window",
    ):
        assert part in text
    assert (
        check_rules({"pfsp": 1.0, "solver": 1.0}, {"solver": {"solver": "nash"}, "pfsp": {"curve": "hard", "floor": 0}})
        == []
    )


def test_every_parameter_has_a_checked_range_or_choice() -> None:
    for name in MATCHMAKERS:
        for field in fields(RULES.find(name)):
            assert check_rules({name: 1.0}, {name: {field.name: field.default}}) == []
            assert check_rules({name: 1.0}, {name: {field.name: -1e9}}), (name, field.name)


@dataclass(frozen=True)
class Homesick(Rule):
    """A rule of a user's own, with a parameter of its own: low steps weigh more."""

    pull: Annotated[float, Field(ge=0, le=3)] = 1.0

    def __call__(self, context: RuleContext, pairings: Sequence[Pairing], rng: np.random.Generator) -> np.ndarray:
        return np.array([np.exp(-self.pull * pairing.col.step) for pairing in pairings])


OWN = f"{__name__}:Homesick"


def test_a_new_rule_with_a_parameter_needs_its_dotted_path_only() -> None:
    pairs = [Pairing(ME, Version("old", step)) for step in (0, 8)]

    def drawn(pull: float, seed: int) -> set[Version]:
        found = draw_pairings(
            CHESS, pairs, 64, mixture=make_mixture({OWN: 1.0}, {OWN: {"pull": pull}}), rng=np.random.default_rng(seed)
        )
        return {pairing.col for pairing in found}

    assert check_rules({OWN: 1.0}, {OWN: {"pull": 3}}) == [] == check_rules({OWN: 1.0}, {})
    assert drawn(3.0, 0) == {Version("old", 0)}, "odds of 64 e^-24 < 1e-8 of another"
    assert drawn(0.0, 0) == {pairing.col for pairing in pairs}, "odds of 2^-63 of one only"
    assert check_rules({OWN: 1.0}, {OWN: {"pull": 3.5}}) == [f"rules.{OWN}.pull: must lie in [0, 3], found 3.5"]
    (unknown,) = check_rules({OWN: 1.0}, {OWN: {"pul": 1}})
    assert "did you mean 'pull'" in unknown


def test_a_line_in_the_dict_is_all_a_new_rule_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MATCHMAKERS, "homesick", OWN)
    assert check_rules({"homesick": 1.0}, {"homesick": {"pull": 2}}) == []
    assert make_rule("homesick", {"pull": "2"}) == Homesick(2.0)
    with pytest.raises(ConfigError, match=r"pull: must lie in \[0, 3\]"):
        make_rule("homesick", {"pull": -1})
