"""Adapters and optimizers between the bank (tensors) and the store (blobs). Exact both ways: fp32 bits in, the same bits out."""

import json
from collections.abc import Mapping

import torch

from league.errors import AdapterRefused
from league.model.bank import AdapterBank, LoraSpec
from league.store.run import RunReader, RunStore
from league.types import Version, VersionRow


def save_adapter(store: RunStore, bank: AdapterBank, version: Version) -> str:
    """Write a version's weights as a blob; returns its sha256. The blob names the base's weights it belongs to."""
    spec = bank.spec(version)
    meta = {
        "kind": "adapter",
        "base": bank.base.weight_hash,
        "spec": json.dumps({"rank": spec.rank, "alpha": spec.alpha, "targets": list(spec.targets)}, sort_keys=True),
    }
    return store.blobs.write_blob({name: tensor.numpy() for name, tensor in bank.state(version).items()}, meta)


def save_optimizer(store: RunStore, bank: AdapterBank, version: Version) -> str | None:
    """Write a trainable version's AdamW state; None for frozen versions."""
    state = bank.optimizer_state(version)
    if not state:
        return None
    return store.blobs.write_blob({name: tensor.numpy() for name, tensor in state.items()}, {"kind": "optimizer"})


def load_adapter(store: RunReader, bank: AdapterBank, row: VersionRow, *, trainable: bool) -> None:
    """Put a stored version into the bank, with its optimizer when it is to be trained.

    Raises AdapterRefused when the blob belongs to other base weights or lost its optimizer, RunFolderError when it is damaged.
    """
    if row.blob is None:
        raise AdapterRefused(f"{row.version}: this version has no weights in the run folder")
    tensors, meta = store.blobs.read_blob(row.blob)
    if meta.get("base") != bank.base.weight_hash:
        raise AdapterRefused(
            f"{row.version}: blob {row.blob[:12]} was trained over base weights {meta.get('base', '?')[:12]}, the loaded base is "
            f"{bank.base.weight_hash[:12]}; load the model this run was started with"
        )
    optimizer = None
    if trainable:
        if row.optimizer is None:
            raise AdapterRefused(f"{row.version}: expected a stored optimizer for a version that trains, found none")
        moments, _ = store.blobs.read_blob(row.optimizer)
        optimizer = {name: torch.from_numpy(array.copy()) for name, array in moments.items()}
    weights = {name: torch.from_numpy(array.copy()) for name, array in tensors.items()}
    bank.load(row.version, spec_of(meta), weights, optimizer, trainable)


def spec_of(meta: Mapping[str, str]) -> LoraSpec:
    data = json.loads(meta["spec"])
    return LoraSpec(int(data["rank"]), float(data["alpha"]), tuple(data["targets"]))
