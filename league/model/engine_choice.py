"""Which engine runs a base model.

The fused engine where it knows the architecture and proves it, else the generic one, with a warning. The proof is
numeric: before its first use the fused engine must give the same hidden states as the model's own forward on a few
tokens, so an unusual configuration of a known family cannot slip through.
"""

import logging

import torch

from league.model.bank import AdapterBank
from league.model.decoder_weights import Decoder, Unsupported
from league.model.engine import Engine
from league.model.fused_engine import FusedEngine
from league.model.generic_engine import GenericEngine
from league.model.proof import prove_adapters, prove_head

log = logging.getLogger("league.engine")
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.05, torch.float16: 0.02}
"""Largest accepted difference of hidden states relative to their norm.

bf16 keeps 8 bits, and roundings add up over layers.
"""


def engine_for(bank: AdapterBank) -> Engine:
    """The bank's engine, made on first use."""
    if bank.engine is None:
        prove_head(bank.base)
        bank.engine = _choose(bank)
    return bank.engine


def prove(bank: AdapterBank) -> None:
    """Try the engine with the shapes of adapters that the bank has seen, before anything is trained.

    The fused engine has its own proof (`mismatch`). Raises ModelUnavailable.
    """
    engine = engine_for(bank)
    if isinstance(engine, GenericEngine):
        for spec in bank.specs():
            prove_adapters(bank, engine, spec)


def _choose(bank: AdapterBank) -> Engine:
    try:
        engine = FusedEngine(bank, Decoder.read(bank.base))
    except Unsupported as reason:
        log.warning("%s: using the slower generic engine: %s", bank.base.name, reason)
        return GenericEngine(bank)
    error = mismatch(engine)
    if error > TOLERANCE[bank.base.dtype]:
        log.warning(
            "%s: using the slower generic engine: the fused one differs from the model's own forward by %.2g",
            bank.base.name,
            error,
        )
        return GenericEngine(bank)
    return engine


def mismatch(engine: FusedEngine) -> float:
    """Relative difference of final hidden states to the model's own forward, on eight tokens."""
    base = engine.base
    tokens = tuple(3 + 7 * i % max(base.head_VH.shape[0] - 3, 1) for i in range(9))
    ours_NH = engine.run([(tokens[:1], tokens[1:])], [None], None, False).hidden_NH.float()
    with torch.no_grad():
        ids_1N = torch.tensor([tokens[:-1]], device=base.device)
        theirs_NH = base.model.base_model(input_ids=ids_1N, use_cache=False).last_hidden_state[0].float()
    return float((ours_NH - theirs_NH).norm() / theirs_NH.norm().clamp_min(1e-30))
