"""Nothing that a run stores changes unnoticed: two fixed leagues keep their digests.

The digest covers every match, payoff, rating, scalar, adapter and state of a run. When a change is meant to alter what
is stored, print the new digests with `python -m tests.helpers.fixed_leagues` and say in the commit what they differ by.
"""

from pathlib import Path

import pytest
import torch

from tests.helpers.fixed_leagues import SCRIPTED, digest_of, torch_digest

FIXED = "cdec58450aac573d034f2e4a00e157a96ebb578dfa680ea61c4f4072e22f7cc5"
"""Of the scripted league: no floating-point kernel is in it, so it is the same on every machine."""
BY_MACHINE = {("2.13.0", "AVX2"): "27c3801595daaab7fc8887fc515b82d30293a6943a56bccb8246b322260fa346"}
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
