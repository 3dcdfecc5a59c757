"""The examples a prompt shows.

An answer that satisfies all of them and fails the hidden tests may have memorised them.

Reads doctests and the arrow forms HumanEval uses (`f(1) == 2`, `f(1) => 2`, `f(1) ➞ 2`, `f(1) # => 2`, `f(1) returns
2`); what is not a call with literal arguments and a literal result is left out.
"""

import ast
import doctest
import re
from dataclasses import dataclass
from typing import Any

_ARROW = r"\s*(?:#\s*)?(?:={1,3}>|==|-+>|➞|➝|→|#|returns?|should return|is)\s*"


@dataclass(frozen=True)
class Example:
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    want: Any


def examples(prompt: str, entry_point: str) -> tuple[Example, ...]:
    """The prompt's examples of `entry_point`, in order."""
    found = []
    text = _docstring(prompt, entry_point)
    try:
        cases = doctest.DocTestParser().get_examples(text)
    except ValueError:
        cases = []
    for case in cases:
        found.append(_example(case.source.strip(), case.want.strip(), entry_point))
    for line in text.splitlines():
        start = re.search(rf"(?<![\w.]){re.escape(entry_point)}\(", line)
        if start and not line.strip().startswith("def "):
            call, rest = _split_call(line, start.start())
            arrow = re.match(_ARROW, rest)
            if arrow:
                want = rest[arrow.end() :].strip().rstrip(".").split("  ")[0].split(" #")[0]
                found.append(_example(call, want, entry_point) or _example(call, want.rpartition("= ")[2], entry_point))
    return tuple(example for example in found if example is not None)


def _docstring(prompt: str, entry_point: str) -> str:
    """The entry point's docstring, or the whole prompt where it has none (a comment above it, say)."""
    try:
        body = ast.parse(prompt).body
    except SyntaxError:
        return prompt
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == entry_point:
            return ast.get_docstring(node) or prompt
    return prompt


def _split_call(line: str, start: int) -> tuple[str, str]:
    depth = 0
    for position in range(start, len(line)):
        depth += {"(": 1, ")": -1}.get(line[position], 0)
        if depth == 0 and line[position] == ")":
            return line[start : position + 1], line[position + 1 :]
    return line[start:], ""


def _example(call: str, want: str, entry_point: str) -> Example | None:
    try:
        node = ast.parse(call, mode="eval").body
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != entry_point:
            return None
        args = tuple(ast.literal_eval(argument) for argument in node.args)
        kwargs = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords if keyword.arg}
        return Example(args, kwargs, ast.literal_eval(want))
    except (ValueError, SyntaxError, TypeError):
        return None


def same(value: Any, want: Any) -> bool:
    """Equality as a doctest's reader means it: same type, floats within 1e-6."""
    if isinstance(want, float) and isinstance(value, float):
        return abs(value - want) < 1e-6
    return type(value) is type(want) and bool(value == want)
