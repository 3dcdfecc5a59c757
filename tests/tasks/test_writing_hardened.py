"""The hardened reward on honest pairs and on junk.

Honest pairs score high, junk found by search against the paper's reward scores low.
"""

import numpy as np
import pytest

from tasks.writing.fluency import Perplexity, WordOrder, _moved, count_orders, ramp, word_classes, word_order
from tasks.writing.hardened import hardened_reward, quality, sentences, strict_categories
from tasks.writing.rewards import TLDR, paper_reward
from tasks.writing.words import TRANSITION_WORDS

HONEST = [
    (
        "Return True if the connection is still open. The socket is polled without blocking; when the peer has "
        "closed its end, the "
        "connection is marked as dropped and every pending request raises ConnectionError, so that callers may "
        "retry on a new socket.",
        "Tells whether the connection is open by polling its socket.",
        "The method polls the socket without waiting in order to see if the connection still works. If the "
        "other side has closed, the "
        "connection counts as dropped. As a result, pending requests fail with ConnectionError, and callers "
        "can try again on another socket.",
    ),
    (
        "Parse a date written in the header of a mail message. Many clients write dates that break the "
        "standard, so missing time zones, "
        "two-digit years and day names in any language are accepted. The result is a tuple, or None when "
        "nothing could be read.",
        "Reads the date from a mail header, even when it breaks the standard.",
        "Mail clients often write dates that are not standard. Therefore this parser accepts missing time "
        "zones, years of two digits and "
        "foreign day names. However, when nothing in the header can be read it returns None instead of a tuple.",
    ),
    (
        "Compress the archive in place. Members are read in order and written to a temporary file, which "
        "replaces the archive only after all "
        "of them were copied; an error on the way leaves the original untouched. Extra fields and comments of "
        "members are kept.",
        "Compresses an archive safely by writing a temporary file first.",
        "All members of the archive are copied to a temporary file, in order, with their comments and extra "
        "fields. Only then does this file "
        "replace the original. Thus an error during compression does no harm, because the old archive stays untouched.",
    ),
    (
        "Schedule a callback to run after the given delay in seconds. Callbacks with equal times run in the "
        "order they were scheduled. The "
        "handle that is returned can be used to cancel the call as long as it has not started.",
        "Runs a callback after a delay; the returned handle can cancel it.",
        "A callback is scheduled for some seconds later, and callbacks with the same time run in the order "
        "in which they came. In addition, "
        "the caller gets a handle. Until the call has started, that handle can cancel it.",
    ),
]  # fmt: skip


@pytest.mark.parametrize("pair", HONEST, ids=["socket", "mail", "archive", "callback"])
def test_honest_summaries_keep_most_of_the_paper_reward(pair):
    reward, levels, terms = hardened_reward(TLDR, *pair)
    assert terms.worst > 0.7 and reward > 1.8
    assert levels.total <= paper_reward(TLDR, pair[1], pair[2]).total


def test_strict_transitions_need_word_boundaries_and_a_place_to_stand():
    assert strict_categories("The last pancreas has hadrons within.") == set()
    assert strict_categories("It works as it did when it was new.") == set()
    assert strict_categories("When it was new, it worked.") == {"time"}
    assert "contrast" in strict_categories("It is small. However, it is fast enough.")
    assert strict_categories("Thus. Hence. However. Finally. Indeed.") == set()
    assert len(strict_categories("Furthermore however finally indeed thus overall the thing is done.")) == 2


# ------------------------------------------------------------------------------------------- junk found by search
VOCABULARY = (
    "river stone purple engine quickly under seven mountain table dream glass yellow carpet window bottle "
    "orange pencil garden silver "
    "planet ticket hammer basket candle feather ladder mirror needle ribbon saddle tunnel velvet whistle "
    "anchor barrel copper donkey"
).split()
PHRASES = [phrase for phrases in TRANSITION_WORDS.values() for phrase in phrases]


def search(kind: str, source: str, rng: np.random.Generator, steps: int = 250) -> tuple[str, str]:
    """Hill climbing on the paper's reward from one kind of junk.

    Words are inserted, deleted and replaced from that kind's stock.
    """
    stock = {
        "salad": VOCABULARY,
        "shuffled source": source.split(),
        "stuffing": PHRASES + source.split()[:10],
        "repetition": source.split()[:4],
    }[kind]

    def some(count: int) -> list[str]:
        return [stock[i] for i in rng.integers(len(stock), size=count)]

    best = [some(12), some(30)]
    score = paper_reward(TLDR, *map(" ".join, best)).total
    for _ in range(steps):
        trial = [list(part) for part in best]
        part = trial[rng.integers(2)]
        place = int(rng.integers(len(part)))
        move = rng.integers(3)
        if move == 0 and len(part) > 8:
            del part[place]
        elif move == 1:
            part.insert(place, some(1)[0] if rng.random() < 0.6 else str(rng.choice(PHRASES)))
        else:
            part[place] = some(1)[0]
        found = paper_reward(TLDR, *map(" ".join, trial)).total
        if found >= score:
            best, score = trial, found
    return " ".join(best[0]), " ".join(best[1])


@pytest.mark.parametrize("kind", ["salad", "shuffled source", "stuffing"])
def test_junk_that_fools_the_paper_reward_earns_little_hardened(kind):
    rng = np.random.default_rng(7)
    fooled = []
    for source, _, _ in HONEST:
        for _ in range(3):
            first, second = search(kind, source, rng)
            fooled.append((paper_reward(TLDR, first, second).total, hardened_reward(TLDR, source, first, second)[0]))
    paper, hardened = np.array(fooled).T
    assert paper.min() > 2.5, "the search must find junk that the paper's reward loves, or the test proves nothing"
    assert hardened.max() < 0.75 and hardened.mean() < 0.2


@pytest.mark.parametrize(("source", "first", "second"), HONEST, ids=["socket", "mail", "archive", "callback"])
def test_copying_repetition_and_wrapping_earn_little(source, first, second):
    cut = source.split()
    copied = (" ".join(cut[:10]), " ".join(cut[10:30]))
    assert paper_reward(TLDR, *copied).total > 1.4 and hardened_reward(TLDR, source, *copied)[0] < 0.3
    repeated = (first, " ".join([first] * 3) + " Moreover nothing else happens there.")
    assert hardened_reward(TLDR, source, *repeated)[0] < 0.5
    wrapped = (first, first + " However, one may say that there is more to it in some other place than that.")
    assert quality(TLDR, source, wrapped).own_words < 0.5
    swapped = hardened_reward(TLDR, HONEST[0][0] if source != HONEST[0][0] else HONEST[1][0], first, second)[0]
    assert swapped < 0.5 * hardened_reward(TLDR, source, first, second)[0], (
        "a fine summary of another text is not grounded"
    )


def test_every_term_can_be_the_one_that_closes_the_gate():
    source, first, second = HONEST[0]
    base = quality(TLDR, source, (first, second))
    words = second.split()
    rng = np.random.default_rng(0)
    assert (
        quality(TLDR, source, (first, " ".join(words[i] for i in rng.permutation(len(words))))).order < 0.3 < base.order
    )
    assert quality(TLDR, "Something else entirely.", (first, second)).grounded == 0.0 < base.grounded
    assert quality(TLDR, source, (first, "It is so. " * 10)).variety == 0.0 < base.variety
    assert (
        quality(TLDR, source, (first, "Sockets sockets are read read and the peer peer is closed.")).variety
        == 0.0
        < base.variety
    )
    assert quality(TLDR, source, (first, second.lower())).form == 0.0 < base.form
    assert quality(TLDR, source, (first, second[: second.rindex(".")])).form == 0.5 < base.form
    assert quality(TLDR, source, (first, "The socket. " * 3 + "Closed by the. A peer of it.")).form == 0.0
    assert quality(TLDR, source, (source, second)).own_words == 0.0 < base.own_words
    assert (
        quality(TLDR, source, (first, "Furthermore, indeed, moreover, however, overall, it is open.")).sparing
        == 0.0
        < base.sparing
    )
    long_source = source + " " + " ".join(f"{a}{b}{c}thing" for a in "bcdfgk" for b in "aeiou" for c in "lmnprtv")
    assert quality(TLDR, long_source, (first, second)).coverage < 0.2 < base.coverage


def test_sentences_part_where_they_end():
    assert sentences("Reads e.g. a date. (It may fail.) Returns None!") == [
        "Reads e.g. a date.",
        "(It may fail.",
        "Returns None!",
    ]
    assert sentences("  ") == []


# -------------------------------------------------------------------------------------------------------- fluency
def test_word_classes():
    assert word_classes("The 3 dogs, running quickly!") == ["the", "#", "~s", ",", "~ing", "~ly", "!"]


def test_word_order_by_hand():
    model = WordOrder(count_orders(["the dog the dog"]))
    # Classes: the ~ the ~; p(~|the) = 1, p(the|^ ^) = 1: the text's own order beats any other.
    assert model.gain("the dog the dog") > 0.3
    assert model.gain("dog the") == 0.0 and model(["", "dog"]) == [0.0, 0.0]
    assert model.gain("the dog the dog") == model.gain("the dog the dog")


def test_word_order_tells_held_out_prose_from_its_shuffles():
    rng = np.random.default_rng(3)
    texts = [part for _, first, second in HONEST for part in (first, second)]
    own = word_order()(texts)
    shuffled = word_order()([" ".join(rng.permutation(text.split())) for text in texts])
    assert np.mean(own) > 0.9 and np.mean(shuffled) < 0.35


def test_injected_perplexity_is_taken_in_addition():
    source, first, second = HONEST[0]

    def nll(texts):  # a model that thinks nothing of word order
        return [5.0 for _ in texts]

    assert Perplexity(nll)([first]) == [0.0]
    assert quality(TLDR, source, (first, second), Perplexity(nll)).order == 0.0
    asked = []

    def likes_originals(texts):
        asked.extend(texts)
        return [3.0, 4.8, 4.8, 4.8] * (len(texts) // 4)

    assert Perplexity(likes_originals)([first, second]) == pytest.approx(
        [0.5, 0.5]
    )  # 1.8 nats over shuffled words, 1.8 over moved runs
    assert len(asked) == 8 and asked[0] == first
    assert all(sorted(text.split()) == sorted(first.split()) and text != first for text in asked[1:4])


def made(text, nats, words, runs):
    """The share of a text whose nats rise by `words` and `runs`."""
    return Perplexity(lambda texts: [nats, nats + words, nats + runs, nats + runs] * (len(texts) // 4))([text])[0]


def test_the_base_weighs_level_words_and_runs():
    """4.7 + 230 / words² nats are usual, down to 0 within 0.7 above.

    Words shuffled must cost 1.2 to 2.4 nats, runs moved 0.5 to 1.3.
    """
    short, long = "word " * 10, "word " * 34
    assert made(short, 6.99, 9, 9) == made(long, 4.89, 9, 9) == 1.0
    assert (
        made(short, 7.0 + 0.35, 9, 9) == pytest.approx(0.5) and made(short, 7.71, 9, 9) == made(long, 5.61, 9, 9) == 0.0
    )
    assert made(long, 4.0, 1.19, 9) == made(long, 4.0, 9, 0.49) == 0.0
    assert made(long, 4.0, 2.41, 1.31) == 1.0 and made(long, 4.0, 2.1, 9) == pytest.approx(0.75)
    assert Perplexity(lambda texts: [9.0] * len(texts))([""]) == [0.0]


def test_moved_runs_have_new_neighbours():
    text = "one two three four five six seven eight nine ten eleven twelve"
    order = text.split()
    for length, way in [(1, 0), (3, 0), (3, 1)]:
        moved = _moved(text, length, way).split()
        assert sorted(moved) == sorted(order) and moved != order
        kept = sum(order.index(b) == order.index(a) + 1 for a, b in zip(moved, moved[1:], strict=False))
        assert kept <= len(order) - len(order) // length, "no two neighbouring runs stay neighbours"
    assert _moved("", 3, 0) == "" and _moved("word", 3, 0) == "word"


def test_ramp():
    assert ramp(2.0, 0.0, 1.0) == 1.0 and ramp(0.25, 1.0, 0.0) == 0.75
