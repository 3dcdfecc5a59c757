"""The paper's joint reward for two texts, exactly, and what a text earns on its own.

Four gated levels with a maximum of 3 (arXiv 2508.04652; thresholds of its reference implementation):

    structure   0.5 when both texts have min..max words (split at blanks), else stop
    length      ρ = characters of the second / of the first: 1 on a plateau, linear to 0 on both sides, outside stop
    vocabulary  u = distinct words of the second / of the first: 0.5 on a plateau, linear to 0, outside stop
    style       0.4·t + 0.6·min(J, cap)/cap;  t = min(1, 0.4 + 0.05·(categories − 1)) or 0;
                J = Jaccard without stop words

Reaching a level keeps what the levels before it gave. At the foot of a ramp a level gives 0 and the next is still
open, as in the reference. Its holes (transition words as substrings, any word salad) are kept here on purpose:
`tasks/writing/hardened.py` closes them.
"""

from dataclasses import dataclass
from math import inf
from typing import Literal

from tasks.writing.words import TRANSITION_WORDS, content_words, jaccard, words

MAXIMUM = 3.0


@dataclass(frozen=True)
class Ramp:
    """1 on [low, high], linear to 0 at `foot` and at `top`, None outside [foot, top]."""

    foot: float
    low: float
    high: float
    top: float

    def __call__(self, x: float) -> float | None:
        if self.low <= x <= self.high:
            return 1.0
        if self.foot <= x < self.low:
            return (x - self.foot) / (self.low - self.foot)
        if self.high < x <= self.top:
            return 1.0 - (x - self.high) / (self.top - self.high)
        return None


@dataclass(frozen=True, kw_only=True)
class WritingKind:
    """The thresholds of one writing task."""

    name: Literal["tldr", "arxiv"]
    words: tuple[int, int]
    length: Ramp
    vocabulary: Ramp
    overlap_cap: float
    transitions_in: Literal["second", "both"]
    own_words: tuple[Ramp, Ramp]
    """Lengths in words that suit each writer alone; ours, for writers who are rewarded independently."""


TLDR = WritingKind(
    name="tldr",
    words=(8, 256),
    length=Ramp(1.1, 1.6, 3.2, 5.0),
    vocabulary=Ramp(1.3, 2.0, inf, inf),
    overlap_cap=0.03,
    transitions_in="second",
    own_words=(Ramp(7, 12, 40, 80), Ramp(16, 30, 100, 200)),
)
ARXIV = WritingKind(
    name="arxiv",
    words=(128, 256),
    length=Ramp(0.8, 1.3, 1.6, 2.0),
    vocabulary=Ramp(0.5, 0.7, 1.3, 1.7),
    overlap_cap=0.23,
    transitions_in="both",
    own_words=(Ramp(100, 130, 180, 256), Ramp(100, 180, 256, 300)),
)
WRITING_KINDS = {kind.name: kind for kind in (TLDR, ARXIV)}


@dataclass(frozen=True)
class TextLevels:
    """What each level gave.

    `stopped` names the level that closed the gate, or "" when all were open.
    """

    structure: float = 0.0
    length: float = 0.0
    vocabulary: float = 0.0
    transitions: float = 0.0
    overlap: float = 0.0
    stopped: str = ""

    @property
    def total(self) -> float:
        return self.structure + self.length + self.vocabulary + self.transitions + self.overlap


def substring_categories(text: str) -> set[str]:
    """Categories with a transition word anywhere in the text.

    Inside other words too ("as" in "has"): the reference's rule.
    """
    lower = text.lower()
    return {category for category, phrases in TRANSITION_WORDS.items() if any(phrase in lower for phrase in phrases)}


def transition_share(categories: int) -> float:
    """The share of the style level for so many categories.

    0 without any, else 0.4 and 0.05 more for each further category, at most 1 (12 categories give 0.95).
    """
    return min(1.0, 0.4 + min((categories - 1) * 0.05, 0.6)) if categories else 0.0


def paper_reward(kind: WritingKind, first: str, second: str, categories: int | None = None) -> TextLevels:
    """The gated levels of a pair of texts.

    `categories` replaces the count of transition categories (the hardened form's).
    """
    low, high = kind.words
    if not (low <= len(first.split()) <= high and low <= len(second.split()) <= high):
        return TextLevels(stopped="structure")
    length = kind.length(len(second) / len(first))
    if length is None:
        return TextLevels(0.5, stopped="length")
    distinct = len(set(words(first)))
    vocabulary = kind.vocabulary(len(set(words(second))) / distinct) if distinct else None
    if vocabulary is None:
        return TextLevels(0.5, length, stopped="vocabulary")
    if categories is None:
        categories = len(substring_categories(second if kind.transitions_in == "second" else first + second))
    overlap = min(jaccard(first, second), kind.overlap_cap) / kind.overlap_cap
    return TextLevels(0.5, length, 0.5 * vocabulary, 0.4 * transition_share(categories), 0.6 * overlap)


def own_reward(kind: WritingKind, writer: int, text: str, source: str, categories: int | None = None) -> float:
    """What one writer earns from its own text alone, for writers trained independently.

    Maximum 3 too.

    Ours: the paper's baseline says only that each agent has its own reward. 0.5 for a length in the paper's range, 1
    for a length that suits the writer, 0.5 for words that vary (share of distinct words, 0 at 0.4, full at 0.7), 0.4
    for transitions, 0.6 for content words shared with the source (Jaccard, full at 0.15).
    """
    low, high = kind.words
    tokens = words(text)
    if not low <= len(text.split()) <= high or not tokens:
        return 0.0
    suited = kind.own_words[writer](len(text.split())) or 0.0
    varied = min(max((len(set(tokens)) / len(tokens) - 0.4) / 0.3, 0.0), 1.0)
    shared = min(jaccard(text, source), 0.15) / 0.15 if content_words(text) else 0.0
    if categories is None:
        categories = len(substring_categories(text))
    return 0.5 + suited + 0.5 * varied + 0.4 * transition_share(categories) + 0.6 * shared
