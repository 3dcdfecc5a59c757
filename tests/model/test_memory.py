"""Memory: freed pages go back to the system when asked, and what a long league keeps is bounded."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from league.errors import DataError
from league.model.base import BaseModel
from league.model.memory import release_freed_memory
from league.population.history import REMEMBERED, EvolutionHistory
from league.types import Message, Version
from tasks.contest import Contest
from tasks.domains import make_domain


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_freed_pages_go_back() -> None:
    """Small blocks live on the heap; one kept at its top pins all below it.

    What was freed goes back when the heap is trimmed.
    """
    blocks = [bytearray(60_000) for _ in range(4_000)]
    pin = bytearray(60_000)
    full = resident_mb()
    del blocks
    kept = resident_mb()
    release_freed_memory()
    assert full - resident_mb() > 150 and kept - resident_mb() > 50 and len(pin) == 60_000


def test_encoded_prompts_are_bounded_and_the_last_asked_for_stay(
    tiny: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [(Message("user", f"prompt number {number}"),) for number in range(40)]
    size = len(tiny.encode(prompts[0]))
    monkeypatch.setattr("league.model.base.ENCODED", 5 * (size + 1))
    first = tiny.encode(prompts[0])
    for prompt in prompts[1:]:
        tiny.encode(prompt)
        assert tiny.encode(prompts[0]) is first, "asked for again and again, it stays"
    assert tiny._encoded_tokens == sum(map(len, tiny._encoded.values())) <= 5 * (size + 1)
    assert prompts[39] in tiny._encoded and prompts[1] not in tiny._encoded


def test_a_domain_counts_as_exhausted_after_so_many_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    """A league that lasts must not keep the digests of ever more problems."""
    monkeypatch.setattr("tasks.domains.stream.LARGEST", 10)
    domain = make_domain("chain_sum", 1, {}, seed=0)
    assert domain.size_hint("train", 1000) == 10
    contest = Contest("c", {"chain_sum": domain}, items=4)
    shown = {p.index for index in range(50) for p in contest.problems("train", index, "chain_sum")}
    assert shown == set(range(10))
    drawn = len(domain._stream._seen)
    contest.problems("train", 10**6, "chain_sum")
    assert len(domain._stream._seen) == drawn
    with pytest.raises(DataError, match="problem 10 of 'train' does not exist"):
        domain.problem("train", 10)


def test_the_memory_of_retired_versions_is_bounded() -> None:
    memory = EvolutionHistory()
    for number in range(REMEMBERED + 50):
        memory = memory.with_retired([Version("max", number)], number, 3)
    assert len(memory.retired) == REMEMBERED and memory.retired[-1] == (
        Version("max", REMEMBERED + 49),
        REMEMBERED + 49,
    )
    assert memory.stored == tuple(Version("max", REMEMBERED + 47 + place) for place in range(3))


def test_a_process_keeps_a_bounded_number_of_compiled_products(tmp_path: Path) -> None:
    """oneDNN compiles a kernel per shape and says so when asked.

    What it kept is found again; what it dropped is compiled anew.
    """
    script = """
import torch
from league.model.base import set_threads
set_threads(1)
x, w = torch.ones(416, 64).bfloat16(), torch.ones(8, 64).bfloat16()
for rows in [*range(16, 416), 415, 16]:
    x[:rows] @ w.T
"""
    environment = {name: value for name, value in os.environ.items() if name != "ONEDNN_PRIMITIVE_CACHE_CAPACITY"}
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env=environment | {"ONEDNN_VERBOSE": "profile_create"},
        capture_output=True,
        text=True,
        check=True,
    )
    created = [line for line in ran.stdout.splitlines() if "create:" in line and "x64:64x8" in line]
    missed = Counter(line.split(",")[-2] for line in created if "cache_miss" in line)
    if not missed:
        pytest.skip("these products do not go through oneDNN here")
    assert missed["415x64:64x8"] == 1 and missed["16x64:64x8"] == 2, "the newest is kept, the oldest of 400 is not"
