"""What runs have spent, and on what two of them are held equal. Needs no pandas.

A comparison is fair in one quantity at a time: the data (distinct solutions), tokens (sampled and trained on), or
FLOPs. What differs by more than TOLERANCE there is a warning; what differs elsewhere is told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from league.reporting.views import Quantity, Spending

Equal = Literal["data", "tokens", "flops"]
HELD: Mapping[Equal, str] = {"data": "solutions", "tokens": "tokens_sampled_and_trained", "flops": "flops"}
"""On what two runs are held equal → the quantity."""
TOLERANCE = 0.05
"""Share of the larger amount by which equal runs may differ."""


def spending(state: Mapping[str, Any]) -> Spending:
    """What a run of any age has spent, from its state."""
    tokens, stored = state.get("tokens", {}), state.get("spent")
    measured = {} if stored is None else stored["measured"]
    return Spending(
        sampled=tokens.get("sampled"),
        trained=tokens.get("trained"),
        scored=tokens.get("scored"),
        read=tokens.get("read"),
        flops=None if stored is None else sum(stored["flops"].values()),
        solutions=None if stored is None else _distinct(stored["given"]),
        verified_solutions=None if stored is None else _distinct(stored["verified"]),
        verifier_calls=None if stored is None else stored["verifier_calls"],
        measured_tokens=None if stored is None else sum(measured[kind] for kind in ("sampled", "read", "scored")),
        measured_flops=None if stored is None else sum(measured["flops"].values()),
        trained_by={} if stored is None else stored["trained"],
    )


def _distinct(ranges: Mapping[str, Sequence[int]]) -> int:
    """Problems in domain/split → [start, end, start, end, …]."""
    return sum(sum(bounds[1::2]) - sum(bounds[::2]) for bounds in ranges.values())


@dataclass(frozen=True)
class Equality:
    """Two runs' spending side by side."""

    quantities: tuple[Quantity, ...]
    held: Quantity | None
    """On which they are held equal; None when nothing is."""


def equality(first: Mapping[str, Any], second: Mapping[str, Any], equal: Equal | None) -> Equality:
    """From the states of two runs."""
    one, two = spending(first), spending(second)
    quantities = (
        Quantity("solutions", "distinct solutions from the data", one.solutions, two.solutions),
        Quantity(
            "verified_solutions",
            "problems learned from verified replies",
            one.verified_solutions,
            two.verified_solutions,
        ),
        Quantity("tokens_sampled_and_trained", "tokens sampled and trained on", one.budget, two.budget),
        Quantity("tokens_sampled", "tokens sampled", one.sampled, two.sampled),
        Quantity("tokens_trained", "tokens trained on", one.trained, two.trained),
        Quantity("tokens_scored", "tokens scored", one.scored, two.scored),
        Quantity("tokens_read", "tokens read", one.read, two.read),
        Quantity("flops", "FLOPs", one.flops, two.flops),
        Quantity("verifier_calls", "verifier calls", one.verifier_calls, two.verifier_calls),
    )
    held = None if equal is None else next(each for each in quantities if each.name == HELD[equal])
    return Equality(quantities, held)
