"""Cells of the experiment: what one arm did in one seed, kept in one JSON file that a later run goes on from."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Cell:
    """One arm in one seed: right (1) or wrong (0) for every test problem of every domain, and what it took.

    In games there is no right and wrong: a cell then has `figures`.
    """

    regime: str
    arm: str
    seed: int
    right: Mapping[str, str]
    """Domain → a string of 0 and 1, in the order of the test problems; empty in games."""
    spent: Mapping[str, float]
    """Tokens by kind, FLOPs, solutions, games, a merger's weight; empty where nothing was spent."""
    budget: int
    seconds: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)
    """Part → a number from 0 to 1: an exploitability, or the return with a partner. Empty where answers are right."""

    @property
    def key(self) -> tuple[str, str, int]:
        return self.regime, self.arm, self.seed

    @property
    def parts(self) -> tuple[str, ...]:
        """The domains, or what stands in their place in games."""
        return tuple(self.figures or self.right)

    def accuracy(self, part: str | None = None) -> float:
        """The share of right answers in a domain, or the figure of a part; without one, the mean over all."""
        if part is None:
            return sum(map(self.accuracy, self.parts)) / len(self.parts)
        return self.figures[part] if self.figures else self.right[part].count("1") / len(self.right[part])


class Cells:
    """The file of all cells. Several processes may add to it: every change is one rename under a lock."""

    def __init__(self, path: Path):
        self.path = path

    def __iter__(self) -> Iterator[Cell]:
        if self.path.exists():
            yield from (Cell(**row) for row in json.loads(self.path.read_text(encoding="utf-8")))

    def __contains__(self, key: tuple[str, str, int]) -> bool:
        return any(cell.key == key for cell in self)

    def add(self, cell: Cell) -> None:
        """Add a cell, or put it in the place of an older one of the same key."""
        import fcntl

        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path.with_suffix(".lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = [each for each in self if each.key != cell.key] + [cell]
            kept.sort(key=lambda each: each.key)
            temporary = self.path.with_suffix(".tmp")
            rows = ",\n".join(json.dumps(_row(each), ensure_ascii=False) for each in kept)
            temporary.write_text(f"[\n{rows}\n]\n", encoding="utf-8")
            os.replace(temporary, self.path)


def _row(cell: Cell) -> dict[str, object]:
    """A cell as it is stored: `figures` only where there are some, as in files written before there were any."""
    return {name: value for name, value in asdict(cell).items() if name != "figures" or value}
