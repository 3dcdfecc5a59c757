"""The paper's writing reward with its holes closed.

The same levels, times the quality of the worse text.

    hardened = paper levels (with strict transitions) · min over texts and terms of q,   every q in [0, 1]

    order       reads like sentences: `WordOrder`, and the base model's perplexity when a scorer is injected
    form        sentences begin with no lower-case word, have four words, stop at no word that wants another, and end
    grounded    share of the text's distinct content words that the source has too
    coverage    share of the source's content words that the two texts have together
    variety     few repeated 3-word runs, no word said twice at once; content words that differ (3 in 4 of a short text)
    own words   not most 3-word runs copied from the source, nor the second text wrapped around the first
    sparing     transition words are a spice: not more than about one in eight words

The minimum, not a product: one bad term is enough to be junk, and the worst term is the one whose improvement pays.
Strict transitions stand at word boundaries; those that are everyday words ("as", "if", "so") count only where a
clause begins; a sentence of four words or more can earn two categories, shorter ones none.

Every ramp is a starting value, set on documentation text; they are ours, not the paper's.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.task import Fluency
from tasks.writing.fluency import FUNCTION_WORDS, ramp, word_order
from tasks.writing.rewards import TextLevels, WritingKind, paper_reward
from tasks.writing.words import TRANSITION_WORDS, content_words, words

_BREAK = re.compile(r"(?<=[.!?])[\"')\]*`]*\s+")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|cf|approx|resp|no|fig|eq|sec|dr|mr|ms|st)\.$", re.IGNORECASE)
_LOWER = re.compile(r"\W*[a-z]+[,;:]?(?:\s|$)")
_ENDED = re.compile(r"[.!?:][\"')\]*`]*$")
_UNFINISHED = frozenset(
    """a an and are as be because been but by can cannot could for from had has have if into is its may might must my
    not of or our shall should than the their this to very was were when whether which while who whose will with
    would your""".split()
)
_STARTS = re.compile(r"(?:^|[.!?;:,]\s+)(\w+)")


def _pattern(phrases: Sequence[str]) -> re.Pattern[str]:
    return re.compile(
        r"\b(?:" + "|".join(re.escape(phrase) for phrase in sorted(phrases, key=len, reverse=True)) + r")\b"
    )


_FREE = {
    category: _pattern([p for p in phrases if p not in FUNCTION_WORDS])
    for category, phrases in TRANSITION_WORDS.items()
}
_OPENING = {
    category: frozenset(p for p in phrases if p in FUNCTION_WORDS) for category, phrases in TRANSITION_WORDS.items()
}
_ANY = _pattern(sorted({p for phrases in TRANSITION_WORDS.values() for p in phrases if p not in FUNCTION_WORDS}))


@dataclass(frozen=True)
class Quality:
    """The terms of one pair of texts, each in [0, 1]; per text they are the worse one's."""

    order: float
    form: float
    grounded: float
    coverage: float
    variety: float
    own_words: float
    sparing: float

    @property
    def worst(self) -> float:
        return min(self.order, self.form, self.grounded, self.coverage, self.variety, self.own_words, self.sparing)


def strict_categories(text: str) -> set[str]:
    """Transition categories that stand where a transition can stand.

    At most two per sentence of four words or more.
    """
    found: list[str] = []
    for sentence in re.split(r"(?<=[.!?])\s+", text.lower()):
        if len(sentence.split()) >= 4:
            opening = set(_STARTS.findall(sentence))
            here = [c for c in TRANSITION_WORDS if _FREE[c].search(sentence) or _OPENING[c] & opening]
            found += [category for category in here if category not in found][:2]
    return set(found)


def stems(text: str) -> set[str]:
    """Distinct content words cut to six letters.

    "summarise" and "summary" differ, "returns" and "returned" do not.
    """
    return {word.rstrip("s")[:6] for word in content_words(text) if not word.isdigit()}


def runs(text: str, length: int = 3) -> list[tuple[str, ...]]:
    tokens = words(text)
    return [tuple(tokens[i : i + length]) for i in range(len(tokens) - length + 1)]


def _share(inside: Sequence[object], outside: set[object]) -> float:
    return sum(item in outside for item in inside) / len(inside) if inside else 0.0


def _variety(text: str) -> float:
    repeated = 1 - len(set(runs(text))) / max(len(runs(text)), 1)
    tokens = words(text)
    stutters = sum(tokens[i] in tokens[i + 1 : i + 3] for i in range(len(tokens))) / max(len(tokens), 1)
    content = content_words(text.replace("_", " "))
    distinct = len(set(content)) / max(len(content), 1)
    usual = 0.5 + 0.25 * ramp(len(content), 60, 15)  # longer texts come back to their subject
    return min(ramp(repeated, 0.4, 0.1), ramp(stutters, 0.15, 0.06), ramp(distinct, usual - 0.25, usual))


def sentences(text: str) -> list[str]:
    """Parted at `.`, `!` and `?` before a blank, but not after an abbreviation."""
    parts: list[str] = []
    for part in _BREAK.split(text.strip()):
        if parts and _ABBREVIATION.search(parts[-1]):
            parts[-1] += " " + part
        elif part:
            parts.append(part)
    return parts


def _form(text: str) -> float:
    """From the share of sentences that are whole to the eye.

    Half of it where the last is not ended. Identifiers may begin a sentence.
    """
    found = sentences(text)
    whole = sum(_whole(sentence) for sentence in found) / max(len(found), 1)
    return ramp(whole, 0.3, 0.8) * (1.0 if _ENDED.search(text.strip()) else 0.5)


def _whole(sentence: str) -> bool:
    tokens = words(sentence)
    return len(tokens) >= 4 and tokens[-1] not in _UNFINISHED and not _LOWER.match(sentence)


def _sparing(text: str) -> float:
    spent = sum(len(match.group().split()) for match in _ANY.finditer(text.lower()))
    return ramp(spent / max(len(text.split()), 1), 0.3, 0.13)


def quality(kind: WritingKind, source: str, texts: Sequence[str], fluency: Fluency | None = None) -> Quality:
    """The terms for one text or a pair.

    `fluency` (the base model's) is taken in addition to word order.
    """
    scorers: list[Fluency] = [word_order()] + ([fluency] if fluency else [])
    known = stems(source)
    low, high = (0.15, 0.45) if kind.name == "tldr" else (0.05, 0.25)
    grounded = [ramp(len(stems(text) & known) / max(len(stems(text)), 1), low, high) for text in texts]
    covered = len({stem for text in texts for stem in stems(text)} & known) / max(len(known), 1)
    source_runs: set[object] = set(runs(source))
    copied = max(_share(runs(text), source_runs) for text in texts)
    wrapped = _share(runs(texts[0]), set(runs(texts[1]))) if len(texts) == 2 else 0.0
    return Quality(
        order=min(score for scorer in scorers for score in scorer(texts)),
        form=min(_form(text) for text in texts),
        grounded=min(grounded),
        coverage=ramp(covered, 0.05, 0.25),
        variety=min(_variety(text) for text in texts),
        own_words=min(ramp(copied, 0.95, 0.65), ramp(wrapped, 1.0, 0.7)),
        sparing=min(_sparing(text) for text in texts),
    )


def strict_levels(kind: WritingKind, first: str, second: str) -> TextLevels:
    """The paper's levels with strict transitions."""
    found = strict_categories(second)
    if kind.transitions_in == "both":
        found |= strict_categories(first)
    return paper_reward(kind, first, second, len(found))


def hardened_reward(
    kind: WritingKind, source: str, first: str, second: str, fluency: Fluency | None = None
) -> tuple[float, TextLevels, Quality]:
    """Reward in [0, 3], the levels and the quality it is made of."""
    levels = strict_levels(kind, first, second)
    found = quality(kind, source, (first, second), fluency)
    return levels.total * found.worst, levels, found
