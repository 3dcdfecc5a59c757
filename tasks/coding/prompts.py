"""What coders are asked, and how a worked answer looks.

Short, for small models; the reference's own prompts are several times longer.

A helper's writer that sees the main function's signature writes that function: SmolLM2-135M defined `aux` 0 of 12
times, against 7 of 12 when shown the words and how to begin. So it sees the words only, without the examples.
"""

import ast

from league.sandbox.values import CodeProblem
from league.types import Problem
from tasks.coding.levels import HELPER
from tasks.coding.problems import code_problem, description
from tasks.task import Demonstration, user_prompt

HELP, MAIN, CODER = "helper", "main", "coder"
"""The seats."""


def signature(problem: CodeProblem) -> str:
    """The arguments of the function to write, as text."""
    try:
        body = ast.parse(problem.prompt).body
    except SyntaxError:  # a prompt that ends before the body has begun
        return "…"
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == problem.entry_point:
            return ", ".join(argument.arg for argument in node.args.args)
    return "…"


def _words(problem: CodeProblem) -> str:
    """What is asked for, up to the first example."""
    text = description(problem)
    return text.partition(">>>")[0].strip() or text.strip()


def first_prompt(problem: Problem, seat: str, helper: str | None = None) -> str:
    """The first prompt of a seat; with `helper`, the main writer sees the helper's reply."""
    code = code_problem(problem)
    arguments = signature(code)
    call = f"`{HELPER}({arguments})`"
    if seat == HELP:
        what = f"Write a Python function {call} that does only the first step of this:\n\n{_words(code)}"
    elif seat == CODER:
        what = (
            f"Write a Python function {call} that does the first step of this problem, "
            f"then the function that calls it.\n\n{problem.question.strip()}"
        )
    else:
        known = f" It is:\n\n{helper.strip()}\n\n" if helper else " "
        what = (
            f"A function {call} does the first step of this problem.{known}"
            f"Write the function `{code.entry_point}`, which calls `{HELPER}`.\n\n{problem.question.strip()}"
        )
    name = code.entry_point if seat == MAIN else HELPER
    return f"{what}\n\nBegin with:\ndef {name}({arguments}):"


def review(problem: Problem, texts: tuple[str, str]) -> str:
    """What the editor sees: the problem and the newest code, never a test."""
    both = "\n\n".join(dict.fromkeys(text.strip() for text in texts))
    return (
        "Review this code. Say in two sentences what to change.\n\n"
        f"The problem:\n\n{problem.question.strip()}\n\nThe code:\n\n{both}"
    )


def demonstration(problem: Problem, shows_helper: bool = False) -> dict[str, Demonstration]:
    """A worked answer per seat, for supervised warm-up.

    Empty where the source has no helper in its solution.

    `shows_helper`: the main writer reads the helper first, as in the sequential arrangement.
    """
    solution = problem.solution or ""
    helper, mark, main = solution.partition("\n\n\n")
    if not mark or not helper.startswith(f"def {HELPER}("):
        return {}
    replies = {HELP: helper, MAIN: main.strip(), CODER: solution.strip()}
    seen = helper if shows_helper else None
    return {seat: (user_prompt(first_prompt(problem, seat, seen)), reply) for seat, reply in replies.items()}
