"""Freed heap memory goes back to the system when asked."""

import sys
from pathlib import Path

import pytest

from league.model.memory import give_back


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_freed_pages_go_back() -> None:
    """Small blocks live on the heap; one kept at its top pins all that was freed below it until the heap is trimmed."""
    blocks = [bytearray(60_000) for _ in range(4_000)]
    pin = bytearray(60_000)
    full = resident_mb()
    del blocks
    kept = resident_mb()
    give_back()
    assert full - resident_mb() > 150 and kept - resident_mb() > 50 and len(pin) == 60_000
