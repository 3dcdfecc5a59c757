"""Small Python functions with tests, generated, in four levels of difficulty.

A 135M model can earn something from the first on.

Every function takes two steps, so that a helper has something to do and the main function something left:

    1  two steps of arithmetic on a number          "Return x plus 3, then times 2."
    2  a number from a list, then arithmetic        "Return the largest number of xs, then minus 1."
    3  some numbers of a list, then one from them   "Keep the even numbers of xs, then return their sum."
    4  some words of a text, then one thing  "Keep the words of text that start with 'a', then return the
                                              longest length."

A cluster is a pair of kinds of steps, whatever the constants: "plus 3, then times 2" and "plus 5, then times 4" never
part in a split. Expected values come from the same expressions as the worked solution, evaluated here; nothing is
hard-coded.
"""

import ast
import hashlib
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LEVELS = (1, 2, 3, 4)
TESTS = 6
HELPER = "aux"


@dataclass(frozen=True)
class Step:
    """One operation, in words and in Python: `v` is the value, `k` one of its constants."""

    kind: str
    words: str
    code: str
    constants: tuple[Any, ...] = (None,)

    def fill(self, constant: Any) -> "Step":
        """The step with its constant in place."""
        if constant is None:
            return self
        return Step(f"{self.kind}_{constant}", self.words.format(k=constant), self.code.replace("{k}", repr(constant)))


_NUMBER = (
    Step("plus", "plus {k}", "v + {k}", (1, 2, 3, 5, 7, 10)),
    Step("minus", "minus {k}", "v - {k}", (1, 2, 3, 4, 6, 9)),
    Step("times", "times {k}", "v * {k}", (2, 3, 4, 5, 10)),
    Step("square", "squared", "v * v"),
    Step("negative", "negated", "-v"),
    Step("half", "divided by 2 and rounded down", "v // 2"),
    Step("remainder", "modulo {k}", "v % {k}", (2, 3, 5, 10)),
)
_LIST_TO_NUMBER = (
    Step("sum", "the sum of xs", "sum(v)"),
    Step("largest", "the largest number of xs", "max(v)"),
    Step("smallest", "the smallest number of xs", "min(v)"),
    Step("length", "the number of items in xs", "len(v)"),
    Step("first", "the first number of xs", "v[0]"),
    Step("last", "the last number of xs", "v[-1]"),
)
_PICK = (
    Step("even", "the even numbers of xs", "[x for x in v if x % 2 == 0]"),
    Step("odd", "the odd numbers of xs", "[x for x in v if x % 2 == 1]"),
    Step("above", "the numbers of xs greater than {k}", "[x for x in v if x > {k}]", (0, 1, 2, 3, 5)),
    Step("below", "the numbers of xs less than {k}", "[x for x in v if x < {k}]", (0, 3, 5, 6, 8)),
    Step("distinct", "every number of xs once, sorted", "sorted(set(v))"),
)
_GATHER = (
    Step("sum", "their sum", "sum(v)"),
    Step("count", "how many they are", "len(v)"),
    Step("largest", "the largest, or 0 if there is none", "max(v, default=0)"),
    Step("squares", "the list of their squares", "[x * x for x in v]"),
    Step("reversed", "them in reverse order", "v[::-1]"),
)
_WORDS = (
    Step(
        "start",
        "the words of text that start with '{k}'",
        "[w for w in v.split() if w.startswith({k})]",
        ("a", "b", "r", "s", "t"),
    ),
    Step(
        "with",
        "the words of text that contain '{k}'",
        "[w for w in v.split() if {k} in w]",
        ("a", "b", "e", "o", "r", "t"),
    ),
    Step("longer", "the words of text longer than {k} letters", "[w for w in v.split() if len(w) > {k}]", (2, 3, 4)),
    Step("shorter", "the words of text shorter than {k} letters", "[w for w in v.split() if len(w) < {k}]", (4, 5, 6)),
)
_SAY = (
    Step("count", "how many they are", "len(v)"),
    Step("joined", "them joined by '-'", "'-'.join(v)"),
    Step("longest", "the longest length, or 0 if there is none", "max(map(len, v), default=0)"),
    Step("upper", "the list of them in capitals", "[w.upper() for w in v]"),
    Step("letters", "how many letters they have together", "len(''.join(v))"),
)
_VOCABULARY = (
    "ant bear sea tree stone art bat sort boat star error roots a to be toast basket orange river sun table".split()
)


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One function to write, with its tests and a worked solution."""

    name: str
    level: int
    cluster: str
    prompt: str
    test: str
    helper: str
    main: str


def exercises(level: int) -> list[Exercise]:
    """All exercises of a level, the kinds mixed.

    Left out is what a constant solves by more than half ("times 10, then modulo 2").
    """
    made = [exercise for pair in _pairs(level) if (exercise := _make(level, *pair)) is not None]
    return sorted(made, key=lambda exercise: hashlib.sha256(exercise.name.encode()).digest())


def _pairs(level: int) -> Iterator[tuple[Step, Step]]:
    firsts, seconds = {
        1: (_NUMBER, _NUMBER),
        2: (_LIST_TO_NUMBER, _NUMBER),
        3: (_PICK, _GATHER),
        4: (_WORDS, _SAY),
    }[level]
    for first, second in itertools.product(firsts, seconds):
        if level == 1 and first.kind == second.kind:
            continue
        for one, two in itertools.product(first.constants, second.constants):
            yield first.fill(one), second.fill(two)


def _make(level: int, first: Step, second: Step) -> Exercise | None:
    argument = {1: "x", 2: "xs", 3: "xs", 4: "text"}[level]
    said = {
        1: f"Return x {first.words}, then {second.words}.",
        2: f"Return {first.words}, then {second.words}.",
        3: f"Keep {first.words}, then return {second.words}.",
        4: f"Keep {first.words}, then return {second.words}.",
    }[level]
    digest = hashlib.sha256(said.encode()).hexdigest()
    name = f"{first.kind}_{second.kind}"
    cluster = ":".join(step.kind.split("_")[0] for step in (first, second))
    shown, *hidden = _cases(level, first, second, random.Random(digest))
    if len(hidden) < TESTS:
        return None
    helper = f"def {HELPER}({argument}):\n    return {_swap(first.code, argument)}\n"
    main = f"def {name}({argument}):\n    value = {HELPER}({argument})\n    return {_swap(second.code, 'value')}\n"
    example = f"    >>> {name}({shown[0]!r})\n    {shown[1]!r}\n"
    prompt = f'def {name}({argument}):\n    """{said}\n\n{example}    """\n'
    asserts = "".join(f"    assert candidate({value!r}) == {want!r}\n" for value, want in hidden)
    return Exercise(
        name=name,
        level=level,
        cluster=f"{level}:{cluster}",
        prompt=prompt,
        test=f"def check(candidate):\n{asserts}",
        helper=helper,
        main=main,
    )


class _Rename(ast.NodeTransformer):
    def __init__(self, name: str):
        self.name = name

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.name, node.ctx) if node.id == "v" else node


def _swap(code: str, name: str) -> str:
    """The expression with its variable `v` renamed."""
    return ast.unparse(_Rename(name).visit(ast.parse(code, mode="eval")))


def _cases(level: int, first: Step, second: Step, stream: random.Random) -> list[tuple[Any, Any]]:
    """The shown case, then hidden ones on distinct inputs.

    No result stands in more than half of the hidden ones; there are fewer where that cannot be.
    """
    cases: list[tuple[Any, Any]] = []
    for _ in range(300):
        value = _value(level, stream)
        want = eval(second.code, {"v": eval(first.code, {"v": value})})
        if all(value != other for other, _ in cases) and sum(other == want for _, other in cases[1:]) < TESTS // 2:
            cases.append((value, want))
        if len(cases) == TESTS + 1:
            break
    return cases


def _value(level: int, stream: random.Random) -> Any:
    if level == 1:
        return stream.randint(-20, 40)
    if level == 4:
        return " ".join(stream.choices(_VOCABULARY, k=stream.randint(3, 7)))
    return [stream.randint(-9, 12) for _ in range(stream.randint(2, 6))]
