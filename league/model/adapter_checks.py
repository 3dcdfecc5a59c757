"""The adapter checks: every adapter passes them on import and before every use.

There is no other way for a file to become an adapter.

PEFT loads adapters with NaN, `lora_alpha=1e30` or another base's shapes without complaint, and evaluates
`target_modules` as a regular expression, which can take exponential time. Here: safetensors only, no links, no code
files, settings from a list of allowed ones, patterns refused unread, and names, shapes, dtypes and finiteness as the
base demands. An adapter that sits on some of the layers of a name (by a dotted target, or `exclude_modules`) gets
zeros on the others: they add nothing and, A and B both being zero, never learn. Every refusal is one line naming agent,
file and reason (AdapterRefused). Torch is not needed: what passes comes out as numpy arrays, read once, so that what
was checked is what is used.

Left out on purpose: where adapters come from (`peft_io` imports folders, `league.runtime.checkpoint` reads a run's
blobs).
"""

import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from league.errors import AdapterRefused
from league.types import NAME_PATTERN

WEIGHTS, CONFIG, MANIFEST = "adapter_model.safetensors", "adapter_config.json", "league.json"
PREFIX = "base_model.model."
MAX_RANK, MAX_SCALE, MAX_VALUE = 512, 64.0, 1e4
MAX_JSON = 1_000_000
CODE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".npz", ".joblib", ".dill", ".py", ".so")
WIDTH = {"F32": 4, "F16": 2, "BF16": 2}
INERT: tuple[object, ...] = (None, False, [], {}, "")
ALLOWED: dict[str, tuple[object, ...]] = {
    "peft_type": ("LORA",),
    "task_type": ("CAUSAL_LM", None),
    "bias": ("none", None),
    "init_lora_weights": (True, False, None, "gaussian", "orthogonal", "eva"),
    "fan_in_fan_out": (True, False),
    "inference_mode": (True, False),
    "runtime_config": (None, {}, {"ephemeral_gpu_offload": False}),
    "qalora_group_size": (16, None),
    "megatron_core": ("megatron.core", None),
}
"""Settings with the values that do not change what an adapter computes.

Any other setting must be inert.
"""
SPEC_TERMS, PEFT_TERMS = ("rank", "alpha", "targets"), ("r", "lora_alpha", "target_modules")
"""What a run's blob and PEFT's settings call rank, alpha and targets."""
FREE = {
    "r",
    "lora_alpha",
    "target_modules",
    "exclude_modules",
    "base_model_name_or_path",
    "auto_mapping",
    "revision",
    "peft_version",
    "lora_dropout",
}
"""Settings of any value: read below, or saying only where an adapter comes from."""


@dataclass(frozen=True)
class BaseManifest:
    """What an adapter must fit.

    The base's weight hash, and its linear layers: path → (outputs, inputs).
    """

    weight_hash: str
    linears: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class CheckedAdapter:
    """An adapter that passed."""

    rank: int
    alpha: float
    targets: tuple[str, ...]
    """Last parts of the layer names, in the base's order.

    Layers of these names that the adapter does not sit on have tensors of zeros.
    """
    sha256: str
    """Of the weights file."""
    base_weight_hash: str | None
    """As the adapter's own manifest claims it; None for adapters from elsewhere."""
    tensors: Mapping[str, np.ndarray] = field(repr=False, compare=False)
    """PEFT's names → arrays, float32 or float16."""


def check_folder(agent: str, folder: Path, base: BaseManifest, sha256: str | None = None) -> CheckedAdapter:
    """Read and check a PEFT folder.

    `sha256`: the weights file must be exactly this one. Raises AdapterRefused.
    """
    if not re.fullmatch(NAME_PATTERN, agent):
        raise AdapterRefused(f"agent {agent!r}: {folder}: the name does not match {NAME_PATTERN}")
    _check_files(agent, folder)
    config = _read_json(agent, folder / CONFIG)
    rank, alpha, layers = _check_config(agent, folder / CONFIG, config, base)
    claimed = _check_manifest(agent, folder / MANIFEST, base)
    data = _read_weights(agent, folder / WEIGHTS, base, rank)
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256:
        raise AdapterRefused(
            f"{agent}: {folder / WEIGHTS}: expected sha256 {sha256[:12]}…, found {found[:12]}… (the file was changed)"
        )
    tensors = _read_tensors(agent, folder / WEIGHTS, data, base, rank=rank, layers=layers)
    targets = {_last(layer) for layer in layers}
    for layer in base.linears.keys() - layers:
        if _last(layer) in targets:
            tensors |= {name: np.zeros(shape, np.float32) for name, shape in _pair(layer, base, rank)}
    return CheckedAdapter(
        rank=rank,
        alpha=alpha,
        targets=tuple(name for name in _names(base) if name in targets),
        sha256=found,
        base_weight_hash=claimed,
        tensors=tensors,
    )


def stored_meta(base_weight_hash: str, rank: int, alpha: float, targets: Sequence[str]) -> dict[str, str]:
    """What a run's adapter blob says of itself; `check_stored` reads it."""
    spec = json.dumps({"rank": rank, "alpha": alpha, "targets": list(targets)}, sort_keys=True)
    return {"kind": "adapter", "base": base_weight_hash, "spec": spec}


def check_stored(
    agent: str, path: Path, tensors: Mapping[str, np.ndarray], meta: Mapping[str, str], base: BaseManifest
) -> tuple[int, float, tuple[str, ...]]:
    """Check a stored adapter, whose hash its store has checked, before it is used.

    Returns rank, alpha and targets. Raises AdapterRefused.
    """
    claimed = meta.get("base")
    if meta.get("kind") != "adapter" or claimed != base.weight_hash:
        raise AdapterRefused(
            f"{agent}: {path}: expected an adapter of base weights {base.weight_hash[:12]}…, found "
            f"{_short(meta.get('kind'))} of "
            f"{str(claimed)[:12]}… (load the model this run was started with)"
        )
    try:
        spec = json.loads(meta.get("spec", ""))
    except (ValueError, TypeError, RecursionError) as error:
        raise AdapterRefused(f"{agent}: {path}: its spec is not JSON") from error
    if not isinstance(spec, dict):
        raise AdapterRefused(f"{agent}: {path}: its spec is {_short(spec)}; expected an object")
    rank, alpha, targets = _check_spec(agent, path, spec, base, terms=SPEC_TERMS)
    shapes = {name: (_dtype(array), array.shape) for name, array in tensors.items()}
    layers = frozenset(layer for layer in base.linears if _last(layer) in targets)
    _check_shapes(agent, path, shapes, base, rank=rank, layers=layers)
    for name, array in tensors.items():
        _check_values(agent, path, name, array)
    return rank, alpha, targets


def flaw(tensors: Mapping[str, np.ndarray]) -> str | None:
    """Why these weights would be refused later, or None: to be asked before they are stored."""
    return next((found for name, array in tensors.items() if (found := _flaw(name, array)) is not None), None)


# ----------------------------------------------------------------------------------------------------- files
def _check_files(agent: str, folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        what = "is a link" if folder.is_symlink() else "is not a folder"
        raise AdapterRefused(f"{agent}: {folder}: {what}; expected a PEFT folder")
    for entry in os.scandir(folder):
        if entry.is_symlink():
            raise AdapterRefused(f"{agent}: {entry.path}: is a link; expected plain files (copy what it points to)")
        if entry.name.lower().endswith(CODE_SUFFIXES):
            raise AdapterRefused(
                f"{agent}: {entry.path}: may hold code (pickle or a program); expected safetensors only (remove it)"
            )
    for name in (CONFIG, WEIGHTS):
        path = folder / name
        if not path.exists():
            raise AdapterRefused(f"{agent}: {path}: is missing{named_adapters(folder)}")
        if not stat.S_ISREG(path.lstat().st_mode):
            raise AdapterRefused(f"{agent}: {path}: is not a plain file")


def named_adapters(folder: Path) -> str:
    """A hint where a folder holds adapters in folders of their own, as PEFT saves those with a name."""
    if not folder.is_dir() or (folder / CONFIG).exists():
        return ""
    found = sorted(entry.name for entry in folder.iterdir() if (entry / CONFIG).is_file())
    if not found:
        return ""
    names = ", ".join(found[:8]) + (" …" if len(found) > 8 else "")
    return f" (adapters lie in the folders {names}: name {folder / found[0]})"


def _open(agent: str, path: Path, limit: int) -> bytes:
    """Read a plain file of bounded size, never through a link, never waiting on a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise AdapterRefused(f"{agent}: {path}: is not a plain file")
            if found.st_size > limit:
                raise AdapterRefused(f"{agent}: {path}: has {found.st_size:,} bytes; expected at most {limit:,}")
            return file.read(limit + 1)
    except OSError as error:
        raise AdapterRefused(f"{agent}: {path}: cannot be read ({error.strerror})") from error


def _read_json(agent: str, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_open(agent, path, MAX_JSON))
    except (ValueError, RecursionError) as error:
        raise AdapterRefused(f"{agent}: {path}: is not JSON ({type(error).__name__})") from error
    if not isinstance(value, dict):
        raise AdapterRefused(f"{agent}: {path}: holds a {type(value).__name__}; expected an object")
    return value


def _check_manifest(agent: str, path: Path, base: BaseManifest) -> str | None:
    if not path.exists():
        return None
    claimed = _read_json(agent, path).get("base_weight_hash")
    if claimed is not None and claimed != base.weight_hash:
        raise AdapterRefused(
            f"{agent}: {path}: expected an adapter of base weights {base.weight_hash[:12]}…, found "
            f"{str(claimed)[:12]}… "
            "(use it over the base it was trained on)"
        )
    return claimed


# -------------------------------------------------------------------------------------------------- settings
def _check_config(
    agent: str, path: Path, config: dict[str, Any], base: BaseManifest
) -> tuple[int, float, frozenset[str]]:
    """Rank, alpha, and the paths of the layers that the adapter sits on."""
    if config.get("peft_type") != "LORA":
        raise AdapterRefused(f"{agent}: {path}: peft_type is {_short(config.get('peft_type'))}; expected 'LORA'")
    for key, value in config.items():
        if key not in FREE and not any(value is good or value == good for good in (*ALLOWED.get(key, INERT), None)):
            raise AdapterRefused(
                f"{agent}: {path}: {_short(key)} is {_short(value)}, which is not on the list of settings we support; "
                "train or convert it to a plain LoRA adapter"
            )
    excluded = config.get("exclude_modules")
    if excluded is not None and not (isinstance(excluded, list) and all(isinstance(name, str) for name in excluded)):
        raise AdapterRefused(
            f"{agent}: {path}: exclude_modules is {_short(excluded)}; expected a list of layer names, or null"
        )
    rank, alpha, targets = _check_spec(agent, path, config, base, terms=PEFT_TERMS)
    layers = frozenset(layer for layer in base.linears if _ends(layer, targets) and not _ends(layer, excluded or ()))
    if not layers:
        raise AdapterRefused(f"{agent}: {path}: exclude_modules leaves no layer of target_modules")
    return rank, alpha, layers


def _ends(layer: str, names: Sequence[str]) -> bool:
    """Whether a layer's path is one of the names, or ends in one behind a dot; as PEFT reads a list."""
    return any(layer == name or layer.endswith(f".{name}") for name in names)


def _check_spec(
    agent: str,
    path: Path,
    settings: Mapping[str, object],
    base: BaseManifest,
    *,
    terms: tuple[str, str, str],
) -> tuple[int, float, tuple[str, ...]]:
    """Rank, alpha and targets. `terms`: what the file calls them."""
    rank, alpha, targets = (settings.get(term) for term in terms)
    if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= MAX_RANK:
        raise AdapterRefused(
            f"{agent}: {path}: {terms[0]} is {_short(rank)}; expected a whole number from 1 to {MAX_RANK}"
        )
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not 0 < alpha <= MAX_SCALE * rank:
        raise AdapterRefused(
            f"{agent}: {path}: {terms[1]} is {_short(alpha)}; expected {terms[1]} / {terms[0]} in (0, {MAX_SCALE:g}]"
        )
    if isinstance(targets, str):
        raise AdapterRefused(
            f"{agent}: {path}: {terms[2]} is a pattern, {_short(targets)}; expected a list of layer names"
        )
    if not isinstance(targets, list) or not targets or not all(isinstance(name, str) for name in targets):
        raise AdapterRefused(f"{agent}: {path}: {terms[2]} is {_short(targets)}; expected a list of layer names")
    for name in targets:
        if not any(_ends(layer, (name,)) for layer in base.linears):
            raise AdapterRefused(f"{agent}: {path}: {terms[2]} names {_short(name)}, which the base does not have")
    return rank, float(alpha), tuple(targets)


def _names(base: BaseManifest) -> list[str]:
    """Last parts of the base's layer names, in its order."""
    return list(dict.fromkeys(map(_last, base.linears)))


def _last(layer: str) -> str:
    return layer.rsplit(".", 1)[-1]


def _pair(layer: str, base: BaseManifest, rank: int) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a layer's A and B."""
    outputs, inputs = base.linears[layer]
    return [(f"{PREFIX}{layer}.lora_A.weight", (rank, inputs)), (f"{PREFIX}{layer}.lora_B.weight", (outputs, rank))]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


# --------------------------------------------------------------------------------------------------- weights
def _read_weights(agent: str, path: Path, base: BaseManifest, rank: int) -> bytes:
    most = sum((outputs + inputs) * rank * 4 for outputs, inputs in base.linears.values())
    return _open(agent, path, most + MAX_JSON)


def _read_tensors(
    agent: str, path: Path, data: bytes, base: BaseManifest, *, rank: int, layers: Collection[str]
) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, deserialize

    if data[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise AdapterRefused(f"{agent}: {path}: is a pickle or archive under another name; expected safetensors")
    try:
        found = deserialize(data)
    except (SafetensorError, ValueError, UnicodeDecodeError) as error:
        raise AdapterRefused(f"{agent}: {path}: is not a readable safetensors file ({_short(str(error))})") from error
    shapes = {name: (item["dtype"], tuple(item["shape"])) for name, item in found}
    _check_shapes(agent, path, shapes, base, rank=rank, layers=layers)
    tensors = {name: _numbers(item["dtype"], item["data"]).reshape(item["shape"]) for name, item in found}
    for name, array in tensors.items():
        _check_values(agent, path, name, array)
    return tensors


def _numbers(dtype: str, data: bytes) -> np.ndarray:
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, "<f4" if dtype == "F32" else "<f2")


def _check_shapes(
    agent: str,
    path: Path,
    found: Mapping[str, tuple[str, tuple[int, ...]]],
    base: BaseManifest,
    *,
    rank: int,
    layers: Collection[str],
) -> None:
    expected = {name: shape for layer in base.linears if layer in layers for name, shape in _pair(layer, base, rank)}
    for name in expected:
        if name not in found:
            raise AdapterRefused(f"{agent}: {path}: tensor {name} is missing")
    for name, (dtype, shape) in found.items():
        if name not in expected:
            raise AdapterRefused(f"{agent}: {path}: tensor {_short(name)} belongs to no targeted layer of the base")
        if tuple(shape) != expected[name]:
            raise AdapterRefused(
                f"{agent}: {path}: tensor {name} has shape {list(shape)}; expected "
                f"{list(expected[name])} (another base?)"
            )
        if dtype not in WIDTH:
            raise AdapterRefused(f"{agent}: {path}: tensor {name} is {dtype}; expected one of {', '.join(WIDTH)}")


def _check_values(agent: str, path: Path, name: str, values: np.ndarray) -> None:
    if (found := _flaw(name, values)) is not None:
        raise AdapterRefused(f"{agent}: {path}: {found}")


def _flaw(name: str, values: np.ndarray) -> str | None:
    if not values.size:
        return None
    largest = float(np.abs(values).max())  # NaN where any value is
    if not math.isfinite(largest):
        return f"tensor {name} holds NaN or infinity"
    return f"tensor {name} holds {largest:.3g}; expected values up to {MAX_VALUE:g}" if largest > MAX_VALUE else None


def _dtype(array: np.ndarray) -> str:
    return {np.dtype(np.float32): "F32", np.dtype(np.float16): "F16"}.get(array.dtype, str(array.dtype))
