"""The bank of LoRA adapters over one frozen base.

Each agent owns one flat fp32 vector (its masters) and, while it is trainable, two more (AdamW's moments); nothing
else grows with the number of agents but a copy in the base's dtype, made when a version first speaks and dropped when
it changes. Because an agent is one slice, adding, freezing, cloning, dropping or training it cannot touch another.

Layout of a slice, for rank r: A of every target in the model's order, each [r, in], then B of every target, each
[out, r]. The compute copy holds A and (alpha / r)·B in the base's dtype on the base's device.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from league.config.sections import ALL_LINEAR
from league.errors import AdapterRefused, ConfigError, LeagueError, nearest
from league.model.base import BaseModel
from league.model.engine import Engine
from league.seeds import derive
from league.types import Version

PEFT_PREFIX = "base_model.model."


@dataclass(frozen=True)
class LoraSpec:
    """Shape of an adapter: y = W x + (alpha / rank) · B A x on every target."""

    rank: int = 8
    alpha: float = 16.0
    targets: tuple[str, ...] = ALL_LINEAR

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


@dataclass(frozen=True)
class Entry:
    """Where one target's A and B lie in a slice."""

    path: str
    inputs: int
    outputs: int
    a: int
    b: int


@dataclass(frozen=True)
class Layout:
    """Offsets of a spec's targets in the flat slice; one per (base, spec)."""

    spec: LoraSpec
    entries: Mapping[str, Entry]
    a_size: int
    size: int

    def a(self, flat_P: Tensor, path: str) -> Tensor:
        """View of A [rank, I]."""
        entry = self.entries[path]
        part = flat_P[entry.a : entry.a + self.spec.rank * entry.inputs]
        return part.view(self.spec.rank, entry.inputs)  # [rank·I] → [rank, I]

    def b(self, flat_P: Tensor, path: str) -> Tensor:
        """View of B [O, rank]."""
        entry = self.entries[path]
        part = flat_P[entry.b : entry.b + self.spec.rank * entry.outputs]
        return part.view(entry.outputs, self.spec.rank)  # [O·rank] → [O, rank]

    def named(self, flat_P: Tensor) -> dict[str, Tensor]:
        """PEFT's parameter names → views into the slice."""
        views: dict[str, Tensor] = {}
        for path in self.entries:
            views[f"{PEFT_PREFIX}{path}.lora_A.weight"] = self.a(flat_P, path)
            views[f"{PEFT_PREFIX}{path}.lora_B.weight"] = self.b(flat_P, path)
        return views


@dataclass
class Slice:
    """One version's state, fp32; see Layout for what lies where."""

    layout: Layout
    params_P: Tensor
    moments_2P: Tensor | None
    """AdamW's, of first and second order; None for frozen versions."""
    steps: int = 0
    """AdamW's; 0 for frozen versions."""
    compute_P: Tensor | None = field(default=None, repr=False)
    """See AdapterBank.compute."""
    revision: int = 0
    """Counts changes of `params_P`, so that caches of stacked copies know."""


class AdapterBank:
    """All adapters, by version. At most one trainable version per agent."""

    def __init__(self, base: BaseModel):
        self.base = base
        self._slices: dict[Version, Slice] = {}
        self._layouts: dict[LoraSpec, Layout] = {}
        self.engine: Engine | None = None
        """The engine that runs this bank, made on first use by `league.model.engine_choice.engine_for`."""

    # ------------------------------------------------------------------------------------------ membership
    def __contains__(self, version: object) -> bool:
        return version in self._slices

    def versions(self) -> list[Version]:
        return list(self._slices)

    def trainable(self) -> list[Version]:
        return [version for version, item in self._slices.items() if item.moments_2P is not None]

    def spec(self, version: Version) -> LoraSpec:
        return self.slice(version).layout.spec

    def specs(self) -> list[LoraSpec]:
        """The shapes of adapters it has held."""
        return list(self._layouts)

    def live(self, agent: str) -> Version:
        """The agent's one trainable version."""
        found = [version for version in self.trainable() if version.agent == agent]
        if len(found) != 1:
            raise LeagueError(
                f"agent {agent!r}: expected exactly one trainable version in the bank, found {[str(v) for v in found]}"
            )
        return found[0]

    def slice(self, version: Version) -> Slice:
        if version not in self._slices:
            raise LeagueError(
                f"version {version} is not in the bank{nearest(str(version), [str(v) for v in self._slices])}"
            )
        return self._slices[version]

    def add(self, version: Version, spec: LoraSpec, *, seed: int, trainable: bool) -> None:
        """A new adapter with PEFT's default start, so that the agent begins as the base.

        A is uniform in ±1/√in (Kaiming, a = √5), B zero.
        """
        layout = self.layout(spec)
        params = torch.zeros(layout.size)
        for path, entry in layout.entries.items():
            stream = torch.Generator().manual_seed(derive("lora", seed, path))
            bound = 1 / math.sqrt(entry.inputs)
            layout.a(params, path).uniform_(-bound, bound, generator=stream)
        self._put(version, Slice(layout, params, _moments(layout, trainable)))

    def clone(self, source: Version, target: Version, *, trainable: bool) -> None:
        """Copy weights, and the optimizer too when both are trainable."""
        item = self.slice(source)
        moments = _moments(item.layout, trainable)
        steps = 0
        if moments is not None and item.moments_2P is not None:
            moments.copy_(item.moments_2P)
            steps = item.steps
        self._put(target, Slice(item.layout, item.params_P.clone(), moments, steps))

    def drop(self, version: Version) -> None:
        self.slice(version)
        del self._slices[version]

    def advance(self, version: Version, step: int) -> Version:
        """Rename a live agent to its next step."""
        target = Version(version.agent, step)
        item = self.slice(version)
        if target != version:
            self._put(target, item)
            del self._slices[version]
        return target

    def freeze(self, version: Version) -> None:
        """Drop the optimizer: the version can no longer be trained."""
        item = self.slice(version)
        item.moments_2P, item.steps = None, 0

    def restart_optimizer(self, version: Version) -> None:
        """Forget a trainable version's moments and step count, as for a new objective."""
        item = self.slice(version)
        if item.moments_2P is not None:
            item.moments_2P.zero_()
        item.steps = 0

    # ----------------------------------------------------------------------------------------------- state
    def state(self, version: Version) -> dict[str, Tensor]:
        """fp32 CPU copies under PEFT's names."""
        item = self.slice(version)
        return {name: view.detach().cpu().clone() for name, view in item.layout.named(item.params_P).items()}

    def optimizer_state(self, version: Version) -> dict[str, Tensor]:
        """AdamW's `exp_avg` and `exp_avg_sq`, each [P], and `step`; empty for frozen versions."""
        item = self.slice(version)
        if item.moments_2P is None:
            return {}
        return {
            "exp_avg": item.moments_2P[0].clone(),
            "exp_avg_sq": item.moments_2P[1].clone(),
            "step": torch.tensor(item.steps),
        }

    def load(
        self,
        version: Version,
        spec: LoraSpec,
        state: Mapping[str, Tensor],
        optimizer_state: Mapping[str, Tensor] | None,
        trainable: bool,
    ) -> None:
        """Put a version back exactly as `state` and `optimizer_state` gave it.

        Raises AdapterRefused on names, shapes or non-finite values.
        """
        layout = self.layout(spec)
        params = torch.empty(layout.size)
        views = layout.named(params)
        _require_names(version, views, state)
        for name, view in views.items():
            value = state[name]
            if tuple(value.shape) != tuple(view.shape):
                raise AdapterRefused(
                    f"{version}: {name}: expected shape {tuple(view.shape)}, found {tuple(value.shape)}"
                )
            view.copy_(value)
        if not bool(torch.isfinite(params).all()):
            raise AdapterRefused(f"{version}: adapter has non-finite values")
        item = Slice(layout, params, _moments(layout, trainable))
        if item.moments_2P is not None and optimizer_state:
            for row, name in enumerate(("exp_avg", "exp_avg_sq")):
                value = optimizer_state[name]
                if value.numel() != layout.size:
                    raise AdapterRefused(
                        f"{version}: optimizer {name}: expected {layout.size} values, found {value.numel()}"
                    )
                item.moments_2P[row].copy_(value)
            item.steps = int(optimizer_state["step"])
        self._put(version, item)

    # --------------------------------------------------------------------------------------------- compute
    def compute(self, version: Version) -> Tensor:
        """The slice [P] in the base's dtype and on its device, B already scaled.

        Made on first use after a change.
        """
        item = self.slice(version)
        if item.compute_P is None:
            scaled_P = item.params_P.clone()
            scaled_P[item.layout.a_size :] *= item.layout.spec.scale
            item.compute_P = scaled_P.to(self.base.device, self.base.dtype)
        return item.compute_P

    def changed(self, version: Version) -> None:
        """Say that `params_P` of a version was written: its compute copy is stale."""
        item = self.slice(version)
        item.compute_P = None
        item.revision += 1

    def layout(self, spec: LoraSpec) -> Layout:
        if spec not in self._layouts:
            self._layouts[spec] = _build_layout(self.base, spec)
        return self._layouts[spec]

    def _put(self, version: Version, item: Slice) -> None:
        if version in self._slices:
            raise LeagueError(f"version {version} is already in the bank")
        self._slices[version] = item


def _moments(layout: Layout, trainable: bool) -> Tensor | None:
    return torch.zeros(2, layout.size) if trainable else None


def _build_layout(base: BaseModel, spec: LoraSpec) -> Layout:
    if spec.rank < 1 or not math.isfinite(spec.alpha):
        raise ConfigError(
            "lora", [f"rank {spec.rank}, alpha {spec.alpha}: expected a rank of at least 1 and a finite alpha"]
        )
    linears = base.linears(spec.targets)
    present = {path.rsplit(".", 1)[-1] for path in linears}
    missing = [name for name in spec.targets if name not in present]
    if missing or not linears:
        every = sorted({path.rsplit(".", 1)[-1] for path in base.manifest().linears} - {"lm_head"})
        raise ConfigError(
            "lora",
            [f"targets: {base.name} has no linear layer named {name!r}{nearest(name, every)}" for name in missing],
        )
    entries: dict[str, Entry] = {}
    a_size = sum(spec.rank * inputs for _, inputs in linears.values())
    a, b = 0, a_size
    for path, (outputs, inputs) in linears.items():
        entries[path] = Entry(path, inputs, outputs, a, b)
        a += spec.rank * inputs
        b += spec.rank * outputs
    return Layout(spec, entries, a_size, b)


def _require_names(version: Version, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or extra:
        parts = [
            f"{len(names)} {what}, e.g. {names[0]}"
            for names, what in ((missing, "missing"), (extra, "unexpected"))
            if names
        ]
        raise AdapterRefused(f"{version}: adapter tensors do not fit the base and spec: {'; '.join(parts)}")
