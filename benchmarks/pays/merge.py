"""The baseline `merge`: the experts' adapters and the student's own, summed exactly, with one weight for all.

    ΔW = w Σᵢ ΔWᵢ        over the D experts and the student

The weight is chosen on a few validation problems of each domain, never on test problems; among equals the smallest.
Nothing is trained. Other methods of merging (TIES, DARE) are left out: they need more choices than 12 problems a
domain can make. Source: task arithmetic, Ilharco et al. (2023), arXiv 2212.04089, with one weight for the sum.
"""

import time

from benchmarks.pays.cells import Cell
from benchmarks.pays.exams import ExamRoom
from benchmarks.pays.place import Place
from benchmarks.pays.regimes import Regime
from league.model.merging import merge_adapters
from league.types import Version

WEIGHTS = (0.15, 0.3, 0.5, 0.8)
VALIDATION = 12
"""Validation problems a domain by which the weight is chosen."""


def measure_merge(regime: Regime, seed: int, place: Place, *, problems: int = VALIDATION) -> None:
    """The cell of the merger, if the regime has one and it is not there yet."""
    if not regime.merged or (regime.name, "merge", seed) in place.cells:
        return
    started, room = time.process_time(), ExamRoom(place.model, seed)
    parents = [room.bring(agent, regime.adapter(agent, seed, place.work)) for agent in (*regime.domains, regime.begins)]
    names = {weight: f"merger-{weight}" for weight in WEIGHTS}
    right: dict[float, int] = {}
    for weight, name in names.items():
        merge_adapters(room.bank, parents, Version(name, 0), "cat", weights=[weight] * len(parents))
        found = room.examine({name: regime.domains}, regime.domains, problems, "validation")[name]
        right[weight] = sum(bits.count("1") for bits in found.values())
    chosen = max(WEIGHTS, key=lambda weight: (right[weight], -weight))
    sat = room.examine({names[chosen]: regime.domains}, regime.domains, place.problems)[names[chosen]]
    seconds = round(time.process_time() - started, 1)
    place.cells.add(Cell(regime.name, "merge", seed, sat, {"weight": chosen}, 0, seconds))
