"""League training for populations of LoRA language-model agents over one frozen base model.

`league.train`, `league.resume` and `league.open` are the Python interface (docs/python.md). Each is imported when it is
first asked for, so that `import league` stays light. Their types stand in `__init__.pyi`.
"""

import os
from importlib import import_module

__version__ = "0.1.0"
__all__ = ["Agent", "OpenRun", "RoundEnd", "StopTraining", "__version__", "open", "resume", "train"]

# A thread of GNU OpenMP that has finished its share spins this often before it sleeps. Its default, 300,000, doubles
# the time of a rollout and an update beside other busy programs (docs/results/engine.md). libgomp reads this when torch
# loads it, so it stands here, before any import of torch; other OpenMP libraries ignore it.
SPINS = 10_000
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))

HOMES = {
    "Agent": "league.api.agent",
    "OpenRun": "league.api.run",
    "RoundEnd": "league.api.callbacks",
    "StopTraining": "league.api.callbacks",
    "open": "league.api.run",
    "resume": "league.api.training:resume_run",
    "train": "league.api.training:train_run",
}
"""Name → the module it is imported from, and its name there where that is another."""


def __getattr__(name: str) -> object:
    if name not in HOMES:
        raise AttributeError(f"module 'league' has no attribute '{name}'")
    module, _, there = HOMES[name].partition(":")
    return vars(import_module(module))[there or name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
