"""Spelling and words: letters counted, words reversed, words sorted."""

import hashlib
import re
from collections.abc import Mapping

from tasks.domains.kind import DomainKind, Entry, Level, Rendered

_KEPT = {1: 5, 2: 2}
"""Of the problems whose answer is n, one in _KEPT[n] is kept.

Unthinned, "1" is right on 73 % of them and nothing need be counted.
"""


def _thinned(question: str, answer: int) -> bool:
    """Whether a problem is dropped to keep answers apart.

    Decided by its wording alone, so the same for every seed and level.
    """
    digest = hashlib.sha256(f"thin\x1f{question}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % _KEPT.get(answer, 1) != 0


def _letters(entry: Entry, settings: Mapping[str, int]) -> Rendered | None:
    """Count in each word, then add up."""
    data = entry["metadata"]
    words: list[str] = [word.lower() for word in data["span"]]
    letter: str = data["target_letter"]
    if not letter.isascii() or not letter.isalpha() or not all(word.isascii() and word.isalpha() for word in words):
        return None
    counts = [word.count(letter) for word in words]
    if str(sum(counts)) != entry["answer"]:
        return None
    steps = ", ".join(f"{word} {count}" for word, count in zip(words, counts, strict=True)) + "."
    if len(words) > 1:
        steps += f" {' + '.join(map(str, counts))} = {sum(counts)}."
    question = f'How many times is the letter "{letter}" in: {" ".join(words)}?'
    return None if _thinned(question, sum(counts)) else Rendered(question, entry["answer"], steps)


def _backward(entry: Entry, settings: Mapping[str, int]) -> Rendered | None:
    """Spell the word out, then the letters from the last to the first."""
    word: str = entry["metadata"]["word"].lower()
    if not word.isascii() or not word.isalpha() or word == word[::-1] or word[::-1] != entry["answer"].lower():
        return None
    return Rendered(
        f"Spell this word backward: {word}", word[::-1], f"{'-'.join(word)} backward is {'-'.join(reversed(word))}."
    )


def _sorting(entry: Entry, settings: Mapping[str, int]) -> Rendered | None:
    """Words ordered by their first letters.

    Lists where that is not enough are left to higher levels.
    """
    data = entry["metadata"]
    words: list[str] = list(data["transformed_words"])
    if not all(re.fullmatch(r"[a-z]+", word) for word in words) or len(set(words)) < len(words):
        return None
    if settings["same_initials"] == 0 and len({word[0] for word in words}) < len(words):
        return None
    descending = data["direction"] == "descending"
    ordered = sorted(words, reverse=descending)
    if ordered != list(data["sorted_words"]):
        return None
    initials = (
        f"First letters: {', '.join(word[0] for word in words)}. In order: {', '.join(word[0] for word in ordered)}."
    )
    order = "from Z to A" if descending else "from A to Z"
    return Rendered(f"Sort these words {order}: {', '.join(words)}", ", ".join(ordered), initials)


KINDS = (
    DomainKind(
        name="letter_counting",
        field="words",
        dataset="letter_counting",
        form="integer",
        instruction="Count the letter in every word. The answer is one whole number.",
        levels=(
            Level({"min_words": 2, "max_words": 4}, 64),
            Level({"min_words": 3, "max_words": 6}, 88),
            Level({"min_words": 5, "max_words": 15}, 176),
        ),
        knobs={"min_words": (1, 30), "max_words": (1, 30)},
        render=_letters,
    ),
    DomainKind(
        name="spell_backward",
        field="words",
        dataset="spell_backward",
        form="word",
        instruction="Write the letters of the word from the last to the first. The answer is one word.",
        levels=(
            Level({"min_word_len": 3, "max_word_len": 4}, 48),
            Level({"min_word_len": 4, "max_word_len": 6}, 64),
            Level({"min_word_len": 6, "max_word_len": 10}, 96),
        ),
        knobs={"min_word_len": (3, 10), "max_word_len": (3, 10)},
        render=_backward,
    ),
    DomainKind(
        name="word_sorting",
        field="words",
        dataset="word_sorting",
        form="words",
        instruction="Sort the words. The answer is the words in order, separated by commas.",
        levels=(
            Level({"min_words": 3, "max_words": 3, "max_word_length": 7, "same_initials": 0}, 80),
            Level({"min_words": 3, "max_words": 5, "max_word_length": 9, "same_initials": 0}, 112),
            Level({"min_words": 4, "max_words": 7, "max_word_length": 12, "same_initials": 1}, 160),
        ),
        knobs={"min_words": (2, 12), "max_words": (2, 12), "max_word_length": (4, 14), "same_initials": (0, 1)},
        render=_sorting,
        own=("same_initials",),
    ),
)
