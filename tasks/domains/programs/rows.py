"""Functions to write from rows of data: HumanEval's form, or MBPP's.

    HumanEval   prompt, entry_point, test (defines `check(candidate)`), canonical_solution (the rest of the prompt)
    MBPP        text or prompt, test_list (assertions), code; test_setup_code or test_imports run before the assertions

In MBPP's form the function is the one that the first assertion calls and the reference defines; the question names it
and shows that assertion.
"""

import ast
import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any

from league.sandbox.values import CodeProblem


class UnusableRow(ValueError):
    """A row from which no function to write can be made, in words."""


@dataclass(frozen=True)
class CodeRow:
    """A function to write: the question, how it is tested, and a reference where the row has one."""

    question: str
    problem: CodeProblem
    program: str | None
    in_words: bool = False
    """Whether the question is no Python."""


def code_row(row: Mapping[str, Any], name: str) -> CodeRow:
    """What a row asks for; `name` tells it from others. Raises UnusableRow."""
    if "test_list" in row:
        return _by_assertions(row, name)
    texts = {key: _text(row, key) for key in ("prompt", "entry_point", "test")}
    entry = texts["entry_point"]
    if not entry.isidentifier() or iskeyword(entry):
        raise UnusableRow(f"entry_point must be a Python name, found {entry[:60]!r}")
    if not any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in _parsed(texts["test"], "test")):
        raise UnusableRow("test must define check(candidate)")
    prompt, in_words = texts["prompt"], False
    if not _is_python(prompt) and not _is_python(prompt.rstrip() + "\n    pass\n"):
        prompt, in_words = _head(entry), True
    solution = row.get("canonical_solution")
    program = None
    if isinstance(solution, str) and solution.strip():
        program = texts["prompt"] + solution if _is_python(texts["prompt"] + solution) else solution
        if not _defines(program, entry):
            raise UnusableRow(f"canonical_solution does not define {entry}")
    return CodeRow(texts["prompt"].strip(), CodeProblem(name, prompt, entry, texts["test"]), program, in_words)


def _by_assertions(row: Mapping[str, Any], name: str) -> CodeRow:
    listed = row["test_list"]
    if isinstance(listed, str) or not isinstance(listed, Sequence) or not listed:
        raise UnusableRow("test_list must be a list of assertions")
    nodes = [node for each in listed for node in _parsed(str(each), "test_list")]
    question = str(row.get("text") or row.get("prompt") or "").strip()
    if not question:
        raise UnusableRow("text is missing or empty")
    code = row.get("code")
    program = code if isinstance(code, str) and code.strip() else None
    called = _called(nodes)
    defined = [name for name in called if program is None or _defines(program, name)]
    if not defined:
        raise UnusableRow("the first assertion calls no function that code defines")
    entry = defined[0]
    setup = row.get("test_setup_code") or row.get("test_imports") or ""
    before = "\n".join(map(str, setup)) if isinstance(setup, list | tuple) else str(setup)
    _parsed(before, "test_setup_code")
    body = "\n".join(f"    {line}" for node in nodes for line in ast.unparse(node).splitlines())
    test = f"{before.strip()}\n\ndef check(candidate):\n    {entry} = candidate\n{body}\n".lstrip()
    question += f"\n\nThe function is called `{entry}`. For example:\n{ast.unparse(nodes[0])}"
    return CodeRow(question, CodeProblem(name, _head(entry), entry, test), program, in_words=True)


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise UnusableRow(f"{key} is missing or no text")
    return value


def _head(entry: str) -> str:
    return f"def {entry}(*args, **kwargs):\n"


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _parsed(text: str, key: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnusableRow(f"{key} is not Python: {error}") from error


def _defines(program: str, name: str) -> bool:
    return _is_python(program) and any(
        isinstance(node, ast.FunctionDef) and node.name == name for node in ast.parse(program).body
    )


def _called(nodes: Sequence[ast.stmt]) -> list[str]:
    """Names of the functions that the first assertion calls, but for built-in ones, outermost first."""
    first = next((node for node in nodes if isinstance(node, ast.Assert)), None)
    if first is None:
        raise UnusableRow("test_list has no assertion")
    calls = [node.func.id for node in ast.walk(first) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return [name for name in calls if name not in vars(builtins)]
