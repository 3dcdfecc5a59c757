"""League training for populations of LoRA language-model agents over one frozen base model."""

import os

__version__ = "0.1.0"

# A thread of GNU OpenMP that has finished its share spins this often before it sleeps. Its default, 300,000, doubles
# the time of a rollout and an update beside other busy programs (docs/results/engine.md). libgomp reads this when torch
# loads it, so it stands here, before any import of torch; other OpenMP libraries ignore it.
SPINS = 10_000
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
