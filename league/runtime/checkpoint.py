"""Adapters and optimizers between the bank (tensors) and the store (blobs), exact both ways.

fp32 bits in, the same bits out.
"""

import torch

from league.errors import AdapterRefused, TrainingDiverged
from league.model.adapter_checks import check_stored, flaw, stored_meta
from league.model.bank import AdapterBank, LoraSpec
from league.store.blobs import BlobDamaged
from league.store.run import RunReader, RunStore
from league.types import Version, VersionRow


def save_adapter(store: RunStore, bank: AdapterBank, version: Version) -> str:
    """Write a version's weights as a blob that names its base; returns its sha256.

    Raises TrainingDiverged for weights it could not load again.
    """
    spec = bank.spec(version)
    arrays = {name: tensor.numpy() for name, tensor in bank.state(version).items()}
    if (found := flaw(arrays)) is not None:
        raise TrainingDiverged(f"agent {version.agent}: {found}; the round is not committed", version.agent)
    return store.blobs.write_blob(arrays, stored_meta(bank.base.weight_hash, spec.rank, spec.alpha, spec.targets))


def save_optimizer(store: RunStore, bank: AdapterBank, version: Version) -> str | None:
    """Write a trainable version's AdamW state; None for frozen versions."""
    state = bank.optimizer_state(version)
    if not state:
        return None
    return store.blobs.write_blob({name: tensor.numpy() for name, tensor in state.items()}, {"kind": "optimizer"})


def load_adapter(store: RunReader, bank: AdapterBank, row: VersionRow, *, trainable: bool) -> None:
    """Put a stored version into the bank, with its optimizer when it is to be trained.

    Raises AdapterRefused when the adapter checks refuse the blob, when it is damaged, or when it lost its optimizer.
    """
    if row.blob is None:
        raise AdapterRefused(f"{row.version}: this version has no weights in the run folder")
    path = store.blobs.path(row.blob)
    try:
        tensors, meta = store.blobs.read_blob(row.blob)
    except BlobDamaged as damage:
        raise AdapterRefused(f"{row.version}: {path}: {damage}") from damage
    spec = LoraSpec(*check_stored(str(row.version), path, tensors, meta, bank.base.manifest()))
    optimizer = None
    if trainable:
        if row.optimizer is None:
            raise AdapterRefused(f"{row.version}: expected a stored optimizer for a version that trains, found none")
        moments, _ = store.blobs.read_blob(row.optimizer)
        optimizer = {name: torch.from_numpy(array.copy()) for name, array in moments.items()}
    weights = {name: torch.from_numpy(array.copy()) for name, array in tensors.items()}
    bank.load(row.version, spec, weights, optimizer, trainable)
