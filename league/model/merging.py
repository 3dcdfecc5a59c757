"""Several adapters as one, by PEFT's own merging.

PEFT merges adapters that hang on a model; here they hang on a skeleton, one linear layer per target that shares the
base's memory, so the base and its engine are not touched. What is merged are the weights' changes ΔW = (alpha / r) B
A:

    cat              Σ wᵢ ΔWᵢ exactly; the rank is the sum of the ranks
    svd              Σ wᵢ ΔWᵢ cut to a rank, exact where the rank suffices (Eckart and Young)
    ties_svd         TIES (Yadav et al. 2023, arXiv 2306.01708): keep each ΔW's largest weights, elect a sign, average
                     those that agree
    dare_linear_svd  DARE (Yu et al. 2024, arXiv 2311.03099): drop weights at random, rescale the rest, then sum
    dare_ties_svd    DARE's dropping with TIES' election

PEFT's variants without "svd" (linear, ties, dare_linear, dare_ties) merge A and B apart from one another, whose
product is not the merged change: the error of "linear" is as large as what it merges. They are not offered. Failure
case: svd costs one decomposition per target, seconds to minutes for a base of billions.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from league.errors import ConfigError, LeagueError
from league.model.bank import AdapterBank, LoraSpec
from league.model.linear_layers import layer_shape, linear_layers, weight_view
from league.types import Version

METHODS = ("cat", "svd", "ties_svd", "dare_linear_svd", "dare_ties_svd")
MERGED = "merged"


def merge_adapters(
    bank: AdapterBank,
    parents: Sequence[Version],
    target: Version,
    method: str,
    *,
    weights: Sequence[float] | None = None,
    density: float = 0.5,
    rank: int | None = None,
    seed: int = 0,
    trainable: bool = False,
) -> None:
    """Put the merger of `parents` into the bank as `target`.

    `weights` default to the mean; `seed` draws DARE's masks.

    Raises ConfigError for an unknown method, LeagueError where parents do not sit on the same layers.
    """
    if method not in METHODS:
        raise ConfigError("merge", [f"method '{method}' is unknown (use {', '.join(METHODS)})"])
    layouts = [bank.slice(parent).layout for parent in parents]
    paths = list(layouts[0].entries)
    if any(list(layout.entries) != paths for layout in layouts):
        raise LeagueError(f"{', '.join(map(str, parents))} cannot be merged: their adapters sit on different layers")
    shares = list(weights) if weights is not None else [1.0 / len(parents)] * len(parents)
    with torch.random.fork_rng(devices=[]):
        model = _hung(bank, parents, paths)  # PEFT draws numbers even for layers it does not initialise
        torch.manual_seed(seed)
        model.base_model.add_weighted_adapter(
            [f"p{i}" for i in range(len(parents))],
            shares,
            MERGED,
            combination_type=method,
            svd_rank=rank,
            svd_full_matrices=False,
            density=density if method not in ("cat", "svd") else None,
        )
    state, size = {}, 0
    for i, path in enumerate(paths):
        layer = model.base_model.model[str(i)]
        a, b = layer.lora_A[MERGED].weight.data.float(), layer.lora_B[MERGED].weight.data.float()
        state[f"base_model.model.{path}.lora_A.weight"] = a.cpu() * layer.scaling[MERGED]
        state[f"base_model.model.{path}.lora_B.weight"] = b.cpu()
        size = a.shape[0]
    bank.load(target, LoraSpec(size, float(size), layouts[0].spec.targets), state, None, trainable)


def _hung(bank: AdapterBank, parents: Sequence[Version], paths: Sequence[str]) -> Any:
    """A PEFT model with the parents' adapters on a skeleton of the target layers.

    The adapters are named p0, p1, …, the layers 0, 1, …
    """
    from peft import LoraConfig, PeftModel

    linears = linear_layers(bank.base.model)
    skeleton = nn.ModuleDict()
    for i, path in enumerate(paths):
        outputs, inputs = layer_shape(linears[path])
        skeleton[str(i)] = nn.Linear(inputs, outputs, bias=False, device="meta")
        skeleton[str(i)].weight = nn.Parameter(weight_view(linears[path]).detach(), requires_grad=False)
    model: Any = None
    for place, parent in enumerate(parents):
        spec, layout, flat = bank.spec(parent), bank.slice(parent).layout, bank.slice(parent).params_P
        config = LoraConfig(
            r=spec.rank,
            lora_alpha=spec.alpha,  # type: ignore[arg-type]
            target_modules=[str(i) for i in range(len(paths))],
            lora_dropout=0.0,
            init_lora_weights=False,
        )
        if model is None:
            model = PeftModel(skeleton, config, adapter_name=f"p{place}")
        else:
            model.add_adapter(f"p{place}", config)
        for i, path in enumerate(paths):
            layer = model.base_model.model[str(i)]
            layer.lora_A[f"p{place}"].weight.data = layout.a(flat, path).detach().clone()
            layer.lora_B[f"p{place}"].weight.data = layout.b(flat, path).detach().clone()
    return model
