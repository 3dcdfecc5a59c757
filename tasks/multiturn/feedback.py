"""What an agent is told between two turns: the transitions of multi-turn MAGRPO.

    plain           try again
    passed          whether everything passed
    level_passed    which levels passed
    level_feedback  which levels passed, and what was wrong with the others
    expert_edits    what a reviewer says, an agent of the league or a remote player in a seat of its own

An agent's history is its own: its prompts, its replies, what it was told. Nothing here names a task; `Check` is all
it knows of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from league.types import Message
from tasks.multiturn.paths import Spoken

Transition = Literal["plain", "passed", "level_passed", "level_feedback", "expert_edits"]
MAX_EDITS = 600


@dataclass(frozen=True)
class Check:
    """One level of a reward, as the agent may hear of it."""

    name: str
    passed: bool
    detail: str = ""
    """What was wrong, in a sentence; never a hidden test or an expected value."""


def feedback_text(transition: Transition, checks: Sequence[Check], edits: str = "") -> str:
    """The feedback, one or more lines; empty for `plain`."""
    if transition == "passed":
        return "All checks passed." if all(check.passed for check in checks) else "Not all checks passed."
    if transition == "level_passed":
        return "\n".join(f"{check.name}: {'passed' if check.passed else 'failed'}" for check in checks)
    if transition == "level_feedback":
        return "\n".join(_in_detail(check) for check in checks)
    if transition == "expert_edits":
        return f"A reviewer says:\n{edits.strip()[:MAX_EDITS]}" if edits.strip() else ""
    return ""


def _in_detail(check: Check) -> str:
    if check.passed:
        return f"{check.name}: passed"
    return f"{check.name}: failed. {check.detail}".rstrip()


def next_prompt(before: Spoken, feedback: str, request: str) -> tuple[Message, ...]:
    """An agent's next prompt: all it has seen and said so far, the feedback, and what to do now."""
    text = f"{feedback}\n\n{request}" if feedback else request
    return (*before.prompt, Message("assistant", before.reply), Message("user", text))
