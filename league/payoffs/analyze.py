"""Everything the analysis says about one payoff matrix.

`league analyze` prints it, and the live league stores it each round.

With counts, `components`, `cycles`, `three_cycles` and the mixtures describe the observed rates; what is established
beyond the error rate α, at every time at once, is in `certified_edges`, `certified_components` and
`certified_cycles`. `certified` is then true if and only if at least one cycle consists of certified edges alone.
Without counts the matrix is exact: `certified` is true and the certified parts repeat the observed ones.

Where pairs never met, α-rank, Nash and exploitability would rest on invented values: they are None and `notes` says
why. `exploitability` is that of the Nash mixture reported beside it: what the best single agent wins against it, 0 up
to rounding.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from league.payoffs.alpha_rank import alpha_rank
from league.payoffs.bradley_terry import ladder_p_value
from league.payoffs.csv_matrix import Mode, read_matrix
from league.payoffs.diversity import effective_diversity
from league.payoffs.edges import ALPHA, certified_edges
from league.payoffs.exploitability import exploitability
from league.payoffs.graph import Cycles, bounded_cycles, components, three_cycles
from league.payoffs.hodge import HodgeSplit, hodge_split
from league.payoffs.matrix import BoolArray, FloatArray, PayoffMatrix, dominance
from league.payoffs.nash import max_entropy_nash

if TYPE_CHECKING:
    from rich.console import Group

BOOTSTRAPPED = 200
"""Largest league whose shares get bootstrap intervals and whose ladder is tested.

Resampling costs O(N²) to O(N³) a replicate.
"""


@dataclass(frozen=True)
class AnalysisResult:
    """The analysis of `matrix`; agents are indices into `matrix.names`. None means undefined."""

    matrix: PayoffMatrix
    beats: BoolArray
    certified_beats: BoolArray
    cycles: Cycles
    certified_cycles: Cycles
    probability_split: HodgeSplit | None
    logit_split: HodgeSplit | None
    alpha_rank: FloatArray | None
    nash: FloatArray | None
    exploitability: float | None
    diversity: float | None
    ladder_p_value: float | None
    alpha: float
    notes: tuple[str, ...]

    @property
    def components(self) -> list[list[int]]:
        return components(self.beats)

    @property
    def certified_components(self) -> list[list[int]]:
        return components(self.certified_beats)

    @property
    def certified(self) -> bool:
        return self.matrix.counts is None or any(len(group) > 1 for group in self.certified_components)

    def as_dict(self) -> dict[str, object]:
        """The contract of `league analyze --json`, with further keys of our own; plain values only."""
        names = self.matrix.names

        def named(groups: list[list[int]] | tuple[tuple[int, ...], ...]) -> list[list[str]]:
            return [[names[i] for i in group] for group in groups]

        def mixture(weights: FloatArray | None) -> dict[str, float | None]:
            return {name: None if weights is None else float(weights[i]) for i, name in enumerate(names)}

        winners, losers = np.nonzero(self.certified_beats)
        return {
            "names": list(names),
            "components": named(self.components),
            "cycles": named(self.cycles.found),
            "cycles_truncated": self.cycles.truncated,
            "three_cycles": three_cycles(self.beats),
            "cyclic_share": {
                "probability": self.probability_split and self.probability_split.cyclic,
                "logit": self.logit_split and self.logit_split.cyclic,
            },
            "cyclic_share_interval": {
                "probability": self.probability_split and self.probability_split.interval,
                "logit": self.logit_split and self.logit_split.interval,
            },
            "harmonic_share": self.probability_split and self.probability_split.harmonic,
            "alpha_rank": mixture(self.alpha_rank),
            "nash": mixture(self.nash),
            "exploitability": self.exploitability,
            "effective_diversity": self.diversity,
            "certified": self.certified,
            "certified_at": None if self.matrix.counts is None else self.alpha,
            "certified_edges": [[names[i], names[j]] for i, j in zip(winners, losers, strict=True)]
            if self.matrix.counts
            else None,
            "certified_components": named(self.certified_components),
            "certified_cycles": named(self.certified_cycles.found),
            "bradley_terry_p_value": self.ladder_p_value,
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        return json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False)


def analyze_matrix(matrix: PayoffMatrix, alpha: float = ALPHA, seed: int = 0) -> AnalysisResult:
    """Analyse one matrix.

    Deterministic: `seed` draws the bootstraps of a counted matrix, left out beyond 200 agents.
    """
    beats = dominance(matrix.margin)
    certified = beats if matrix.counts is None else certified_edges(matrix.counts, alpha)
    cycles = bounded_cycles(beats)
    rank = nash = exploit = diversity = None
    notes = _notes(matrix)
    replicates = 200 if len(matrix) <= BOOTSTRAPPED else 0
    if matrix.complete and len(matrix):
        rank, nash = alpha_rank(matrix.margin), max_entropy_nash(matrix.margin)
        exploit, diversity = exploitability(matrix.margin, nash), effective_diversity(matrix.margin, nash)
    p_value = (
        ladder_p_value(matrix.counts, min(199, 6000 // len(matrix)), seed)
        if matrix.counts and 0 < len(matrix) <= BOOTSTRAPPED
        else None
    )
    return AnalysisResult(
        matrix=matrix,
        beats=beats,
        certified_beats=certified,
        cycles=cycles,
        certified_cycles=cycles if matrix.counts is None else bounded_cycles(certified),
        probability_split=hodge_split(matrix, "probability", replicates, seed),
        logit_split=hodge_split(matrix, "logit", replicates, seed),
        alpha_rank=rank,
        nash=nash,
        exploitability=exploit,
        diversity=diversity,
        ladder_p_value=p_value,
        alpha=alpha,
        notes=notes,
    )


def analyze_file(
    path: str | Path, mode: Mode = "probability", alpha: float = ALPHA, encoding: str = "utf-8"
) -> AnalysisResult:
    """Read and analyse a CSV file. Raises DataError (a UserError) on anything that is not such a matrix."""
    return analyze_matrix(read_matrix(path, mode, encoding), alpha)


def _notes(matrix: PayoffMatrix) -> tuple[str, ...]:
    missing = matrix.missing_pairs()
    if not missing:
        return matrix.notes
    first, second = missing[0]
    return (
        *matrix.notes,
        f"alpha_rank, nash, exploitability and effective_diversity are undefined: {len(missing)} pair(s) never met, "
        f"first '{first}' and '{second}'; play them, or leave one of the two out",
    )


def text_view(result: AnalysisResult) -> "Group":
    """The same for people: a table of agents and a few sentences, as a rich renderable."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    names = result.matrix.names
    table = Table(title=f"{len(names)} agents")
    for column, side in (("agent", "left"), ("beats", "right"), ("α-rank", "right"), ("Nash", "right")):
        table.add_column(column, justify="right" if side == "right" else "left", overflow="fold")
    for i, name in enumerate(names):
        mass = ["-" if weights is None else f"{weights[i]:.4f}" for weights in (result.alpha_rank, result.nash)]
        table.add_row(Text(name), str(int(result.beats[i].sum())), *mass)
    return Group(table, Text("\n".join(_sentences(result))))


def _sentences(result: AnalysisResult) -> list[str]:
    names = result.matrix.names
    groups = [group for group in result.components if len(group) > 1]
    lines = ["cyclic groups: " + ("; ".join(_listed([names[i] for i in group]) for group in groups) or "none")]
    more = "at least " if result.cycles.truncated else ""
    lines.append(f"cycles up to length 5: {more}{len(result.cycles.found)}; three-cycles: {three_cycles(result.beats)}")
    lines += [_arrow([names[i] for i in cycle]) for cycle in result.cycles.found[:5]]
    for label, split in (("win probability", result.probability_split), ("logit", result.logit_split)):
        if split is None:
            lines.append(f"cyclic share ({label}): undefined")
        else:
            band = f" [{split.interval[0]:.3f}, {split.interval[1]:.3f}]" if split.interval else ""
            lines.append(f"cyclic share ({label}): {split.cyclic:.4f}{band}")
    if result.exploitability is not None:
        lines.append(
            f"exploitability of the Nash mixture: {result.exploitability:.2g}; "
            f"effective diversity {result.diversity:.4f}"
        )
    if result.matrix.counts is None:
        lines.append("the matrix was taken as exact; use --counts to have cycles certified")
    elif result.certified:
        certified = [_listed([names[i] for i in group]) for group in result.certified_components if len(group) > 1]
        lines.append(
            f"CERTIFIED cyclic groups (family-wise error {result.alpha:g}, at any time): " + "; ".join(certified)
        )
    else:
        lines.append("no cycle is certified: whatever cycles are listed above may be chance")
    if result.ladder_p_value is not None:
        lines.append(f"one strength per agent explains the games (Bradley-Terry): p = {result.ladder_p_value:.3f}")
    return lines + [f"note: {note}" for note in result.notes]


def _listed(names: list[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _arrow(names: list[str]) -> str:
    return "  " + " beats ".join([*names, names[0]])
