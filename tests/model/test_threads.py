"""Threads: how OpenMP waits is settled before torch loads it, and the user's own word counts."""

import os
import subprocess
import sys

import pytest

import league


@pytest.mark.parametrize(
    ("said", "spins"),
    [({}, str(league.SPINS)), ({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "passive"}, "0")],
)
def test_a_thread_that_waits_sleeps_soon(said: dict[str, str], spins: str) -> None:
    """libgomp prints what it took from the environment when it is loaded."""
    bare = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    ran = subprocess.run(
        [sys.executable, "-c", "import league.model.base"],
        env=bare | said | {"OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True,
        text=True,
        check=True,
    )
    if "GOMP_SPINCOUNT" not in ran.stderr:
        pytest.skip("torch brings another OpenMP here")
    assert f"GOMP_SPINCOUNT = '{spins}'" in ran.stderr
