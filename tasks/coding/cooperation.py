"""Whether a function uses another one, read from its syntax tree.

What counts are calls that can be reached, and what becomes of their results.

A call does not count behind a condition whose value is written down (`if 1 > 2`, `while ""`, `False and aux(x)`, a
loop over `[]`), after the end of a block, or in a nested function or lambda whose name is never read. A result is
ignored where it is dropped by a statement without any effect, or only reaches names that are never read but to make
such names. What only running can tell (`if x != x`) is not seen.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.GeneratorExp)
_PURE = frozenset("abs all any bool dict float int len list max min repr round set sorted str sum tuple".split())
"""Built-in functions that only give a value."""
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Use:
    """What a function makes of a helper."""

    calls: int = 0
    """Calls that can be reached."""
    wrapper: bool = False
    """It does nothing but pass names and constants on to the helper."""
    ignored: bool = False
    """No result is used."""


def use_of(function: ast.FunctionDef, helper: str) -> Use:
    reader = _Reader(function, helper)
    return Use(sum(len(reader.calls(step)) for step in reader.steps), _is_wrapper(function, helper), reader.ignores())


def returns(function: ast.FunctionDef) -> bool:
    """Whether it can return a value."""
    return any(isinstance(node, ast.Return) and node.value is not None for node in own(function))


# ------------------------------------------------------------------------------------------------- what can run
def own(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below `node` that run when it runs.

    Not the bodies of nested functions, nor of branches that are never taken.
    """
    for child in _taken(node):
        yield child
        if not isinstance(child, _NESTED):
            yield from own(child)


def _running(value: ast.AST) -> Iterator[ast.AST]:
    """The nodes of an expression that run when it is evaluated."""
    yield value
    if not isinstance(value, _NESTED):
        yield from own(value)


def _taken(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.BoolOp):
        for operand in node.values:
            yield operand
            if _truth(operand) is isinstance(node.op, ast.Or):
                return
        return
    never = _never(node)
    for name, value in ast.iter_fields(node):
        if name in never:
            continue
        if isinstance(value, ast.AST):
            yield value
        elif isinstance(value, list):
            for item in _before_the_end(value) if name in ("body", "orelse", "finalbody") else value:
                if isinstance(item, ast.AST):
                    yield item


def _never(node: ast.AST) -> tuple[str, ...]:
    """Fields of a node that never run."""
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        truth = _truth(node.test)
        return ("body",) if truth is False else ("orelse",) if truth else ()
    if isinstance(node, ast.For) and _truth(node.iter) is False:
        return ("body", "target")
    if isinstance(node, _COMPREHENSIONS) and any(
        _truth(part) is False for each in node.generators for part in (each.iter, *each.ifs)
    ):
        return ("elt", "key", "value")
    return ("msg",) if isinstance(node, ast.Assert) and _truth(node.test) else ()


def _truth(node: ast.AST) -> bool | None:
    """The truth of an expression that is written down, else None."""
    if isinstance(node, ast.Constant):
        return bool(node.value)
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return None if any(isinstance(part, ast.Starred) for part in node.elts) else bool(node.elts)
    if isinstance(node, ast.Dict):
        return None if None in node.keys else bool(node.keys)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _truth(node.operand)
        return None if inner is None else not inner
    if isinstance(node, ast.BoolOp):
        found = [_truth(part) for part in node.values]
        decides = isinstance(node.op, ast.Or)
        return decides if decides in found else None if None in found else not decides
    if isinstance(node, ast.Compare) and all(isinstance(part, ast.Constant) for part in (node.left, *node.comparators)):
        try:
            return bool(
                eval(compile(ast.Expression(node), "<constants>", "eval"), {"__builtins__": {}})
            )  # literals only
        except TypeError:
            return None
    return None


def _before_the_end(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    for statement in body:
        yield statement
        if _ends(statement):
            return


def _ends(statement: ast.AST) -> bool:
    """Whether nothing behind a statement can run."""
    if isinstance(statement, ast.Return | ast.Raise | ast.Continue | ast.Break):
        return True
    if isinstance(statement, ast.While):
        return _truth(statement.test) is True and not any(isinstance(node, ast.Break) for node in ast.walk(statement))
    if isinstance(statement, ast.If):
        truth = _truth(statement.test)
        taken = (
            [statement.body] if truth else [statement.orelse] if truth is False else [statement.body, statement.orelse]
        )
        return all(any(_ends(inner) for inner in body) for body in taken)
    return False


# ---------------------------------------------------------------------------------------- what becomes of a result
@dataclass(frozen=True)
class _Step:
    """Expressions that run together, and the names that their values go to.

    The names are None where the value is used, and none where it is dropped.
    """

    values: tuple[ast.AST, ...]
    names: frozenset[str] | None


class _Reader:
    """One function and the helper it may use."""

    def __init__(self, function: ast.FunctionDef, helper: str):
        self.helper = helper
        self.read = _names_read([function])
        self.steps = list(self._steps(function.body))

    def calls(self, step: _Step) -> list[ast.AST]:
        """Calls of the helper that a step can make.

        What a lambda or a generator would do counts where somebody may ask it to.
        """
        asked = step.names is None or bool(step.names & self.read)
        found: list[ast.AST] = []
        nodes = [node for value in step.values for node in _running(value)]
        while nodes:
            node = nodes.pop()
            if self._is_call(node):
                found.append(node)
            elif isinstance(node, ast.Lambda | ast.GeneratorExp) and asked:
                nodes += own(node)
        return found

    def ignores(self) -> bool:
        """Whether no call's result is used: names count as used where a used step reads them."""
        live: frozenset[str] = frozenset()
        while True:
            used = [step for step in self.steps if step.names is None or step.names & live]
            grown = live | _names_read([value for step in used for value in step.values])
            if grown == live:
                return not any(self.calls(step) for step in used)
            live = grown

    def _steps(self, body: Sequence[ast.AST]) -> Iterator[_Step]:
        for statement in _before_the_end(body):
            if isinstance(statement, ast.Pass) or (
                isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            ):
                continue
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from self._steps(statement.body if statement.name in self.read else [])
            elif isinstance(statement, ast.Expr):
                yield _Step((statement.value,), None if self._acts(statement.value) else frozenset())
            elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign) and statement.value is not None:
                yield self._assigned(
                    statement.targets if isinstance(statement, ast.Assign) else [statement.target], statement.value
                )
            else:
                yield from self._compound(statement)

    def _compound(self, statement: ast.AST) -> Iterator[_Step]:
        parts = list(_taken(statement))
        blocks = [part for part in parts if isinstance(part, ast.stmt | ast.ExceptHandler)]
        heads = tuple(part for part in parts if not isinstance(part, ast.stmt | ast.ExceptHandler))
        inner = list(self._steps(blocks)) if not isinstance(statement, ast.Try) else list(self._tried(statement))
        empty = isinstance(statement, ast.If) and not inner and not self._acts(statement.test)
        yield _Step(heads, frozenset() if empty else None)
        yield from inner

    def _tried(self, statement: ast.Try) -> Iterator[_Step]:
        for block in (
            statement.body,
            *(handler.body for handler in statement.handlers),
            statement.orelse,
            statement.finalbody,
        ):
            yield from self._steps(block)

    def _assigned(self, targets: list[ast.expr], value: ast.expr) -> _Step:
        parts = [part for target in targets for part in ast.walk(target)]
        if self._acts(value) or any(isinstance(part, ast.Attribute | ast.Subscript) for part in parts):
            return _Step((value, *targets), None)
        return _Step((value,), frozenset(part.id for part in parts if isinstance(part, ast.Name)))

    def _acts(self, value: ast.AST) -> bool:
        """Whether an expression may do more than give a value."""
        return any(
            isinstance(node, ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr)
            or (
                isinstance(node, ast.Call)
                and not (isinstance(node.func, ast.Name) and node.func.id in (self.helper, *_PURE))
            )
            for node in _running(value)
        )

    def _is_call(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == self.helper


def _names_read(nodes: Sequence[ast.AST]) -> frozenset[str]:
    found = (part for node in nodes for part in ast.walk(node))
    return frozenset(part.id for part in found if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load))


# --------------------------------------------------------------------------------------------------------- wrappers
def _is_wrapper(function: ast.FunctionDef, helper: str) -> bool:
    """Whether a function is `return aux(…)`, or `r = aux(…)` and `return r`.

    Nothing but names and constants is passed on; copies of names change nothing.
    """
    body = [node for node in _unfolded(function.body) if not _is_copy(node)]
    if len(body) == 1 and isinstance(body[0], ast.Return):
        call = body[0].value
    elif (
        len(body) == 2
        and isinstance(body[0], ast.Assign)
        and isinstance(body[1], ast.Return)
        and isinstance(body[1].value, ast.Name)
    ):
        call = body[0].value
        held = {target.id for target in body[0].targets if isinstance(target, ast.Name)}
        for node in _unfolded(function.body):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in held:
                held |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        if body[1].value.id not in held:
            return False
    else:
        return False
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == helper):
        return False
    passed = [*call.args, *(keyword.value for keyword in call.keywords)]
    return all(
        isinstance(part.value if isinstance(part, ast.Starred) else part, ast.Name | ast.Constant) for part in passed
    )


def _unfolded(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """The statements that run and do something.

    Those under a condition that always holds are among them.
    """
    for node in _before_the_end(body):
        if isinstance(node, ast.If) and (truth := _truth(node.test)) is not None:
            yield from _unfolded(node.body if truth else node.orelse)
        elif not isinstance(node, ast.Pass) and not (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant | ast.Name)
        ):
            yield node


def _is_copy(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Name | ast.Constant)
        and all(isinstance(target, ast.Name) for target in node.targets)
    )
