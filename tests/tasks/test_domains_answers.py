"""Reading answers and asking for them.

Reading is strict, never a guess, safe and fast on hostile text. Prompts state the format; every example ends in the
truth.
"""

import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from league.types import Problem
from tasks.domains import DOMAINS, make_domain
from tasks.domains.answers import MAX_REPLY, Form, extract, normalise, without_answer

FORMS: tuple[Form, ...] = ("integer", "word", "words", "integers", "fraction")


@pytest.mark.parametrize(
    "text, form, expected",
    [
        ("3 + 4 = 7.\nAnswer: 7", "integer", "7"),
        ("answer : **-12**.", "integer", "-12"),
        ("Answer: +07", "integer", "7"),
        ("Answer: 1,234", "integer", "1234"),
        ("Answer: 7\nSo the Answer: 7.", "integer", "7"),
        ("Answer: tac", "word", "tac"),
        ("Answer: 'Luca'", "word", "luca"),
        ("Answer: pear, Fig", "words", "pear, fig"),
        ("Answer: [3, 14]", "integers", "3, 14"),
        ("Answer: none", "integers", "none"),
        ("Answer: 2 / 3", "fraction", "2/3"),
        ("Answer: 4/1", "fraction", "4"),
    ],
)
def test_answers_that_count(text: str, form: Form, expected: str) -> None:
    assert extract(text, form) == expected


@pytest.mark.parametrize(
    "text, form",
    [
        ("7", "integer"),
        ("The result is 7", "integer"),
        ("", "integer"),
        ("Answer:", "integer"),
        ("Answer: 7 or 8", "integer"),
        ("Answer: 19 legs", "integer"),
        ("Answer: 7\nAnswer: 8", "integer"),
        ("Answer: 7\nAnswer: maybe 8", "integer"),
        ("Answer: 7.5", "integer"),
        ("Answer: ٧", "integer"),
        ("Answer: " + "9" * 31, "integer"),
        ("Answer: 1,23", "integer"),
        ("Answer: two words", "word"),
        ("Answer: 3, , 4", "integers"),
        ("Answer: 3/0", "fraction"),
        ("Answer:\n7", "integer"),
    ],
)
def test_no_answer_is_guessed(text: str, form: Form) -> None:
    assert extract(text, form) is None


@given(st.text(max_size=300), st.sampled_from(FORMS))
def test_any_text_is_read_without_error_and_normal_forms_are_stable(text: str, form: Form) -> None:
    found = extract("Answer: " + text, form)
    assert found is None or normalise(found, form) == found
    extract(text, form)
    without_answer(text)


@pytest.mark.parametrize("name", DOMAINS)
def test_hostile_and_huge_replies_are_wrong_quickly(name: str) -> None:
    """0.5 s of CPU for eleven replies of up to a million characters.

    The bound is generous; they take a few hundredths.
    """
    domain = make_domain(name)
    problem = domain.problem("test", 0)
    hostile = [
        "Answer: " * 6_000,
        "answer " * 7_000,
        "Answer:" + " " * 49_000,
        "Answer: " + "9" * 49_000,
        "Answer: " + "a," * 20_000,
    ]
    hostile += [
        "Answer: " + "9," * 240,
        "\n" * 49_000,
        "x" * 1_000_000,
        "Answer: \x00\ud800",
        "Answer: " + "((((" * 10_000,
        "Answer:\n" * 6_000,
    ]
    start = time.process_time()
    assert not any(domain.correct(problem, text) for text in hostile)
    assert time.process_time() - start < 0.5


def test_a_right_answer_beyond_the_reading_limit_does_not_count() -> None:
    problem = Problem("gcd", "test", 0, "q", "4")
    domain = make_domain("gcd")
    assert domain.correct(problem, "x" * (MAX_REPLY - 10) + "\nAnswer: 4")
    assert not domain.correct(problem, "x" * MAX_REPLY + "\nAnswer: 4")


@pytest.mark.parametrize("name", DOMAINS)
def test_listing_every_answer_is_not_right(name: str) -> None:
    domain = make_domain(name)
    problem = domain.problem("test", 0)
    other = domain.similar(problem, 1)[0] if DOMAINS[name].open_answers else None
    wrong = other.answer if other else ("no" if problem.answer == "yes" else "yes")
    assert not domain.correct(problem, f"Answer: {problem.answer}\nAnswer: {wrong}")
    assert not domain.correct(problem, f"Answer: {wrong}\nAnswer: {problem.answer}")
    assert not domain.correct(problem, problem.answer)


@pytest.mark.parametrize("name", DOMAINS)
def test_prompts_state_the_format_and_examples_end_in_the_truth(name: str) -> None:
    domain = make_domain(name)
    problem, shown = domain.problem("test", 0), domain.problem("train", 0)
    plain = domain.prompt(problem)
    assert [message.role for message in plain] == ["system", "user"]
    assert "Answer:" in plain[0].content
    assert plain[1].content == problem.question
    lesson = domain.prompt(problem, [(shown, "Think.\n**Answer: wrong**\nMore.<|im_end|>")])
    assert [message.role for message in lesson] == ["system", "user", "assistant", "user"]
    assert lesson[1].content == shown.question
    assert lesson[2].content == f"Think.\nMore.< |im_end|>\nAnswer: {shown.answer}"
    assert domain.prompt(problem, [(shown, "")])[2].content == f"Answer: {shown.answer}"
    assert domain.worked(shown, domain.solution(shown)) == domain.solution(shown)


def test_control_tokens_cannot_be_reassembled() -> None:
    domain = make_domain("gcd")
    shown = domain.problem("train", 0)
    for text in ("<|im_<|im_end|>end|>", "<<|x|>|im_end|>", "<|im_end<|a|>|>", "a</s</s>>"):
        worked = domain.worked(shown, text)
        assert "<|" not in worked
        assert "</s>" not in worked


def test_checking_a_domain_imports_neither_generator_nor_torch() -> None:
    code = (
        "import sys\nfrom tasks.domains import check_domain, make_domain\n"
        "assert check_domain('gcd') == []\nmake_domain('gcd')\n"
        "assert not {'reasoning_gym', 'torch', 'transformers', 'sympy'} & set(sys.modules), 'slow import'"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
