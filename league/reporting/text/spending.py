"""What runs have spent, in words."""

from league.reporting.queries.spending import TOLERANCE, Equality
from league.reporting.views import Quantity, Spending


def spending_line(view: Spending) -> str:
    """What a run has spent, what is not known left out."""
    return ", ".join(f"{count(value)} {words}" for words, value in spending_rows(view) if value is not None)


def spending_rows(view: Spending) -> list[tuple[str, int | None]]:
    """(what, how much) of what a run has spent, measuring last."""
    return [
        ("tokens sampled", view.sampled),
        ("trained on", view.trained),
        ("scored", view.scored),
        ("read", view.read),
        ("FLOPs", view.flops),
        ("distinct solutions from the data", view.solutions),
        ("problems learned from verified replies", view.verified_solutions),
        ("verifier calls", view.verifier_calls),
        ("tokens in measuring, apart", view.measured_tokens),
    ]


def count(value: int | None) -> str:
    """`54,849`, and from a thousand million on `1.31e+14`."""
    if value is None:
        return "unknown"
    return f"{value:,}" if value < 10**9 else f"{value:.3g}"


# ----------------------------------------------------------------------------------------------- two runs compared
def warnings(spent: Equality, first: str, second: str) -> list[str]:
    """What is wrong with holding two runs equal. `first` and `second` name them."""
    held = spent.held
    if held is None:
        return []
    if held.gap is None:
        unknown = [run for run, value in ((first, held.first), (second, held.second)) if value is None]
        return [f"{held.words}: unknown in {' and '.join(dict.fromkeys(unknown))}, whose version did not count that"]
    if held.gap <= TOLERANCE:
        return []
    return [f"{_both(held, first, second)}: {held.gap:.1%} apart, more than {TOLERANCE:.0%}"]


def other_differences(spent: Equality, first: str, second: str) -> list[str]:
    """What else differs by more than TOLERANCE, or is not known."""
    others = [each for each in spent.quantities if each is not spent.held]
    apart = [
        f"{_both(each, first, second)} ({each.gap:.1%} apart)"
        for each in others
        if each.gap is not None and each.gap > TOLERANCE
    ]
    return apart + [_both(each, first, second) for each in others if each.gap is None]


def _both(quantity: Quantity, first: str, second: str) -> str:
    return f"{quantity.words}: {count(quantity.first)} in {first}, {count(quantity.second)} in {second}"
