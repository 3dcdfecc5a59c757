"""Algebra: linear equations in one unknown, and number sequences whose rule can be stated."""

import re
from collections.abc import Mapping

from tasks.domains.kind import DomainKind, Entry, Level, Rendered

_TERM = re.compile(r"([+-]?)(?:(\d+)\*)?([a-z]|\d+)")


def linear(side: str) -> tuple[int, int] | None:
    """(slope, constant) of a sum like ``12 - 3*x``; None where the text is anything else."""
    compact = side.replace(" ", "")
    slope = constant = position = 0
    while position < len(compact):
        term = _TERM.match(compact, position)
        if term is None or (position and not term[1]):
            return None
        sign = -1 if term[1] == "-" else 1
        factor = sign * int(term[2] or 1)
        if term[3].isdigit():
            constant += factor * int(term[3])
        else:
            slope += factor
        position = term.end()
    return slope, constant


def _equation(entry: Entry, settings: Mapping[str, int]) -> Rendered | None:
    """Isolate the unknown: take the constant away from both sides, then divide by the slope."""
    equation: str = entry["metadata"]["equation"]
    variable: str = entry["metadata"]["variable"]
    left, right = equation.split(" = ")
    sides = linear(left)
    if sides is None or sides[0] == 0 or re.fullmatch(r"-?\d+", right) is None:
        return None
    slope, constant = sides
    rest = int(right) - constant
    if rest % slope or str(rest // slope) != entry["answer"]:
        return None
    sign = "-" if constant > 0 else "+"
    lhs = {1: variable, -1: f"-{variable}"}.get(slope, f"{slope}*{variable}")
    steps = f"{lhs} = {right} {sign} {abs(constant)} = {rest}." if constant else ""
    if slope != 1:
        steps += f" {variable} = {rest} / {slope} = {rest // slope}."
    identity = equation.replace(variable, "?")
    return Rendered(
        f"Solve for {variable}: {equation}", entry["answer"], steps.strip() or f"{variable} = {right}.", identity
    )


def _ratio(terms: list[int]) -> int:
    """The one whole ratio between neighbours, 0 where there is none."""
    if 0 in terms:
        return 0
    ratio = terms[1] // terms[0]
    return ratio if all(after == before * ratio for before, after in zip(terms, terms[1:], strict=False)) else 0


def _sequence(entry: Entry, settings: Mapping[str, int]) -> Rendered | None:
    """Keep sequences with one constant difference.

    With `rules` 2 also those with one whole ratio, with 3 Fibonacci-like ones.
    """
    terms: list[int] = [int(term) for term in entry["metadata"]["sequence"]]
    shown, answer = terms[:-1], terms[-1]
    if len(set(shown)) < 3:
        return None
    differences = [after - before for before, after in zip(shown, shown[1:], strict=False)]
    last = shown[-1]
    rules = settings["rules"]
    if len(set(differences)) == 1:
        step = differences[0]
        sign = "+" if step > 0 else "-"
        value, steps = last + step, f"{last} - {shown[-2]} = {step}. {last} {sign} {abs(step)} = {last + step}."
    elif rules >= 2 and (ratio := _ratio(shown)):
        value, steps = last * ratio, f"{last} / {shown[-2]} = {ratio}. {last} * {ratio} = {last * ratio}."
    elif rules >= 3 and all(c == a + b for a, b, c in zip(shown, shown[1:], shown[2:], strict=False)):
        value, steps = last + shown[-2], f"Sum of the two before. {shown[-2]} + {last} = {last + shown[-2]}."
    else:
        return None
    if value != answer:
        return None
    return Rendered(f"What number comes next? {', '.join(map(str, shown))}", str(answer), steps)


KINDS = (
    DomainKind(
        name="simple_equations",
        field="algebra",
        dataset="simple_equations",
        form="integer",
        instruction="Solve the equation. The answer is the value of the unknown, one whole number.",
        levels=(
            Level({"min_terms": 2, "max_terms": 2, "min_value": 1, "max_value": 12}, 64),
            Level({"min_terms": 2, "max_terms": 3, "min_value": 1, "max_value": 30}, 80),
            Level({"min_terms": 3, "max_terms": 4, "min_value": 1, "max_value": 100}, 96),
        ),
        knobs={"min_terms": (2, 6), "max_terms": (2, 6), "min_value": (1, 10_000), "max_value": (1, 10_000)},
        render=_equation,
    ),
    DomainKind(
        name="number_sequence",
        field="algebra",
        dataset="number_sequence",
        form="integer",
        instruction="Find the rule of the sequence. The answer is the next number.",
        levels=(
            Level({"min_terms": 4, "max_terms": 6, "rules": 1}, 56),
            Level({"min_terms": 4, "max_terms": 7, "rules": 2}, 56),
            Level({"min_terms": 4, "max_terms": 8, "rules": 3}, 64),
        ),
        knobs={"min_terms": (4, 12), "max_terms": (4, 12), "rules": (1, 3)},
        render=_sequence,
        fixed={"max_complexity": 1},
        own=("rules",),
    ),
)
