"""Which runs a sweep has: every combination of settings with every seed.

    runs/NAME/sweep.json                 what the sweep is
    runs/NAME/ARM/seed-3/                the run of one combination (an arm) with one seed
    runs/NAME/seed-3/                    the same in a sweep of nothing but seeds

All is checked before anything runs or is written.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from math import prod
from pathlib import Path
from typing import Any

from league.config import Config, load_config
from league.errors import UserError
from league.types import is_name

MANY = 100
"""Runs from which a sweep asks whether that is meant."""
MOST = 10_000
"""Runs that no sweep may have."""
OPENING, CLOSING = "[{", "]}"
RESERVED = {"seed": "--seeds", "name": "--name", "runs": "runs=FOLDER in the config"}
"""Settings that a sweep sets itself → how they are given."""


@dataclass(frozen=True)
class Axis:
    """A setting and the values it takes, as they stood on the command line."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep."""

    arm: str
    """Its combination of settings, as a folder's name; "" in a sweep of nothing but seeds."""
    seed: int
    folder: Path
    overrides: tuple[str, ...]
    """As `league train` takes them."""

    @property
    def label(self) -> str:
        return f"{self.arm}/{self.folder.name}".lstrip("/")


@dataclass(frozen=True)
class SweepPlan:
    """A checked sweep."""

    config: Path
    folder: Path
    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]
    runs: tuple[SweepRun, ...]
    configs: Mapping[str, Config]
    """Run's label → its resolved config."""

    def arms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(run.arm for run in self.runs))


def plan_sweep(config: Path, seeds: str | None, settings: Sequence[str], name: str | None, *, many: bool) -> SweepPlan:
    """Every run of the sweep, each with its config read and checked.

    `seeds` as in `parse_seeds`, None for the config's own; `settings` as key=a,b; `many` allows more than MANY runs.
    Raises UserError (ConfigError lists all that is wrong with a config).
    """
    axes = parse_axes(settings)
    base = load_config(config, [f"{axis.key}={axis.values[0]}" for axis in axes])
    chosen = base.name if name is None else name
    if not is_name(chosen):
        raise UserError(
            f"--name '{chosen[:80]}': a name has lower-case letters, digits, '-' and '_', starts with a letter or "
            "digit, at most 64 characters"
        )
    numbers = (base.seed,) if seeds is None else parse_seeds(seeds)
    count = len(numbers) * prod(len(axis.values) for axis in axes)
    if count > MOST or count > MANY and not many:
        raise UserError(
            f"the sweep has {count:,} runs ({len(numbers):,} seeds"
            + "".join(f" × {len(axis.values)} of {axis.key}" for axis in axes)
            + (f"), at most {MOST:,} are possible" if count > MOST else "); add --yes if that is meant")
        )
    folder = base.runs / chosen
    runs = tuple(_runs(folder, axes, numbers))
    configs = {run.label: load_config(config, run.overrides) for run in runs}
    return SweepPlan(config, folder, axes, numbers, runs, configs=configs)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds as in `1..5` or `1,2,7..9`, in their order.

    Raises UserError for none, and for one given twice."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,18})(?:\.\.(\d{1,18}))?\s*", part, re.ASCII)
        if match is None:
            raise UserError(f"--seeds '{text[:80]}': expected whole numbers from 0 on and ranges, as in 1..5 or 1,2,7")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise UserError(f"--seeds '{text[:80]}': {part.strip()} holds no seed; expected {last}..{first}")
        found += islice(range(first, last + 1), MOST + 1)
        if len(found) > MOST:
            raise UserError(f"--seeds '{text[:80]}': more than {MOST:,} seeds")
    if len(set(found)) < len(found):
        twice = next(seed for seed in found if found.count(seed) > 1)
        raise UserError(f"--seeds '{text[:80]}': seed {twice} is given twice; each run has one of its own")
    return tuple(found)


def parse_axes(settings: Sequence[str]) -> tuple[Axis, ...]:
    """`key=a,b` → its values, divided at commas outside of brackets, braces and quotes."""
    axes: list[Axis] = []
    for text in settings:
        key, equals, rest = text.partition("=")
        if not equals or not key:
            raise UserError(f"'{text[:80]}': expected key.sub=value,value (a list as one value: key=[a,b])")
        if key in RESERVED:
            raise UserError(f"'{key}' is set by the sweep itself; use {RESERVED[key]}")
        values = tuple(split_values(rest))
        if len(set(values)) < len(values):
            twice = next(value for value in values if values.count(value) > 1)
            raise UserError(f"'{key}': value '{twice[:80]}' is given twice; two runs would be the same")
        if any(axis.key == key for axis in axes):
            raise UserError(f"'{key}' is given twice; name its values once, as in {key}=a,b")
        axes.append(Axis(key, values))
    return tuple(axes)


def split_values(text: str) -> list[str]:
    """The values between the commas that stand in no brackets, braces or quotes."""
    values, depth, quote = [""], 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in OPENING:
            depth += 1
        elif char in CLOSING:
            depth -= 1
        if char == "," and not quote and depth == 0:
            values.append("")
        else:
            values[-1] += char
    if depth or quote:
        raise UserError(f"'{text[:80]}': a bracket or a quote is not closed")
    stripped = [value.strip() for value in values]
    if "" in stripped:
        raise UserError(f"'{text[:80]}': a value is empty; write '' for an empty text, null for none")
    return stripped


def _runs(folder: Path, axes: Sequence[Axis], seeds: Sequence[int]) -> Iterator[SweepRun]:
    """Arm by arm, each with all seeds."""
    names: set[str] = set()
    for values in product(*(axis.values for axis in axes)):
        chosen = [(axis, value) for axis, value in zip(axes, values, strict=True)]
        arm = arm_name([(axis.key, value) for axis, value in chosen if len(axis.values) > 1])
        if arm in names:
            arm = f"{arm[:56]}-{_short(values)}"
        names.add(arm)
        place = folder / arm if arm else folder
        for seed in seeds:
            settings = tuple(f"{axis.key}={value}" for axis, value in chosen)
            where = (f"name=seed-{seed}", f"runs={_quoted(place)}", f"seed={seed}")
            yield SweepRun(arm, seed, place / f"seed-{seed}", (*settings, *where))


def arm_name(chosen: Sequence[tuple[str, str]]) -> str:
    """A folder's name for a combination, as in `learning_rate-0.01_kl-0`; a long one is cut."""
    parts = []
    for key, value in chosen:
        short = key.rpartition(".")[2]
        same = sum(other.rpartition(".")[2] == short for other, _ in chosen) > 1
        text = re.sub(r"[^A-Za-z0-9.]+", "-", value).strip("-.") or "empty"
        parts.append(f"{key if same else short}-{text}")
    name = "_".join(parts)
    return name if len(name) <= 64 else f"{name[:55]}-{_short(tuple(f'{k}={v}' for k, v in chosen))}"


def _short(values: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(values).encode()).hexdigest()[:8]


def _quoted(path: Path) -> str:
    """A path as a YAML text: one that looks like a number or holds a colon stays a path."""
    text = str(path).replace("'", "''")
    return f"'{text}'"


def fingerprint(config: Config) -> dict[str, Any]:
    """What two configs of one sweep must agree in, place and seed apart."""
    return config.model_dump(mode="json", exclude={"name", "runs", "seed"})
