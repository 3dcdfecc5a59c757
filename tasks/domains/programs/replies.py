"""The program in a reply: what a fenced block holds, or the function itself among prose.

    one or several fences     all of them together, in order
    no fence                  the whole reply where it is Python, else the definitions that stand complete in it

Of these the definitions, imports and assignments to names are kept; what would run besides (prints, calls of the
function, tests) is left out. A reply that defines the wanted function twice in different ways is no answer. Nor is one
of more than 8,192 characters. A bare body without its `def` line is no answer either.
"""

import ast
import re

from tasks.coding.levels import code_of, keeps

_FENCED = re.compile(r"```[\w+-]*[ \t]*\n.*?(?:```|\Z)", re.DOTALL)


def program_of(text: str, entry_point: str | None = None) -> str | None:
    """The program of a reply in one spelling; None where there is none or it contradicts itself.

    `entry_point` is the function it must define; without one, any function will do.
    """
    tree = code_of(text)
    if tree is None:
        return None
    kept = [node for node in tree.body if keeps(node)]
    functions = [node for node in kept if isinstance(node, ast.FunctionDef) and entry_point in (None, node.name)]
    if entry_point is not None and len({ast.dump(node) for node in functions}) != 1 or not functions:
        return None
    try:
        source = ast.unparse(ast.Module(kept, []))
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return source + "\n"


def without_program(text: str) -> str:
    """A text without its fenced blocks and top-level definitions.

    So another program can be put in their place.
    """
    kept, inside = [], False
    for line in _FENCED.sub("", text).splitlines():
        begins = re.match(r"(?:async def|def|class|import|from\s+\S+\s+import|@\w)", line) is not None
        inside = begins or (inside and (not line.strip() or line[:1].isspace()))
        if not inside:
            kept.append(line)
    return "\n".join(kept).strip()


def fenced(program: str) -> str:
    """A program as a reply shows it."""
    return f"```python\n{program.strip()}\n```"
