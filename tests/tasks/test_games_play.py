"""The games as tasks: parsing, turns, rewards, outcomes."""

import numpy as np
import pytest

from league.types import RewardMix, Version
from tasks import check_task
from tasks.games import replies
from tasks.games.kuhn_poker import KuhnPoker
from tasks.games.kuhn_solution import FIRST_SETS, SECOND_SETS, kuhn_equilibrium, kuhn_value
from tasks.games.matrix_games import SEATS, MatrixGame
from tasks.games.normal_form import FORMS
from tasks.games.replies import move_grammar, parse_move
from tasks.rewards import mix_rewards
from tests.helpers.games_player import match_for, play

RPS = ("rock", "paper", "scissors")


@pytest.mark.parametrize("text", ["rock", "Rock.", " ROCK\n", '"rock"', "**rock**", "(rock)"])
def test_a_move_alone_is_a_move(text):
    assert parse_move(text, RPS) == "rock"


@pytest.mark.parametrize(
    "text",
    ["", "I play rock", "rock or paper", "not rock", "rock?", "rockk", "rock rock", "rock, paper", "stone", "r o c k"],
)
def test_anything_else_is_rejected(text):
    assert parse_move(text, RPS) is None


@pytest.mark.parametrize(
    ("text", "move"), [("2 2 1", "2 2 1"), ("2,2,1.", "2 2 1"), ("2-2-1", "2 2 1"), ("(2; 2; 1)", "2 2 1")]
)
def test_blotto_numbers(text, move):
    assert parse_move(text, FORMS["blotto-5-3"].moves) == move


@pytest.mark.parametrize("text", ["-2 2 5", "5.0 0", "2 2 2", "2 2", "2 2 1 0", "221", "6 -1 0", "2 - 2 - 1"])
def test_blotto_rejects_what_is_not_a_split(text):
    assert parse_move(text, FORMS["blotto-5-3"].moves) is None


def test_the_grammar_compiles_and_lists_the_moves():
    llguidance = pytest.importorskip("llguidance")

    def complaint(grammar):
        return llguidance.LLMatcher.validate_grammar(llguidance.LLMatcher.grammar_from_lark(grammar), None)

    assert complaint(move_grammar(RPS)) == "" != complaint(move_grammar(RPS) + " | (")
    assert move_grammar(("a b", "c")) == 'start: "a b" | "c"'


@pytest.mark.parametrize("task", [MatrixGame("game", constrained=True), KuhnPoker("poker", constrained=True)])
def test_a_grammar_without_its_library_is_found_before_anything_runs(task, monkeypatch):
    monkeypatch.setattr(replies, "find_spec", lambda name: None)
    assert [line for line in task.check() if line.startswith("constrained") and "pip install" in line]
    monkeypatch.setattr(replies, "find_spec", lambda name: name)
    assert task.check() == []


def test_reward_mix_by_hand():
    payoffs = {"row": 3.0, "col": 1.0}
    assert mix_rewards(payoffs, RewardMix()) == payoffs
    assert mix_rewards(payoffs, RewardMix(0, 1, 0)) == {"row": 2.0, "col": 2.0}
    assert mix_rewards(payoffs, RewardMix(0, 0, 1)) == {"row": 2.0, "col": -2.0}
    assert mix_rewards(payoffs, RewardMix(1, 0.5, 0.25)) == {"row": 3 + 1 + 0.5, "col": 1 + 1 - 0.5}


def fixed(moves):
    return lambda seat, prompt, rng: moves[seat]


@pytest.mark.parametrize("joint", ["aligned", "cross"])
def test_rock_paper_scissors_rewards_and_outcome(joint):
    task = MatrixGame("game", samples=3, joint=joint)
    episode = play(task, match_for(task), fixed({"row": "paper", "col": "Rock."}))
    score = task.score(episode)
    nodes = episode.roots[0].nodes
    assert len(nodes) == (9 if joint == "cross" else 3)
    assert all(score.rewards[node.id] == {"row": 1.0, "col": -1.0} for node in nodes)
    (outcome,) = score.outcomes
    assert (outcome.relation, outcome.wins, outcome.draws, outcome.losses, outcome.n, outcome.total) == (
        "contest",
        3,
        0,
        0,
        3,
        3.0,
    )
    assert (
        score.metrics["row/paper"] == 1.0
        and score.metrics["row/invalid"] == 0.0
        and score.metrics["joint_return"] == 0.0
    )


def test_both_seats_read_the_same_words_and_the_prompt_names_every_move():
    for name in FORMS:
        task = MatrixGame("game", game=name)
        (turn,) = task.open(match_for(task))
        assert turn.prompts["row"] == turn.prompts["col"]
        assert all(move in turn.prompts["row"][0].content for move in task.form.moves) or name.startswith("blotto")
        assert len(turn.prompts["row"][0].content) < 300


def test_cross_mode_counts_only_independent_plays():
    task = MatrixGame("game", samples=6, joint="cross")
    episode = play(task, match_for(task), lambda seat, prompt, rng: RPS[rng.integers(3)], seed=4)
    score = task.score(episode)
    aligned = [
        score.rewards[node.id]["row"] for node in episode.roots[0].nodes if node.picks["row"] == node.picks["col"]
    ]
    (outcome,) = score.outcomes
    assert outcome.n == 6 == outcome.wins + outcome.draws + outcome.losses
    assert outcome.wins == sum(r > 0 for r in aligned) and outcome.total == sum(aligned)


def test_the_smaller_version_is_the_row_whatever_its_seat():
    task = MatrixGame("game", samples=2, joint="aligned")
    a, b = Version("a", 0), Version("b", 0)
    one, two = (
        task.score(play(task, match_for(task, versions=seats), fixed(moves))).outcomes
        for seats, moves in (
            ({"row": a, "col": b}, {"row": "paper", "col": "rock"}),
            ({"row": b, "col": a}, {"row": "rock", "col": "paper"}),
        )
    )
    assert one == two and (one[0].row, one[0].wins, one[0].total) == (a, 2, 2.0)


def test_a_contest_against_oneself_is_no_evidence():
    task = MatrixGame("game")
    one = Version("same", 3)
    episode = play(task, match_for(task, versions={"row": one, "col": one}), fixed({"row": "paper", "col": "rock"}))
    assert task.score(episode).outcomes == ()


def test_an_invalid_reply_loses():
    task = MatrixGame("game", samples=2, joint="aligned")
    episode = play(task, match_for(task), fixed({"row": "I would say rock", "col": "scissors"}))
    score = task.score(episode)
    assert all(score.rewards[node.id] == {"row": -1.0, "col": 1.0} for node in episode.roots[0].nodes)
    assert score.outcomes[0].losses == 2 and score.metrics["row/invalid"] == 1.0 and "row/rock" not in score.metrics


def test_an_invalid_reply_is_asked_again_and_forfeits_only_when_it_stays_invalid():
    task = MatrixGame("game", samples=2, joint="aligned", invalid="resample", retries=1)
    answers = {"row": "hm", "col": "scissors"}

    def speak(seat, prompt, rng):
        return "rock" if "not a move" in prompt else answers[seat]

    episode = play(task, match_for(task), speak)
    score = task.score(episode)
    for node in episode.roots[0].nodes:
        assert score.rewards[node.id] == {"row": 0.0, "col": 0.0}
        (again,) = node.next
        assert set(again.turn.prompts) == {"row"} and len(again.nodes) == 1
        assert score.rewards[again.nodes[0].id] == {"row": 1.0, "col": -1.0}
    assert score.outcomes[0].wins == 2 and score.metrics["row/invalid"] == 1.0

    stubborn = play(task, match_for(task), fixed(answers))
    assert task.score(stubborn).outcomes[0].losses == 2
    assert all(not again.nodes[0].next for node in stubborn.roots[0].nodes for again in node.next)


def test_stag_hunt_is_cooperation_and_the_mix_is_applied():
    task = MatrixGame("game", game="stag-hunt", samples=2)
    episode = play(task, match_for(task, rewards=RewardMix(0, 1, 0)), fixed({"row": "stag", "col": "hare"}))
    score = task.score(episode)
    assert all(reward == {"row": 1.5, "col": 1.5} for reward in score.rewards.values())
    (outcome,) = score.outcomes
    assert (outcome.relation, outcome.n, outcome.total, outcome.total_sq) == ("cooperation", 2, 6.0, 18.0)


def test_iterated_dilemma_tells_the_history_and_sums_the_rounds():
    task = MatrixGame("game", game="prisoners-dilemma", rounds=3, samples=2, branch=2, joint="aligned")

    def tit_for_tat(seat, prompt, rng):
        if seat == "col":
            return "defect"
        return "defect" if "other defect" in prompt else "cooperate"

    episode = play(task, match_for(task), tit_for_tat)
    score = task.score(episode)
    decisions = list(episode.decisions())
    assert len(decisions) == 1 + 2 + 4
    last = decisions[-1][1].turn.prompts["row"][0].content
    assert "Round 3 of 3. Round 1: you cooperate, other defect. Round 2: you defect, other defect." in last
    # Round 1: 0 + 5; rounds 2 and 3: 1 + 1 each → joint return 9.
    assert score.outcomes[0].n == 2 and score.outcomes[0].total == 18.0
    assert score.metrics["row/payoff"] == 2.0 and score.metrics["col/payoff"] == 7.0


# ------------------------------------------------------------------------------------------------ Kuhn poker
def sets_of(prompt):
    card = prompt.split("Your card is ")[1][0]
    if "You checked and the opponent bet" in prompt:
        return card + "cb"
    return card + ("" if "You act first" in prompt else "c" if "opponent checked" in prompt else "b")


def poker_player(policies):
    def speak(seat, prompt, rng):
        infoset = sets_of(prompt)
        words = ("fold", "call") if infoset.endswith("b") else ("check", "bet")
        return words[int(rng.random() < policies[seat][infoset])]

    return speak


def test_kuhn_plays_every_deal_both_ways_and_its_sample_mean_is_the_exact_value():
    task = KuhnPoker("poker", samples=60, branch=1)
    policies = {"row": kuhn_equilibrium(0.2), "col": {s: 0.5 for s in (*FIRST_SETS, *SECOND_SETS)}}
    episode = play(task, match_for(task), poker_player(policies), seed=2)
    assert len(episode.roots) == 12
    score = task.score(episode)
    exact = (kuhn_value(policies["row"], policies["col"]) - kuhn_value(policies["col"], policies["row"])) / 2
    # 720 hands of standard deviation ≤ 2: 4.5 standard errors are 0.34; false alarm about 1 in 150,000.
    assert score.metrics["row/payoff"] == pytest.approx(exact, abs=0.34)
    (outcome,) = score.outcomes
    assert outcome.n == 360 == outcome.wins + outcome.draws + outcome.losses
    assert outcome.total / (2 * outcome.n) == pytest.approx(score.metrics["row/payoff"])


def test_kuhn_policies_are_recovered_from_the_replies():
    task = KuhnPoker("poker", samples=2, branch=2)
    policies = {"row": kuhn_equilibrium(0.0), "col": {s: 1.0 for s in (*FIRST_SETS, *SECOND_SETS)}}
    actions = task.actions(play(task, match_for(task), poker_player(policies)))
    assert all(bold == n for bold, n in actions["col"].values())
    for infoset, (bold, n) in actions["row"].items():
        if policies["row"][infoset] in (0.0, 1.0):
            assert bold == n * policies["row"][infoset]


def test_kuhn_rewards_sit_at_the_end_of_the_hand_and_sum_to_zero():
    task = KuhnPoker("poker", samples=2, branch=2)
    episode = play(
        task,
        match_for(task),
        poker_player({seat: {s: 0.5 for s in (*FIRST_SETS, *SECOND_SETS)} for seat in ("row", "col")}),
    )
    score = task.score(episode)
    for _, decision in episode.decisions():
        for node in decision.nodes:
            reward = score.rewards[node.id]
            assert reward["row"] == -reward["col"]
            assert (reward["row"] != 0) == (not node.next)


def test_kuhn_forfeit_costs_more_than_a_fold_and_a_resample_asks_again():
    mute = {"row": lambda infoset: "hm", "col": lambda infoset: "check"}

    def speak(seat, prompt, rng):
        return mute[seat](sets_of(prompt))

    score_of = lambda task: task.score(play(task, match_for(task), speak))  # noqa: E731
    score = score_of(KuhnPoker("poker", samples=1, branch=1))
    assert {reward["row"] for reward in score.rewards.values()} <= {-2.0, 0.0} and score.metrics["row/invalid"] == 1.0
    task = KuhnPoker("poker", samples=1, branch=1, invalid="resample", retries=2)
    episode = play(task, match_for(task), speak)
    asked = [decision for _, decision in episode.decisions() if "row" in decision.turn.prompts]
    assert len(asked) == 3 * 12
    assert sum("not a move" in decision.turn.prompts["row"][0].content for decision in asked) == 2 * 12


def test_kuhn_deals_are_drawn_from_the_match_seed():
    task = KuhnPoker("poker", deals=2)
    tags = [tuple(turn.tag for turn in task.open(match_for(task, seed=seed))) for seed in range(12)]
    assert tags[0] == tuple(turn.tag for turn in task.open(match_for(task, seed=0)))
    assert len(set(tags)) > 3 and all(len(t) == 4 for t in tags)


@pytest.mark.parametrize(
    ("kind", "settings", "problem"),
    [
        ("matrix_game", {"samples": 0}, "samples: must be at least 1, found 0"),
        ("matrix_game", {"invalid": "guess"}, "invalid: 'guess' is not one of loss, resample"),
        ("matrix_game", {"rounds": 0}, "rounds: must be at least 1, found 0"),
        ("matrix_game", {"joint": "crossed"}, "joint: 'crossed' is not one of aligned, cross; did you mean 'cross'?"),
        ("matrix_game", {"temperature": -1}, "temperature: must be at least 0, found -1"),
        ("kuhn_poker", {"deals": 7}, "deals: expected a whole number from 1 to 6, found 7"),
        ("kuhn_poker", {"branch": 0}, "branch: must be at least 1, found 0"),
        ("kuhn_poker", {"retries": -1}, "retries: must be at least 0, found -1"),
        ("kuhn_poker", {"max_tokens": 0}, "max_tokens: must be at least 1, found 0"),
    ],
)
def test_bad_settings_name_the_field_and_the_remedy(kind, settings, problem):
    (found,) = check_task(kind, settings)
    assert problem in found and check_task(kind, {}) == []


def test_a_game_nobody_knows_names_the_nearest():
    (found,) = MatrixGame("game", game="rock-paper-scisors").check()
    assert "game" in found and "did you mean 'rock-paper-scissors'" in found
    assert MatrixGame("game").check() == [] == KuhnPoker("poker").check()


def test_demonstrations_show_the_format_and_no_preference():
    task = MatrixGame("game", game="prisoners-dilemma", rounds=3)
    shown = task.demonstrations(40, 1, SEATS)
    assert shown == task.demonstrations(40, 1, SEATS) != task.demonstrations(40, 2, SEATS)
    assert sum(move == "defect" for _, move in shown) == 20
    assert {prompt[0].content.count("Round") for prompt, _ in shown} == {1, 2, 3}
    poker = KuhnPoker("poker").demonstrations(48, 0, SEATS)
    assert len({prompt for prompt, _ in poker}) == 12
    for prompt, move in poker:
        assert move in (("fold", "call") if sets_of(prompt[0].content).endswith("b") else ("check", "bet"))


def test_the_same_seed_gives_the_same_score():
    task = KuhnPoker("poker", deals=3)
    policies = {seat: {s: 0.5 for s in (*FIRST_SETS, *SECOND_SETS)} for seat in ("row", "col")}
    first, second = (task.score(play(task, match_for(task, seed=5), poker_player(policies), seed=9)) for _ in range(2))
    assert first == second and np.isfinite(list(first.metrics.values())).all()
