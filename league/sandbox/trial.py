"""A problem as its judge uses it: compiled once, as it is and with its assertions counted."""

import ast
from types import CodeType

from league.sandbox import visible
from league.sandbox.values import CodeProblem


class Trial:
    """A problem, compiled once.

    It holds the prompt's definitions, the check as it is and with its assertions counted, and the visible examples.
    `exits` says that the check ends by leaving the program whatever it found, so that it can judge nothing.

    Raises SyntaxError or ValueError when the dataset's own code is not Python.
    """

    def __init__(self, problem: CodeProblem):
        self.problem = problem
        self.preamble = _preamble(problem)
        self.definitions = _compile_prompt(problem)
        self.test = compile(problem.test, "<check>", "exec", dont_inherit=True)
        self.counted_test, self.asserts = _compile_counted(problem.test)
        self.exits = _exits(problem.test)
        self.examples = visible.examples(problem.prompt, problem.entry_point)


def _compile_prompt(problem: CodeProblem) -> CodeType:
    name = f"<prompt of {problem.task_id}>"
    try:
        return compile(problem.prompt, name, "exec", dont_inherit=True)
    except SyntaxError:  # a prompt that ends before the body has begun
        return compile(problem.prompt.rstrip() + "\n    pass\n", name, "exec", dont_inherit=True)


def _preamble(problem: CodeProblem) -> str:
    """What the prompt defines before the entry point.

    A whole-program answer may lean on those imports and helpers.
    """
    lines = problem.prompt.splitlines(keepends=True)
    for index, line in enumerate(lines):
        if line.startswith(
            (f"def {problem.entry_point}(", f"async def {problem.entry_point}(", f"class {problem.entry_point}")
        ):
            start = index
            while start and lines[start - 1].startswith("@"):
                start -= 1
            return "".join(lines[:start])
    return ""


class _Count(ast.NodeTransformer):
    """Has every assertion counted, under its number n.

    assert X  →  try: assert X; except Exception as e: __tally__(n, e); else: __tally__(n, None)

    Assertions inside the dataset's own try statements are control flow and stay as they are.
    """

    def __init__(self) -> None:
        self.seen = 0

    def visit_Try(self, node: ast.Try) -> ast.stmt:
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        number, self.seen = self.seen, self.seen + 1
        text = (
            f"try:\n pass\nexcept Exception as __error__:\n __tally__({number}, __error__)\n"
            f"else:\n __tally__({number}, None)"
        )
        template = ast.parse(text).body[0]
        assert isinstance(template, ast.Try)
        template.body = [node]
        return ast.fix_missing_locations(ast.copy_location(template, node))


def _compile_counted(test: str) -> tuple[CodeType, int]:
    counter = _Count()
    tree = ast.fix_missing_locations(counter.visit(ast.parse(test)))
    return compile(tree, "<check>", "exec", dont_inherit=True), counter.seen


def _exits(test: str) -> bool:
    """Whether a statement of `check` itself, under no condition, leaves the program."""
    checks = [node for node in ast.parse(test).body if isinstance(node, ast.FunctionDef) and node.name == "check"]
    return any(_leaves(statement) for check in checks for statement in check.body)


def _leaves(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise) and statement.exc is not None:
        raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        return ast.unparse(raised) == "SystemExit"
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return ast.unparse(statement.value.func) in ("exit", "quit", "sys.exit", "os._exit")
    return False
