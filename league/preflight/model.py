"""What a run's model must be, told from its folder alone.

Chat template, layers that adapters name, checkpoints, the device. What can be tried is tried (`league.model.trial`),
once nothing else is wrong: that takes the tensor library.
"""

import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from league.config import Config
from league.errors import UserError, nearest
from league.model.adapter_checks import named_adapters
from league.model.fetch import is_path, locate_model
from league.model.folder import ModelFacts, check_model, weight_files
from league.model.trial import TriedModel, try_model


def facts_of(model: str, only_here: bool, progress: Callable[[str], None]) -> ModelFacts | None:
    """The model's folder read; None where it would have to be fetched in vain.

    That is so where something else is wrong (`only_here`).
    """
    try:
        path = locate_model(model, allow_download=not only_here, progress=progress)
    except UserError:
        if only_here and not is_path(model):
            return None
        raise
    return replace(check_model(path), path=path)


def model_problems(config: Config, facts: ModelFacts, new_run: bool) -> list[str]:
    """What the model or its adapters lack, as far as files say it without the tensor library.

    A run that has begun has what its checkpoints held.
    """
    problems = []
    if not facts.chat_template:
        problems.append(f"model.name: {config.model.name} has no chat template; choose an instruction-tuned model")
    return problems + (_checkpoints(config) if new_run else [])


def tried_model(config: Config, facts: ModelFacts) -> tuple[TriedModel | None, list[str]]:
    """(the model tried without weights, what is wrong with it or with the adapters' targets)."""
    try:
        tried = try_model(facts.path, config.model.name)
    except UserError as error:
        return None, [f"model.name: {error}"]
    return tried, targets_lacking(config, tried.targets)


def _checkpoints(config: Config) -> list[str]:
    """What an agent starts from must be there; the adapter checks look into it once the base is loaded."""
    problems = []
    for name, agent in config.agents.items():
        folder = agent.checkpoint
        missing = [
            file
            for file in ("adapter_config.json", "adapter_model.safetensors")
            if folder and not (folder / file).is_file()
        ]
        if missing:
            problems.append(
                f"agents.{name}.checkpoint: expected a PEFT folder, {folder} has no {' and no '.join(missing)}"
                f"{named_adapters(Path(folder or ''))}"
            )
    return problems


def targets_by_files(config: Config, facts: ModelFacts) -> list[str]:
    """Targets held against the weight files' headers: where something else is wrong anyway.

    Says nothing of families whose blocks are not called layers.
    """
    from safetensors import safe_open

    layers: set[str] = set()
    for file in weight_files(facts.path):
        with safe_open(file, framework="numpy") as opened:
            inner = [name for name in opened.keys() if name.endswith(".weight") and ".layers." in name]
            layers |= {name.split(".")[-2] for name in inner if len(opened.get_slice(name).get_shape()) == 2}
    return targets_lacking(config, layers) if layers else []


def targets_lacking(config: Config, layers: Collection[str]) -> list[str]:
    """Adapter targets must name linear layers of the model."""
    sections = {"adapter": config.adapter} | {
        f"agents.{n}.adapter": a.adapter for n, a in config.agents.items() if a.adapter
    }
    return [
        f"{place}.targets: the model has no linear layer '{target}'{nearest(target, sorted(layers))} "
        f"(its layers: {', '.join(sorted(layers))})"
        for place, adapter in sections.items()
        for target in adapter.targets
        if target not in layers
    ]


def device_problems(device: str) -> list[str]:
    """What can be told of a device without the tensor library, which is asked last."""
    if device == "mps" and sys.platform != "darwin":
        return ["model.device: 'mps' is there on Apple machines only; use auto or cpu"]
    if device == "cuda" and _tensor_library().endswith("+cpu"):
        return [
            "model.device: 'cuda' needs a build of torch for it, the installed one is for CPUs; use auto or cpu, or "
            "install torch for CUDA"
        ]
    return []


def _tensor_library() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""
