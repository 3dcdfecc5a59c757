"""How much of a solution a message gives away.

It is the share of the solution's 8-grams found in the message.

Words are compared in lower case; identifiers of code are not renamed here (the teacher never sees the student's
problem, so what is caught is memorised or guessed text). Unrelated pairs stay under 0.12. A solution of fewer than
eight words has no 8-gram and never leaks.
"""

import re

LENGTH = 8
_WORD = re.compile(r"\w+|[^\w\s]")


def grams(text: str, length: int = LENGTH) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}


def overlap(message: str, solution: str, length: int = LENGTH) -> float:
    """Share in [0, 1] of the solution's n-grams that the message contains."""
    wanted = grams(solution, length)
    return len(wanted & grams(message, length)) / len(wanted) if wanted else 0.0
