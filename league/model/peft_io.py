"""Adapters as plain PEFT folders: exact export, guarded import, and a merged full model.

A folder is flat (adapter_model.safetensors, adapter_config.json), names no local path, and loads unchanged in PEFT
and vLLM. `league.model.adapter_checks` says what may come in.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers.pytorch_utils import Conv1D

from league.model.adapter_checks import CONFIG, MANIFEST, WEIGHTS, check_folder
from league.model.bank import AdapterBank, LoraSpec
from league.model.linear_layers import linear_layers
from league.types import Version


@dataclass(frozen=True)
class Imported:
    """What an import found beside the weights."""

    spec: LoraSpec
    weight_hash: str | None


def export_peft(bank: AdapterBank, version: Version, folder: Path, base_name: str) -> None:
    """Write the fp32 masters of `version` as a flat PEFT folder.

    `base_name` is a public name or hub id, never a local path.
    """
    from peft import LoraConfig

    spec, layers = bank.spec(version), linear_layers(bank.base.model)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.contiguous() for name, value in bank.state(version).items()},
        folder / WEIGHTS,
        metadata={"format": "pt"},
    )
    config = LoraConfig(
        r=spec.rank,
        lora_alpha=int(spec.alpha) if float(spec.alpha).is_integer() else spec.alpha,  # type: ignore[arg-type]
        lora_dropout=0.0,
        target_modules=sorted(spec.targets),
        fan_in_fan_out=any(isinstance(layers[path], Conv1D) for path in bank.layout(spec).entries),
        task_type="CAUSAL_LM",
        base_model_name_or_path=base_name,
        inference_mode=True,
    )
    config.save_pretrained(str(folder))
    path = folder / CONFIG
    settings = json.loads(path.read_text())
    settings["target_modules"] = sorted(
        settings["target_modules"]
    )  # a set in PEFT: sorted, so that equal adapters give equal files
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
    """Put a PEFT folder into the bank.

    Raises AdapterRefused, naming file and reason, before anything is changed.
    """
    passed = check_folder(version.agent, folder, bank.base.manifest())
    spec = LoraSpec(passed.rank, passed.alpha, passed.targets)
    bank.load(
        version, spec, {name: torch.from_numpy(array.copy()) for name, array in passed.tensors.items()}, None, trainable
    )
    return Imported(spec, passed.base_weight_hash)


def merge(bank: AdapterBank, version: Version, folder: Path) -> None:
    """Write a full model: base weights plus (alpha / r) B A.

    Summed in fp32 and rounded once to the base's dtype.
    """
    item = bank.slice(version)
    layout, scale, layers = item.layout, item.layout.spec.scale, linear_layers(bank.base.model)
    weights = {name: value.detach() for name, value in bank.base.model.state_dict().items()}
    for path in layout.entries:
        name = f"{path}.weight"
        delta = scale * (layout.b(item.params_P, path).float() @ layout.a(item.params_P, path).float())
        if isinstance(layers[path], Conv1D):
            delta = delta.T
        weights[name] = (weights[name].float().cpu() + delta.cpu()).to(weights[name].dtype)
    folder.mkdir(parents=True, exist_ok=True)
    bank.base.model.save_pretrained(folder, state_dict=weights)
    bank.base.tokenizer.save_pretrained(folder)
