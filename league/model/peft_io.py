"""Adapters as plain PEFT folders: exact export, guarded import, and a merged full model.

A folder is flat (adapter_model.safetensors, adapter_config.json), names no local path, and loads unchanged in PEFT and vLLM. Import
reads safetensors only and refuses whatever does not fit this base: PEFT itself would load adapters with NaN, an absurd alpha, or
another base's shapes without complaint.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from league.errors import AdapterRefused
from league.model.bank import PEFT_PREFIX, AdapterBank, LoraSpec
from league.types import Version

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
MANIFEST = "league.json"
MAX_RANK, MAX_SCALE = 512, 64.0
NEUTRAL: dict[str, tuple[object, ...]] = {
    "peft_type": ("LORA",),
    "task_type": ("CAUSAL_LM", None),
    "bias": ("none", None),
    "use_dora": (False, None),
    "use_rslora": (False, None),
    "fan_in_fan_out": (False, None),
    "rank_pattern": ({}, None),
    "alpha_pattern": ({}, None),
    "modules_to_save": (None, []),
    "layers_to_transform": (None, []),
    "layer_replication": (None, []),
    "trainable_token_indices": (None, []),
    "target_parameters": (None, []),
    "exclude_modules": (None, []),
    "auto_mapping": (None,),
    "lora_bias": (False, None),
}
"""Settings that would change what an adapter computes or how it loads, with the values we understand. Others must be absent or inert."""


@dataclass(frozen=True)
class Imported:
    """What an import found beside the weights."""

    spec: LoraSpec
    weight_hash: str | None


def export_peft(bank: AdapterBank, version: Version, folder: Path, base_name: str) -> None:
    """Write the fp32 masters of `version` as a flat PEFT folder. `base_name` is a public name or hub id, never a local path."""
    from peft import LoraConfig

    spec = bank.spec(version)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in bank.state(version).items()}, folder / WEIGHTS, metadata={"format": "pt"})
    config = LoraConfig(
        r=spec.rank,
        lora_alpha=int(spec.alpha) if float(spec.alpha).is_integer() else spec.alpha,  # type: ignore[arg-type]
        lora_dropout=0.0,
        target_modules=sorted(spec.targets),
        task_type="CAUSAL_LM",
        base_model_name_or_path=base_name,
        inference_mode=True,
    )
    config.save_pretrained(str(folder))
    path = folder / CONFIG
    settings = json.loads(path.read_text())
    settings["target_modules"] = sorted(settings["target_modules"])  # a set in PEFT: sorted, so that equal adapters give equal files
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    manifest = {
        "base": base_name,
        "base_weight_hash": bank.base.weight_hash,
        "version": str(version),
        "rank": spec.rank,
        "alpha": spec.alpha,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")


def import_peft(bank: AdapterBank, version: Version, folder: Path, *, trainable: bool) -> Imported:
    """Put a PEFT folder into the bank. Raises AdapterRefused, naming file and reason, before anything is changed."""
    spec = read_spec(folder, str(version))
    manifest = folder / MANIFEST
    weight_hash = json.loads(manifest.read_text()).get("base_weight_hash") if manifest.is_file() else None
    if weight_hash is not None and weight_hash != bank.base.weight_hash:
        raise AdapterRefused(
            f"{version}: {manifest}: expected an adapter of base weights {bank.base.weight_hash[:12]}…, found {str(weight_hash)[:12]}… "
            "(load it over the base it was trained on)"
        )
    try:
        state = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError, ValueError) as error:
        raise AdapterRefused(f"{version}: {folder / WEIGHTS}: not a readable safetensors file ({error})") from error
    for name, value in state.items():
        if value.dtype not in (torch.float32, torch.bfloat16, torch.float16):
            raise AdapterRefused(f"{version}: {folder / WEIGHTS}: {name} is {value.dtype}; expected float32, bfloat16 or float16")
    spec = _fit_targets(bank, spec, state, f"{version}: {folder / CONFIG}")
    bank.load(version, spec, state, None, trainable)
    return Imported(spec, weight_hash)


def read_spec(folder: Path, who: str) -> LoraSpec:
    """Read and check adapter_config.json. Raises AdapterRefused."""
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise AdapterRefused(f"{who}: {path}: expected a PEFT adapter_config.json ({error})") from error
    problems = [f"{key} is {config[key]!r}" for key, good in NEUTRAL.items() if key in config and config[key] not in good]
    rank, alpha, targets = config.get("r"), config.get("lora_alpha"), config.get("target_modules")
    if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= MAX_RANK:
        problems.append(f"r is {rank!r} (expected 1 to {MAX_RANK})")
    elif not isinstance(alpha, int | float) or not math.isfinite(alpha) or not 0 < alpha / rank <= MAX_SCALE:
        problems.append(f"lora_alpha is {alpha!r} (expected a finite alpha / r of at most {MAX_SCALE:g})")
    if not isinstance(targets, list) or not targets or not all(isinstance(item, str) for item in targets):
        problems.append(f"target_modules is {targets!r} (expected a list of layer names)")
    if problems:
        raise AdapterRefused(f"{who}: {path}: {'; '.join(problems)}")
    return LoraSpec(rank, float(alpha), tuple(targets))


def _fit_targets(bank: AdapterBank, spec: LoraSpec, state: dict[str, torch.Tensor], where: str) -> LoraSpec:
    """Order the targets as the base does, and check that they are layers of this base."""
    known = {path.rsplit(".", 1)[-1]: None for path in bank.base.linears(spec.targets)}
    unknown = [name for name in spec.targets if name not in known]
    if unknown:
        raise AdapterRefused(f"{where}: target_modules names {unknown[0]!r}, which {bank.base.name} does not have")
    named = {name.removeprefix(PEFT_PREFIX).rsplit(".lora_", 1)[0].rsplit(".", 1)[-1] for name in state}
    return LoraSpec(spec.rank, spec.alpha, tuple(name for name in known if name in named or name in spec.targets))


def merge(bank: AdapterBank, version: Version, folder: Path) -> None:
    """Write a full model: base weights plus (alpha / r) B A, summed in fp32 and rounded once to the base's dtype."""
    item = bank.slice(version)
    layout, scale = item.layout, item.layout.spec.scale
    weights = {name: value.detach() for name, value in bank.base.model.state_dict().items()}
    for path in layout.entries:
        name = f"{path}.weight"
        delta = scale * (layout.b(item.params, path).float() @ layout.a(item.params, path).float())
        weights[name] = (weights[name].float().cpu() + delta.cpu()).to(weights[name].dtype)
    folder.mkdir(parents=True, exist_ok=True)
    bank.base.model.save_pretrained(folder, state_dict=weights)
    bank.base.tokenizer.save_pretrained(folder)
