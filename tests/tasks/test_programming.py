"""Programs as a domain: exercises that tell near misses, replies read strictly, verdicts by the sandbox."""

import ast
import gzip
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from league.errors import DataError, Unjudged
from league.rollouts import make_match, play, score_all
from league.sandbox.shared import RememberingGrader, shared_grader
from league.sandbox.values import CodeProblem, Grade, Job
from league.types import Version
from tasks.contest import Contest
from tasks.domains import check_domain, make_domain
from tasks.domains.programming import Programming, rows_of_file
from tasks.domains.programs.exercises import ENTRY_POINT, LEVELS, exercise_of
from tasks.domains.programs.grading import code_problem_of
from tasks.domains.programs.replies import fenced, program_of, without_program
from tasks.domains.programs.rows import UnusableRow, code_row
from tasks.domains.programs.steps import KINDS, STEPS, Chosen
from tasks.domains.stream import SPLITS
from tasks.leakage import overlap
from tasks.teaching import Teaching, explain_prompt
from tests.helpers.players import Bernoulli


def step(words: str, constant: int | str | None = None) -> Chosen:
    """The step that is said so."""
    (found,) = [each for each in STEPS if each.words == words and (each.takes, each.gives) != ("words", "words")]
    return Chosen(found, constant)


def domain_with(grader: object, level: int = 1) -> Programming:
    return Programming("code", level, 0, grader=grader)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------- exercises
def test_an_exercise_by_hand() -> None:
    made = exercise_of((step("keep the even numbers"), step("add them up"), step("multiply by {k}", 3)))
    assert made is not None
    head, text = made.question.split("\n", 1)
    assert head == "def solve(xs):"
    assert text.startswith(
        '    """Given a list of whole numbers xs: keep the even numbers, then add them up, then multiply by 3. Return '
    )
    assert made.program == "def solve(xs):\n    xs = [x for x in xs if x % 2 == 0]\n    n = sum(xs)\n    return n * 3"
    names: dict[str, object] = {}
    exec(made.program, names)
    solve = names[ENTRY_POINT]
    assert callable(solve) and solve([1, 2, 4, -6]) == 0 and solve([5, 8]) == 24
    shown, result = text.split(">>> solve(")[1].split("\n")[:2]
    assert solve(ast.literal_eval(shown.rstrip(")"))) == int(result) and f"candidate({shown}" not in made.test


def test_what_does_the_same_is_the_same_exercise() -> None:
    five, two_and_three = exercise_of((step("add {k}", 5),)), exercise_of((step("add {k}", 2), step("add {k}", 3)))
    assert five is not None and two_and_three is not None and five.identity == two_and_three.identity
    six = exercise_of((step("add {k}", 6),))
    assert six is not None and six.identity != five.identity


def test_what_changes_nothing_is_no_exercise() -> None:
    assert exercise_of((step("change its sign"), step("change its sign"))) is None, "it gives back what it is given"
    assert exercise_of((step("square it"), step("take its absolute value"))) is None, "the second step does nothing"
    assert exercise_of((step("multiply by {k}", 30), step("multiply by {k}", 29), step("square it"))) is None, "large"


def test_every_step_is_defined_for_empty_values_and_keeps_its_kinds() -> None:
    types = dict(zip(KINDS, (int, list, str, list, dict), strict=True))
    for each in STEPS:
        for constant in each.constants or (None,):
            result = Chosen(each, constant).run(types[each.takes]())
            assert type(result) is types[each.gives], each


@pytest.mark.parametrize("level", range(1, LEVELS + 1))
def test_references_pass_and_trivial_programs_fail(level: int) -> None:
    """In the grader, which runs the reference as text; a constant and the identity are wrong everywhere."""
    domain = make_domain("programming", level)
    problems = [domain.problem(split, index) for split in SPLITS for index in range(6)]
    assert len({problem.question for problem in problems}) == len(problems)
    tested = [code_problem_of(problem) for problem in problems]
    right = [Job(each, problem.answer, program=True) for each, problem in zip(tested, problems, strict=True)]
    constant = [
        Job(each, f"def solve(x):\n    return {value}", program=True) for each in tested for value in (0, [], "''")
    ]
    same = [Job(each, "def solve(x):\n    return x", program=True) for each in tested]
    grades = shared_grader().grade([*right, *constant, *same])
    assert all(grade.verdict == "pass" and not grade.suspect for grade in grades[: len(right)])
    assert all(grade.verdict == "fail" for grade in grades[len(right) :])
    results = [
        Counter(line.rpartition(" == ")[2] for line in each.test.splitlines() if "assert" in line) for each in tested
    ]
    assert all(max(found.values()) <= sum(found.values()) // 2 and sum(found.values()) >= 8 for found in results)
    assert all(len(problem.solution or "") < 600 for problem in problems)


def test_a_constant_one_off_and_a_step_left_out_fail() -> None:
    made = exercise_of((step("add {k} to each", 3), step("count those greater than {k}", 7)))
    assert made is not None
    tested = CodeProblem("near", made.question + "\n", ENTRY_POINT, made.test)
    wrong = {made.program.replace("+ 3", f"+ {k}") for k in (2, 4)} | {made.program.replace("> 7", "> 8")}
    wrong |= {made.program.replace("> 7", "> 6"), made.program.replace("+ 3", "+ 0")}
    grades = shared_grader().grade([Job(tested, program, program=True) for program in [made.program, *wrong]])
    assert [grade.verdict for grade in grades] == ["pass"] + ["fail"] * 5


def test_splits_share_no_exercise_over_seeds() -> None:
    where: dict[str, str] = {}
    for seed in (0, 1):
        domain = make_domain("programming", 2, seed=seed)
        for split in SPLITS:
            for index in range(25):
                program = domain.problem(split, index).answer
                assert where.setdefault(program, split) == split
    assert make_domain("programming", 2).problem("test", 9) == make_domain("programming", 2).problem("test", 9)


def test_a_similar_program_is_not_taken_for_the_answer_given_away() -> None:
    """Half of the 8-grams of a program's body in another one: at most one pair of 59."""
    domain = make_domain("programming", 3)
    problems = [domain.problem("train", index) for index in range(60)]
    pairs = [(a, b) for a, b in zip(problems, problems[1:], strict=False)]
    leaks = [overlap(domain.worked(a, "First step."), domain.given_away(b)) >= 0.5 for a, b in pairs]
    assert sum(leaks) <= 1
    assert overlap(problems[0].answer, domain.given_away(problems[0])) == 1.0


# --------------------------------------------------------------------------------------------------- replies
ADD = "def solve(n):\n    return n + 5"
READ = {
    ADD: True,
    fenced(ADD): True,
    f"Sure! Here it is.\n\n{fenced(ADD)}\nIt adds 5.": True,
    f"Here it is:\n{ADD}\nThat is all.": True,
    fenced("def help(n):\n    return n + 5") + "\n" + fenced("def solve(n):\n    return help(n)"): True,
    f"{fenced(ADD)}\n{fenced(ADD)}": True,
    f"{fenced(ADD)}\nor\n{fenced(ADD.replace('5', '6'))}": False,
    "    return n + 5": False,
    "Answer: n + 5": False,
    fenced(ADD.replace("solve", "add")): False,
    "solve = lambda n: n + 5": False,
    "": False,
    fenced("def solve(n:\n  return"): False,
    ADD + "\n" + "#" * 9000: False,
    "def solve(n):\n    return n + 5\nprint(solve(1))\nwhile True: pass": True,
    "```python\n" + ADD: True,
}


@pytest.mark.parametrize(("text", "is_program"), READ.items())
def test_a_reply_is_a_program_or_not(text: str, is_program: bool) -> None:
    found = program_of(text, "solve")
    assert (found is not None) == is_program
    if found is not None:
        assert "print" not in found and "while True" not in found and "def solve" in found


def test_the_reference_takes_the_place_of_an_explanations_program() -> None:
    domain = make_domain("programming")
    problem = domain.problem("train", 0)
    block = fenced("def solve(x):\n    return 0")
    wrong = f"First look at it.\n{block}\nThen return.\ndef solve(y):\n    return 1\n\nEnd <|im_end|>"
    assert without_program(wrong) == "First look at it.\n\nThen return.\nEnd <|im_end|>"
    shown = domain.worked(problem, wrong)
    assert shown.endswith(fenced(problem.answer)) and "return 0" not in shown and "<|" not in shown
    assert domain.correct(problem, shown) and domain.extract("I do not know") is None


# --------------------------------------------------------------------------------------------------- verdicts
class Counting:
    """The process's grader, which counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def grade(self, jobs: Sequence[Job]) -> list[Grade]:
        self.asked.append(len(jobs))
        return shared_grader().grade(jobs)


class Broken:
    """A grader that fails on every program that holds a word."""

    def __init__(self, word: str) -> None:
        self.word = word

    def grade(self, jobs: Sequence[Job]) -> list[Grade]:
        return [
            Grade("infra", "a judge ended", (), "full")
            if self.word in job.completion
            else Grade("pass" if "return" in job.completion else "fail", "", (), "full")
            for job in jobs
        ]


HOSTILE = (
    "def solve(x):\n    while True:\n        pass",
    "import os\ndef solve(x):\n    os._exit(0)",
    "class Any:\n    def __eq__(self, other):\n        return True\ndef solve(x):\n    return Any()",
    "def solve(x):\n    return [0] * 10**10",
    "def solve(x):\n    raise SystemExit",
    "def solve(x):\n    return solve(x)",
)


def test_hostile_programs_are_wrong_and_a_round_is_judged_together() -> None:
    counting = Counting()
    domain = domain_with(RememberingGrader(counting))
    problem = domain.problem("train", 1)
    replies = [problem.solution or "", *HOSTILE, "no program"]
    domain.expect((problem, reply) for reply in replies)
    assert [domain.correct(problem, reply) for reply in replies] == [True] + [False] * (len(HOSTILE) + 1)
    assert counting.asked == [1 + len(HOSTILE)], "one batch, and nothing is run again"
    assert "every hidden test passes" in domain.why(problem, replies[0])
    assert "no program was found" in domain.why(problem, "no program")
    assert "suspect" in domain.why(problem, HOSTILE[2])


def test_what_the_grader_cannot_judge_voids_its_match_and_no_other() -> None:
    """Without probes it is found when the match is scored, with probes while it is played."""
    domain = domain_with(Broken("crash"))
    says = {"ann": lambda messages, stream: ADD, "bob": lambda messages, stream: ADD.replace("n + 5", "crash")}
    for probes in (0, 1):
        task = Contest("contest", {"code": domain}, items=1, answers=2, probes=probes, probe_threshold=0.0)
        matches = [
            make_match(
                "contest",
                at=(1, place),
                seats={f"player-{seat}": Version(name, 0) for seat, name in enumerate(names, 1)},
                problems=task.problems("train", place, "code"),
                seed=place,
            )
            for place, names in enumerate([("ann", "cat"), ("ann", "bob"), ("cat", "ann")])
        ]
        says["cat"] = says["ann"]
        episodes = play(matches, {"contest": task}, Bernoulli(says))
        scores = score_all(episodes, {"contest": task})
        assert [score is None for score in scores] == [False, True, False]
        assert [episode.void is not None for episode in episodes] == [False, True, False]
        assert "no verdict on a program" in str(episodes[1].void)
        assert scores[0] is not None and scores[0].metrics["accuracy"] == 1.0


def test_a_trial_says_why_the_grader_does_not_work() -> None:
    assert make_domain("programming").trial() == []
    assert domain_with(Broken("return")).trial() == ["problem code/train/0: no verdict on a program: a judge ended"]
    with pytest.raises(Unjudged, match="no verdict"):
        domain_with(Broken("return")).correct(domain_with(None).problem("train", 0), ADD)


# ------------------------------------------------------------------------------------------------ other sources
def test_humaneval_as_a_domain() -> None:
    domain = make_domain("programming", settings={"source": "humaneval"})
    sizes = {split: domain.size_hint(split, 1000) for split in SPLITS}
    assert sum(sizes.values()) == 164 and all(size >= 15 for size in sizes.values())
    problems = [domain.problem(split, index) for split in SPLITS for index in range(0, sizes[split], 9)]
    domain.expect((problem, domain.solution(problem)) for problem in problems)
    assert all(domain.correct(problem, domain.solution(problem)) for problem in problems)
    assert not domain.correct(problems[0], "def f(): pass") and domain.trial() == []
    with pytest.raises(DataError, match="does not exist"):
        domain.problem("test", 999)


MBPP = {
    "text": "Write a function to add two numbers.",
    "code": "def plus(a, b):\n    return a + b",
    "test_list": ["assert plus(1, 2) == 3", "assert plus(-1, 1) == 0"],
    "test_setup_code": "import math",
}


def test_mbpp_rows() -> None:
    row = code_row(MBPP, "mbpp/1")
    assert row.question.endswith("The function is called `plus`. For example:\nassert plus(1, 2) == 3")
    good, bad = (Job(row.problem, f"def plus(a, b):\n    return {what}", program=True) for what in ("a + b", "a - b"))
    assert [grade.verdict for grade in shared_grader().grade([good, bad])] == ["pass", "fail"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"test_list": []}, "list of assertions"),
        ({"test_list": "assert plus(1, 2) == 3"}, "list of assertions"),
        ({"test_list": ["assert plus(1,"]}, "not Python"),
        ({"test_list": ["assert times(1, 2) == 2"]}, "no function that code defines"),
        ({"test_list": ["plus(1, 2)"]}, "no assertion"),
        ({"text": ""}, "missing"),
    ],
)
def test_bad_rows_say_what_is_wrong(change: dict[str, object], said: str) -> None:
    with pytest.raises(UnusableRow, match=said):
        code_row({**MBPP, **change}, "x")


def test_a_file_of_rows(tmp_path: Path) -> None:
    rows = [
        {**MBPP, "text": f"Write a function called in case {number} of a very different {word}.", "task_id": number}
        for number, word in enumerate(("apple", "river", "stone", "cloud", "table", "house", "field", "glass"))
    ]
    path = tmp_path / "mine.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, [*rows, rows[0]])).encode()))
    domain = make_domain("programming", settings={"source": str(path)})
    assert sum(domain.size_hint(split, 99) for split in SPLITS) == len(rows), "a row twice is one problem"
    bad = tmp_path / "bad.jsonl"
    bad.write_text(json.dumps(rows[0]) + "\n[1]\n{\n" + json.dumps({**MBPP, "code": None}) + "\n")
    with pytest.raises(DataError, match="3 rows cannot be used\n  line 2: .*\n  line 3: .*\n  line 4: .*missing"):
        rows_of_file(bad)
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match="no rows"):
        rows_of_file(tmp_path / "empty.jsonl")


def test_a_row_whose_own_solution_fails_is_named_before_a_run(tmp_path: Path) -> None:
    rows = [
        {**MBPP, "text": f"Write a function called in case {number} of a very different {word}."}
        for number, word in enumerate(("apple", "river", "stone", "cloud", "table", "house", "field", "glass"))
    ]
    rows[5]["code"] = "def plus(a, b):\n    return a - b"
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    domain = make_domain("programming", settings={"source": str(path)})
    (said,) = domain.trial()
    assert "case 5" in said and "its own solution fails (" in said and "repair the row" in said


def test_wrong_settings_are_told() -> None:
    assert "one level" in check_domain("programming", 2, {"source": "humaneval"})[0]
    assert "is no file" in check_domain("programming", 1, {"source": "nothing.jsonl"})[0]
    assert "level 1 to 4" in check_domain("programming", 5)[0]
    assert "unknown setting" in check_domain("programming", 1, {"grader": 1})[0]


def test_teaching_shows_a_right_program_and_needs_an_answer_line_for_expected_accuracy() -> None:
    domain = make_domain("programming")
    (message,) = explain_prompt(domain, domain.problem("train", 0))
    assert "A correct program is:\n\n```python\ndef solve" in message.content
    task = Teaching("t", {"code": domain}, teacher_reward="expected_accuracy")
    assert "answer line" in task.check()[0]
