"""Names as people and programs write them: equal for the eye is equal here.

A name may be composed or not (é as one character or two), hold a no-break space, or marks without width that an editor
left. Two names that differ in nothing else are one name; which agents they belong to is never guessed beyond that.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence

from league.errors import DataError, nearest

_JOINERS = ("\u200c", "\u200d")
"""Without width, but part of how scripts and emoji are written."""


def clean_name(name: str) -> str:
    """NFC, with plain single spaces and no marks without width.

    Raises DataError on control characters.
    """
    for char in name:
        if unicodedata.category(char) == "Cc" and char not in "\t":
            raise DataError(f"has the control character U+{ord(char):04X} in its name: take it out")
    kept = (char for char in unicodedata.normalize("NFC", name) if not _invisible(char))
    return " ".join("".join(kept).split())


def clean_names(kind: str, names: Sequence[str]) -> list[str]:
    """Clean and distinct. Raises DataError naming `kind` (row or column) and place."""
    found = []
    for place, name in enumerate(names, start=1):
        try:
            found.append(clean_name(name))
        except DataError as error:
            raise DataError(f"{kind} {place} {error}") from None
        if not found[-1]:
            raise DataError(f"{kind} {place} has no name: write one, or take the {kind} out")
    twice = [name for name, count in Counter(found).items() if count > 1]
    if twice:
        spelt = {names[i] for i, name in enumerate(found) if name == twice[0]}
        apart = "" if len(spelt) == 1 else f" (spelt {' and '.join(sorted(map(code_points, spelt)))})"
        raise DataError(
            f"names must be unique; {kind} '{twice[0]}' appears {found.count(twice[0])} times{apart}: "
            "rename one of them"
        )
    return found


def unmatched(columns: Sequence[str], labels: Sequence[str]) -> str:
    """How to say that a name is in the first row or the first column only."""
    only_columns, only_rows = sorted({*columns} - {*labels}), sorted({*labels} - {*columns})
    odd, here, others = (
        (only_columns[0], "first row", only_rows) if only_columns else (only_rows[0], "first column", [])
    )
    alike = [other for other in others if _folded(other) == _folded(odd)]
    if alike:
        hint = f"; '{alike[0]}' looks like it, but is {code_points(alike[0])}, not {code_points(odd)}: spell both alike"
    else:
        hint = (
            f"{nearest(odd, others[:200])} (spell both alike)"
            if others
            else f"; add it to the {'first column' if only_columns else 'first row'}"
        )
    return f"rows and columns must carry the same names; '{odd}' is in only one of them (the {here}){hint}"


def code_points(name: str) -> str:
    """The name's characters by number, as U+0061 U+0301."""
    return " ".join(f"U+{ord(char):04X}" for char in name[:20]) + (" …" if len(name) > 20 else "")


def _invisible(char: str) -> bool:
    return unicodedata.category(char) == "Cf" and char not in _JOINERS


_LOOKALIKES = str.maketrans("асеорхуіјѕАВСЕНКМОРТХІЈЅαορνΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aceopxyijsABCEHKMOPTXIJSaopvABEZHIKMNOPTYX")
"""Cyrillic and Greek letters that look like Latin ones."""


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).translate(_LOOKALIKES).casefold()
