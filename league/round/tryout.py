"""A league put together for its forecast alone: how long, and how much memory.

Nothing of it stays: its store lies in a temporary folder that goes with it.
"""

import resource
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from league.learning.accounting import model_size
from league.model.bank import AdapterBank
from league.preflight.checks import Prepared
from league.round.forecast import Forecast, forecast
from league.runtime import assembly

FULL, MOMENTS = 4, 2
"""Bytes of a value of an adapter, and AdamW's values for each."""


@dataclass(frozen=True)
class Memory:
    """Bytes."""

    base: int
    """Weights of the base model."""
    adapters: int
    """All agents: their adapters, copies for computing, and the optimizer's moments."""
    peak: int
    """The most this process has had so far, the short probe included; a round with more rows takes more."""


@dataclass(frozen=True)
class TryOut:
    """What a run will take on this machine."""

    forecast: Forecast | None
    """None in a league whose model is asked nothing, and where it failed."""
    memory: Memory | None
    """None in a league without a model."""
    failed: str | None = None
    """Why there is no forecast although there should be one."""


def try_out(prepared: Prepared) -> TryOut:
    """Load the model, rehearse some matches, time a probe of some seconds. Nothing is kept."""
    with tempfile.TemporaryDirectory(prefix="league-check-") as place:
        elsewhere = prepared.config.model_copy(update={"runs": Path(place)})
        league, state = assembly.rehearsed(replace(prepared, config=elsewhere))
        with closing(league.store):
            expected, failed = None, None
            try:
                expected = forecast(league, state)
            except Exception as error:  # noqa: BLE001 (as in a run: a forecast that fails forbids nothing)
                failed = f"{type(error).__name__}: {error}"
            return TryOut(expected, None if league.bank is None else _memory(league.bank), failed)


def _memory(bank: AdapterBank) -> Memory:
    base, size = bank.base.model, model_size(bank)
    weights = sum(value.numel() * value.element_size() for value in {id(v): v for v in base.parameters()}.values())
    copy = next(base.parameters()).element_size()
    trained = {version.agent for version in bank.trainable()}
    adapters = sum(
        values * (FULL * (1 + MOMENTS * (agent in trained)) + copy) for agent, values in size.adapters.items()
    )
    return Memory(weights, adapters, _peak())


def _peak() -> int:
    """Bytes on the accelerator where there is one, else of the process."""
    import torch

    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return int(torch.cuda.max_memory_allocated())
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
