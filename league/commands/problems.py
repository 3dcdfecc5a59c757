"""`league problems CONFIG DOMAIN`: what an agent will see, and what a reply would earn."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from league.preflight.shown_problems import ShownDomain, ShownProblem


def problems(
    config: Annotated[Path, typer.Argument(help="YAML configuration.")],
    domain: Annotated[str, typer.Argument(help="One of its domains.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings as key.sub=value, applied after the file.")
    ] = None,
    split: Annotated[
        Literal["train", "validation", "test"], typer.Option("--split", help="Which problems to show.")
    ] = "train",
    count: Annotated[int, typer.Option("--count", min=1, help="How many problems.")] = 3,
    index: Annotated[int, typer.Option("--index", min=0, help="Number of the first one.")] = 0,
    reply: Annotated[
        str | None, typer.Option("--reply", help="Judge this reply to each of them; - reads it from standard input.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", help="Show the prompt with this agent's instructions.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show problems of a domain as agents will see them, and what a reply would earn.

    No model is loaded and nothing is written.
    """
    from league.preflight.shown_problems import show_domain

    text = sys.stdin.read() if reply == "-" else reply
    shown = show_domain(config, domain, overrides or [], split=split, first=index, count=count, reply=text, agent=agent)
    if as_json:
        typer.echo(json.dumps(_plain(shown), indent=2, ensure_ascii=False))
        return
    from league.reporting.text.transcripts import clean

    typer.echo(clean("\n".join(_lines(shown))))


def _plain(shown: "ShownDomain") -> dict[str, object]:
    return {
        "domain": shown.name,
        "kind": shown.kind,
        "level": shown.level,
        "split": shown.split,
        "size": shown.size,
        "about": shown.about,
        "problems": [_plain_problem(each) for each in shown.problems],
    }


def _plain_problem(shown: "ShownProblem") -> dict[str, object]:
    problem, reply = shown.problem, shown.reply
    return {
        "key": problem.key,
        "prompt": [{"role": message.role, "content": message.content} for message in shown.prompt],
        "answer": problem.answer,
        "solution": problem.solution,
        "hidden": problem.hidden or None,
        "max_tokens": shown.max_tokens,
        "reply": None
        if reply is None
        else {
            "text": reply.text,
            "answer": reply.answer,
            "right": reply.right,
            "earns": reply.earns,
            "why": reply.why,
        },
    }


def _lines(shown: "ShownDomain") -> list[str]:
    from league.preflight.shown_problems import COUNTED

    size = f"{shown.size} or more" if shown.size >= COUNTED else str(shown.size)
    lines = [f"domain {shown.name}: {shown.kind}, level {shown.level}; {size} problems in {shown.split}"]
    lines += [] if shown.about is None else [shown.about]
    for each in shown.problems:
        lines += ["", f"── {each.problem.key} " + "─" * max(0, 70 - len(each.problem.key))]
        for message in each.prompt:
            lines += [f"{message.role}:", *_indented(message.content)]
        lines += ["accepted answer:", *_indented(each.problem.answer)]
        if each.problem.solution not in (None, each.problem.answer):
            lines += ["worked solution:", *_indented(each.problem.solution or "")]
        lines.append(f"a reply may have {each.max_tokens} tokens")
        if (reply := each.reply) is not None:
            lines += ["reply:", *_indented(reply.text)]
            lines.append("answer read in it: none" if reply.answer is None else "answer read in it:")
            lines += [] if reply.answer is None else _indented(reply.answer)
            verdict = {True: "right", False: "wrong", None: "not judged"}[reply.right]
            earned = "nothing: its match would not count" if reply.earns is None else f"{reply.earns:g}"
            lines.append(f"{verdict}, it earns {earned}: {reply.why}")
    return lines


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()] or ["  (empty)"]
