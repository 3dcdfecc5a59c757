"""Reading the final answer out of a reply: strict, linear in time, never a guess.

A reply answers by a line ``Answer: ...``. Nothing else counts as an answer. Several answer lines are accepted only
when they agree. What follows the marker must be exactly one answer of the domain's form: "19 legs", "7 or 8" and ""
are no answers. Left out on purpose: looking for the last number, boxed LaTeX, or near misses. They reward luck and
hide format failures.
"""

import re
from collections.abc import Callable
from typing import Literal

Form = Literal["integer", "word", "words", "integers", "fraction", "text"]

MAX_REPLY = 50_000
"""Characters. A longer reply is not read: no sampled reply comes near it."""

_MARKER = re.compile(r"answer\s{0,4}[:=]", re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3}){1,9}")
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]{0,63}")
_FRACTION = re.compile(r"([+-]?[0-9]{1,30}) ?/ ?([0-9]{1,30})")
WRAPPING = " \t\r*_`$\"'“”‘’"
"""Markup and quotes around an answer, which are no part of it."""


def _integer(text: str) -> str | None:
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    return str(int(text)) if _INTEGER.fullmatch(text) else None


def _word(text: str) -> str | None:
    return text.lower() if _WORD.fullmatch(text) else None


def _items(text: str, one: Form) -> str | None:
    """A comma-separated list; the empty list is written ``none``."""
    if text.lower() in ("none", "[]"):
        return "none"
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    parts = [normalise(part, one) for part in text.split(",")]
    return ", ".join(part for part in parts if part is not None) if all(parts) else None


def _fraction(text: str) -> str | None:
    found = _FRACTION.fullmatch(text)
    if found is None:
        return _integer(text)
    top, bottom = int(found[1]), int(found[2])
    if bottom == 0:
        return None
    return str(top) if bottom == 1 else f"{top}/{bottom}"


def normalise(text: str, form: Form) -> str | None:
    """The one spelling of an answer of this form.

    None when `text` is not exactly one such answer.

    Markup around it and a closing full stop are dropped; letters are compared without case. Fractions are not
    reduced: the domain that asks for them asks for lowest terms.
    """
    if len(text) > 500:
        return None
    text = text.strip(WRAPPING)
    if text.endswith("."):
        text = text[:-1].strip(WRAPPING)
    match form:
        case "integer":
            return _integer(text)
        case "word":
            return _word(text)
        case "words":
            return _items(text, "word")
        case "integers":
            return _items(text, "integer")
        case "fraction":
            return _fraction(text)
        case "text":
            return " ".join(text.split()).casefold() or None


def extract(text: str, form: Form) -> str | None:
    """The normalised final answer of a reply.

    None when it is missing, malformed or contradicts itself.
    """
    return agreed_answer(text, lambda line: normalise(line, form))


def agreed_answer(text: str, read: Callable[[str], str | None]) -> str | None:
    """What `read` makes of the answer lines of a reply: the one spelling on which all of them agree.

    None where there is no such line, where `read` makes None of one, and where two differ.
    """
    if len(text) > MAX_REPLY:
        return None
    found: set[str | None] = set()
    for marker in _MARKER.finditer(text):
        end = text.find("\n", marker.end())
        line = text[marker.end() : end if end >= 0 else len(text)]
        found.add(read(line))
        if len(found) > 1:
            return None
    return found.pop() if found else None


def first_answer(text: str) -> int | None:
    """Where the text after the first answer marker begins, in characters; None without a marker."""
    marker = _MARKER.search(text[:MAX_REPLY])
    return marker.end() if marker else None


def without_answer(text: str) -> str:
    """`text` with every answer line cut at its marker.

    So a given answer can be put in its place.
    """
    lines = []
    for line in text[:MAX_REPLY].splitlines():
        marker = _MARKER.search(line)
        kept = line[: marker.start()] if marker else line
        if kept.strip(WRAPPING) or not marker:
            lines.append(kept.rstrip(WRAPPING) if marker else kept)
    return "\n".join(lines).strip()
