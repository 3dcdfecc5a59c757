"""Nothing that a run stores changes unnoticed: two fixed leagues keep their digests.

The digest covers every match, payoff, rating, scalar, adapter and state of a run. When a change is meant to alter what
is stored, print the new digests with `python -m tests.helpers.fixed_leagues` and say in the commit what they differ by.
"""

from pathlib import Path

import pytest
import torch

from tests.helpers.fixed_leagues import SCRIPTED, digest_of, torch_digest

FIXED = "e77be6959c8342fd23fec3b0d143720052c3093de6007516ac1fb3ce5f035baf"
"""Of the scripted league: no floating-point kernel is in it, so it is the same on every machine."""
BY_MACHINE = {("2.13.0", "AVX2"): "43f2e3b669a2ddc42ae3c2ba5afb82807484b2dd5ecf3a7585d331dcdc5a4477"}
"""(torch, vector instructions) → the digest of the league on the tiny model.

Kernels differ in the last bits between them.
"""


@pytest.mark.slow
def test_the_scripted_league_stores_what_it_always_stored(tmp_path: Path) -> None:
    assert digest_of(SCRIPTED, tmp_path) == FIXED


@pytest.mark.slow
def test_the_league_on_a_tiny_model_stores_what_it_always_stored(tmp_path: Path) -> None:
    here = torch.__version__.partition("+")[0], torch.backends.cpu.get_cpu_capability()
    if here not in BY_MACHINE:
        pytest.skip(f"no digest is known for torch {here[0]} with {here[1]}")
    assert torch_digest(tmp_path) == BY_MACHINE[here]
