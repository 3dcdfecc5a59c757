"""The values of grading: a problem with its tests, limits, and the grade of one answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Verdict = Literal["pass", "fail", "infra"]
Confinement = Literal["full", "ns", "kernel", "posix"]

LEVELS: tuple[Confinement, ...] = ("posix", "kernel", "ns", "full")
"""Weakest first.

full    user, PID, mount, network and IPC namespaces, Landlock and seccomp
ns      those namespaces with only one of Landlock and seccomp
kernel  Landlock and seccomp, no namespaces
posix   anything less: resource limits and closed descriptors only; refused unless allowed explicitly
"""


HIDDEN_TESTS_FAIL = "visible examples pass, hidden tests fail"
ODD_VALUE = "non-plain return value"
REMARKS = (HIDDEN_TESTS_FAIL, ODD_VALUE)
"""Signs that an honest answer may bear too: its tests have judged it, and it failed them."""


STARVED = "killed: the machine ran out of memory each time (grade fewer at once, or allow each less memory)"
"""A fail: an answer can bring this about, so it must not choose by it that it is not judged."""


@dataclass(frozen=True)
class CodeProblem:
    """One problem in HumanEval's format.

    `test` defines `check(candidate)`; the prompt ends inside `entry_point`'s body.
    """

    task_id: str
    prompt: str
    entry_point: str
    test: str


@dataclass(frozen=True)
class Job:
    """One answer to grade.

    With `every`, all assertions are tried and counted; else the first failure decides.
    """

    problem: CodeProblem
    completion: str
    every: bool = False
    program: bool = False
    """Whether the completion is a whole program for certain, never the rest of the prompt's body."""


@dataclass(frozen=True)
class Limits:
    """What one answer may use, from its definition to its last call."""

    cpu_s: float = 3.0
    """CPU time of the answer.

    It is the limit that decides, because it does not depend on the machine's load.
    """
    wall_s: float = 10.0
    """Wall time, from the definition to the end of the check. Who is not done by then has failed.

    The judge keeps it, and the pool ends a judge that does not. Only the answer could say why it waited, so a lack of
    CPU is no excuse: give more on a machine with more work than cores.
    """
    memory_mb: int = 512
    """Address space on top of the interpreter's."""
    check_cpu_s: float = 5.0
    """CPU time of the dataset's own check on the values the answer returned."""
    threads: int = 64
    """Threads alive at once."""


@dataclass(frozen=True)
class Grade:
    """What became of one answer.

    `infra` says that the grader or the dataset failed: drop the sample. It takes evidence that no answer can make up.
    """

    verdict: Verdict
    reason: str
    signs: tuple[str, ...]
    """Why the answer is suspected of attacking the grader; empty for an honest one."""
    confinement: Confinement
    passed: int = 0
    """Assertions of the check that held; 0 unless the job asked for `every`."""
    total: int = 0

    @property
    def suspect(self) -> bool:
        return bool(self.signs)

    @property
    def attack(self) -> bool:
        """Whether it tried what no honest answer does; then its tests say nothing."""
        return any(sign not in REMARKS for sign in self.signs)

    @property
    def fraction(self) -> float:
        """Share of the check's assertions that held, in [0, 1].

        It is 1 exactly when the verdict is a pass.
        """
        if self.verdict == "pass":
            return 1.0
        return self.passed / self.total if self.total else 0.0


class CodeGrader(Protocol):
    """What a task needs of a grader."""

    def grade(self, jobs: Sequence[Job]) -> list[Grade]:
        """One grade per job, in order."""
        ...


def weaker(level: Confinement, than: Confinement) -> bool:
    return LEVELS.index(level) < LEVELS.index(than)
