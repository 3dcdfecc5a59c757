"""What a run has spent since it began, as its state keeps it.

Measuring (exams, teaching gains, trials of merged candidates) stands apart: it is never in a budget. Runs of before
these counts knew sampled and trained tokens only. When such a run goes on, the other totals stay unknown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from league.learning.accounting import Spent, added


@dataclass(frozen=True)
class Totals:
    """Sums over all rounds."""

    spent: Spent = Spent()
    measured: Spent = Spent()
    earlier: Mapping[str, int] = field(default_factory=dict)
    """Tokens sampled and trained in rounds that counted nothing else."""
    complete: bool = True
    """Whether every round was counted in full."""

    @property
    def tokens(self) -> dict[str, int]:
        """Tokens by kind; without those that are not known."""
        found = self.spent.tokens
        return found if self.complete else added(self.earlier, {kind: found[kind] for kind in ("sampled", "trained")})

    @property
    def budget(self) -> int:
        """Tokens that count for `league.token_budget`: sampled and trained."""
        return self.tokens["sampled"] + self.tokens["trained"]

    def more(self, spent: Spent = Spent(), measured: Spent = Spent()) -> "Totals":
        """With what one more phase took."""
        return replace(self, spent=self.spent + spent, measured=self.measured + measured)

    # ------------------------------------------------------------------------------------------------ storage
    def to_json(self) -> dict[str, Any]:
        """`tokens`, and where all is known `spent`."""
        if not self.complete:
            return {"tokens": self.tokens}
        spent, measured = self.spent, self.measured
        return {
            "tokens": self.tokens,
            "spent": {
                "trained": {agent: dict(channels) for agent, channels in spent.trained.items()},
                "flops": dict(spent.flops),
                "verifier_calls": spent.verifier_calls,
                "given": to_ranges(spent.given),
                "verified": to_ranges(spent.verified),
                "measured": {
                    "sampled": measured.sampled,
                    "read": measured.read,
                    "scored": measured.scored,
                    "flops": dict(measured.flops),
                },
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Totals":
        """The totals of a state that `to_json` is part of."""
        tokens, stored = data["tokens"], data.get("spent")
        if stored is None:
            return cls(earlier=dict(tokens), complete=False)
        spent = Spent(
            sampled=tokens["sampled"],
            read=tokens["read"],
            scored=tokens["scored"],
            trained={agent: dict(channels) for agent, channels in stored["trained"].items()},
            flops=dict(stored["flops"]),
            verifier_calls=stored["verifier_calls"],
            given=from_ranges(stored["given"]),
            verified=from_ranges(stored["verified"]),
        )
        return cls(spent, Spent(**stored["measured"]))


def to_ranges(keys: Iterable[str]) -> dict[str, list[int]]:
    """Keys of problems, in short: domain/split → [start, end, start, end, …] of their indices."""
    places: dict[str, list[int]] = {}
    for key in keys:
        where, _, place = key.rpartition("/")
        places.setdefault(where, []).append(int(place))
    ranges: dict[str, list[int]] = {}
    for where in sorted(places):
        bounds = ranges[where] = []
        for index in sorted(places[where]):
            if bounds and bounds[-1] == index:
                bounds.pop()
            else:
                bounds.append(index)
            bounds.append(index + 1)
    return ranges


def from_ranges(ranges: Mapping[str, list[int]]) -> frozenset[str]:
    """The keys that `to_ranges` shortened."""
    return frozenset(
        f"{where}/{index}"
        for where, bounds in ranges.items()
        for start, end in zip(bounds[::2], bounds[1::2], strict=True)
        for index in range(start, end)
    )
