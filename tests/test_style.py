"""Rules of style that no linter checks: first docstring lines, and how many arguments go by position."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(path for room in ("league", "tasks") for path in (ROOT / room).rglob("*.py"))
WIDTH = 100
"""Columns of a first docstring line, counted from its first word."""
TOO_MANY = 6
"""From this many positional arguments on, a call names them."""


def docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    """The strings that stand as statements.

    They belong to modules, classes and functions, and to the field or constant above them.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value


def complaints(text: str) -> list[str]:
    """What is wrong with the first line of a docstring: too wide, or broken in mid-sentence."""
    first, *others = text.split("\n")
    found = []
    if len(first) > WIDTH:
        found.append(f"{len(first)} columns, at most {WIDTH}")
    ends = first.rstrip().endswith((".", "?", "!", ":", ")"))
    if not ends and not (others and not others[0].strip()):
        found.append("breaks in mid-sentence: end it, and let a second paragraph follow")
    return found


def callables_of_ours(trees: list[ast.Module]) -> set[str]:
    """Names of our classes and functions, but for those that take any number of arguments (`*parts`)."""
    names, variadic = set(), set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                (variadic if node.args.vararg else names).add(node.name)
    return names - variadic


def crowded_calls(tree: ast.Module, ours: set[str]) -> Iterator[tuple[int, str, int]]:
    """(line, name, number of positional arguments) of the calls that pass too many."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and len(node.args) >= TOO_MANY:
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in ours:
                yield node.lineno, name, len(node.args)


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def test_first_docstring_lines_are_one_short_sentence(trees: dict[Path, ast.Module]) -> None:
    found = [
        f"{place(path, text.lineno)}: {complaint}"
        for path, tree in trees.items()
        for text in docstrings(tree)
        for complaint in complaints(str(text.value))
    ]
    assert not found, "first docstring lines:\n" + "\n".join(found)


def test_many_arguments_are_named_at_the_call(trees: dict[Path, ast.Module]) -> None:
    ours = callables_of_ours(list(trees.values()))
    assert {"Version", "play"} <= ours and "derive" not in ours
    found = [
        f"{place(path, line)}: {name} gets {number} arguments by position"
        for path, tree in trees.items()
        for line, name, number in crowded_calls(tree, ours)
    ]
    assert not found, "use keywords:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("One sentence.", True),
        ("Formula: (N, N)", True),
        ("(situation, domain)\n\nMore.", True),
        ("A title without an end\n\nMore.", True),
        ("It breaks in\nmid-sentence.", False),
        ("x" * 100 + ".", False),
    ],
)
def test_the_rule_tells_good_first_lines_from_bad_ones(text: str, fine: bool) -> None:
    assert (not complaints(text)) == fine
