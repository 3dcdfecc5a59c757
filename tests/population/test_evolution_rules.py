"""The rules of evolution as functions of numbers.

Bounds, PBT, retirement, exploiters' targets, and what pictures may cost.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from league.config import ExploitersConfig, SnapshotsConfig
from league.payoffs.ratings import Ratings
from league.payoffs.view import PayoffView
from league.population import AlarmHistory, EvolutionHistory, Member, Population
from league.population.exploiters import is_target, targets_of
from league.population.pbt import better, better_by_items, exploits, explore
from league.population.retirement import dominated, to_retire
from league.population.snapshots import beats_its_past, does_better_than_before
from league.population.tallies import Games, Items, gain_bound
from league.reporting.time_budget import TimeBudget
from league.seeds import generator
from league.types import Hyper, Outcome, Version


# ------------------------------------------------------------------------------------------------- snapshots
def test_a_lower_bound_is_the_posterior_quantile() -> None:
    assert Games().lower_bound(0.9) == pytest.approx(np.sin(0.1 * np.pi / 2) ** 2)  # Beta(½, ½) is the arcsine law
    assert Games(7, 2, 1).lower_bound(0.9) == pytest.approx(Games(8, 0, 2).lower_bound(0.9)), "draws count half"
    drawn = generator("bound").beta(30.5, 10.5, 200_000)
    assert np.quantile(drawn, 0.1) == pytest.approx(Games(30, 0, 10).lower_bound(0.9), abs=2e-3)


def test_every_setting_of_a_snapshot_rule_matters() -> None:
    games = Games(20, 0, 8)
    assert beats_its_past(games, SnapshotsConfig())
    assert not beats_its_past(games, SnapshotsConfig(min_games=29))
    assert not beats_its_past(games, SnapshotsConfig(confidence=0.9999))
    assert not beats_its_past(games, SnapshotsConfig(win_rate=0.6))
    assert not beats_its_past(games, ExploitersConfig()) and beats_its_past(Games(30, 0, 4), ExploitersConfig())
    before, now = Items(100, 10.0, 10.0), Items(100, 30.0, 30.0)
    assert does_better_than_before(before, now, SnapshotsConfig())
    assert not does_better_than_before(before, now, SnapshotsConfig(gain=0.15))
    assert not does_better_than_before(before, now, SnapshotsConfig(min_games=101))
    assert not does_better_than_before(Items(), now, SnapshotsConfig())


def test_false_progress_of_an_equal_agent_is_as_rare_as_the_confidence_says() -> None:
    """At one look after 40 games between equals, P(bound > ½) ≤ 1 − confidence.

    Up to the lattice of 41 results, over 2,000 leagues.
    """
    rng = generator("false progress")
    wins = rng.binomial(40, 0.5, 2000)
    share = np.mean([Games(float(w), 0, float(40 - w)).lower_bound(0.9) > 0.5 for w in wins])
    assert share <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 2000)


def test_a_gain_needs_items_before_and_after() -> None:
    assert gain_bound(Items(), Items(50, 25, 25), 0.9) == -np.inf
    assert gain_bound(Items(50, 25, 25), Items(50, 25, 25), 0.9) < 0


# ------------------------------------------------------------------------------------------------------- PBT
def by_pairs(wins, draws, losses, between, min_games):
    """The formula of the module, pair by pair."""
    from scipy.special import ndtr

    def beta(w, d, x):
        a, b = w + d / 2 + 0.5, x + d / 2 + 0.5
        return a / (a + b), a * b / ((a + b) ** 2 * (a + b + 1))

    size, found = len(wins), np.full((len(wins), len(wins)), np.nan)
    games = wins + draws + losses
    for i in range(size):
        for j in range(size):
            common = [k for k in range(wins.shape[1]) if games[i, k] > 0 and games[j, k] > 0]
            own = between[i, j].sum()
            if i == j or min(sum(games[i, k] for k in common), sum(games[j, k] for k in common)) + own < min_games:
                continue
            gap = spread = 0.0
            for k in common:
                (mi, vi), (mj, vj) = (beta(wins[x, k], draws[x, k], losses[x, k]) for x in (i, j))
                gap, spread = gap + mj - mi, spread + vi + vj
            if own > 0:
                m, v = beta(*between[j, i])
                gap, spread = gap + 2 * m - 1, spread + 4 * v
            found[i, j] = ndtr(gap / np.sqrt(spread))
    return found


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(0, 4))
def test_better_is_its_formula_and_relabelling_permutes_it(seed: int, size: int, columns: int) -> None:
    rng = generator("better", seed)
    wins, draws, losses = (
        rng.integers(0, 9, (size, columns)).astype(float) * rng.integers(0, 2, (size, columns)) for _ in range(3)
    )
    upper = np.triu(np.ones((size, size)), 1)[..., None] * rng.integers(0, 9, (size, size, 3))
    between = upper + upper.transpose(1, 0, 2)[..., ::-1]
    found = better(wins, draws, losses, between, 6.0)
    np.testing.assert_allclose(found, by_pairs(wins, draws, losses, between, 6.0), atol=1e-12)
    both = ~np.isnan(found)
    np.testing.assert_allclose((found + found.T)[both], 1.0, atol=1e-12)
    order = rng.permutation(size)
    again = better(wins[order], draws[order], losses[order], between[np.ix_(order, order)], 6.0)
    np.testing.assert_allclose(again, found[np.ix_(order, order)], atol=1e-12)


def test_only_the_surely_worse_copy_and_a_cycle_copies_nobody() -> None:
    nan = np.nan
    assert exploits(np.array([[nan, 0.97], [0.03, nan]]), 0.95) == [(0, 1)]
    assert exploits(np.array([[nan, 0.94], [0.06, nan]]), 0.95) == []
    cycle = np.array([[nan, 0.99, 0.01], [0.01, nan, 0.99], [0.99, 0.01, nan]])
    assert exploits(cycle, 0.95) == []
    chain = np.array([[nan, 0.99, 0.999], [0.01, nan, 0.96], [0.001, 0.04, nan]])
    assert exploits(chain, 0.95) == [(0, 2), (1, 2)]


def test_equals_are_seldom_copied() -> None:
    """Two equal agents, 40 games each against three pasts.

    P(better) > 0.95 in about 5% of 1,000 leagues (three σ: 2.1 points) a side.
    """
    rng = generator("equals")
    copied = 0
    for _ in range(1000):
        wins = rng.binomial(40, [0.3, 0.5, 0.7], (2, 3)).astype(float)
        copied += exploits(better(wins, np.zeros((2, 3)), 40 - wins, np.zeros((2, 2, 3)), 16), 0.95) == [(0, 1)]
    assert copied / 1000 <= 0.05 + 0.021


def test_means_decide_where_nobody_wins() -> None:
    found = better_by_items([Items(50, 5, 5), Items(50, 25, 25), Items(3, 3, 3)], 10)
    assert found[0, 1] > 0.99 and found[1, 0] < 0.01 and np.isnan(found[0, 2])


def test_exploration_steps_up_or_down_and_stays_near_its_start() -> None:
    start = Hyper(0.1, 0.0, 1.0)
    found = [explore(start, start, 1.25, 1.5, generator("explore", i)) for i in range(50)]
    assert sorted({h.learning_rate for h in found}) == pytest.approx([0.08, 0.125])
    assert {h.kl for h in found} == {0.0} and len({h.temperature for h in found}) == 2
    far = start
    for i in range(40):
        far = explore(far, start, 1.25, 1.5, generator("walk", i))
        assert 0.1 / 1.5 - 1e-12 <= far.learning_rate <= 0.15 + 1e-12
    assert explore(Hyper(0.9), Hyper(0.9), 2.0, 8.0, generator("cap", 1)).learning_rate <= 1.0


# ------------------------------------------------------------------------------------------------ retirement
def test_who_is_retired_and_who_must_stay() -> None:
    # 0 beats 1, 2 and 3; 1 and 2 are clones, 3 plays differently.
    beats = np.zeros((4, 4), dtype=bool)
    beats[0, 1:] = True
    distance = np.array([[0, 0.9, 0.9, 0.9], [0.9, 0, 0.05, 0.5], [0.9, 0.05, 0, 0.5], [0.9, 0.5, 0.5, 0]])
    calm = np.zeros(4, dtype=bool)
    assert dominated(beats).tolist() == [False, True, True, True]
    assert to_retire([1, 2, 3], beats, calm, distance, 0.1) == [1], "2 is the stand-in of 1; 3 has none"
    assert to_retire([1, 2, 3], beats, calm, distance, 0.01) == []
    assert to_retire([1, 2, 3], beats, np.array([False, True, False, False]), distance, 0.1) == [2], (
        "1 is in a certified cycle, and stands in for 2"
    )
    assert to_retire([1, 2], np.zeros((4, 4), dtype=bool), calm, distance, 0.1) == [], "nobody certainly beats them"
    assert to_retire([2], beats, calm, np.where(np.eye(4) > 0, 0.0, np.nan), 0.1) == [], "unknown rows are no clones"


@pytest.mark.parametrize("seed", range(20))
def test_dominated_is_what_its_words_say(seed: int) -> None:
    """Someone beats v whom none of v's victims beats, read off version by version."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 9))
    upper = np.triu(rng.random((size, size)) < 0.5, 1)
    met = np.triu(rng.random((size, size)) < 0.7, 1)
    beats = (upper & met) | (~upper & met).T
    expected = [
        any(beats[u, v] and not any(beats[v, w] and beats[w, u] for w in range(size)) for u in range(size))
        for v in range(size)
    ]
    assert dominated(beats).tolist() == expected


def test_a_version_that_beats_what_beats_its_victor_is_not_dominated() -> None:
    cycle = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]], dtype=bool)
    assert not dominated(cycle).any()


# ------------------------------------------------------------------------------------------------ exploiters
def population() -> Population:
    members = {name: Member(name, "student", Version(name, 5), True, Hyper(0.1)) for name in ("ada", "max")}
    members["spy"] = Member("spy", "exploiter", Version("spy", 3), True, Hyper(0.1), targets=("ada",))
    members["fox"] = Member("fox", "exploiter", Version("fox", 3), True, Hyper(0.1), targets="league")
    return Population(members, {"ada": (Version("ada", 0), Version("ada", 4)), "spy": (Version("spy", 1),)})


def test_exploiters_meet_whom_they_are_for() -> None:
    people = population()
    others = [*people.live().values(), *people.frozen()]
    assert targets_of(people, Version("ada", 5), others) == others
    assert {v.agent for v in targets_of(people, Version("spy", 3), others)} == {"ada"}
    assert set(targets_of(people, Version("fox", 3), others)) == set(people.frozen())
    empty = Population(people.members, {})
    assert {v.agent for v in targets_of(empty, Version("fox", 3), list(empty.live().values()))} == {"ada", "max", "spy"}
    assert is_target(people, "spy", Version("ada", 2)) and not is_target(people, "spy", Version("max", 5))
    assert is_target(people, "fox", Version("max", 2)) and not is_target(people, "fox", Version("max", 5))
    assert not is_target(people, "spy", Version("spy", 1)) and not is_target(people, "ada", Version("max", 5))


def test_population_and_memory_survive_json() -> None:
    people = population().changed("ada", twin=Version("ada", 4))
    assert Population.from_json(people.to_json()) == people
    memory = EvolutionHistory().begun("ada", Version("ada", 0), Hyper(0.1)).begun("ada", Version("ada", 9), Hyper(0.2))
    memory = memory.frozen("ada", 3).frozen("ada", 7).cut("ada", 4).with_merged("ada")
    memory = memory.with_retired([Version("max", 1), Version("max", 2)], 5, 1)
    assert memory.origin["ada"] == Version("ada", 0) and (memory.frozen_before["ada"], memory.frozen_at["ada"]) == (
        3,
        7,
    )
    assert memory.stored == (Version("max", 2),) and len(memory.retired) == 2
    assert (
        EvolutionHistory.from_json(memory.to_json()) == memory and EvolutionHistory.from_json({}) == EvolutionHistory()
    )
    memory = memory.without(frozenset({"ada"}))
    assert not memory.origin and not memory.merged and not memory.since
    guards = AlarmHistory({"ada": {"length": 1.0}}, {"ada": Version("ada", 1)}, {"ada": 1}, ("ada",))
    assert AlarmHistory.from_json(guards.to_json()) == guards
    assert guards.without(frozenset({"ada"})) == AlarmHistory()


def test_a_snapshot_has_a_twin_until_the_agent_moves() -> None:
    people, _ = population().snapshot("max", Version("max", 5), Version("max", 6), 4)
    assert people.members["max"].twin == Version("max", 5) and people.pasts["max"] == (Version("max", 5),)
    assert people.moved({"max": Version("max", 7)}).members["max"].twin is None
    assert people.retired(frozenset({Version("ada", 4)})).pasts["ada"] == (Version("ada", 0),)
    assert set(people.without(frozenset({"ada"})).members) == {"max", "spy", "fox"}


# ------------------------------------------------------------------------------------------------- what it costs
def test_pictures_take_at_most_their_share_of_the_time() -> None:
    """Rounds of 10 s with a measurement each, pictures of 4 s.

    After the first they wait until 5% of the run pays for them.
    """
    budget, elapsed, drawn = TimeBudget(), 0.0, []
    for number in range(100):
        elapsed += 10.0
        if budget.allows(elapsed):
            budget.add(4.0)
            elapsed += 4.0
            drawn.append(number)
        if number >= 10:
            assert budget.spent <= 0.05 * elapsed + 1e-9
    assert drawn[0] == 0 and 10 <= len(drawn) <= 13


def outcome(row: Version, col: Version, won: int) -> Outcome:
    return Outcome("contest", "game", situation="default", domain="", row=row, col=col, wins=won, losses=4 - won, n=4)


def test_recent_outcomes_are_those_of_the_last_rounds() -> None:
    view, pairs = PayoffView(), [(Version("a", i), Version("b", i)) for i in range(6)]
    for number, (row, col) in enumerate(pairs):
        view = view.add(number, [outcome(row, col, 3)])
    older = view
    view = view.add(6, [Outcome("teaching", "lesson", "default", "", *pairs[0], n=1)])
    found = view.recent("contest", "game", 4)
    assert [(one.round, one.row, one.col, one.wins, one.losses) for one in found] == [
        (4, *pairs[4], 3, 1),
        (5, *pairs[5], 3, 1),
    ]
    assert (
        view.recent("contest", "other", 0) == []
        and len(view.recent("teaching", None, 0)) == 1
        and not older.recent("teaching", None, 0)
    )


def test_ratings_carry_on_and_store_only_who_played() -> None:
    """The index of steps finds what a search through all versions would find."""
    rng, ratings, seen = generator("ratings"), Ratings(), []
    for number in range(30):
        row, col = (Version(name, int(step)) for name, step in zip("ab", rng.integers(0, 12, 2), strict=True))
        ratings = ratings.update([outcome(row, col, int(rng.integers(5)))])
        seen += [row, col]
        step = int(rng.integers(0, 14))
        older = [v for v in seen if v.agent == "a" and v.step <= step]
        wanted = ratings.beliefs["game"][max(older)] if older else Ratings().of("game", Version("a", 0))
        assert ratings.of("game", Version("a", step)) == wanted, number
    played = {seen[0], seen[1], Version("z", 0)}
    assert {row.version for row in ratings.rows(of=played)} == {seen[0], seen[1]}
    assert set(ratings.rows(of=played)) <= set(ratings.rows())
