"""Exercises: a chain of steps as a function to write, with its reference program and hidden tests.

    level n    n steps, one after the other

    def solve(xs):
        \"\"\"Given a list of whole numbers xs: keep the even numbers, then add them up. Return the result.

        >>> solve([3, 4, 10])
        14
        \"\"\"

Expected values are what the steps themselves give; nothing is written down twice. Two exercises are the same one when
they give the same results on fixed inputs, whatever their words: "add 2, then add 3" is "add 5".

The hidden tests tell the function from its near misses: from each chain with one step left out or a constant one off
that differs from it at all on the inputs tried. No result stands in more than half of them, so no constant passes.
Left out are chains that cannot have such tests, that give back what they are given, or whose values grow large.
"""

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from tasks.domains.programs.steps import GIVEN, NAMES, STEPS, Chosen, Kind, Operation, Value

ENTRY_POINT = "solve"
TESTS = 8
"""Hidden tests of an exercise, at least."""
TRIED = 48
"""Inputs from which they are chosen."""
LARGEST, LONGEST = 1_000_000, 60
"""Bounds of a number's size, and of a list's and a text's length."""
STARTS: tuple[tuple[Kind, ...], ...] = (
    ("number", "numbers", "text"),
    ("number", "numbers", "text", "words"),
    ("numbers", "text", "words", "counts"),
    ("numbers", "text", "words", "counts"),
)
"""What the function of each level may be given."""
LEVELS = len(STARTS)
_VOCABULARY = (
    "ant bear sea tree stone art bat sort boat star error roots a to be toast basket orange river sun table "
    "otter iris ebb bib".split()
)


@dataclass(frozen=True, kw_only=True)
class GeneratedFunction:
    """One function to write."""

    question: str
    """The function's head with its docstring: what is asked, and one example."""
    program: str
    """The reference."""
    test: str
    """Hidden tests: Python that defines `check(candidate)`."""
    identity: str
    """What it computes: equal for two exercises that do the same."""


def draw_exercise(level: int, seed: int, place: int) -> GeneratedFunction | None:
    """Draw `place` of a level; None where it is no good exercise. Deterministic in all three."""
    stream = random.Random(f"programming/{level}/{seed}/{place}")
    return exercise_of(tuple(_chain(level, stream)))


@lru_cache(maxsize=2_048)
def exercise_of(chain: tuple[Chosen, ...]) -> GeneratedFunction | None:
    """A chain of steps as an exercise; None where the tests could not tell it from its near misses."""
    kind = chain[0].step.takes
    probes = _probes(kind)
    results = [_run(chain, value) for value in probes]
    if not all(map(_small, results)) or results == probes:
        return None
    identity = f"{kind} {json.dumps(results, sort_keys=True)}"
    stream = random.Random(hashlib.sha256(identity.encode()).digest())
    inputs = _inputs(kind, TRIED, stream)
    cases = _cases(chain, inputs)
    if cases is None:
        return None
    (shown, result), *hidden = cases
    asserts = "".join(f"    assert candidate({value!r}) == {want!r}\n" for value, want in hidden)
    return GeneratedFunction(
        question=_question(chain, shown, result),
        program=_program(chain),
        test=f"def check(candidate):\n{asserts}",
        identity=identity,
    )


# --------------------------------------------------------------------------------------------------- the chain
@cache
def _steps_from(kind: Kind) -> tuple[Operation, ...]:
    return tuple(step for step in STEPS if step.takes == kind)


def _chain(level: int, stream: random.Random) -> list[Chosen]:
    """`level` different steps, each taking what the one before it gives."""
    kind: Kind = stream.choice(STARTS[level - 1])
    chain: list[Chosen] = []
    for _ in range(level):
        taken = [chosen.step for chosen in chain]
        step = stream.choice([step for step in _steps_from(kind) if step not in taken])
        chain.append(Chosen(step, stream.choice(step.constants) if step.constants else None))
        kind = step.gives
    return chain


def _run(chain: Sequence[Chosen], value: Value) -> Value:
    for step in chain:
        value = step.run(value)
        if not _small(value):
            return None
    return value


def _small(value: Value) -> bool:
    if isinstance(value, int):
        return abs(value) <= LARGEST
    if value is None or len(value) > LONGEST:
        return False
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(_small(part) for part in parts)


def _near_misses(chain: Sequence[Chosen]) -> Iterator[list[Chosen]]:
    """The chain with a step left out where its kinds allow it, and with a constant one off."""
    for place, chosen in enumerate(chain):
        before, after = list(chain[:place]), list(chain[place + 1 :])
        if chosen.step.takes == chosen.step.gives and len(chain) > 1:
            yield before + after
        for other in chosen.neighbours():
            if not (other.constant == 0 and any(sign in chosen.step.code for sign in ("//", "%"))):
                yield [*before, other, *after]


# --------------------------------------------------------------------------------------------------- its tests
def _cases(chain: Sequence[Chosen], inputs: Sequence[Value]) -> list[tuple[Value, Value]] | None:
    """The shown case, then the hidden ones; None where they cannot be had."""
    results = [_run(chain, value) for value in inputs]
    if not all(map(_small, results)):
        return None
    chosen: list[int] = []
    for wrong in _near_misses(chain):
        order = [*chosen, *(place for place in range(len(inputs)) if place not in chosen)]
        telling = next((place for place in order if _run(wrong, inputs[place]) != results[place]), None)
        if telling is None:
            return None
        if telling not in chosen:
            chosen.append(telling)
    limit = max(TESTS, len(chosen))
    for place in range(len(inputs)):
        if len(chosen) == limit:
            break
        if place not in chosen and sum(results[place] == results[other] for other in chosen) < limit // 2:
            chosen.append(place)
    if len(chosen) < limit or max(sum(results[a] == results[b] for b in chosen) for a in chosen) > limit // 2:
        return None
    spare = [p for p in range(len(inputs)) if p not in chosen and results[p] and results[p] != inputs[p]]
    if not spare:
        return None
    return [(inputs[place], results[place]) for place in (spare[0], *sorted(chosen))]


@cache
def _probes(kind: Kind) -> list[Value]:
    """Inputs on which exercises are compared: the same for ever."""
    return _inputs(kind, 24, random.Random(f"programming/probes/{kind}"))


def _inputs(kind: Kind, count: int, stream: random.Random) -> list[Value]:
    """Distinct inputs of a kind."""
    found: list[Value] = []
    while len(found) < count:
        value = _input(kind, stream)
        if value not in found:
            found.append(value)
    return found


def _input(kind: Kind, stream: random.Random) -> Value:
    words = stream.choices(_VOCABULARY, k=stream.randint(3, 7))
    match kind:
        case "number":
            return stream.randint(-30, 99)
        case "numbers":
            return [stream.randint(-9, 20) for _ in range(stream.randint(3, 7))]
        case "text":
            return " ".join(words[:4])
        case "words":
            return words
        case "counts":
            return {word: stream.randint(1, 9) for word in words}


# ------------------------------------------------------------------------------------------------- its wording
def _question(chain: Sequence[Chosen], shown: Value, result: Value) -> str:
    kind = chain[0].step.takes
    said = ", then ".join(step.words for step in chain)
    return (
        f'def {ENTRY_POINT}({NAMES[kind]}):\n    """Given {GIVEN[kind]}: {said}. Return the result.\n\n'
        f'    >>> {ENTRY_POINT}({shown!r})\n    {result!r}\n    """'
    )


def _program(chain: Sequence[Chosen]) -> str:
    """One line for each step; a variable is called by its kind."""
    lines = [f"def {ENTRY_POINT}({NAMES[chain[0].step.takes]}):"]
    for chosen in chain[:-1]:
        lines.append(f"    {NAMES[chosen.step.gives]} = {chosen.of(NAMES[chosen.step.takes])}")
    last = chain[-1]
    return "\n".join([*lines, f"    return {last.of(NAMES[last.step.takes])}"])
