"""Returns and advantages of the episode tree, against values worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from league.errors import TrainingDiverged
from league.learning.advantages import Credit, collect_samples, groups, learn_from
from league.types import Decision, Episode, Match, Message, Node, Reply, Sampling, Score, Turn, Version

ASK = (Message("user", "?"),)
SEATS = {"a": Version("ann", 0), "b": Version("bob", 0)}


def reply(number: int) -> Reply:
    return Reply(f"r{number}", "end", (1, 2), (number + 3, 2), (-0.5, -0.25))


def decision(seats: str, ids: list[int], samples: int | None = None, joint: str = "aligned") -> Decision:
    samples = samples or len(ids)
    turn = Turn("t", dict.fromkeys(seats, ASK), samples, dict.fromkeys(seats, Sampling()), joint=joint)
    replies = {seat: tuple(reply(number) for number in range(samples)) for seat in seats}
    if joint == "aligned":
        nodes = [Node(node, dict.fromkeys(seats, place)) for place, node in enumerate(ids)]
    else:
        nodes = [Node(node, dict(zip(seats, divmod(place, samples), strict=True))) for place, node in enumerate(ids)]
    return Decision(turn, replies, nodes)


def episode(*roots: Decision) -> Episode:
    return Episode(Match("m", "t", round=1, seats=SEATS, problems=(), seed=0), list(roots))


def advantages(tree: Episode, rewards: dict[int, dict[str, float]], **credit: object) -> dict[tuple[int, str], float]:
    return dict(learn_from(tree, Score(rewards, {}), Credit(**credit), {"ann", "bob"}).advantages)  # type: ignore[arg-type]


def test_two_turn_tree_by_hand() -> None:
    # root of ann and bob, two joint actions 0 and 1; below each a second turn with two joint actions: 2, 3 and 4, 5.
    root, left, right = decision("ab", [0, 1]), decision("ab", [2, 3]), decision("ab", [4, 5])
    root.nodes[0].next.append(left)
    root.nodes[1].next.append(right)
    rewards = {
        0: {"a": 1.0, "b": 1.0},
        1: {"a": 0.0, "b": 0.5},
        2: {"a": 2.0},
        3: {"a": 4.0, "b": 1.0},
        4: {"a": 0.0, "b": 3.0},
        5: {"a": 2.0},
    }
    found = advantages(episode(root), rewards, discount=0.5)
    # G_a(0) = 1 + .5·mean(2, 4) = 2.5, G_a(1) = 0 + .5·mean(0, 2) = .5 → mean 1.5 → ±1
    # G_b(0) = 1 + .5·mean(0, 1) = 1.25, G_b(1) = .5 + .5·mean(3, 0) = 1.25 → no variance
    assert found == {
        (0, "a"): 1.0,
        (1, "a"): -1.0,
        (0, "b"): 0.0,
        (1, "b"): 0.0,
        (2, "a"): -1.0,
        (3, "a"): 1.0,
        (2, "b"): -0.5,
        (3, "b"): 0.5,
        (4, "a"): -1.0,
        (5, "a"): 1.0,
        (4, "b"): 1.5,
        (5, "b"): -1.5,
    }


def test_discount_changes_the_first_turn_only() -> None:
    def first_and_last(discount: float) -> tuple[float, float]:
        root, below = decision("a", [0, 1]), decision("a", [2, 3])
        root.nodes[0].next.append(below)
        found = advantages(episode(root), {2: {"a": 1.0}, 3: {"a": 3.0}}, discount=discount)
        return found[0, "a"], found[2, "a"]

    assert first_and_last(1.0) == (1.0, -1.0)
    assert first_and_last(0.25) == (0.25, -1.0)
    assert first_and_last(0.0) == (0.0, -1.0)


def test_single_turn_is_grpo_without_standard_deviation() -> None:
    rewards = [0.0, 1.0, 1.0, 0.5]
    found = advantages(episode(decision("a", [0, 1, 2, 3])), {n: {"a": r} for n, r in enumerate(rewards)})
    assert [found[n, "a"] for n in range(4)] == [r - 0.625 for r in rewards]


def test_normalised_is_grpo_with_standard_deviation() -> None:
    rewards = [0.0, 1.0, 1.0, 0.0]
    found = advantages(
        episode(decision("a", [0, 1, 2, 3])), {n: {"a": r} for n, r in enumerate(rewards)}, normalise=True
    )
    assert [found[n, "a"] for n in range(4)] == [-1.0, 1.0, 1.0, -1.0]


def test_leave_one_out_scales_by_g_over_g_minus_one() -> None:
    found = advantages(episode(decision("a", [0, 1, 2])), {0: {"a": 3.0}}, leave_one_out=True)
    assert found[0, "a"] == pytest.approx(3.0)  # 3 − mean(0, 0)
    assert found[1, "a"] == pytest.approx(-1.5)  # 0 − mean(3, 0)


def test_cross_takes_the_mean_over_the_partners_samples() -> None:
    # nodes (a's sample, b's sample): 0 = (0,0), 1 = (0,1), 2 = (1,0), 3 = (1,1)
    tree = episode(decision("ab", [0, 1, 2, 3], samples=2, joint="cross"))
    rewards = {0: {"a": 1.0, "b": 1.0}, 1: {"a": 0.0, "b": 0.0}, 2: {"a": 1.0, "b": 1.0}, 3: {"a": 1.0, "b": 1.0}}
    by_seat = {group.seat: dict(group.returns) for group in groups(tree, Score(rewards, {}), 1.0)}
    assert by_seat == {"a": {0: 0.5, 1: 1.0}, "b": {0: 1.0, 1: 0.5}}
    assert advantages(tree, rewards)[0, "a"] == -0.25
    assert (
        len(learn_from(tree, Score(rewards, {}), Credit(), {"ann", "bob"}).samples) == 4
    )  # two replies a seat, not four nodes


def test_several_decisions_below_a_node_are_averaged() -> None:
    root = decision("a", [0, 1])
    root.nodes[0].next += [decision("b", [2, 3]), decision("b", [4, 5])]
    found = advantages(episode(root), {2: {"a": 1.0}, 4: {"a": 0.5}, 5: {"a": 0.5}})
    assert found[0, "a"] == pytest.approx((0.5 + 0.5) / 2 / 2)


def test_groups_without_variance_cost_nothing() -> None:
    found = learn_from(
        episode(decision("ab", [0, 1])),
        Score({0: {"a": 1.0, "b": 0.3}, 1: {"a": 1.0, "b": 0.1 + 0.2}}, {}),
        Credit(),
        {"ann", "bob"},
    )
    assert (found.samples, found.groups, found.flat_groups) == ((), 2, 2)
    assert collect_samples([found]) == ([], 1.0)


def test_one_sample_has_no_advantage() -> None:
    assert learn_from(episode(decision("a", [0])), Score({0: {"a": 1.0}}, {}), Credit(), {"ann"}).samples == ()


def test_only_trainable_agents_and_spoken_tokens_become_samples() -> None:
    tree = episode(decision("ab", [0, 1]))
    score = Score({0: {"a": 1.0, "b": 1.0}}, {})
    assert {sample.agent for sample in learn_from(tree, score, Credit(), {"ann"}).samples} == {"ann"}
    tree.roots[0].replies["a"] = (Reply("scripted", "end"), Reply("scripted", "end"))  # type: ignore[index]
    assert {sample.agent for sample in learn_from(tree, score, Credit(), {"ann", "bob"}).samples} == {"bob"}


def test_void_replies_leave_the_group_and_its_baseline() -> None:
    score = Score({0: {"a": 1.0}, 1: {"a": 0.0}, 2: {"a": 100.0}}, {}, void=frozenset({(2, "a")}))
    found = learn_from(episode(decision("a", [0, 1, 2])), score, Credit(), {"ann"})
    assert [sample.advantage for sample in found.samples] == [0.5, -0.5]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_return_that_is_not_finite_stops_and_names_the_agent(bad: float) -> None:
    with pytest.raises(TrainingDiverged, match="'ann'"):
        learn_from(episode(decision("a", [0, 1])), Score({0: {"a": bad}}, {}), Credit(), {"ann"})


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8), st.booleans(), st.booleans())
def test_advantages_of_a_group_sum_to_zero(rewards: list[float], normalise: bool, leave_one_out: bool) -> None:
    tree = episode(decision("a", list(range(len(rewards)))))
    found = advantages(
        tree, {n: {"a": r} for n, r in enumerate(rewards)}, normalise=normalise, leave_one_out=leave_one_out
    )
    assert sum(found.values()) == pytest.approx(0.0, abs=1e-6)
