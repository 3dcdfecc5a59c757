"""The warm-up's weights and optimizers between the bank and the run folder, as it goes.

Exact both ways. How often they are written is decided by what it costs: at most SHARE of the warm-up's time.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from league.learning.accounting import Spent
from league.learning.warmup import WarmupStep
from league.model.bank import AdapterBank
from league.runtime.checkpoint import load_adapter, save_adapter, save_optimizer
from league.runtime.totals import Totals
from league.store.run import RunStore
from league.store.warmup_progress import WaveProgress
from league.types import Version, VersionRow

SHARE = 0.05


@dataclass(frozen=True)
class KeptSteps:
    """A pass as it was kept: how many of its steps, what they took, and for how many seconds."""

    step: int = 0
    spent: Spent | None = None
    seconds: float = 0.0


class WarmupCheckpoint:
    """Keeps one fused pass of the warm-up, whose `plan` is known by its digest.

    `versions` are those that it trains. `before` is how many steps of all `steps` of the warm-up come before it.
    """

    def __init__(
        self, store: RunStore, bank: AdapterBank, versions: Sequence[Version], plan: str, *, before: int, steps: int
    ):
        self._store, self._bank, self._versions, self._plan = store, bank, versions, plan
        self._before, self._steps = before, steps
        self._began, self._earlier = time.perf_counter(), 0.0
        self._cost, self._last_cost, self._kept = 0.0, 0.0, 0

    def restore(self) -> KeptSteps:
        """Put the newest kept step into the bank; nothing changes where none is kept."""
        found = self._store.warmup.find(self._plan)
        if found is None or found.blobs.keys() != {version.agent for version in self._versions}:
            return KeptSteps()
        for version in self._versions:
            adapter, optimizer = found.blobs[version.agent]
            self._bank.drop(version)
            row = VersionRow(
                version=version, role="past", round=0, blob=adapter, optimizer=optimizer, parents=(), reason=""
            )
            load_adapter(self._store, self._bank, row, trainable=True)
        self._earlier, self._kept = found.seconds, found.step
        return KeptSteps(found.step, Totals.from_json(found.spent).spent, found.seconds)

    def offer(self, done: WarmupStep, last: bool) -> None:
        """Keep the step if its turn has come: the first, the last, and whenever the cost allows it."""
        elapsed = time.perf_counter() - self._began
        if last or not self._kept or self._cost + self._last_cost <= SHARE * elapsed:
            self.keep(done)

    def keep(self, done: WarmupStep) -> None:
        """Make the step durable; it replaces the one before it."""
        if done.step == self._kept:
            return
        started = time.perf_counter()
        blobs = {
            version.agent: (
                save_adapter(self._store, self._bank, version),
                save_optimizer(self._store, self._bank, version) or "",
            )
            for version in self._versions
        }
        self._store.warmup.keep(
            WaveProgress(
                plan=self._plan,
                step=done.step,
                blobs=blobs,
                spent=Totals(done.spent).to_json(),
                seconds=self._earlier + started - self._began,
                done=self._before + done.step,
                steps=self._steps,
            )
        )
        self._kept, self._last_cost = done.step, time.perf_counter() - started
        self._cost += self._last_cost
