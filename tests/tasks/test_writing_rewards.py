"""The paper's writing reward by hand-computed values at every threshold.

And the word lists it rests on.
"""

import pytest

from tasks.writing.rewards import (
    ARXIV,
    TLDR,
    TextLevels,
    own_reward,
    paper_reward,
    substring_categories,
    transition_share,
)
from tasks.writing.words import STOPWORDS, TRANSITION_WORDS, content_words, jaccard, words


def text(count: int, distinct: int, characters: int, letter: str = "x") -> str:
    """`count` words, `distinct` of them different, `characters` long in all.

    No transition word can be a substring of it.
    """
    names = [f"{letter}{'bcdfgjkpqvz'[i // 11]}{'bcdfgjkpqvz'[i % 11]}" for i in range(distinct)]
    listed = [names[i % distinct] for i in range(count)]
    plain = " ".join(listed)
    assert characters >= len(plain)
    longest = listed[-1] + "." * (characters - len(plain))
    made = " ".join([*listed[:-1], longest])
    assert len(made) == characters and len(made.split()) == count and not substring_categories(made)
    return made


def test_word_lists_are_the_references():
    assert len(TRANSITION_WORDS) == 12 and len(STOPWORDS) == 106
    assert {name: len(phrases) for name, phrases in TRANSITION_WORDS.items()} == {
        "elaboration": 21, "examples": 22, "explanation": 22, "cause_effect": 26, "contrast": 29, "sequence": 33,
        "emphasis": 24,
        "summary": 21, "comparison": 17, "concession": 19, "condition": 19, "time": 26,
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------------ structure
@pytest.mark.parametrize(("count", "passes"), [(7, False), (8, True), (256, True), (257, False)])
def test_tldr_structure(count, passes):
    other = text(20, 20, 100, "y")
    assert paper_reward(TLDR, text(count, 2, 4 * count), other).structure == (0.5 if passes else 0.0)
    assert paper_reward(TLDR, other, text(count, 2, 4 * count)).structure == (0.5 if passes else 0.0)
    assert (paper_reward(TLDR, text(count, 2, 4 * count), other).stopped == "structure") != passes


@pytest.mark.parametrize(("count", "passes"), [(127, False), (128, True), (256, True), (257, False)])
def test_arxiv_structure(count, passes):
    assert paper_reward(ARXIV, text(count, 50, 4 * count), text(130, 50, 600)).structure == (0.5 if passes else 0.0)


def test_nothing_and_blanks_earn_nothing():
    assert paper_reward(TLDR, "", "") == paper_reward(TLDR, "  ", "\n") == TextLevels(stopped="structure")


# --------------------------------------------------------------------------------------------------------- length
@pytest.mark.parametrize(
    ("characters", "earned"),
    [(109, None), (110, 0.0), (135, 0.5), (160, 1.0), (320, 1.0), (410, 0.5), (500, 0.0), (501, None)],
)
def test_tldr_length_ratio(characters, earned):
    levels = paper_reward(TLDR, text(10, 8, 100), text(24, 24, characters, "y"))
    if earned is None:
        assert levels == TextLevels(0.5, stopped="length") and levels.total == 0.5
    else:
        assert levels.length == pytest.approx(earned) and levels.vocabulary == 0.5


@pytest.mark.parametrize(
    ("characters", "earned"),
    [(799, None), (800, 0.0), (1050, 0.5), (1300, 1.0), (1600, 1.0), (1800, 0.5), (2000, 0.0), (2001, None)],
)
def test_arxiv_length_ratio(characters, earned):
    levels = paper_reward(ARXIV, text(140, 50, 1000), text(140, 50, characters, "y"))
    assert levels.stopped == ("length" if earned is None else "") and levels.length == pytest.approx(earned or 0.0)


# ----------------------------------------------------------------------------------------------------- vocabulary
@pytest.mark.parametrize(
    ("distinct", "earned"), [(12, None), (13, 0.0), (15, 0.5 * 0.2 / 0.7), (19, 0.5 * 0.6 / 0.7), (20, 0.5), (40, 0.5)]
)
def test_tldr_vocabulary_ratio(distinct, earned):
    levels = paper_reward(TLDR, text(10, 10, 100), text(40, distinct, 200, "y"))
    if earned is None:
        assert levels == TextLevels(0.5, 1.0, stopped="vocabulary") and levels.total == 1.5
    else:
        assert levels.vocabulary == pytest.approx(earned, abs=1e-12) and levels.stopped == ""


@pytest.mark.parametrize(
    ("distinct", "earned"),
    [(19, None), (20, 0.0), (24, 0.25), (28, 0.5), (52, 0.5), (60, 0.25), (68, 0.0), (69, None)],
)
def test_arxiv_vocabulary_ratio(distinct, earned):
    levels = paper_reward(ARXIV, text(140, 40, 1000), text(140, distinct, 1400, "y"))
    assert levels.stopped == ("vocabulary" if earned is None else "") and levels.vocabulary == pytest.approx(
        earned or 0.0, abs=1e-9
    )


# ---------------------------------------------------------------------------------------------------------- style
@pytest.mark.parametrize(
    ("categories", "share"), [(0, 0.0), (1, 0.4), (2, 0.45), (7, 0.7), (12, 0.95), (13, 1.0), (20, 1.0)]
)
def test_transition_share(categories, share):
    assert transition_share(categories) == pytest.approx(share)


def test_overlap_is_capped_jaccard_without_stop_words():
    assert jaccard("the red fox", "a red dog") == pytest.approx(1 / 3)
    assert jaccard("the of", "a an") == 1.0
    assert jaccard("fox", "the") == 0.0
    first = text(10, 10, 100)
    word = first.split()[0]
    # One of 10 words shared with 89: J = 1/98, a third of the cap 0.03 and a bit.
    second = word + " " + text(88, 88, 380, "y")
    assert paper_reward(TLDR, first, second).overlap == pytest.approx(0.6 * (1 / 98) / 0.03)
    # Three of 10 shared with 88: J = 3/95 > 0.03, so all of 0.6.
    second = " ".join(first.split()[:3]) + " " + text(85, 85, 380, "y")
    assert paper_reward(TLDR, first, second).overlap == pytest.approx(0.6)


def test_arxiv_overlap_cap():
    shared = [f"z{'bcdfgjkpqv'[i // 10]}{'bcdfgjkpqv'[i % 10]}" for i in range(46)]
    first = " ".join(shared + text(100, 77, 500).split())
    second = " ".join(shared + text(100, 77, 800, "y").split())
    # J = 46 / (46 + 77 + 77) = 0.23 exactly the cap.
    assert jaccard(first, second) == pytest.approx(0.23)
    assert paper_reward(ARXIV, first, second).overlap == pytest.approx(0.6)


def test_the_maximum_is_three_and_the_hole_is_kept():
    first = "xxx1 xxx2 xxx3 xxx4 xxx5 xxx6 xxx7 xxx8 xxx9"
    # "as" hides in "has": two categories ("time" by "as"; "condition" by "had"), as in the reference.
    assert substring_categories("pancreashad") == {"time", "condition"}
    phrases = "furthermore notably indeed thus however finally certainly overall likewise although unless"
    second = first + " y1 y2 y3 y4 y5 y6 " + phrases
    levels = paper_reward(TLDR, first, second)
    found = len(substring_categories(second))
    assert found == 12
    assert 1.6 <= len(second) / len(first) <= 5.0
    assert levels.total == pytest.approx(0.5 + levels.length + 0.5 + 0.4 * 0.95 + 0.6)


def test_tldr_counts_transitions_in_the_second_text_only_and_arxiv_in_both():
    marked = "however " + text(19, 19, 100)
    plain = text(40, 40, 200, "y")
    assert paper_reward(TLDR, marked, plain).transitions == 0.0
    assert paper_reward(TLDR, text(19, 19, 100), "however " + plain).transitions == pytest.approx(0.4 * 0.45)
    assert paper_reward(ARXIV, "however " + text(140, 50, 1000), text(140, 50, 1400, "y")).transitions == pytest.approx(
        0.4 * 0.45
    )


def test_words_are_lower_case_runs():
    assert words("Don't STOP, a_b 3!") == ["don", "t", "stop", "a_b", "3"]
    assert content_words("The cat and THE dog") == ["cat", "dog"]


# ------------------------------------------------------------------------------------------------------------ own
def test_own_reward_by_hand():
    source = " ".join(f"w{i}" for i in range(20))
    alone = " ".join(f"w{i}" for i in range(20))
    # 20 words, in range 0.5; suits the first writer 1; all distinct 0.5; no transitions; all shared 0.6.
    assert own_reward(TLDR, 0, alone, source) == pytest.approx(2.6)
    # For the second writer 20 words are (20 − 16) / 14 of what suits.
    assert own_reward(TLDR, 1, alone, source) == pytest.approx(1.6 + 4 / 14)
    assert own_reward(TLDR, 0, "w1 w2", source) == 0.0
    assert own_reward(TLDR, 0, "w1 " * 20, source) == pytest.approx(0.5 + 1 + 0 + 0 + 0.6 * (1 / 20) / 0.15)
