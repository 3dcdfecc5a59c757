"""Games of OpenSpiel as tasks, on the real library: what is refused, what a reply means, chance, groups, scores."""

import pytest

from league.errors import UserError
from league.types import Reply, RewardMix, Version
from tasks import make_task
from tests.helpers.games_player import match_for, play

pyspiel = pytest.importorskip("pyspiel", reason="open-spiel is not installed")

from tasks.openspiel.games import load_game, outcome  # noqa: E402
from tasks.openspiel.scripts import uniform_mover  # noqa: E402
from tasks.openspiel.task import OpenSpielGame  # noqa: E402
from tasks.openspiel.text import action_grammar, labels, listed_actions, parse_action  # noqa: E402


def game(name: str, **settings: object) -> OpenSpielGame:
    made = make_task("openspiel", "game", {"game": name, "constrained": False, **settings}, {})
    assert isinstance(made, OpenSpielGame)
    return made


def first_listed(seat, prompt, rng):
    return listed_actions(prompt)[0]


def any_listed(seat, prompt, rng):
    names = listed_actions(prompt)
    return names[int(rng.integers(len(names)))]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kuhn_pokr", "no game 'kuhn_pokr'; did you mean 'kuhn_poker'"),
        ("kuhn_poker(players=3)", "it has 3 players"),
        ("kuhn_poker(suits=3)", "cannot load"),
        ("blackjack", "it has 1 players"),
        ("efg_game", "cannot load"),
        ("mfg_crowd_modelling", "players"),
        ("", "no game ''"),
    ],
)
def test_what_cannot_be_played_is_refused_by_name(name, words):
    with pytest.raises(UserError, match="tasks.game.settings.game: ") as found:
        game(name)
    assert words in str(found.value)


def test_games_with_too_many_actions_are_refused():
    with pytest.raises(UserError, match="legal actions, at most 128"):
        game("go(board_size=13)")


def test_moves_at_once_become_turns_that_hide_the_first_choice():
    rules = game("matrix_rps", deals=1, samples=1)
    seen = []

    def speak(seat, prompt, rng):
        seen.append(prompt)
        return "Paper" if seat == "row" else "rock."

    score = rules.score(play(rules, match_for(rules), speak))
    assert score.metrics["row/payoff"] == 1.0 and score.outcomes[0].wins == 1
    known = [prompt.split("What you know:")[1].split("Legal actions")[0] for prompt in seen]
    assert len(known) == 4 and not any("Paper" in text for text in known)


NAMES = {0: "Pass", 1: "Bet", 2: "x(0,1)", 3: "bxc3", 4: "Bxc3", 5: "x(0,10)"}


@pytest.mark.parametrize(
    ("reply", "action"),
    [
        ("Pass", 0),
        (" pass. ", 0),
        ("**BET**", 1),
        ("Action: Bet", 1),
        ("Answer: 'bet'\nbecause", 1),
        ("x(0,1)", 2),
        ("x 0 1", 2),
        ("(x(0, 10))", 5),
        ("bxc3", 3),
        ("Bxc3!", 4),
        ("BXC3", None),
        ("I pass", None),
        ("Pass or Bet", None),
        ("Reason: Bet", None),
        ("", None),
        ("...", None),
        ("\n", None),
        ("x" * 100_000, None),
    ],
)
def test_a_reply_is_one_legal_action_or_none(reply, action):
    assert parse_action(reply, NAMES) == action


def test_every_legal_action_of_many_positions_is_understood_and_fits_the_grammar():
    for name in ("leduc_poker", "tic_tac_toe", "connect_four", "liars_dice", "breakthrough(rows=6,columns=6)", "chess"):
        rules = game(name, deals=1, samples=2, moves=12)
        for _, decision in play(rules, match_for(rules), any_listed).decisions():
            (prompt,) = decision.turn.prompts.values()
            named = dict(enumerate(listed_actions(prompt[0].content)))
            assert len(named) == len(set(named.values())) > 0
            assert all(parse_action(text, named) == place for place, text in named.items())
    llguidance = pytest.importorskip("llguidance")
    grammar = llguidance.LLMatcher.grammar_from_lark(action_grammar(['x"0', "a\\b", "é 1"]))
    assert llguidance.LLMatcher.validate_grammar(grammar, None) == ""


def test_chance_is_the_matchs_and_alike_for_both_positions_and_all_siblings():
    rules = game("leduc_poker", deals=3, samples=4, group="first", branch=2)
    one, again, other = (play(rules, match_for(rules, seed=seed), any_listed, seed=9) for seed in (1, 1, 2))
    cards = [
        [
            root.turn.prompts[seat][0].content.split("Private: ")[1][0]
            for root in each.roots
            for seat in root.turn.prompts
        ]
        for each in (one, again, other)
    ]
    assert cards[0] == cards[1] != cards[2] and cards[0][::2] == cards[0][1::2] and len(cards[0]) == 6
    for place, root in enumerate(one.roots):
        public = {
            text.split("Public: ")[1][0]
            for path, decision in one.decisions()
            if path and path[0][0] is root
            for messages in decision.turn.prompts.values()
            for text in [messages[0].content]
            if "Public: " in text
        }
        assert len(public) == 1, place


def test_outcomes_are_drawn_by_the_inverse_distribution():
    chances = [(7, 0.25), (8, 0.0), (9, 0.75)]
    assert [outcome(chances, at) for at in (0.0, 0.2499, 0.25, 0.999999, 1 - 2**-53)] == [7, 7, 9, 9, 9]


def test_kuhn_by_hand():
    """Always betting against always passing: the bet is never called, so each hand wins the ante."""
    rules = game("kuhn_poker", deals=4, samples=3, group="first")
    said = {"row": "Bet", "col": "Pass"}
    score = rules.score(play(rules, match_for(rules), lambda seat, prompt, rng: said[seat]))
    (result,) = score.outcomes
    assert (result.wins, result.draws, result.losses, result.n) == (12, 0, 0, 12)
    assert score.metrics["row/payoff"] == 1.0 == -score.metrics["col/payoff"] and score.metrics["row/invalid"] == 0.0
    assert {reward["row"] for reward in score.rewards.values()} == {0.0, 0.5}  # one chip of at most two
    assert all(reward["row"] == -reward["col"] for reward in score.rewards.values())


def test_no_legal_action_forfeits_the_most_or_is_asked_for_again():
    rules = game("kuhn_poker", deals=1, samples=1, group="first")

    def hm(seat, prompt, rng):
        return "hm" if seat == "row" else "Pass"

    score = rules.score(play(rules, match_for(rules), hm))
    assert score.metrics["row/payoff"] == -2.0 and score.metrics["row/invalid"] == 1.0
    patient = game("kuhn_poker", deals=1, samples=1, group="first", invalid="resample", retries=2)
    episode = play(patient, match_for(patient), hm)
    asked = [d.turn.prompts["row"][0].content for _, d in episode.decisions() if "row" in d.turn.prompts]
    assert sum("not a legal action" in text for text in asked) == 4 and len(asked) == 6
    assert patient.score(episode).metrics["row/payoff"] == -2.0
    mended = play(patient, match_for(patient), lambda s, p, r: "Pass" if s == "col" or "not a legal" in p else "?")
    assert -1 <= patient.score(mended).metrics["row/payoff"] <= 1


def test_a_forfeit_in_a_game_of_general_sum_gives_the_other_the_middle():
    rules = game("matrix_pd", deals=1, samples=1)  # utilities 0 to 10 in OpenSpiel
    score = rules.score(play(rules, match_for(rules), lambda s, p, r: "?" if s == "row" else "Defect"))
    assert rules.relation == "cooperation" and score.outcomes[0].relation == "cooperation"
    middle = (load_game("matrix_pd").min_utility() + load_game("matrix_pd").max_utility()) / 2
    assert score.metrics["row/payoff"] == load_game("matrix_pd").min_utility() and score.metrics["col/payoff"] == middle
    assert game("matrix_pd", counts_as="contest").relation == "contest"


def test_a_game_that_does_not_end_is_a_draw():
    rules = game("chess", deals=1, samples=2, moves=6)
    score = rules.score(play(rules, match_for(rules), any_listed))
    assert score.metrics["broken_off"] == 1.0 and score.metrics["moves"] == 6
    assert score.outcomes[0].draws == score.outcomes[0].n


def test_one_decision_of_each_root_is_the_group_and_evaluation_plays_independent_games():
    rules = game("tic_tac_toe", deals=6, samples=4)
    episode = play(rules, match_for(rules, seed=3), any_listed)
    depths = []
    for root in episode.roots:
        sizes = [
            (len(path), d.turn.samples) for path, d in episode.decisions() if d is root or path and path[0][0] is root
        ]
        groups = {depth for depth, samples in sizes if samples == 4}
        assert len(groups) <= 1 and {samples for _, samples in sizes} <= {1, 4}
        depths += groups
    assert len(set(depths)) > 2
    measured = play(rules, match_for(rules, purpose="evaluate"), any_listed)
    assert all(len(root.nodes) == 4 for root in measured.roots)
    assert all(d.turn.samples == 1 for path, d in measured.decisions() if path)
    assert rules.score(measured).outcomes[0].n == 24


def test_the_smaller_version_is_the_row_and_the_mix_is_applied():
    rules = game("kuhn_poker", deals=2, samples=2, group="first")
    a, b = Version("a", 0), Version("b", 0)
    one, two = (
        rules.score(play(rules, match_for(rules, versions=seats), lambda s, p, r, said=said: said[s])).outcomes
        for seats, said in (
            ({"row": a, "col": b}, {"row": "Bet", "col": "Pass"}),
            ({"row": b, "col": a}, {"row": "Pass", "col": "Bet"}),
        )
    )
    assert one == two and (one[0].row, one[0].wins) == (a, 4)
    mixed = play(rules, match_for(rules, rewards=RewardMix(0, 0, 1)), lambda s, p, r: {"row": "Bet", "col": "Pass"}[s])
    assert {reward["row"] for reward in rules.score(mixed).rewards.values()} == {0.0, 1.0}
    assert rules.score(play(rules, match_for(rules, versions={"row": a, "col": a}), any_listed)).outcomes == ()


def test_a_state_is_what_its_replies_say_however_it_is_reached():
    """The same path after everything remembered was pushed out, and in another order."""
    from tasks.openspiel.task import standing

    rules = game("connect_four", deals=1, samples=2)
    episode = play(rules, match_for(rules), any_listed)
    first = rules.score(episode)
    standing.cache_clear()
    assert rules.score(episode) == first


def test_demonstrations_show_legal_actions():
    rules = game("leduc_poker")
    shown = rules.demonstrations(30, 1, ("row", "col"))
    assert shown == rules.demonstrations(30, 1, ("row", "col")) != rules.demonstrations(30, 2, ("row", "col"))
    assert len(shown) == 30 and all(move in listed_actions(prompt[0].content) for prompt, move in shown)
    assert rules.demonstrations(3, 1, ("judge",)) == []


def test_a_prompt_says_nothing_that_the_player_does_not_know():
    """Kuhn: what is read depends on the own card and the actions only, so 12 information sets have 12 prompts."""
    from tasks.openspiel.exact import information_sets

    sets = information_sets(game("kuhn_poker"))
    assert len(sets) == 12 == len({each.prompt for each in sets.values()})


def test_the_scripted_player_reads_its_moves():
    state = load_game("kuhn_poker").new_initial_state().child(0).child(1)
    from tasks.openspiel.text import prompt

    messages = game("kuhn_poker").read(state, again=False)
    assert prompt(load_game("kuhn_poker"), state, "", False) == messages[0].content
    assert uniform_mover.chances(messages) == {"Pass": 0.5, "Bet": 0.5} and set(labels(state)) == {0, 1}
    assert isinstance(Reply(uniform_mover(messages, __import__("numpy").random.default_rng(0)), "end").text, str)
