"""Cells of the experiment: what one arm did in one seed, kept in one JSON file that a later run goes on from."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cell:
    """One arm in one seed: right (1) or wrong (0) for every test problem of every domain, and what it took."""

    regime: str
    arm: str
    seed: int
    right: Mapping[str, str]
    """Domain → a string of 0 and 1, in the order of the test problems."""
    spent: Mapping[str, float]
    """Tokens by kind, FLOPs, solutions; empty for arms without training of their own."""
    budget: int
    seconds: float = 0.0

    @property
    def key(self) -> tuple[str, str, int]:
        return self.regime, self.arm, self.seed

    def accuracy(self, domain: str | None = None) -> float:
        """The share of right answers in a domain, or the mean over domains."""
        if domain is not None:
            return self.right[domain].count("1") / len(self.right[domain])
        return sum(map(self.accuracy, self.right)) / len(self.right)


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
            rows = ",\n".join(json.dumps(asdict(each), ensure_ascii=False) for each in kept)
            temporary.write_text(f"[\n{rows}\n]\n", encoding="utf-8")
            os.replace(temporary, self.path)
