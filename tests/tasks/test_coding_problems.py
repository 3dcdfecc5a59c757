"""Where coding problems come from: true tests, no giveaways, splits that never divide a cluster."""

import json

import pytest

from league.errors import UserError
from league.sandbox.shared import shared_grader
from league.sandbox.values import Job
from league.types import Problem
from tasks.coding import problems
from tasks.coding.exercises import LEVELS, TESTS, exercises
from tasks.coding.problems import SOURCES, code_problem, problems_of, split_clusters
from tasks.coding.prompts import demonstration
from tasks.writing.clusters import shingles

LOCAL = [f"local-{level}" for level in LEVELS]


def all_of(source: str) -> list[Problem]:
    return [problem for found in problems_of(source).values() for problem in found]


@pytest.mark.parametrize("level", LEVELS)
def test_exercises(level: int) -> None:
    made = exercises(level)
    assert len({exercise.name for exercise in made}) == len({exercise.prompt for exercise in made}) == len(made) > 50
    for exercise in made:
        assert exercise.test.count("assert ") == TESTS
        shown = exercise.prompt.split(">>> ")[1].split("\n")[0].partition("(")[2][:-1]
        assert f"candidate({shown})" not in exercise.test
        results = [line.rpartition(" == ")[2] for line in exercise.test.splitlines() if "assert" in line]
        assert max(map(results.count, results)) <= TESTS // 2, exercise.test


def test_worked_solutions_pass_in_the_grader_and_constants_do_not() -> None:
    """The solution is run by the grader.

    A second road: the expected values were computed when the test was written.
    """
    problems = [problem for source in LOCAL for problem in all_of(source)[::7]]
    solved = [Job(code_problem(problem), problem.solution or "", every=True) for problem in problems]
    constants = [
        Job(code_problem(problem), f"def {code_problem(problem).entry_point}(x):\n    return {value}\n", every=True)
        for problem in problems
        for value in (0, -1, [])
    ]
    grades = shared_grader().grade([*solved, *constants])
    assert all(grade.verdict == "pass" and not grade.suspect for grade in grades[: len(solved)])
    assert all(grade.verdict == "fail" for grade in grades[len(solved) :])
    assert sum(grade.fraction for grade in grades[len(solved) :]) / len(constants) < 0.15


@pytest.mark.parametrize("source", [*LOCAL, "humaneval"])
def test_splits_never_divide_a_cluster(source: str) -> None:
    items = list(SOURCES[source]())
    splits = split_clusters(source, items)
    names = {
        split: {code_problem(problem).task_id for problem in problems}
        for split, problems in problems_of(source).items()
    }
    assert sum(map(len, names.values())) == len(items)
    for item in items:
        assert item.problem.task_id in names[splits[item.cluster]]
    assert (
        0.15 < len(names["test"]) / len(items) < 0.35 and names["validation"] and len(names["train"]) > len(items) / 2
    )
    assert {
        split: tuple(problems) for split, problems in problems_of(source).items()
    } == problems.problems_of.__wrapped__(source)


def test_near_duplicates_of_humaneval_stay_together() -> None:
    """No two prompts of different splits share 40% of their 3-word runs.

    And the rule has something to do.
    """
    items = list(SOURCES["humaneval"]())
    sizes = [sum(other.cluster == item.cluster for other in items) for item in items]
    assert max(sizes) > 1
    texts = {
        split: [shingles(problem.question) for problem in problems]
        for split, problems in problems_of("humaneval").items()
    }
    for one in texts["test"]:
        assert all(len(one & other) < 0.6 * len(one | other) for other in texts["train"])


def test_problems_carry_what_grading_needs_and_the_prompt_does_not() -> None:
    for source in ("local-3", "humaneval"):
        for problem in all_of(source):
            code = code_problem(problem)
            assert code.prompt == problem.question and code.entry_point in problem.question and "def check" in code.test
            assert json.loads(problem.answer)["test"] not in problem.question
            assert problem.domain == f"coding-{source}"


def test_demonstrations_are_complete_answers() -> None:
    for source in LOCAL:
        for problem in all_of(source)[:5]:
            shown = demonstration(problem)
            assert set(shown) == {"helper", "main", "coder"}
            assert (
                shown["helper"][1].startswith("def aux(")
                and f"def {code_problem(problem).entry_point}(" in shown["main"][1]
            )
    assert demonstration(all_of("humaneval")[0]) == {}


def test_unknown_source() -> None:
    with pytest.raises(UserError, match="did you mean 'local-1'"):
        problems_of("local-11")
