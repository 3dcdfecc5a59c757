"""`league grade`.

The contract's lines, every kind of bad input with its line number, exit codes, start-up.
"""

import gzip
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from league.commands.grade import grade
from league.sandbox import visible

PROBLEM = {
    "task_id": "T/0",
    "prompt": "def double(x):\n    '''\n    >>> double(2)\n    4\n    '''\n",
    "entry_point": "double",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(5) == 10\n",
    "canonical_solution": "    return 2 * x\n",
}
ROOT = Path(__file__).resolve().parents[2]


def league_grade(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "league", "grade", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    return done


def lines(path: Path, *records: object) -> Path:
    path.write_bytes(
        b"".join((record if isinstance(record, bytes) else json.dumps(record).encode()) + b"\n" for record in records)
    )
    return path


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return lines(tmp_path / "problems.jsonl", PROBLEM)


def sample(completion: str, task_id: str = "T/0") -> dict[str, str]:
    return {"task_id": task_id, "completion": completion}


def test_more_workers_than_cores_are_warned_of(
    problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Waiting for a core counts as an answer's time, so an honest one may fail by it."""
    samples = lines(tmp_path / "samples.jsonl", *[sample("    return 2 * x\n")] * 2)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0})
    grade(problems, samples, workers=3)
    shown = capsys.readouterr()
    assert (
        shown.err.startswith("2 workers share 1 core: an honest answer may run into --wall") and "2 passed" in shown.out
    )
    assert "--workers 1 or fewer" in shown.err and shown.err.count("\n") == 1
    grade(problems, lines(tmp_path / "one.jsonl", sample("    return 2 * x\n")), workers=3)
    assert capsys.readouterr().err == "", "one sample needs one worker"


def test_one_line_per_sample_in_order(problems: Path, tmp_path: Path) -> None:
    answers = [
        sample("    return 2 * x\n"),
        sample("    return 3\n"),
        sample("def double(x):\n    return x + x\n"),
        sample("    return 4 if x == 2 else None\n"),
        sample("class Yes:\n    def __eq__(self, other): return True\ndef double(x):\n    return Yes()\n"),
    ]
    done = league_grade(problems, lines(tmp_path / "samples.jsonl", *answers), "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(row) for row in rows] == [["task_id", "index", "verdict", "reason", "suspect", "confinement"]] * 5
    assert [row["index"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["verdict"] for row in rows] == ["pass", "fail", "pass", "fail", "fail"]
    assert [row["suspect"] for row in rows] == [False, False, False, True, True]
    assert all(
        row["confinement"] in ("full", "ns", "kernel") and row["reason"] and row["task_id"] == "T/0" for row in rows
    )


def test_table_for_people(problems: Path, tmp_path: Path) -> None:
    done = league_grade(
        problems, lines(tmp_path / "samples.jsonl", sample("    return 2 * x\n"), sample("    return 3\n"))
    )
    assert "1 passed, 50.0% of the judged; 1 failed; 0 infra; 0 suspect" in done.stdout


def test_the_table_prints_whatever_a_file_or_an_answer_says(tmp_path: Path) -> None:
    name = "T/\ud800\x1b[2J[/bold]"
    problems = lines(tmp_path / "p.jsonl", {**PROBLEM, "task_id": name})
    answers = [sample("    return 2 * x\n", name), sample("    raise ValueError('\\x1b[2J[/bold]\\ud800')\n", name)]
    done = league_grade(problems, lines(tmp_path / "s.jsonl", *answers))
    assert "\x1b" not in done.stdout and done.stdout.count("T/??[2J[/bold]") == 2 and "1 passed" in done.stdout


def test_json_that_python_cannot_hold_is_named_by_line(problems: Path, tmp_path: Path) -> None:
    bad = [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"task_id": ' + b"1" * 5000 + b"}",
        {"task_id": ["T/0"], "completion": ""},
    ]
    done = league_grade(problems, lines(tmp_path / "s.jsonl", *bad), code=2)
    assert all(f"line {number}: " in done.stderr for number in (1, 2, 3)) and "Traceback" not in done.stderr


def test_gzip_blank_lines_and_a_byte_order_mark(problems: Path, tmp_path: Path) -> None:
    packed = tmp_path / "problems.jsonl.gz"
    packed.write_bytes(gzip.compress(problems.read_bytes()))
    raw = b"\xef\xbb\xbf" + json.dumps(sample("    return 2 * x\n")).encode() + b"\r\n\n   \n"
    (tmp_path / "samples.jsonl").write_bytes(raw)
    done = league_grade(packed, tmp_path / "samples.jsonl", "--json")
    assert [json.loads(line)["verdict"] for line in done.stdout.splitlines()] == ["pass"]


def test_no_samples(problems: Path, tmp_path: Path) -> None:
    assert league_grade(problems, lines(tmp_path / "samples.jsonl"), "--json").stdout == ""


def test_bad_samples_name_every_line(problems: Path, tmp_path: Path) -> None:
    good = sample("    return 2 * x\n")
    samples = lines(
        tmp_path / "s.jsonl",
        good,
        b"{oops",
        [1],
        {"task_id": "T/0"},
        b'{"task_id": "\xff"}',
        sample("", "T/9"),
        {**good, "completion": 3},
    )
    done = league_grade(problems, samples, "--json", code=2)
    assert done.stdout == ""
    for number, what in (
        (2, "not JSON"),
        (3, "found list"),
        (4, "completion is missing"),
        (5, "not UTF-8"),
        (6, "T/9"),
        (7, "found int"),
    ):
        assert any(line.startswith(f"  line {number}: ") and what in line for line in done.stderr.splitlines()), (
            done.stderr
        )
    assert "line 1:" not in done.stderr and "6 problems" in done.stderr and "did you mean 'T/0'" in done.stderr


def test_a_solution_is_a_whole_program(problems: Path, tmp_path: Path) -> None:
    """EvalPlus's field. Never the rest of the prompt's body, which is what a completion may be."""
    answers = [
        {"task_id": "T/0", "solution": "def double(x):\n    return x + x\n"},
        {"task_id": "T/0", "solution": "    return 2 * x\n"},
        {"task_id": "T/0", "completion": "    return 2 * x\n", "solution": None},
        {"task_id": "T/0", "solution": ""},
    ]
    done = league_grade(problems, lines(tmp_path / "s.jsonl", *answers), "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["verdict"] for row in rows] == ["pass", "fail", "pass", "fail"]
    bad = [
        {"task_id": "T/0", "solution": "", "completion": ""},
        {"task_id": "T/0", "solution": 3},
        {"task_id": "T/0", "solution": None},
    ]
    done = league_grade(problems, lines(tmp_path / "b.jsonl", *bad), code=2)
    said = ("keep the one to grade", "solution must be a string", "completion is missing")
    assert all(f"line {number}: " in done.stderr and what in done.stderr for number, what in enumerate(said, start=1))


def test_thousands_of_unknown_names_take_no_time(tmp_path: Path) -> None:
    """The nearest name is sought for the listed lines only, and never for a name of a megabyte."""
    problems = lines(tmp_path / "p.jsonl", *({**PROBLEM, "task_id": f"HumanEvalPlus/{n}"} for n in range(1000)))
    answers = [sample("", f"HumanEvalPlas/{n}") for n in range(2000)] + [sample("", "x" * 10**6)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = league_grade(problems, lines(tmp_path / "s.jsonl", *answers), code=2)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 10
    assert "2001 problems" in done.stderr and "and 1981 more" in done.stderr and len(done.stderr) < 5000
    assert "line 1: unknown task_id 'HumanEvalPlas/0'; did you mean 'HumanEvalPlus/" in done.stderr


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"test": "def check(:"}, "test is not Python"),
        ({"test": "x = 1"}, "must define check"),
        ({"prompt": "def double(x:"}, "prompt is not Python"),
        ({"entry_point": "not a name"}, "entry_point must be a Python name"),
        ({"entry_point": "class"}, "entry_point must be a Python name"),
        ({"test": 3}, "test must be a string"),
        ({"task_id": "T/0"}, "occurs twice"),
    ],
)
def test_bad_problems(tmp_path: Path, change: dict[str, object], what: str) -> None:
    problems = lines(tmp_path / "p.jsonl", PROBLEM, {**PROBLEM, "task_id": "T/1", **change})
    done = league_grade(problems, lines(tmp_path / "s.jsonl", sample("")), code=2)
    assert "line 2: " in done.stderr and what in done.stderr


def test_missing_empty_and_broken_files(problems: Path, tmp_path: Path) -> None:
    samples = lines(tmp_path / "s.jsonl", sample(""))
    assert "no such file" in league_grade(tmp_path / "nowhere.jsonl", samples, code=2).stderr
    assert "no such file" in league_grade(problems, tmp_path / "nowhere.jsonl", code=2).stderr
    assert "no problems" in league_grade(lines(tmp_path / "empty.jsonl"), samples, code=2).stderr
    assert "cannot be read" in league_grade(tmp_path, samples, code=2).stderr
    (tmp_path / "half.gz").write_bytes(gzip.compress(b"x" * 1000)[:20])
    assert "cannot be read" in league_grade(tmp_path / "half.gz", samples, code=2).stderr
    league_grade(problems, code=2)
    league_grade(problems, samples, "--workers", "-1", code=2)


def test_start_up_needs_no_torch_and_little_time(problems: Path, tmp_path: Path) -> None:
    """Measured in CPU seconds of the whole family of processes.

    Wall time depends on who else works here.
    """
    samples = lines(tmp_path / "s.jsonl", sample("    return 2 * x\n"))
    code = (
        "import sys; import league.cli; print([m for m in ('torch', 'transformers', 'scipy', 'pandas', "
        "'matplotlib') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    league_grade(problems, samples, "--json")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.4


def test_visible_examples_of_every_notation() -> None:
    prompt = (
        "def f(x, y=0):\n"
        '    """Adds.\n'
        "\n"
        "    >>> f(1)\n"
        "    1\n"
        "\n"
        "    f(1, 2) == 3\n"
        "    f([1], y=[2]) ➞ [1, 2]\n"
        "    f(2) => 2\n"
        "    f(3) # => 3.\n"
        '    f(5, 14) ==> 19 - 0 = 19\n    f(x) == 3\n    g(1) == 2\n    f(4)  # returns the number\n    """\n'
    )
    found = [(example.args, example.kwargs, example.want) for example in visible.examples(prompt, "f")]
    want = [
        ((1,), {}, 1),
        ((1, 2), {}, 3),
        (([1],), {"y": [2]}, [1, 2]),
        ((2,), {}, 2),
        ((3,), {}, 3),
        ((5, 14), {}, 19),
    ]
    assert found == want
    assert visible.same(1.0, 1.0 + 1e-9) and not visible.same(True, 1) and not visible.same([1], (1,))
