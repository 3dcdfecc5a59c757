"""The levels of a coding reward as an agent may hear of them between turns.

No hidden test and no expected value is quoted.
"""

from league.sandbox.values import Grade
from tasks.coding.levels import HELPER, CodeLevels, Shape
from tasks.multiturn.feedback import Check


def checks(levels: CodeLevels) -> list[Check]:
    """What `tasks.multiturn.feedback` makes words of."""
    shape, grade = levels.shape, levels.grade
    failed = "" if grade is None else f"{grade.passed} of {grade.total} tests pass. {_said(grade)}".strip()
    return [
        Check("helper", shape.helper, f"Define `{HELPER}` with a return."),
        Check("main function", shape.main, "Define the asked function with a return."),
        Check("syntax", shape.main and shape.parses, "The code is not Python."),
        Check("tests", levels.solved and not levels.attack, failed or "There was nothing to run."),
        Check("cooperation", levels.cooperation == 1.5, _cooperation_said(levels)),
    ]


def _said(grade: Grade) -> str:
    """The reason, where it does not come from a test's own text."""
    return "" if grade.reason.startswith("AssertionError") else grade.reason


def _cooperation_said(levels: CodeLevels) -> str:
    shape: Shape = levels.shape
    if not shape.calls:
        return f"The main function does not call `{HELPER}`."
    if shape.wrapper:
        return f"The main function does nothing but call `{HELPER}`."
    return f"The result of `{HELPER}` is not used." if shape.ignored else "No test passes yet."
