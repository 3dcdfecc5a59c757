"""A kind of generated domain: a reasoning-gym generator, our own wording, and the form of an answer.

A kind is data plus one function, `render`, which turns a generated entry into our own wording, the true answer and a
short worked solution, or into None where the entry is unsound, ambiguous or outside what the kind promises. `render`
works the answer out again from the entry's numbers; an entry whose two answers differ is never used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.domains.answers import Form

Entry = Mapping[str, Any]
"""What reasoning-gym yields: question, answer, metadata."""


@dataclass(frozen=True)
class Rendered:
    """One problem in our words.

    `steps` is the worked solution without its final answer line; None where there is none.
    """

    question: str
    answer: str
    steps: str | None
    identity: str | None = None
    """What makes two problems the same one where their words differ: gcd of 4, 6 and of 6, 4."""


@dataclass(frozen=True)
class Level:
    """Generator settings of one level and the token cap of one answer, worked solution included."""

    settings: Mapping[str, int]
    max_tokens: int


@dataclass(frozen=True)
class DomainKind:
    """A family of problems with levels of rising difficulty. Level n is `levels[n - 1]`."""

    name: str
    field: str
    dataset: str
    """The name of the reasoning-gym generator."""
    form: Form
    instruction: str
    """One sentence that says what to do and how the answer must look."""
    levels: tuple[Level, ...]
    knobs: Mapping[str, tuple[int, int]]
    """Settings a config may change, with their inclusive bounds; min_x may not be above max_x."""
    render: Callable[[Entry, Mapping[str, int]], Rendered | None]
    fixed: Mapping[str, object] | None = None
    """Generator settings that belong to the kind and are not for users."""
    own: tuple[str, ...] = ()
    """Knobs that `render` reads and the generator does not know."""
    open_answers: bool = True
    """False where answers are so few (yes or no) that asking for another answer would give it away."""
