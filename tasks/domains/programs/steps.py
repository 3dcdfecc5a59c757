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
class Operation:
    """One operation. `constants` are those that `k` may be; none where the step has no `k`."""

    takes: Kind
    gives: Kind
    words: str
    code: str
    constants: tuple[int | str, ...] = ()


@dataclass(frozen=True)
class Chosen:
    """A step with its constant."""

    step: Operation
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

STEPS: tuple[Operation, ...] = (
    # numbers
    Operation("number", "number", "add {k}", "v + k", _numbers(1, 60)),
    Operation("number", "number", "subtract {k}", "v - k", _numbers(1, 60)),
    Operation("number", "number", "multiply by {k}", "v * k", _numbers(2, 30)),
    Operation("number", "number", "square it", "v * v"),
    Operation("number", "number", "change its sign", "-v"),
    Operation("number", "number", "take its absolute value", "abs(v)"),
    Operation("number", "number", "divide by {k} and round down", "v // k", _numbers(2, 12)),
    Operation("number", "number", "take the remainder of dividing by {k}", "v % k", _numbers(3, 15)),
    Operation("number", "number", "replace it by {k} if it is smaller than {k}", "max(v, k)", _numbers(-5, 20)),
    Operation("number", "number", "replace it by {k} if it is greater than {k}", "min(v, k)", _numbers(0, 25)),
    Operation("number", "number", "add up its digits", "sum(int(c) for c in str(abs(v)))"),
    Operation("number", "numbers", "list its digits", "[int(c) for c in str(abs(v))]"),
    Operation("number", "numbers", "list its first {k} multiples", "[v * i for i in range(1, k + 1)]", _numbers(3, 6)),
    # lists of numbers
    Operation("numbers", "numbers", "add {k} to each", "[x + k for x in v]", _numbers(1, 30)),
    Operation("numbers", "numbers", "subtract {k} from each", "[x - k for x in v]", _numbers(1, 30)),
    Operation("numbers", "numbers", "multiply each by {k}", "[x * k for x in v]", _numbers(2, 20)),
    Operation("numbers", "numbers", "square each", "[x * x for x in v]"),
    Operation("numbers", "numbers", "keep the even numbers", "[x for x in v if x % 2 == 0]"),
    Operation("numbers", "numbers", "keep the odd numbers", "[x for x in v if x % 2 == 1]"),
    Operation("numbers", "numbers", "keep the numbers that {k} divides", "[x for x in v if x % k == 0]", (3, 4, 5)),
    Operation("numbers", "numbers", "keep the numbers greater than {k}", "[x for x in v if x > k]", _numbers(-5, 15)),
    Operation("numbers", "numbers", "keep the numbers less than {k}", "[x for x in v if x < k]", _numbers(-2, 18)),
    Operation("numbers", "numbers", "drop the first {k}", "v[k:]", (1, 2, 3)),
    Operation("numbers", "numbers", "keep the first {k}", "v[:k]", (2, 3, 4)),
    Operation("numbers", "numbers", "sort them from small to large", "sorted(v)"),
    Operation("numbers", "numbers", "sort them from large to small", "sorted(v, reverse=True)"),
    Operation("numbers", "numbers", "reverse their order", "v[::-1]"),
    Operation("numbers", "numbers", "keep each number once, at its first place", "list(dict.fromkeys(v))"),
    Operation("numbers", "number", "add them up", "sum(v)"),
    Operation("numbers", "number", "take the largest (0 if there is none)", "max(v, default=0)"),
    Operation("numbers", "number", "take the smallest (0 if there is none)", "min(v, default=0)"),
    Operation("numbers", "number", "count them", "len(v)"),
    Operation("numbers", "number", "take the first (0 if there is none)", "v[0] if v else 0"),
    Operation("numbers", "number", "take the last (0 if there is none)", "v[-1] if v else 0"),
    Operation("numbers", "number", "count those greater than {k}", "sum(x > k for x in v)", _numbers(-5, 15)),
    Operation("numbers", "number", "count those less than {k}", "sum(x < k for x in v)", _numbers(-2, 18)),
    # texts
    Operation("text", "text", "reverse it", "v[::-1]"),
    Operation("text", "text", "make all letters capitals", "v.upper()"),
    Operation("text", "text", "remove the spaces", "v.replace(' ', '')"),
    Operation("text", "text", "remove every '{k}'", "v.replace(k, '')", _LETTERS),
    Operation("text", "text", "replace every '{k}' by '*'", "v.replace(k, '*')", _LETTERS),
    Operation("text", "text", "remove the vowels (aeiou)", "''.join(c for c in v if c not in 'aeiou')"),
    Operation("text", "text", "keep the first {k} characters", "v[:k]", _numbers(2, 9)),
    Operation("text", "text", "drop the first {k} characters", "v[k:]", _numbers(1, 9)),
    Operation("text", "number", "count its characters", "len(v)"),
    Operation("text", "number", "count how often '{k}' occurs", "v.count(k)", _LETTERS),
    Operation("text", "number", "count the vowels (aeiou)", "sum(c in 'aeiou' for c in v)"),
    Operation("text", "number", "count its words", "len(v.split())"),
    Operation("text", "words", "split it into words", "v.split()"),
    Operation("text", "numbers", "list the lengths of its words", "[len(w) for w in v.split()]"),
    # lists of words
    Operation("words", "words", "keep those that start with '{k}'", "[w for w in v if w.startswith(k)]", _LETTERS),
    Operation("words", "words", "keep those that contain '{k}'", "[w for w in v if k in w]", _LETTERS),
    Operation("words", "words", "keep those longer than {k} letters", "[w for w in v if len(w) > k]", (2, 3, 4, 5)),
    Operation("words", "words", "keep those shorter than {k} letters", "[w for w in v if len(w) < k]", (4, 5, 6)),
    Operation("words", "words", "write each in capitals", "[w.upper() for w in v]"),
    Operation("words", "words", "reverse each", "[w[::-1] for w in v]"),
    Operation("words", "words", "sort them by the alphabet", "sorted(v)"),
    Operation("words", "words", "reverse their order", "v[::-1]"),
    Operation("words", "words", "keep the first {k}", "v[:k]", (2, 3, 4)),
    Operation("words", "words", "drop the first {k}", "v[k:]", (1, 2, 3)),
    Operation("words", "words", "keep each once, at its first place", "list(dict.fromkeys(v))"),
    Operation("words", "number", "count them", "len(v)"),
    Operation("words", "number", "count their letters together", "sum(len(w) for w in v)"),
    Operation("words", "number", "take the longest length (0 if there is none)", "max((len(w) for w in v), default=0)"),
    Operation("words", "text", "join them with '{k}'", "k.join(v)", ("-", "+", "/", ", ")),
    Operation("words", "text", "join their first letters", "''.join(w[:1] for w in v)"),
    Operation("words", "numbers", "list their lengths", "[len(w) for w in v]"),
    Operation("words", "counts", "make a dictionary of how often each occurs", "{w: v.count(w) for w in v}"),
    Operation("words", "counts", "make a dictionary from each to its length", "{w: len(w) for w in v}"),
    # dictionaries
    Operation("counts", "counts", "keep entries above {k}", "{w: i for w, i in v.items() if i > k}", (1, 2, 3, 4)),
    Operation("counts", "counts", "add {k} to each value", "{w: i + k for w, i in v.items()}", _numbers(1, 20)),
    Operation("counts", "counts", "multiply each value by {k}", "{w: i * k for w, i in v.items()}", _numbers(2, 12)),
    Operation("counts", "words", "list its keys in alphabetical order", "sorted(v)"),
    Operation("counts", "numbers", "list its values from small to large", "sorted(v.values())"),
    Operation("counts", "number", "add up its values", "sum(v.values())"),
    Operation("counts", "number", "count its keys", "len(v)"),
    Operation("counts", "number", "take its largest value (0 if it is empty)", "max(v.values(), default=0)"),
)  # fmt: skip
