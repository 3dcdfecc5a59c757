"""Contests: everybody answers the same problems, each pair is compared item by item.

Rollouts seed every reply by its place.
"""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from league.errors import BackendError
from league.rollouts import Player, play
from league.types import BASE, Match, RewardMix, Version
from tasks.contest import Contest
from tasks.domains import make_domain
from tests.helpers.players import Bernoulli

SUMS = make_domain("chain_sum")
TASK = Contest("contest", {"chain_sum": SUMS}, items=3, answers=2)
TRUTH = {SUMS.problem("train", i).question: SUMS.problem("train", i).answer for i in range(60)}


def knows(chance: float):
    def policy(messages, stream) -> str:
        return f"Answer: {TRUTH[messages[-1].content]}" if stream.random() < chance else "Answer: -999"

    return policy


def match(*names: str, seed: int = 1, rewards: RewardMix = RewardMix()) -> Match:
    seats = {f"player-{place}": BASE if name == "base" else Version(name, 0) for place, name in enumerate(names, 1)}
    return Match(f"m{seed}", "contest", 1, seats, TASK.problems("train", 2, "chain_sum"), seed, rewards=rewards)


def score_of(*names: str, chances: dict[str, float], **more):
    (episode,) = play(
        [match(*names, **more)], {"contest": TASK}, Bernoulli({name: knows(chance) for name, chance in chances.items()})
    )
    return episode, TASK.score(episode)


def test_every_pair_from_one_pass() -> None:
    _, score = score_of("ann", "bob", "cat", "base", chances={"ann": 1.0, "bob": 0.0, "cat": 1.0, "base": 0.0})
    found = {(o.row.agent, o.col.agent): (o.wins, o.draws, o.losses) for o in score.outcomes}
    assert found == {
        ("ann", "base"): (6, 0, 0),
        ("ann", "bob"): (6, 0, 0),
        ("ann", "cat"): (0, 6, 0),
        ("base", "bob"): (0, 6, 0),
        ("base", "cat"): (0, 0, 6),
        ("bob", "cat"): (0, 0, 6),
    }


@settings(max_examples=25, deadline=None)
@given(st.permutations(["ann", "bob", "cat"]), st.integers(0, 1000))
def test_relabelling_seats_changes_no_counts(order: list[str], seed: int) -> None:
    """What a version does must not depend on its seat.

    Seeds come from the place in the match, so chances are 0 or 1 here.
    """
    chances = {"ann": 1.0, "bob": 0.0, "cat": 0.0}
    _, score = score_of(*order, chances=chances, seed=seed)
    assert len(score.outcomes) == 3
    for outcome in score.outcomes:
        assert outcome.row < outcome.col
        assert outcome.wins + outcome.draws + outcome.losses == outcome.n == 6
        assert outcome.wins == (6 if outcome.row.agent == "ann" else 0)


def test_reward_mixes() -> None:
    chances = {"ann": 1.0, "bob": 0.0}

    def rewards(mix: RewardMix) -> dict[str, set[float]]:
        episode, score = score_of("ann", "bob", chances=chances, rewards=mix)
        found: dict[str, set[float]] = {}
        for decision in episode.roots:
            for node in decision.nodes:
                for seat, value in score.rewards[node.id].items():
                    found.setdefault(episode.match.seats[seat].agent, set()).add(value)
        return found

    assert rewards(RewardMix()) == {"ann": {1.0}, "bob": {0.0}}
    assert rewards(RewardMix(0.0, 1.0, 0.0)) == {"ann": {0.5}, "bob": {0.5}}
    assert rewards(RewardMix(0.0, 0.0, 1.0)) == {"ann": {1.0}, "bob": {-1.0}}


def test_one_player_is_reinforcement_learning_on_correctness() -> None:
    _, score = score_of("ann", chances={"ann": 1.0}, rewards=RewardMix(1.0, 0.0, 1.0))
    assert score.outcomes == ()
    assert all(value == 1.0 for seats in score.rewards.values() for value in seats.values())


def test_a_match_plays_the_same_whoever_else_plays() -> None:
    backend = Bernoulli({name: knows(0.5) for name in ("ann", "bob", "cat")})
    alone = play([match("ann", "bob", seed=7)], {"contest": TASK}, backend)[0]
    crowd = play(
        [match("cat", "bob", seed=3), match("ann", "bob", seed=7), match("ann", seed=9)], {"contest": TASK}, backend
    )[1]
    texts = [
        [[reply.text for reply in d.replies[seat]] for d in episode.roots for seat in d.turn.prompts]
        for episode in (alone, crowd)
    ]
    assert texts[0] == texts[1]
    assert len(backend.batches) == 2  # one batch a stage, over all matches


def test_an_unreachable_player_voids_its_match_only() -> None:
    def gone(messages, stream) -> str:
        raise BackendError("connection refused")

    backend = Bernoulli({"ann": knows(1.0), "bob": gone, "cat": knows(0.0)})
    first, second = play([match("ann", "bob"), match("ann", "cat")], {"contest": TASK}, backend)
    assert first.void == "connection refused" and second.void is None
    assert TASK.score(second).outcomes


def test_players_bring_their_own_instructions_and_temperature() -> None:
    backend = Bernoulli({"ann": knows(1.0), "bob": knows(1.0)})
    (episode,) = play([match("ann", "bob")], {"contest": TASK}, backend, {"ann": Player("Be brief.", 0.5)})
    by_agent = {request.version.agent: request for request in backend.batches[0]}
    assert [m.role for m in by_agent["ann"].messages].count("system") == 1
    assert by_agent["ann"].messages[0].content.startswith("Be brief.\n\n")
    assert (by_agent["ann"].sampling.temperature, by_agent["bob"].sampling.temperature) == (0.5, 1.0)
    assert {d.turn.sampling[s].temperature for d in episode.roots for s in d.turn.prompts} == {0.5, 1.0}


def test_pairs_of_samples_not_means_decide() -> None:
    """A player who is right on other samples than its partner wins and loses.

    Means alone would call it a draw.
    """
    _, score = score_of("ann", "bob", chances={"ann": 0.5, "bob": 0.5}, seed=5)
    (outcome,) = score.outcomes
    counted = list(combinations([outcome.wins, outcome.draws, outcome.losses], 2))
    assert outcome.n == 6 and counted
    assert outcome.wins + outcome.losses > 0
