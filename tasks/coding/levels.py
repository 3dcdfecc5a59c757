"""What a helper and a main function are worth together.

The levels are the reference's (CoMLRL's coding reward), read from the syntax tree.

    helper `aux` defined with a return     +0.4
    main function defined with a return    +0.6   else stop
    both together are Python               +0.5   else stop
    share of the assertions that hold      ×1     else stop at 0
    main calls the helper                  +0.5
    main is no mere wrapper of it          +1     (only when it calls it)
    the helper's result is ignored         −0.5

At most 4. The reference reads the last three with regular expressions, which a comment, a string or `aux_count`
satisfies; a tree does not (`tasks/coding/cooperation.py`). A reply may hold prose or fences around its code; of what
it defines only imports, functions, classes and assignments to names are kept. Whatever binds the partner's name is
left out, `global` and `:=` included, so the main writer does not replace the helper, nor the helper's writer supply
the main function. Code that names it in a string (`globals()["aux"]`) could; at the top level such assignments are
not kept.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from league.sandbox.values import Grade
from tasks.coding.cooperation import Use, own, returns, use_of

HELPER = "aux"
MAXIMUM = 4.0
MAX_TEXT = 8192
_FENCE = re.compile(r"```[\w+-]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_KEPT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Shape:
    """A pair of replies as code, before it is run."""

    helper: bool
    main: bool
    parses: bool
    calls: bool
    """Main calls the helper where the call can be reached."""
    wrapper: bool
    """Main does nothing but call it."""
    ignored: bool
    """Main calls it and uses no result."""
    program: str
    """What is graded: helper, then main; empty when it does not parse."""


@dataclass(frozen=True)
class CodeLevels:
    """The reward, by level. `grade` is None when there was nothing to run."""

    shape: Shape
    grade: Grade | None

    @property
    def structure(self) -> float:
        return 0.4 * self.shape.helper + 0.6 * self.shape.main

    @property
    def syntax(self) -> float:
        return 0.5 * (self.shape.main and self.shape.parses)

    @property
    def tests(self) -> float:
        return self.grade.fraction if self.grade is not None else 0.0

    @property
    def cooperation(self) -> float:
        """In [0, 1.5]; 0 until a test passes."""
        if self.tests == 0 or not self.shape.calls:
            return 0.0
        return 0.5 + 1.0 * (not self.shape.wrapper) - 0.5 * self.shape.ignored

    @property
    def total(self) -> float:
        """In [0, 4]."""
        return self.structure + self.syntax + self.tests + self.cooperation

    @property
    def solved(self) -> bool:
        return self.grade is not None and self.grade.verdict == "pass"

    @property
    def suspect(self) -> bool:
        """Whether the grader has marked the answer; most such answers are honest and merely wrong."""
        return self.grade is not None and self.grade.suspect

    @property
    def attack(self) -> bool:
        """Whether the answer tried what no honest one does."""
        return self.grade is not None and self.grade.attack

    @property
    def infra(self) -> bool:
        """Whether the grader failed, so that nothing is known about the answer."""
        return self.grade is not None and self.grade.verdict == "infra"

    @property
    def earned(self) -> float:
        """The joint reward in [0, 4]: the total, 0 for an attack, and the form of what was not judged.

        An attack stays in its group with its 0: nobody escapes a bad reward by it.
        """
        if self.infra:
            return self.structure + self.syntax
        return 0.0 if self.attack else self.total


# ------------------------------------------------------------------------------------------------ from text to code
def code_of(text: str) -> ast.Module | None:
    """The code of a reply.

    What its fences hold, or all of it, or the definitions that stand complete among its prose.

    None when there is none, or more text than a function needs.
    """
    if len(text) > MAX_TEXT:
        return None
    fenced = _FENCE.findall(text)
    source = "\n".join(fenced) if fenced else text
    tree = _parse(source)
    if tree is None:
        tree = ast.Module([node for chunk in _chunks(source) if (part := _parse(chunk)) for node in part.body], [])
    return tree if tree.body else None


def _parse(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _chunks(source: str) -> Iterator[str]:
    """Runs of lines that begin a top-level definition or import.

    Each has the indented lines that follow it.
    """
    chunk: list[str] = []
    for line in source.splitlines():
        if re.match(r"(?:def|async def|class|import|from|@)\b|@", line):
            if chunk and not chunk[-1].startswith("@"):
                yield "\n".join(chunk)
                chunk = []
            chunk.append(line)
        elif chunk and (not line.strip() or line[:1].isspace()):
            chunk.append(line)
        elif chunk:
            yield "\n".join(chunk)
            chunk = []
    if chunk:
        yield "\n".join(chunk)


def shape_of(helper_text: str, main_text: str, entry_point: str) -> Shape:
    """Read a pair of replies. A single writer's reply is given twice."""
    helper_tree, main_tree = code_of(helper_text), code_of(main_text)
    helper = _function(helper_tree, HELPER)
    main = _function(main_tree, entry_point)
    program = _program(helper_tree, main_tree, entry_point)
    parses = main is not None and program is not None
    use = use_of(main, HELPER) if main is not None else Use()
    return Shape(
        helper=helper is not None and returns(helper),
        main=main is not None and returns(main),
        parses=parses,
        calls=use.calls > 0 and helper is not None,
        wrapper=use.wrapper,
        ignored=use.calls > 0 and use.ignored,
        program=program or "",
    )


def own_helper(text: str) -> float:
    """What a helper earns by itself, for writers who are rewarded independently.

    0.4 when `aux` is defined with a return, 0.5 that it is Python, and 1 when it reads one of its arguments. Ours: a
    helper has no tests of its own, and the paper does not define this reward.
    """
    helper = _function(code_of(text), HELPER)
    if helper is None or not returns(helper):
        return 0.0
    names = {argument.arg for argument in (*helper.args.posonlyargs, *helper.args.args, *helper.args.kwonlyargs)}
    reads = any(
        isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names for node in own(helper)
    )
    return 0.9 + 1.0 * reads


def _function(tree: ast.Module | None, name: str) -> ast.FunctionDef | None:
    """The last definition of `name` at the top level, as Python would have it."""
    found = (
        [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
        if tree is not None
        else []
    )
    return found[-1] if found else None


def _program(helper: ast.Module | None, main: ast.Module | None, entry_point: str) -> str | None:
    kept: list[ast.stmt] = []
    for tree, foreign in ((helper, entry_point), (main, HELPER)):
        for node in tree.body if tree is not None else []:
            if _keeps(node) and foreign not in _binds(node):
                kept.append(node)
    try:
        source = ast.unparse(ast.Module(kept, []))
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return source + "\n"


def _binds(node: ast.stmt) -> set[str]:
    """Names that a top-level statement binds in the module, now or when what it defines is called."""
    inner = {name for part in ast.walk(node) if isinstance(part, ast.Global) for name in part.names}
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        outer: list[ast.AST] = [
            *node.decorator_list,
            *node.args.defaults,
            *(part for part in node.args.kw_defaults if part),
        ]
        return {node.name} | inner | {name for part in outer for name in _stored(part)}
    if isinstance(node, ast.ClassDef):
        outer = [*node.decorator_list, *node.bases, *node.keywords]
        return {node.name} | inner | {name for part in outer for name in _stored(part)}
    imported = {
        alias.asname or alias.name
        for part in ast.walk(node)
        if isinstance(part, ast.Import | ast.ImportFrom)
        for alias in part.names
    }
    return _stored(node) | imported


def _stored(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def _keeps(node: ast.stmt) -> bool:
    """Imports, definitions, and assignments to names only.

    `globals()["aux"] = …` and `module.name = …` reach beyond.
    """
    if isinstance(node, ast.Assign):
        return all(
            isinstance(part, ast.Name | ast.Tuple | ast.List | ast.Starred)
            for target in node.targets
            for part in _targets(target)
        )
    if isinstance(node, ast.AnnAssign):
        return isinstance(node.target, ast.Name)
    return isinstance(node, _KEPT)


def _targets(target: ast.expr) -> Iterator[ast.expr]:
    yield target
    if isinstance(target, ast.Tuple | ast.List):
        for part in target.elts:
            yield from _targets(part)
    elif isinstance(target, ast.Starred):
        yield from _targets(target.value)
