"""The hypotheses of docs/pays.md: in each regime, how far is the league ahead of the best baseline?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.pays.cells import Cell
from benchmarks.pays.statistics import Difference, difference, holm

TIE = 2.0
"""Points within which a difference is called a tie."""


@dataclass(frozen=True)
class Hypothesis:
    """The league is ahead of every one of the baselines."""

    name: str
    regime: str
    baselines: tuple[str, ...]
    unit: str = "accuracy"
    less_is_better: bool = False
    informed: tuple[int, ...] = ()
    """Seeds that have informed a change of the league: they are shown, and do not test the hypothesis."""


HYPOTHESES = (
    Hypothesis("flow", "private", ("league_as_it_was",), informed=(1, 2)),
    Hypothesis("private", "private", ("magrpo", "magrpo_selected", "rejection", "merge"), informed=(1, 2)),
    Hypothesis("public", "public", ("magrpo", "rejection", "more_supervised")),
    Hypothesis("crowded", "crowded", ("magrpo", "rejection")),
    Hypothesis("sparse", "sparse", ("magrpo", "magrpo_selected", "rejection")),
    Hypothesis("nontransitive", "nontransitive", ("self",), "exploitability", less_is_better=True),
    Hypothesis("collaborative", "collaborative", ("self",), "return"),
)
SMALLER = ("crowded", "sparse", "nontransitive", "collaborative")
"""The league should be ahead in three of these."""


@dataclass(frozen=True)
class Lead:
    """How far the league is ahead of the best baseline, in points of the hypothesis's unit; above 0 is ahead."""

    hypothesis: Hypothesis
    baseline: str
    missing: tuple[str, ...]
    """Baselines without a cell."""
    found: Difference

    @property
    def verdict(self) -> str:
        """In words: only an interval that leaves 0 out says who is ahead."""
        if self.found.seeds < 2:
            return "no interval"
        if self.found.low > 0:
            return "ahead"
        if self.found.high < 0:
            return "behind"
        return "tie" if abs(self.found.mean) <= TIE else "not certain"


def arms_of(cells: Iterable[Cell], regime: str) -> dict[str, list[Cell]]:
    """Arm → its cells in a regime."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.regime == regime:
            found.setdefault(cell.arm, []).append(cell)
    return found


def lead(hypothesis: Hypothesis, cells: Iterable[Cell]) -> Lead | None:
    """The league against the best baseline, paired by seed; None where one of them was not run.

    The best is the arm with the best mean over its seeds, which favours the baselines.
    """
    by_arm = arms_of((cell for cell in cells if cell.seed not in hypothesis.informed), hypothesis.regime)
    run = [arm for arm in hypothesis.baselines if arm in by_arm]
    if not run or "league" not in by_arm:
        return None
    sign = -1.0 if hypothesis.less_is_better else 1.0
    best = max(run, key=lambda arm: sign * mean_of(by_arm[arm]))
    sides = (by_arm["league"], by_arm[best])
    found = difference(*(sides[::-1] if hypothesis.less_is_better else sides))
    missing = tuple(arm for arm in hypothesis.baselines if arm not in by_arm)
    return Lead(hypothesis, best, missing, found) if found is not None else None


def leads(cells: Iterable[Cell]) -> dict[str, Lead | None]:
    """Every hypothesis by its name, in their order; None where it was not run."""
    kept = list(cells)
    return {each.name: lead(each, kept) for each in HYPOTHESES}


def corrected(found: Mapping[str, Lead | None]) -> dict[str, tuple[float, float]]:
    """Holm's p-values over all hypotheses, by sign flips and by Student's t; what was not run counts as p = 1."""
    flips = holm({name: each.found.p if each is not None else 1.0 for name, each in found.items()})
    tests = holm({name: each.found.t_p if each is not None else 1.0 for name, each in found.items()})
    return {name: (flips[name], tests[name]) for name in found}


@dataclass(frozen=True)
class Criterion:
    """One criterion of docs/pays.md, what was found, and whether it is met."""

    text: str
    found: str
    met: bool


def criteria(cells: Iterable[Cell]) -> list[Criterion]:
    """The criteria of flow, private and the smaller regimes that can be judged now."""
    kept = list(cells)
    found, informed = leads(kept), HYPOTHESES[1].informed
    by_arm = arms_of((cell for cell in kept if cell.seed not in informed), "private")
    rows = []
    if (flow := found["flow"]) is not None:
        shown = _mean_and_low(flow.found)
        rows.append(Criterion("flow: at least +15, from above 5", shown, flow.found.mean >= 15 and flow.found.low > 5))
    control = difference(by_arm.get("wrong_domain", []), by_arm.get("start", []))
    if control is not None:
        rows.append(Criterion("flow: wrong_domain − start at most +2", f"{control.mean:+.1f}", control.mean <= TIE))
    if (private := found["private"]) is not None:
        gap, kept_up = private.found, sum(value >= 0 for value in private.found.domains.values())
        shown = _mean_and_low(gap)
        rows.append(Criterion("private: at least +10, from above 0", shown, gap.mean >= 10 and gap.low > 0))
        text = f"{kept_up} of {len(gap.domains)}"
        rows.append(Criterion("private: not worse in 6 of 8 domains", text, kept_up >= 6))
        if "pooled" in by_arm:
            share = mean_of(by_arm["league"]) / max(mean_of(by_arm["pooled"]), 1e-9)
            rows.append(Criterion("private: at least 80% of pooled", f"{100 * share:.0f}%", share >= 0.8))
    smaller = [each for name in SMALLER if (each := found[name]) is not None]
    if smaller:
        ahead = [each.hypothesis.name for each in smaller if each.verdict == "ahead"]
        shown = f"{len(ahead)} of {len(smaller)} that were run{': ' if ahead else ''}{', '.join(ahead)}"
        rows.append(Criterion("others: ahead in at least three of four", shown, len(ahead) >= 3))
    return rows


def _mean_and_low(found: Difference) -> str:
    """The mean and where its interval begins; one seed has none."""
    return f"{found.mean:+.1f}, " + (f"from {found.low:+.1f}" if found.seeds > 1 else "one seed")


def mean_of(cells: Sequence[Cell]) -> float:
    """The mean accuracy, or figure, over seeds."""
    return sum(cell.accuracy() for cell in cells) / len(cells)
