"""Answers that the kernel kills for memory, on a machine made small by a memory group: each has failed.

The group has 300 MB for the grader and its answers together, less than one answer may use. Only who may make memory
groups (root with cgroup v1, which most containers have not) can show the event; elsewhere the rule alone is tested
(`test_verdicts_are_not_chosen.py`).
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from league.sandbox.judge import OUT_OF_MEMORY
from league.sandbox.kernel import oom_kills
from league.sandbox.values import STARVED

GROUP_MB = 300
GRADE = """
import json, os, sys
from pathlib import Path
Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
from league.sandbox.pool import Grader, Job
from league.sandbox.values import CodeProblem, Limits
code, test, memory_mb = sys.argv[2], sys.argv[3], int(sys.argv[4])
with Grader(limits=Limits(cpu_s=5, wall_s=20, memory_mb=memory_mb)) as grader:
    problem = CodeProblem("T/0", "def f(x):\\n    pass\\n", "f", test)
    other = CodeProblem("T/1", "def f(x):\\n    pass\\n", "f", "def check(c):\\n    assert c(1) == 1\\n")
    grades = grader.grade([Job(problem, code), Job(other, "    return x\\n")])
print(json.dumps([[grade.verdict, grade.reason] for grade in grades]))
"""
ONE = "def check(c):\n    assert c(1) == 1\n"
FILL = "def f(x):\n    held = bytearray(400 << 20)\n"
FILL += "    for i in range(0, len(held), 4096):\n        held[i] = 1\n    return x\n"


@pytest.fixture
def small_machine() -> Iterator[Path]:
    """A memory group of this test's own, below the one that it runs in."""
    places = dict(line.strip().split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    group = Path(f"/sys/fs/cgroup/memory{places.get('memory', '')}") / f"league-test-{os.getpid()}"
    try:
        if "memory" not in places:
            raise OSError("no cgroup v1")
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(GROUP_MB << 20))
    except OSError as error:
        pytest.skip(f"needs a memory group that this user may make: {error}")
    try:
        yield group
    finally:
        for _ in range(100):
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.1)


def graded(group: Path, code: str, test: str, memory_mb: int) -> list[tuple[str, str]]:
    """(verdict, reason) of one answer and of an honest one after it."""
    before = oom_kills()
    words = [sys.executable, "-c", GRADE, group, code, test, memory_mb]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=100, check=True)
    assert oom_kills() > before, "the kernel has killed a process for memory"
    return [(verdict, reason) for verdict, reason in json.loads(done.stdout)]


def test_an_answer_that_fills_the_machine_has_failed(small_machine: Path) -> None:
    bad, honest = graded(small_machine, FILL, ONE, memory_mb=448)
    assert bad == ("fail", f"{OUT_OF_MEMORY}, and the answer held much of it") and honest[0] == "pass", (bad, honest)


def test_an_answer_that_uses_less_than_half_of_its_own_cannot_choose_either(small_machine: Path) -> None:
    """The kernel kills it at each try, though it may use 2 GB: before, it dropped out as `infra`."""
    bad, honest = graded(small_machine, FILL, ONE, memory_mb=2048)
    assert bad == ("fail", STARVED) and honest[0] == "pass", (bad, honest)


def test_values_that_have_the_judge_killed_are_a_fail(small_machine: Path) -> None:
    """The check makes much of a small value. Before, it dropped out as `infra`: the judge held less than 1 GiB."""
    test = "def check(c):\n    held = [b'x' * (1 << 20) for _ in range(c(1))]\n    assert len(held) == 1\n"
    bad, honest = graded(small_machine, "def f(x):\n    return 400\n", test, memory_mb=448)
    assert bad[0] == "fail" and honest[0] == "pass", (bad, honest)
