"""Single operations from which exercises are chained, each in words and in Python.

In `code`, `v` is the value that comes in and `k` the step's constant; `words` name the constant by `{k}`. A step takes
a value of one kind and gives one of another. Each is defined for every value of its kind, the empty ones included, so
chains never raise.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

Kind = Literal["number", "numbers", "text", "words", "counts"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Value = Any
"""An int, a list of ints, a str, a list of str, or a dict from str to int: as JSON would have it."""
NAMES: Mapping[Kind, str] = {"number": "n", "numbers": "xs", "text": "s", "words": "ws", "counts": "d"}
"""What a variable of each kind is called. No step uses these names for its own."""
GIVEN: Mapping[Kind, str] = {
    "number": "a whole number n",
    "numbers": "a list of whole numbers xs",
    "text": "a text s",
    "words": "a list of words ws",
    "counts": "a dictionary d from words to whole numbers",
}


@dataclass(frozen=True)
class Step:
    """One operation. `constants` are those that `k` may be; none where the step has no `k`."""

    takes: Kind
    gives: Kind
    words: str
    code: str
    constants: tuple[int | str, ...] = ()


@dataclass(frozen=True)
class Chosen:
    """A step with its constant."""

    step: Step
    constant: int | str | None = None

    @property
    def words(self) -> str:
        return self.step.words.replace("{k}", str(self.constant))

    @property
    def code(self) -> str:
        return re.sub(r"\bk\b", lambda _: repr(self.constant), self.step.code)

    def of(self, name: str) -> str:
        """The expression with `name` for the value that comes in."""
        return re.sub(r"\bv\b", name, self.code)

    def run(self, value: Value) -> Value:
        return _function(self.code)(value)

    def neighbours(self) -> list["Chosen"]:
        """The same step with its constant one off."""
        if not isinstance(self.constant, int):
            return []
        return [Chosen(self.step, other) for other in (self.constant - 1, self.constant + 1)]


@cache
def _function(code: str) -> Callable[[Value], Value]:
    """A step's expression as a function: text of this file only, never of a reply."""
    made: Callable[[Value], Value] = eval(f"lambda v: {code}")
    return made


def _numbers(low: int, high: int) -> tuple[int, ...]:
    return tuple(range(low, high + 1))


_LETTERS = tuple("abeiorst")

STEPS: tuple[Step, ...] = (
    # numbers
    Step("number", "number", "add {k}", "v + k", _numbers(1, 60)),
    Step("number", "number", "subtract {k}", "v - k", _numbers(1, 60)),
    Step("number", "number", "multiply by {k}", "v * k", _numbers(2, 30)),
    Step("number", "number", "square it", "v * v"),
    Step("number", "number", "change its sign", "-v"),
    Step("number", "number", "take its absolute value", "abs(v)"),
    Step("number", "number", "divide by {k} and round down", "v // k", _numbers(2, 12)),
    Step("number", "number", "take the remainder of dividing by {k}", "v % k", _numbers(3, 15)),
    Step("number", "number", "replace it by {k} if it is smaller than {k}", "max(v, k)", _numbers(-5, 20)),
    Step("number", "number", "replace it by {k} if it is greater than {k}", "min(v, k)", _numbers(0, 25)),
    Step("number", "number", "add up its digits", "sum(int(c) for c in str(abs(v)))"),
    Step("number", "numbers", "list its digits", "[int(c) for c in str(abs(v))]"),
    Step("number", "numbers", "list its first {k} multiples", "[v * i for i in range(1, k + 1)]", _numbers(3, 6)),
    # lists of numbers
    Step("numbers", "numbers", "add {k} to each", "[x + k for x in v]", _numbers(1, 30)),
    Step("numbers", "numbers", "subtract {k} from each", "[x - k for x in v]", _numbers(1, 30)),
    Step("numbers", "numbers", "multiply each by {k}", "[x * k for x in v]", _numbers(2, 20)),
    Step("numbers", "numbers", "square each", "[x * x for x in v]"),
    Step("numbers", "numbers", "keep the even numbers", "[x for x in v if x % 2 == 0]"),
    Step("numbers", "numbers", "keep the odd numbers", "[x for x in v if x % 2 == 1]"),
    Step("numbers", "numbers", "keep the numbers that {k} divides", "[x for x in v if x % k == 0]", (3, 4, 5)),
    Step("numbers", "numbers", "keep the numbers greater than {k}", "[x for x in v if x > k]", _numbers(-5, 15)),
    Step("numbers", "numbers", "keep the numbers less than {k}", "[x for x in v if x < k]", _numbers(-2, 18)),
    Step("numbers", "numbers", "drop the first {k}", "v[k:]", (1, 2, 3)),
    Step("numbers", "numbers", "keep the first {k}", "v[:k]", (2, 3, 4)),
    Step("numbers", "numbers", "sort them from small to large", "sorted(v)"),
    Step("numbers", "numbers", "sort them from large to small", "sorted(v, reverse=True)"),
    Step("numbers", "numbers", "reverse their order", "v[::-1]"),
    Step("numbers", "numbers", "keep each number once, at its first place", "list(dict.fromkeys(v))"),
    Step("numbers", "number", "add them up", "sum(v)"),
    Step("numbers", "number", "take the largest (0 if there is none)", "max(v, default=0)"),
    Step("numbers", "number", "take the smallest (0 if there is none)", "min(v, default=0)"),
    Step("numbers", "number", "count them", "len(v)"),
    Step("numbers", "number", "take the first (0 if there is none)", "v[0] if v else 0"),
    Step("numbers", "number", "take the last (0 if there is none)", "v[-1] if v else 0"),
    Step("numbers", "number", "count those greater than {k}", "sum(x > k for x in v)", _numbers(-5, 15)),
    Step("numbers", "number", "count those less than {k}", "sum(x < k for x in v)", _numbers(-2, 18)),
    # texts
    Step("text", "text", "reverse it", "v[::-1]"),
    Step("text", "text", "make all letters capitals", "v.upper()"),
    Step("text", "text", "remove the spaces", "v.replace(' ', '')"),
    Step("text", "text", "remove every '{k}'", "v.replace(k, '')", _LETTERS),
    Step("text", "text", "replace every '{k}' by '*'", "v.replace(k, '*')", _LETTERS),
    Step("text", "text", "remove the vowels (aeiou)", "''.join(c for c in v if c not in 'aeiou')"),
    Step("text", "text", "keep the first {k} characters", "v[:k]", _numbers(2, 9)),
    Step("text", "text", "drop the first {k} characters", "v[k:]", _numbers(1, 9)),
    Step("text", "number", "count its characters", "len(v)"),
    Step("text", "number", "count how often '{k}' occurs", "v.count(k)", _LETTERS),
    Step("text", "number", "count the vowels (aeiou)", "sum(c in 'aeiou' for c in v)"),
    Step("text", "number", "count its words", "len(v.split())"),
    Step("text", "words", "split it into words", "v.split()"),
    Step("text", "numbers", "list the lengths of its words", "[len(w) for w in v.split()]"),
    # lists of words
    Step("words", "words", "keep those that start with '{k}'", "[w for w in v if w.startswith(k)]", _LETTERS),
    Step("words", "words", "keep those that contain '{k}'", "[w for w in v if k in w]", _LETTERS),
    Step("words", "words", "keep those longer than {k} letters", "[w for w in v if len(w) > k]", (2, 3, 4, 5)),
    Step("words", "words", "keep those shorter than {k} letters", "[w for w in v if len(w) < k]", (4, 5, 6)),
    Step("words", "words", "write each in capitals", "[w.upper() for w in v]"),
    Step("words", "words", "reverse each", "[w[::-1] for w in v]"),
    Step("words", "words", "sort them by the alphabet", "sorted(v)"),
    Step("words", "words", "reverse their order", "v[::-1]"),
    Step("words", "words", "keep the first {k}", "v[:k]", (2, 3, 4)),
    Step("words", "words", "drop the first {k}", "v[k:]", (1, 2, 3)),
    Step("words", "words", "keep each once, at its first place", "list(dict.fromkeys(v))"),
    Step("words", "number", "count them", "len(v)"),
    Step("words", "number", "count their letters together", "sum(len(w) for w in v)"),
    Step("words", "number", "take the longest length (0 if there is none)", "max((len(w) for w in v), default=0)"),
    Step("words", "text", "join them with '{k}'", "k.join(v)", ("-", "+", "/", ", ")),
    Step("words", "text", "join their first letters", "''.join(w[:1] for w in v)"),
    Step("words", "numbers", "list their lengths", "[len(w) for w in v]"),
    Step("words", "counts", "make a dictionary of how often each occurs", "{w: v.count(w) for w in v}"),
    Step("words", "counts", "make a dictionary from each to its length", "{w: len(w) for w in v}"),
    # dictionaries
    Step("counts", "counts", "keep entries above {k}", "{w: i for w, i in v.items() if i > k}", (1, 2, 3, 4)),
    Step("counts", "counts", "add {k} to each value", "{w: i + k for w, i in v.items()}", _numbers(1, 20)),
    Step("counts", "counts", "multiply each value by {k}", "{w: i * k for w, i in v.items()}", _numbers(2, 12)),
    Step("counts", "words", "list its keys in alphabetical order", "sorted(v)"),
    Step("counts", "numbers", "list its values from small to large", "sorted(v.values())"),
    Step("counts", "number", "add up its values", "sum(v.values())"),
    Step("counts", "number", "count its keys", "len(v)"),
    Step("counts", "number", "take its largest value (0 if it is empty)", "max(v.values(), default=0)"),
)  # fmt: skip
