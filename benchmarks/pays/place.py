"""Where the experiment is carried out: the folder of its work, the file of its cells, the model, an arm's tokens."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.pays.arms import BUDGET
from benchmarks.pays.cells import Cells
from league.model.fetch import DEFAULT_MODEL


@dataclass(frozen=True)
class Place:
    work: Path
    cells: Cells
    model: str = DEFAULT_MODEL
    budget: int = BUDGET
    problems: int = 50
    """Test problems a domain of every exam."""
