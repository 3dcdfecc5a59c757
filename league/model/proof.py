"""A model is tried once before it is trained: do we compute with it what it computes itself?

Head: our logits against the model's own. Adapters: a batch of rows with different lengths and adapters, in one forward
and token by token, against each row alone through the model with plain hooks that know nothing of rows. What differs
(a family that ignores positions, mixes rows, or does something of its own to its logits) is refused.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from league.errors import Foreign, ModelUnavailable
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.model.engine import Engine, Prompt
from league.types import Version

HEAD = {torch.float32: 1e-4, torch.bfloat16: 0.02, torch.float16: 0.005}
ROWS = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.03}
"""Largest accepted difference relative to the norm; roundings of bf16 add up over layers."""
LENGTHS, CUT = (9, 6, 9), 4
"""Tokens of the rows that are tried, and how many of them are prompt."""
SCALE = 0.3
"""Standard deviation of trial weights times √rank: it shows, and does not drown the base."""


def prove_head(base: BaseModel) -> None:
    """Raises ModelUnavailable unless our logits at the model's hidden states are its own."""
    ids_1N = torch.tensor([_tokens(base, 8, 0)], device=base.device)
    with torch.no_grad(), Foreign(f"{base.name}: the model fails on eight tokens"):
        theirs_NV = base.model(input_ids=ids_1N, use_cache=False).logits[0]
        hidden_NH = base.model.base_model(input_ids=ids_1N, use_cache=False).last_hidden_state[0]
        ours_NV = base.head.logits(hidden_NH)
    _require(base, ours_NV, theirs_NV, limit=HEAD[base.dtype], what="it makes its logits in a way of its own")


def prove_adapters(bank: AdapterBank, engine: Engine, spec: LoraSpec) -> None:
    """Raises ModelUnavailable unless rows of one batch are what each is alone, with its own adapter.

    The bank is left as it was; nothing is drawn from a global stream of random numbers.
    """
    base, versions = bank.base, [Version("trial", -1), Version("trial", -2)]
    small = LoraSpec(min(spec.rank, 4), float(min(spec.rank, 4)), spec.targets)
    try:
        for seed, version in enumerate(versions):
            bank.add(version, small, seed=seed, trainable=False)
            params_P = bank.slice(version).params_P
            params_P.normal_(0, SCALE / small.rank**0.5, generator=torch.Generator().manual_seed(seed))
            _tame(bank, version)
        with torch.no_grad(), Foreign(f"{base.name}: the model cannot run several adapters in one batch"):
            _compare(bank, engine, [None, *versions])
    finally:
        for version in versions:
            if version in bank:
                bank.drop(version)


def _tame(bank: AdapterBank, version: Version) -> None:
    """Divide each A by √inputs, so that what an adapter adds is as large as what comes in."""
    item = bank.slice(version)
    for path, entry in item.layout.entries.items():
        item.layout.a(item.params_P, path).div_(entry.inputs**0.5)


def _compare(bank: AdapterBank, engine: Engine, who: Sequence[Version | None]) -> None:
    base = bank.base
    whole = [_tokens(base, length, seed) for seed, length in enumerate(LENGTHS)]
    alone = [_alone(bank, version, tokens) for version, tokens in zip(who, whole, strict=True)]
    limit = ROWS[base.dtype]
    hidden_NH = engine.run([(row[:1], row[1:]) for row in whole], who, None, False).hidden_NH
    ours = base.head.logits(hidden_NH).split([length - 1 for length in LENGTHS])
    for ours_TV, theirs_TV in zip(ours, alone, strict=True):
        _require(base, ours_TV, theirs_TV[:-1], limit=limit, what="rows of one batch disturb one another")
    prompts = [
        Prompt(version, row[: CUT + place % 2], 1) for place, (version, row) in enumerate(zip(who, whole, strict=True))
    ]
    session = engine.open(prompts, max(LENGTHS))
    places = [len(prompt.tokens) for prompt in prompts]
    rows = list(range(len(whole)))
    for step in range(2):
        for index, row in enumerate(rows):
            theirs_V = alone[row][places[row] - 1 + step]
            _require(base, session.logits_RV[index], theirs_V, limit=limit, what="token by token it says other things")
        if step == 0:
            rows = rows[1:]  # a row that ends leaves the batch
            session.keep(torch.tensor(rows, device=base.device))
            session.step(torch.tensor([whole[row][places[row]] for row in rows], device=base.device))


def _alone(bank: AdapterBank, version: Version | None, tokens: tuple[int, ...]) -> Tensor:
    """Logits [T, V] of one row through the model's own forward."""
    with _hooked(bank, version):
        ids_1T = torch.tensor([tokens], device=bank.base.device)
        return bank.base.model(input_ids=ids_1T, use_cache=False).logits[0]


@contextmanager
def _hooked(bank: AdapterBank, version: Version | None) -> Iterator[None]:
    """While it lasts, every target adds its low-rank product to all that goes through it."""
    handles = []
    if version is not None:
        layout, flat_P = bank.slice(version).layout, bank.compute(version)
        for path in layout.entries:
            a_ZI, b_OZ = layout.a(flat_P, path), layout.b(flat_P, path)

            def add(module: nn.Module, inputs: Any, output: Tensor, a_ZI: Tensor = a_ZI, b_OZ: Tensor = b_OZ) -> Tensor:
                return output + (inputs[0] @ a_ZI.T) @ b_OZ.T

            handles.append(bank.base.model.get_submodule(path).register_forward_hook(add))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _require(base: BaseModel, ours: Tensor, theirs: Tensor, *, limit: float, what: str) -> None:
    gap = float((ours.float() - theirs.float()).norm() / theirs.float().norm().clamp_min(1e-30))
    if not gap <= limit:
        raise ModelUnavailable(
            f"model {base.name} (type {base.model.config.model_type!r}) cannot be trained here: {what} "
            f"(logits differ by {gap:.2g}, at most {limit:g} is rounding); name other layers under adapter.targets, or "
            "choose another model"
        )


def _tokens(base: BaseModel, count: int, seed: int) -> tuple[int, ...]:
    return tuple((3 + 7 * i + 13 * seed) % base.head_VH.shape[0] for i in range(count))
