"""The regimes of docs/pays.md in which agents answer problems: domains, data, sizes and arms. Games are in `games.py`.

private   each expert has solutions of its own domain; the student has a few of each
public    one adapter has learned all solutions, and every arm starts from it
crowded   public, with many domains on adapters of rank 2
sparse    public, asked at levels that the adapter on all the data hardly ever gets right; experts know them
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

LEVELS = Path(__file__).parent / "sparse_levels.json"
"""What `probe-levels` measured, and what it chose for *sparse*."""
Asked = tuple[str, int]
"""(kind of domain, level)."""
EIGHT: Mapping[str, Asked] = {
    "sums": ("chain_sum", 1),
    "equations": ("simple_equations", 1),
    "sequences": ("number_sequence", 1),
    "spelling": ("spell_backward", 1),
    "legs": ("leg_counting", 1),
    "siblings": ("siblings", 1),
    "families": ("family_relationships", 1),
    "texts": ("needle_haystack", 1),
}
FOUR_MORE: Mapping[str, Asked] = {
    "products": ("products", 1),
    "long-sums": ("chain_sum", 2),
    "more-legs": ("leg_counting", 2),
    "long-texts": ("needle_haystack", 2),
}


@dataclass(frozen=True)
class Regime:
    """Who has learned what before the arms begin, and which arms there are."""

    name: str
    domains: Mapping[str, Asked]
    arms: tuple[str, ...]
    begins: Literal["student", "generalist"] = "generalist"
    """The adapter that every arm starts from."""
    start: str = "start"
    """Folder of the adapters, under the folder of the work: regimes with other adapters have other folders."""
    general: str = "start"
    """Folder of the adapter on all the data."""
    rank: int = 8
    solutions: int = 144
    """Solutions a domain that an expert has learned."""
    shared: int = 12
    """Of these the first ones, which the private student has learned too."""
    merged: bool = False
    """Whether the experts' merger sits the exam too."""

    def adapter(self, agent: str, seed: int, work: Path) -> Path:
        """The PEFT folder that an agent begins with."""
        return work / (self.general if agent == "generalist" else self.start) / str(seed) / agent


PRIVATE = Regime(
    "private",
    EIGHT,
    ("magrpo", "magrpo_selected", "rejection", "league_as_it_was", "league", "wrong_domain"),
    begins="student",
    merged=True,
)
PUBLIC = Regime("public", EIGHT, ("magrpo", "rejection", "more_supervised", "league"))
CROWDED = Regime(
    "crowded",
    {**EIGHT, **FOUR_MORE},
    ("magrpo", "rejection", "league"),
    start="start-crowded",
    general="start-crowded",
    rank=2,
    solutions=96,
)
NAMES = ("private", "public", "crowded", "sparse")


def regime_of(name: str, levels: Path = LEVELS) -> Regime:
    """A regime by its name; *sparse* has the domains that `levels` chose."""
    return sparse(levels) if name == "sparse" else {each.name: each for each in (PRIVATE, PUBLIC, CROWDED)}[name]


def sparse(levels: Path = LEVELS) -> Regime:
    """The regime of hard levels: the adapter on all the data of level 1, and an expert for each level."""
    chosen = {row["name"]: (row["kind"], row["level"]) for row in read_levels(levels)["levels"] if row["chosen"]}
    arms = ("magrpo", "magrpo_selected", "rejection", "league")
    return Regime("sparse", chosen, arms, start="start-sparse")


def read_levels(levels: Path) -> dict[str, Any]:
    """`probed`, the `seed` and the number of `problems` of the probe, and the candidate `levels`."""
    found: dict[str, Any] = json.loads(levels.read_text(encoding="utf-8"))
    return found
