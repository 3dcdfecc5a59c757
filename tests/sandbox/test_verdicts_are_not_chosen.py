"""No answer chooses its verdict: "infra" takes evidence outside its reach, and the wall limit holds from outside."""

import time
from collections.abc import Iterator
from random import Random

import pytest

from league.sandbox.channel import Ended
from league.sandbox.judge import _how_it_died
from league.sandbox.judge_handle import Death, JudgeHandle, gone, late
from league.sandbox.pool import Grader, Job
from league.sandbox.values import CodeProblem, Confinement, Grade, Limits
from league.sandbox.zygote_handle import ExitInfo
from tests.helpers.ears import Ears
from tests.helpers.hostile_kinds import KINDS, drawn, other_ways_to_a_name, sends_to_a_name

LIMITS = Limits(cpu_s=0.5, wall_s=1.0, memory_mb=256, check_cpu_s=0.7)
DRAWN = drawn(len(KINDS), seed=0, wall=LIMITS.wall_s)


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(limits=LIMITS) as grader:
        yield grader


def graded(grader: Grader, test: str, code: str, every: bool = False) -> tuple[Grade, float]:
    """The grade, and the seconds it took with a judge at hand."""
    grader.start()
    start = time.monotonic()
    problem = CodeProblem("T/0", "def f(x):\n    ''' '''\n", "f", test)
    return grader.grade([Job(problem, code, every)])[0], time.monotonic() - start


@pytest.mark.parametrize("number", range(len(DRAWN)), ids=[name.replace(" ", "_") for name, _ in DRAWN])
def test_one_answer_of_each_kind(grader: Grader, number: int) -> None:
    """`benchmarks/grader.py kinds` draws as many as one likes."""
    _, probe = DRAWN[number]
    with Ears() as ears:
        grader.start()
        start = time.monotonic()
        grade = grader.grade([probe.job(f"T/{number}", number % 2 == 1, **ears.places)])[0]
        took = time.monotonic() - start
        assert ears.heard() == []
    assert grade.verdict == "fail" or (probe.right and grade.verdict == "pass" and grade.suspect), grade
    assert took < LIMITS.wall_s + 1, grade


def test_every_kind_is_drawn_anew_by_its_seed() -> None:
    assert [name for name, _ in DRAWN] == list(KINDS)
    assert drawn(100, 5, 1.0) == drawn(100, 5, 1.0) != drawn(100, 6, 1.0)
    assert len({probe for _, probe in drawn(150, 0, 2.0)}) == 150


@pytest.mark.parametrize("each", [0.03, 0.09])
def test_calls_shorter_than_a_tick_of_the_clock_add_up(grader: Grader, each: float) -> None:
    """Each call returns before the judge's clock has ticked; together they take too long."""
    count = int(2 * LIMITS.wall_s / each)
    test = f"def check(c):\n    for i in range({count}):\n        assert c(i) == i\n"
    grade, took = graded(grader, test, f"    import time\n    time.sleep({each})\n    return x\n")
    assert (grade.verdict, grade.reason) == ("fail", "timeout: more than 1 s") and took < LIMITS.wall_s + 1
    assert graded(grader, test.replace(str(count), "9"), f"    import time\n    time.sleep({each})\n    return x\n")[
        0
    ].verdict == ("pass")


def test_what_the_dataset_does_before_its_first_call_is_not_on_the_answers_clock(grader: Grader) -> None:
    """Else an answer that is slow to define could make the dataset look guilty, and a slow dataset the answer."""
    setup = "import time\ndef check(c):\n    time.sleep(0.6)\n    assert c(1) == 1\n"
    grade, _ = graded(grader, setup, "import time\ntime.sleep(0.6)\ndef f(x):\n    return x\n")
    assert grade.verdict == "pass", grade
    slow = "import time\ntime.sleep(0.6)\ndef f(x):\n    time.sleep(0.6)\n    return x\n"
    grade, _ = graded(grader, setup, slow)
    assert (grade.verdict, grade.reason) == ("fail", "timeout: more than 1 s"), grade
    forever = setup.replace("0.6", "99")
    grade, took = graded(grader, forever, "def f(x):\n    return x\n")
    assert grade.verdict == "infra" and "own code" in grade.reason and took < LIMITS.wall_s + 1


@pytest.mark.parametrize(
    ("use", "value"),
    [("{2: 1}[v]", "10 ** 5000"), ("c(v)", "nested(60)"), ("c([v, v])", "'x' * 600_000"), ("c(iter(v))", "[1]")],
)
@pytest.mark.parametrize("every", [False, True])
def test_a_value_the_check_cannot_use_is_a_fail(grader: Grader, use: str, value: str, every: bool) -> None:
    code = f"def nested(n):\n    return [nested(n - 1)] if n else 0\ndef f(x):\n    return {value}\n"
    grade, _ = graded(grader, f"def check(c):\n    v = c(1)\n    assert {use} == 2\n", code, every)
    assert (grade.verdict, grade.passed) == ("fail", 0), grade


@pytest.mark.parametrize("every", [False, True])
def test_an_exit_for_some_values_is_a_fail_and_an_exit_for_all_is_the_datasets_fault(
    grader: Grader, every: bool
) -> None:
    some = "import sys\ndef check(c):\n    if c(1) != 2:\n        sys.exit(0)\n"
    assert graded(grader, some, "    return 3\n", every)[0].verdict == "fail"
    assert graded(grader, some, "    return 2\n", every)[0].verdict == "pass"
    for leave in ("sys.exit(0)", "exit()", "raise SystemExit", "raise SystemExit(1)", "quit()"):
        always = f"import sys\ndef check(c):\n    assert c(1) == 2\n    {leave}\n"
        for value in (2, 3):
            grade, _ = graded(grader, always, f"    return {value}\n", every)
            assert grade.verdict == "infra" and "exits" in grade.reason, (leave, grade)


def test_a_check_that_catches_everything_does_not_outlast_its_time(grader: Grader) -> None:
    test = (
        "import time\ndef check(c):\n    try:\n        time.sleep(c(1))\n    except:\n        pass\n"
        "    try:\n        time.sleep(c(1))\n    except:\n        pass\n"
    )
    grade, took = graded(grader, test, "    return 5\n")
    assert (grade.verdict, grade.reason) == ("fail", "timeout: more than 1 s") and took < LIMITS.wall_s + 1
    assert graded(grader, test, "    return 0\n")[0].verdict == "pass"


def test_a_check_with_alarms_of_its_own_changes_nothing_for_the_next(grader: Grader) -> None:
    own = (
        "import signal\nclass Late(Exception): pass\ndef stop(*_):\n    raise Late('own')\ndef check(c):\n"
        "    for s in (signal.SIGALRM, signal.SIGPROF):\n        signal.signal(s, stop)\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0.2)\n    assert c(1) == 2\n    while c(1) == 2:\n        pass\n"
    )
    assert graded(grader, own, "    return 2\n")[0].reason == "Late: own"
    spin = "def check(c):\n    assert c(1) == 2\n    while True:\n        pass\n"
    grade, took = graded(grader, spin, "    return 2\n")
    assert grade.verdict == "fail" and grade.reason.startswith("timeout") and took < LIMITS.wall_s + 1


def test_who_is_to_blame_for_a_judge_that_came_to_no_verdict() -> None:
    """Only what happens while the answer has no part in it is not its failure."""
    for stage in ("defining", "asking"):
        assert late(stage, LIMITS, spinning=False).verdict == "fail"
        assert late(stage, LIMITS, spinning=True).verdict == "fail"
        assert gone(stage, Death(-9, 50 << 20)).verdict == "infra"  # somebody's kill -9
        assert gone(stage, Death(-15, 50 << 20)).verdict == "infra"
        assert gone(stage, Death(-9, 2 << 30)).verdict == "fail"  # memory that its values took
        for status in (-11, -6, 1, 0):
            assert gone(stage, Death(status, 50 << 20)) == gone(stage, Death(-9, 2 << 30))
        assert gone(stage, Death(-9, 300 << 20, memory_ran_out=True)).verdict == "fail"  # as above, on a small machine
        small = gone(stage, Death(-9, 50 << 20, memory_ran_out=True))
        assert small.again and small.starved and not gone(stage, Death(-9, 50 << 20)).starved
    assert late("checking", LIMITS, spinning=True).verdict == "infra" != late("asking", LIMITS, spinning=True).verdict
    assert not late("checking", LIMITS, spinning=False).again and late("preparing", LIMITS, spinning=False).again
    assert gone("checking", Death(-11, 0)) == gone("preparing", Death(-11, 0)) and gone("checking", Death(1, 0)).again


def test_a_judge_that_held_much_memory_is_not_used_again(grader: Grader) -> None:
    """Else somebody's kill -9 during a later answer would look like memory that this one's values took."""
    with Grader(limits=LIMITS) as own:
        own.start()
        process = own._judges[0].process
        assert (
            graded(own, "def check(c):\n    assert len([None] * c(1)) == 2\n", "    return 90 << 20\n")[0].verdict
            == "fail"
        )
        assert process.poll() is not None
        assert graded(own, "def check(c):\n    assert c(1) == 1\n", "    return x\n")[0].verdict == "pass"


def test_the_memory_of_the_league_is_not_taken_for_the_judges() -> None:
    """A process's peak begins with its parent's, so a judge of a large league seemed to have held gigabytes."""
    held = bytearray(150 << 20)
    held[::4096] = b"x" * len(held[::4096])
    judge = JudgeHandle(LIMITS, "full")
    del held
    assert judge.kill().memory < 100 << 20


def verdict_of(status: int, cpu: float, memory_mb: int, oom: bool) -> str:
    ended: Ended = _how_it_died(ExitInfo(status, cpu, memory_mb << 20), LIMITS, "kernel", oom)
    return ended.verdict


def test_a_killed_answer_is_infra_unless_it_filled_the_machines_memory() -> None:
    assert verdict_of(9, 0.1, 20, oom=False) == "infra"
    assert verdict_of(9, 0.1, 250, oom=False) == "infra"  # somebody's kill -9
    assert verdict_of(9, 0.1, 20, oom=True) == "infra"  # another process filled it
    assert verdict_of(9, 0.1, 250, oom=True) == "fail"
    assert verdict_of(9, 0.6, 20, oom=False) == "fail"  # the kernel's own limit on CPU time
    assert verdict_of(11, 0.1, 20, oom=True) == "fail"


def test_a_long_double_is_an_honest_value(grader: Grader) -> None:
    pytest.importorskip("numpy")
    test = "def check(c):\n    assert c(1) == 2.5\n    assert c(2) == 1 + 2j\n    assert c(3) == [1.0]\n"
    code = (
        "import numpy\ndef f(x):\n"
        "    return [numpy.longdouble(2.5), numpy.clongdouble(1 + 2j), [numpy.longdouble(1)]][x - 1]\n"
    )
    with Grader(limits=Limits(memory_mb=388)) as roomy:
        assert graded(roomy, test, code)[0] == Grade("pass", "passed", (), roomy.level or "posix")


@pytest.mark.parametrize("level", ["kernel", "ns"])
def test_nothing_that_has_a_name_is_reached(level: Confinement) -> None:
    """Without namespaces, or without Landlock, the filter of system calls is what holds; every attempt is marked."""
    draw = Random(0)
    probes = {kind(draw, 1.0) for kind in (sends_to_a_name, other_ways_to_a_name) for _ in range(120)}
    assert len(probes) > 50
    with Ears() as ears, Grader(limits=LIMITS, at_most=level) as grader:
        grades = grader.grade([probe.job(f"T/{n}", False, **ears.places) for n, probe in enumerate(probes)])
        assert ears.heard() == []
    assert [(p, g) for p, g in zip(probes, grades, strict=True) if not g.suspect or g.verdict == "infra"] == []
    assert {grade.confinement for grade in grades} == {level}


def test_socket_pairs_still_serve_honest_programs(grader: Grader) -> None:
    code = (
        "import asyncio, socket\nasync def g(x):\n    return x + 1\ndef f(x):\n"
        "    a, b = socket.socketpair()\n    a.sendall(b'x')\n    assert b.recv(1) == b'x'\n"
        "    return asyncio.run(g(x))\n"
    )
    grade, _ = graded(grader, "def check(c):\n    assert c(1) == 2\n", code)
    assert grade.verdict == "pass" and not grade.suspect, grade
