"""How much a text reads like written English, as a share between 0 and 1.

A task can use these scorers without knowing a model.

`Perplexity` turns the frozen base model's mean negative log-likelihood, injected from outside
(`Writing.with_fluency`), into a share. `WordOrder` needs no model: it asks how much better the text's own order is
than its words shuffled, under a trigram model over word *classes* (each function word is itself, other words are
their ending). Vocabulary and subject cancel in that difference, so the model may come from other texts. It tells
sentences from shuffled or stuffed words; it does not tell sense from nonsense, which needs the base.

On held-out documentation the gain is 0.61 nats or more for 99% of the texts, and at most 0.43 for 95% of the same
texts shuffled; chatty first-person text is judged too harshly (0.1–0.9). Counts:
`benchmarks/magrpo/build_word_order.py` writes `data/word_order.json`.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise

from league.seeds import generator
from tasks.task import Fluency
from tasks.writing.words import STOPWORDS

_TOKEN = re.compile(r"\w+(?:'\w+)?|[.,;:!?]")
_ENDINGS = ("ing", "ed", "ly", "tion", "ment", "ness", "able", "ive", "al", "er", "ies", "s")
FUNCTION_WORDS = STOPWORDS | frozenset(
    """about above across after again against although another because become before below between beyond cannot
    despite down during either else even every everything except get gets give given going hence however into
    itself let like make makes may neither never nor nothing off often once one onto otherwise out over per
    rather since something still take than though through thus two under unless until up upon use used uses
    using via whatever whenever whether while whose within without yet""".split()
)
WEIGHTS = (0.55, 0.33, 0.12)
"""Interpolation of trigram, bigram and unigram (Jelinek–Mercer); the unigram is add-one over the classes seen."""
SHUFFLES = 6
RUN = 3
TRIES = 20


def ramp(x: float, zero: float, one: float) -> float:
    """0 at `zero` and beyond, 1 at `one` and beyond, linear between; either may be the larger."""
    return min(max((x - zero) / (one - zero), 0.0), 1.0)


@dataclass(frozen=True)
class Surprisal:
    """What the base model makes of one text, in nats per token.

    Its own, by how much they rise when its words are shuffled, and when its runs of `RUN` words are.
    """

    nats: float
    words: float
    runs: float


@dataclass(frozen=True)
class Perplexity:
    """What the base model makes of a text, as a share.

    It is the worst of three shares of its mean negative log-likelihood per token (nats), which `nll` gives.

    words   rise of the nats when the text's words are shuffled: 0 at the first of `words`, 1 at the second
    runs    rise when its runs of three words are shuffled, mean of two ways: likewise by `runs`
    level   the text's own nats per token: 1 up to `level + short / words²`, 0 from `fall` above that

    Each closes what a search found through the others. Fragments of the source patched together gain 1.5 to 2.2 nats
    over their words shuffled, where whole sentences gain 2.4 to 3.4 (summaries of ten words scatter: one in ten below
    1.1); and what is made of fragments loses little when those are moved: 0.5 to 1.2 nats, where prose loses 1.4 to
    2.3. The level depends on the length because the first words of a text have nothing before them that makes them
    likely: under SmolLM2-135M one-line summaries of docstrings take 6.2 nats (9 in 10 up to 6.9, some of ten words
    7.5), passages of 35 words 4.4 (5.5). Starting values for that model; a better one needs a lower level.
    """

    nll: Callable[[Sequence[str]], list[float]]
    words: tuple[float, float] = (1.2, 2.4)
    runs: tuple[float, float] = (0.5, 1.3)
    level: float = 4.7
    short: float = 230.0
    fall: float = 0.7

    def __call__(self, texts: Sequence[str]) -> list[float]:
        return [self.share(text, found) for text, found in zip(texts, self.surprisals(texts), strict=True)]

    def surprisals(self, texts: Sequence[str]) -> list[Surprisal]:
        versions = [(text, _moved(text, 1, 0), _moved(text, RUN, 0), _moved(text, RUN, 1)) for text in texts]
        values = self.nll([text for each in versions for text in each])
        here = [values[place : place + 4] for place in range(0, len(values), 4)]
        return [Surprisal(own, words - own, (one + two) / 2 - own) for own, words, one, two in here]

    def share(self, text: str, found: Surprisal) -> float:
        usual = self.level + self.short / max(len(text.split()), 1) ** 2
        return min(
            ramp(found.words, *self.words), ramp(found.runs, *self.runs), ramp(found.nats, usual + self.fall, usual)
        )


def _moved(text: str, length: int, way: int) -> str:
    """The text's runs of `length` words in another order.

    No two neighbours stay neighbours, where there is such an order.
    """
    parts, rng = text.split(), generator("perplexity", text, length, way)
    first = int(rng.integers(1, length + 1))
    cuts = [0, *range(first, len(parts), length), len(parts)]
    runs = [parts[start:end] for start, end in pairwise(cuts)]
    order = list(range(len(runs)))
    for _ in range(TRIES):
        order = [int(place) for place in rng.permutation(len(runs))]
        if all(there != here + 1 for here, there in pairwise(order)):
            break
    return " ".join(word for place in order for word in runs[place])


class CachedFluency:
    """A scorer that has judged these texts before, all in one call.

    A pair's texts come back in many joint actions.
    """

    def __init__(self, fluency: Fluency, texts: Iterable[str]):
        distinct = list(dict.fromkeys(texts))
        self.known = dict(zip(distinct, fluency(distinct) if distinct else [], strict=True))

    def __call__(self, texts: Sequence[str]) -> list[float]:
        return [self.known[text] for text in texts]


def word_classes(text: str) -> list[str]:
    """The text as classes of words.

    Function words and punctuation are themselves, numbers "#", other words "~" and their ending.
    """
    return [_class(token) for token in _TOKEN.findall(text.lower())]


def _class(token: str) -> str:
    if token in FUNCTION_WORDS or not token[0].isalnum():
        return token
    if token[0].isdigit():
        return "#"
    return "~" + next((ending for ending in _ENDINGS if len(token) > len(ending) + 2 and token.endswith(ending)), "")


def count_orders(texts: Iterable[str]) -> dict[str, dict[str, int]]:
    """Counts of class n-grams, n = 1, 2, 3, keyed by the classes joined by blanks.

    "^" pads the beginning, "$" ends.
    """
    counts: list[Counter[str]] = [Counter(), Counter(), Counter()]
    for text in texts:
        sequence = ["^", "^", *word_classes(text), "$"]
        for i in range(2, len(sequence)):
            for n, counter in enumerate(counts):
                counter[" ".join(sequence[i - n : i + 1])] += 1
    return {str(n): dict(counter) for n, counter in enumerate(counts, 1)}


class WordOrder:
    """Share of the gain of a text's order over `SHUFFLES` shuffles of it.

    0 at 0.3 nats per token, 1 at 0.75.

    The model is −1/T · Σ ln (λ₃ p(c|ab) + λ₂ p(c|b) + λ₁ p(c)). The shuffles are drawn from the text itself, so the
    score is a function of the text alone. A text of fewer than three tokens scores 0.
    """

    def __init__(self, counts: dict[str, dict[str, int]]):
        self.one, self.two, self.three = (counts[n] for n in ("1", "2", "3"))
        self.total = sum(self.one.values())
        self.after_one: Counter[str] = Counter()
        self.after_two: Counter[str] = Counter()
        for gram, count in self.two.items():
            self.after_one[gram.split()[0]] += count
        for gram, count in self.three.items():
            self.after_two[gram.rpartition(" ")[0]] += count

    def __call__(self, texts: Sequence[str]) -> list[float]:
        return [ramp(self.gain(text), 0.3, 0.75) for text in texts]

    def gain(self, text: str) -> float:
        """Nats per token by which the text's order beats the mean of its shuffles."""
        classes = word_classes(text)
        if len(classes) < 3:
            return 0.0
        rng = generator("word-order", text)
        shuffled = [self._nll([classes[i] for i in rng.permutation(len(classes))]) for _ in range(SHUFFLES)]
        return sum(shuffled) / SHUFFLES - self._nll(classes)

    def _nll(self, classes: Sequence[str]) -> float:
        sequence = ["^", "^", *classes, "$"]
        total = 0.0
        for i in range(2, len(sequence)):
            a, b, c = sequence[i - 2 : i + 1]
            three = self.three.get(f"{a} {b} {c}", 0) / max(self.after_two[f"{a} {b}"], 1)
            two = self.two.get(f"{b} {c}", 0) / max(self.after_one[b], 1)
            one = (self.one.get(c, 0) + 1) / (self.total + len(self.one) + 1)
            total -= math.log(WEIGHTS[0] * three + WEIGHTS[1] * two + WEIGHTS[2] * one)
        return total / (len(sequence) - 2)


@cache
def word_order() -> WordOrder:
    """The packaged model."""
    return WordOrder(json.loads(files("tasks.writing").joinpath("data/word_order.json").read_text(encoding="utf-8")))
