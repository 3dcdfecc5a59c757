"""YAML text → mappings, lists, texts and numbers, of bounded size and with no part shared.

Aliases let ten lines stand for a billion values, or for a value that contains itself. They also let an override of one
agent change another. So every alias is replaced by a copy here, up to a size that no honest configuration has.
"""

import itertools
from typing import Any

import yaml

TEXT = "tag:yaml.org,2002:str"
READ_AS_TEXT = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "timestamp"))
"""What YAML makes of 2024, yes, 1e3 and 2024-01-01, where we ask for a name."""
MAX_VALUES, MAX_DEPTH = 100_000, 32
"""Values of one document, and how deep they may nest."""
TOO_LARGE = f"more than {MAX_VALUES:,} values, or nested deeper than {MAX_DEPTH} levels, with all aliases written out"
MAX_INTEGER = 2**62
"""Whole numbers beyond it fit no column of the database."""
UNWANTED: dict[type[object], str] = {bytes: "binary", set: "set", tuple: "pairs"}


def parse_yaml(text: str) -> Any:
    """The document. Raises ValueError with the reason in one line: not YAML, or see `checked_copy`."""
    try:
        return checked_copy(yaml.load(text, Loader=_StrictLoader))
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: also a date such as 2026-99-99
        if "integer string conversion" in str(error):  # Python's own limit
            raise ValueError("a whole number of thousands of digits; expected at most 19") from error
        raise ValueError(" ".join(str(error).split())) from error


def load_name(text: str) -> Any:
    """A value that is read as text whatever YAML would make of it. Raises ValueError."""
    found: dict[str, Any] = parse_yaml(f"name: {text}")
    return found["name"]


def checked_copy(value: Any) -> Any:
    """A copy in which nothing is shared.

    Raises ValueError for what is too large or too deep, and for kinds of values that no configuration needs.
    """
    count = itertools.count()

    def copy(item: Any, depth: int) -> Any:
        if next(count) >= MAX_VALUES or depth > MAX_DEPTH:
            raise ValueError(TOO_LARGE)
        if isinstance(item, dict):
            return {copy(key, depth + 1): copy(inner, depth + 1) for key, inner in item.items()}
        if isinstance(item, list):
            return [copy(inner, depth + 1) for inner in item]
        if isinstance(item, str) and not item.isascii() and any("\ud800" <= char <= "\udfff" for char in item):
            raise ValueError("a text holds half a surrogate pair, which no file can")
        if isinstance(item, int) and not isinstance(item, bool) and abs(item) > MAX_INTEGER:
            raise ValueError(f"a whole number of {item.bit_length()} bits; expected at most {MAX_INTEGER.bit_length()}")
        if isinstance(item, tuple(UNWANTED)):
            raise ValueError(f"a value of YAML's kind !!{UNWANTED[type(item)]}; expected plain values")
        return item

    return copy(value, 0)


def _as_text(node: yaml.Node) -> None:
    if isinstance(node, yaml.ScalarNode) and node.tag in READ_AS_TEXT:
        node.tag = TEXT


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that reads keys and names as text, and refuses a key given twice.

    One of the two values would be lost silently.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, value_node in node.value:
            if isinstance(key_node, yaml.ScalarNode):
                _as_text(key_node)
                if key_node.value == "name":
                    _as_text(value_node)
                if key_node.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key '{key_node.value}' given twice", key_node.start_mark
                    )
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge keys (`<<`) copy what they name while the document is still being read.

        Up to PyYAML 6.0.3 a mapping merged along many paths is copied once for each, so the copies are counted here.
        """
        super().flatten_mapping(node)
        if len(node.value) > MAX_VALUES:
            raise yaml.constructor.ConstructorError(None, None, TOO_LARGE, node.start_mark)
