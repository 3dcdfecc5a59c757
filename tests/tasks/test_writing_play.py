"""The writing task: arrangements, rewards per seat, metrics, outcomes."""

import pytest

from league.errors import UserError
from league.types import Problem, RewardMix, Version
from tasks import make_task
from tasks.writing.hardened import hardened_reward
from tasks.writing.prompts import SPLIT_LINE
from tasks.writing.rewards import WRITING_KINDS, own_reward, paper_reward
from tasks.writing.task import WRITERS, Writing
from tests.helpers.games_player import match_for, play

SOURCE = (
    "Schedule a callback to run after the given delay in seconds. Callbacks with equal times run in the order "
    "they were scheduled. "
    "The handle that is returned can be used to cancel the call as long as it has not started."
)
SHORT = "Runs a callback after a delay; the returned handle can cancel it."
LONG = (
    "A callback is scheduled for some seconds later, and callbacks with the same time run in the order in "
    "which they came. In addition, "
    "the caller gets a handle. Until the call has started, that handle can cancel it."
)
PROBLEM = Problem("docstrings", "train", 0, SOURCE, "Call later.")
PAPER = paper_reward(WRITING_KINDS["tldr"], SHORT, LONG).total


def writers(first=SHORT, second=LONG):
    return lambda seat, prompt, rng: first if seat == WRITERS[0] else second


def test_parallel_writers_see_only_the_source_and_share_the_reward():
    task = Writing("w", reward="paper", samples=3)
    episode = play(task, match_for(task, problems=(PROBLEM,)), writers())
    (root,) = episode.roots
    assert len(root.nodes) == 3 and not any(node.next for node in root.nodes)
    assert all(SOURCE in prompt[0].content and SHORT not in prompt[0].content for prompt in root.turn.prompts.values())
    score = task.score(episode)
    assert all(score.rewards[node.id] == pytest.approx(dict.fromkeys(WRITERS, PAPER)) for node in root.nodes)
    (outcome,) = score.outcomes
    assert (outcome.relation, outcome.domain, outcome.n, outcome.total) == (
        "cooperation",
        "docstrings",
        3,
        pytest.approx(3 * PAPER),
    )
    assert score.metrics["return"] == score.metrics["paper_return"] == pytest.approx(PAPER / 3)


def test_the_hardened_reward_is_the_default():
    task = Writing("w", samples=2)
    score = task.score(play(task, match_for(task, problems=(PROBLEM,)), writers()))
    expected = hardened_reward(WRITING_KINDS["tldr"], SOURCE, SHORT, LONG)[0]
    assert score.metrics["return"] == pytest.approx(expected / 3) and 1.8 < expected < PAPER + 1e-9


def test_cross_scores_all_pairings_but_counts_independent_ones():
    task = Writing("w", reward="paper", samples=3, joint="cross")
    episode = play(task, match_for(task, problems=(PROBLEM, PROBLEM)), writers())
    score = task.score(episode)
    assert (
        [len(root.nodes) for root in episode.roots] == [9, 9] and len(score.rewards) == 18 and score.outcomes[0].n == 6
    )


def test_sequential_second_writer_sees_the_first_text():
    task = Writing("w", arrangement="sequential", reward="paper", samples=2, branch=2)
    episode = play(task, match_for(task, problems=(PROBLEM,)), writers())
    (root,) = episode.roots
    assert set(root.turn.prompts) == {WRITERS[0]}
    for node in root.nodes:
        (later,) = node.next
        assert (
            set(later.turn.prompts) == {WRITERS[1]}
            and SHORT in later.turn.prompts[WRITERS[1]][0].content
            and len(later.nodes) == 2
        )
    score = task.score(episode)
    assert score.rewards[root.nodes[0].id] == dict.fromkeys(WRITERS, 0.0)
    assert score.rewards[root.nodes[0].next[0].nodes[0].id] == pytest.approx(dict.fromkeys(WRITERS, PAPER))
    assert score.outcomes[0].n == 2


def test_discussion_shows_both_texts_to_both_and_counts_the_second_ones():
    task = Writing("w", arrangement="discussion", reward="paper", samples=2)

    def speak(seat, prompt, rng):
        if SHORT in prompt and "draft two" in prompt:
            return SHORT if seat == WRITERS[0] else LONG
        return SHORT if seat == WRITERS[0] else "draft two"

    episode = play(task, match_for(task, problems=(PROBLEM,)), speak)
    score = task.score(episode)
    leaves = [later.nodes[0] for node in episode.roots[0].nodes for later in node.next]
    assert len(leaves) == 2 and all(score.rewards[leaf.id][WRITERS[0]] == pytest.approx(PAPER) for leaf in leaves)


@pytest.mark.parametrize(
    ("reply", "earned"),
    [
        (f"{SHORT}\n{SPLIT_LINE}\n{LONG}", PAPER),
        (f"{SHORT}\n{LONG}", 0.0),
        (f"{SHORT}\n{SPLIT_LINE}\n{LONG}\n{SPLIT_LINE}", 0.0),
    ],
)
def test_a_single_writer_parts_its_reply_or_earns_nothing(reply, earned):
    task = Writing("w", arrangement="single", reward="paper", samples=2)
    assert task.seats() == WRITERS[:1]
    episode = play(task, match_for(task, problems=(PROBLEM,)), lambda seat, prompt, rng: reply)
    score = task.score(episode)
    assert score.rewards[0] == pytest.approx({WRITERS[0]: earned})
    assert score.metrics["unsplit"] == float(earned == 0.0) and score.outcomes == ()
    assert episode.roots[0].turn.sampling[WRITERS[0]].max_tokens == 2 * Writing("w").max_tokens


def test_independent_writers_earn_by_their_own_text_but_the_payoff_is_joint():
    task = Writing("w", reward="paper", credit="own", samples=2)
    episode = play(task, match_for(task, problems=(PROBLEM,)), writers())
    score = task.score(episode)
    expected = {
        seat: own_reward(WRITING_KINDS["tldr"], i, text, SOURCE)
        for i, (seat, text) in enumerate(zip(WRITERS, (SHORT, LONG), strict=True))
    }
    assert score.rewards[0] == pytest.approx(expected) and expected[WRITERS[0]] != expected[WRITERS[1]]
    assert score.outcomes[0].total == pytest.approx(2 * PAPER)
    hardened = Writing("w", credit="own", samples=2)
    good = hardened.score(play(hardened, match_for(hardened, problems=(PROBLEM,)), writers())).rewards[0]
    junk = hardened.score(
        play(hardened, match_for(hardened, problems=(PROBLEM,)), writers(second="green ideas sleep " * 12))
    ).rewards[0]
    assert good[WRITERS[1]] > 1.0 and junk[WRITERS[1]] == 0.0 and junk[WRITERS[0]] == good[WRITERS[0]]


def test_the_reward_mix_is_applied():
    task = Writing("w", reward="paper", credit="own", samples=2)
    score = task.score(play(task, match_for(task, problems=(PROBLEM,), rewards=RewardMix(0, 1, 0)), writers()))
    assert score.rewards[0][WRITERS[0]] == score.rewards[0][WRITERS[1]]


def test_self_play_is_a_payoff_too():
    task = Writing("w", samples=2)
    one = Version("same", 1)
    score = task.score(
        play(task, match_for(task, versions=dict.fromkeys(WRITERS, one), problems=(PROBLEM,)), writers())
    )
    assert score.outcomes[0].row == score.outcomes[0].col == one


def test_a_fluency_scorer_can_only_lower_the_reward():
    task = Writing("w", samples=2)
    match = match_for(task, problems=(PROBLEM,))
    episode = play(task, match, writers())
    assert task.with_fluency(lambda texts: [0.25 for _ in texts]).score(episode).metrics["quality"] == 0.25
    pleased = task.with_fluency(lambda texts: [1.0 for _ in texts]).score(episode)
    assert pleased.rewards == task.score(episode).rewards
    assert (pleased.metrics["base_judged"], task.score(episode).metrics["base_judged"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"kind": "tdlr"}, "did you mean 'tldr'"),
        ({"source": "docstring"}, "did you mean 'docstrings'"),
        ({"arrangement": "debate"}, "arrangement"),
        ({"reward": "papers"}, "did you mean 'paper'"),
        ({"credit": "mine"}, "credit"),
        ({"joint": "crossed"}, "did you mean 'cross'"),
        ({"samples": 0}, "samples: must be at least 1"),
        ({"max_tokens": 4}, "max_tokens"),
        ({"temperature": 0.0}, "temperature: must be above 0, found 0.0"),
        ({"top_p": 0.0}, "top_p: must lie in (0, 1]"),
        ({"arrangement": "single", "credit": "own"}, "needs two writers"),
        ({"transition": "passed"}, "needs turns of at least 2"),
        ({"transition": "told", "turns": 2}, "transition"),
        ({"turns": 0}, "turns"),
        ({"turns": 2, "arrangement": "discussion"}, "second turn built in"),
    ],
)
def test_bad_settings_name_the_field(settings, problem):
    with pytest.raises(UserError) as refused:
        make_task("writing", "w", settings, {})
    (found,) = str(refused.value).splitlines()
    assert problem in found and make_task("writing", "w", {}, {}) == Writing("w")


def test_every_prompt_of_both_kinds_carries_the_source():
    from tasks.writing.prompts import PROMPTS

    for prompts in PROMPTS.values():
        made = [prompts.first("SRC"), prompts.second("SRC"), prompts.both("SRC"), prompts.after("SRC", "ONE")]
        made += [prompts.first_again("SRC", "ONE", "TWO"), prompts.second_again("SRC", "ONE", "TWO")]
        assert all("SRC" in text for text in made) and len(set(made)) == 6
        assert "ONE" in made[3] and all("ONE" in text and "TWO" in text for text in made[4:]) and SPLIT_LINE in made[2]


# ------------------------------------------------------------------------------------------------ several turns
WORSE = "Runs it."


def improving(seat, prompt, rng):
    """A first text that is too short, better ones afterwards."""
    if "Review the two texts" in prompt:
        return "Name the handle."
    good = SHORT if seat == WRITERS[0] else LONG
    return good if "Write it again" in prompt else WORSE


def prompts_of(decision, seat):
    return [message.content for message in decision.turn.prompts[seat]]


@pytest.mark.parametrize(
    ("transition", "heard"),
    [
        ("plain", "Write it again"),
        ("passed", "Not all checks passed."),
        ("level_passed", "structure: failed"),
        ("level_feedback", "Write two texts of 8 to 256 words each."),
        ("expert_edits", "A reviewer says:\nName the handle."),
    ],
)
def test_between_turns_each_writer_keeps_its_history_and_hears_the_transition(transition, heard):
    task = Writing("w", reward="paper", samples=2, branch=2, turns=2, transition=transition)
    episode = play(task, match_for(task, problems=(PROBLEM,)), improving)
    assert task.seats() == (*WRITERS, "editor") if transition == "expert_edits" else WRITERS
    last = [decision for path, decision in episode.decisions() if path and decision.turn.tag == "write"]
    assert len(last) == 2 and all(len(decision.nodes) == 2 for decision in last)
    first, told = prompts_of(last[0], WRITERS[0])[0], prompts_of(last[0], WRITERS[1])
    assert SOURCE in first and told[1] == WORSE and heard in told[2] and SHORT not in " ".join(told)
    score = task.score(episode)
    assert score.rewards[episode.roots[0].nodes[0].id] == dict.fromkeys(WRITERS, 0.0)
    assert score.rewards[last[0].nodes[0].id] == pytest.approx(dict.fromkeys(WRITERS, PAPER))
    assert (score.metrics["return/turn-1"], score.metrics["return/turn-2"]) == (0.0, pytest.approx(PAPER / 3))
    assert score.outcomes[0].n == 2 and score.metrics["return"] == pytest.approx(PAPER / 3)


def test_every_turn_is_rewarded_and_the_discount_folds_them():
    from league.learning.advantages import node_return

    task = Writing("w", reward="paper", samples=1, turns=3)
    episode = play(task, match_for(task, problems=(PROBLEM,)), writers())
    score = task.score(episode)
    root = episode.roots[0].nodes[0]
    assert node_return(root, WRITERS[0], score, 0.5) == pytest.approx(PAPER * 1.75)
    assert node_return(root, WRITERS[0], score, 0.0) == pytest.approx(PAPER)


def test_early_stop_is_off_unless_asked_for():
    perfect = (
        "The handle cancels a callback that was scheduled for later on the loop.",
        "First, a callback is put on the loop so that it runs after some seconds have gone by. Next, the "
        "caller receives a handle for it. "
        "However, this handle cancels only what has not been started yet.",
    )
    task = Writing("w", reward="paper", samples=1, turns=2)
    episode = play(task, match_for(task, problems=(PROBLEM,)), writers(*perfect))
    assert task.score(episode).metrics["return"] > 0.8 and len(list(episode.decisions())) == 2
    stopped = Writing("w", reward="paper", samples=1, turns=2, early_stop=True)
    assert len(list(play(stopped, match_for(stopped, problems=(PROBLEM,)), writers(*perfect)).decisions())) == 1
    assert len(
        list(play(stopped, match_for(stopped, problems=(PROBLEM,)), writers()).decisions())
    ) == 2 - perfect_already(stopped)


def perfect_already(task):
    from tasks.writing.judging import checks, judge_pair

    return int(
        all(
            check.passed
            for check in checks(
                WRITING_KINDS["tldr"], judge_pair(WRITING_KINDS["tldr"], "paper", SOURCE, (SHORT, LONG), None)
            )
        )
    )


def test_sequential_turns_show_the_partners_newest_text():
    task = Writing("w", arrangement="sequential", reward="paper", samples=1, turns=2)
    episode = play(task, match_for(task, problems=(PROBLEM,)), improving)
    tags = [decision.turn.tag for _, decision in episode.decisions()]
    assert tags == ["draft", "write", "draft", "write"]
    *_, last = episode.decisions()
    assert SHORT in prompts_of(last[1], WRITERS[1])[-1]


def test_feedback_names_what_is_wrong_and_never_the_human_summary():
    from tasks.writing.judging import checks, judge_pair

    found = {
        check.name: check
        for check in checks(
            WRITING_KINDS["tldr"],
            judge_pair(WRITING_KINDS["tldr"], "hardened", SOURCE, (SHORT, SHORT + " " + SHORT), None),
        )
    }
    assert found["structure"].passed and not found["vocabulary"].passed and not found["quality"].passed
    assert not any(PROBLEM.answer in check.detail for check in found.values())
    assert not any(
        check.passed
        for check in checks(WRITING_KINDS["tldr"], judge_pair(WRITING_KINDS["tldr"], "hardened", SOURCE, None, None))
    )
