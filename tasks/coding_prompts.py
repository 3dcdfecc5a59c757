"""What coders are asked, and how a worked answer looks. Short, for small models; the reference's own prompts are several times longer."""

import ast

from league.sandbox.values import CodeProblem
from league.types import Message, Problem
from tasks.coding_levels import HELPER
from tasks.coding_problems import code_problem

HELP, MAIN, CODER, EDITOR = "helper", "main", "coder", "editor"


def signature(problem: CodeProblem) -> str:
    """The arguments of the function to write, as text."""
    for node in ast.parse(problem.prompt).body:
        if isinstance(node, ast.FunctionDef) and node.name == problem.entry_point:
            return ", ".join(argument.arg for argument in node.args.args)
    return "…"


def asked(problem: Problem, seat: str, helper: str | None = None) -> str:
    """The first prompt of a seat; with `helper`, the main writer sees the helper's reply."""
    code = code_problem(problem)
    call = f"`{HELPER}({signature(code)})`"
    shown = f"\n\nThe problem:\n\n{problem.question.strip()}"
    if seat == HELP:
        return f"Write a Python helper function {call} that does the first part of this problem. Only write that function.{shown}"
    if seat == CODER:
        return f"Write a Python helper function {call} and then the function that uses it to solve this problem. Only write code.{shown}"
    known = f" It is:\n\n{helper.strip()}" if helper else ""
    return f"Write the Python function `{code.entry_point}`. A helper {call} does the first part: call it. Only write code.{known}{shown}"


def review(problem: Problem, texts: tuple[str, str]) -> str:
    """What the editor sees: the problem and the newest code, never a test."""
    both = "\n\n".join(dict.fromkeys(text.strip() for text in texts))
    return f"Review this code. Say in two sentences what to change.\n\nThe problem:\n\n{problem.question.strip()}\n\nThe code:\n\n{both}"


def demonstration(problem: Problem) -> dict[str, tuple[tuple[Message, ...], str]]:
    """A worked answer per seat, for supervised warm-up; empty where the source has no helper in its solution."""
    solution = problem.solution or ""
    helper, mark, main = solution.partition("\n\n\n")
    if not mark or not helper.startswith(f"def {HELPER}("):
        return {}
    replies = {HELP: helper, MAIN: main.strip(), CODER: solution.strip()}
    return {seat: ((Message("user", asked(problem, seat, None)),), reply) for seat, reply in replies.items()}
