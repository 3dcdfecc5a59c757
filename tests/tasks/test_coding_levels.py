"""The reward levels of coding.

Golden pairs, the holes of reading code with regular expressions, and code among prose.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from league.sandbox.values import Grade
from tasks.coding.levels import MAXIMUM, CodeLevels, code_of, shape_of

HELPER = "def aux(x):\n    return x + 1\n"
MAIN = "def f(x):\n    value = aux(x)\n    return value * 2\n"


def graded(passed: int, total: int = 4) -> Grade:
    return Grade("pass" if passed == total else "fail", "", (), "full", passed, total)


def total(helper: str, main: str, passed: int = 4) -> float:
    shape = shape_of(helper, main, "f")
    return CodeLevels(shape, graded(passed) if shape.parses else None).total


@pytest.mark.parametrize(
    ("helper", "main", "passed", "want"),
    [
        (HELPER, MAIN, 4, 4.0),  # everything
        (HELPER, MAIN, 2, 0.4 + 0.6 + 0.5 + 0.5 + 0.5 + 1.0),  # half the tests
        (HELPER, MAIN, 0, 0.4 + 0.6 + 0.5),  # no test: no cooperation
        ("", "def f(x):\n    return x\n", 4, 0.6 + 0.5 + 1.0),  # no helper
        (HELPER, "", 4, 0.4),  # no main: stop
        (HELPER, "no code at all", 4, 0.4),
        ("", "", 4, 0.0),
        ("def aux(x):\n    x + 1\n", MAIN, 4, 0.6 + 0.5 + 1.0 + 1.5),  # a helper without a return
        (HELPER, "def f(x):\n    return aux(x)\n", 4, 0.4 + 0.6 + 0.5 + 1.0 + 0.5),  # wrapper
        (HELPER, "def f(x):\n    aux(x)\n    return x\n", 4, 0.4 + 0.6 + 0.5 + 1.0 + 0.5 + 1.0 - 0.5),  # ignored
        (HELPER, "def f(x):\n    return x\n", 4, 0.4 + 0.6 + 0.5 + 1.0),  # not called
    ],
)
def test_golden_levels(helper: str, main: str, passed: int, want: float) -> None:
    assert total(helper, main, passed) == pytest.approx(want)
    assert total(helper, main, passed) <= MAXIMUM


@pytest.mark.parametrize(
    "body",
    [
        "# uses aux(x)\n    return x",
        "'aux(x)'\n    return x",
        "return aux_count(x)",
        "aux = 3\n    return aux",
        "return self.aux(x)",
        "if False:\n        return aux(x)\n    return x",
        "return x\n    return aux(x)",
        "while 0:\n        aux(x)\n    return x",
        "return x if 1 else x",
        "if 1 > 2:\n        aux(x)\n    return x",
        "if not True:\n        aux(x)\n    return x",
        "if 1 and []:\n        aux(x)\n    return x",
        "while '':\n        aux(x)\n    return x",
        "for y in []:\n        aux(x)\n    return x",
        "return x or (False and aux(x))",
        "return True or aux(x)",
        "return [x] + [aux(y) for y in ()]",
        "if x:\n        return 1\n    else:\n        return 2\n    aux(x)",
        "while True:\n        return x\n    aux(x)",
        "def g(y):\n        return aux(y)\n    return x",
        "lambda: aux(x)\n    return x",
        "g = lambda: aux(x)\n    return x",
        "(aux(y) for y in x)\n    return x",
        "assert 1, aux(x)\n    return x",
    ],
)
def test_a_mention_is_no_call(body: str) -> None:
    assert not shape_of(HELPER, f"def f(x):\n    {body}\n", "f").calls


@pytest.mark.parametrize(
    ("body", "wrapper"),
    [
        ("return aux(x)", True),
        ('"""Doc."""\n    return aux(x)', True),
        ("r = aux(x)\n    return r", True),
        ("return aux(x, 3)", True),
        ("return aux(*x)", True),
        ("return aux(x=x)", True),
        ("pass\n    return aux(x)", True),
        ("return aux(x) + 1", False),
        ("return aux(x + 1)", False),
        ("return sorted(aux(x))", False),
        ("r = aux(x)\n    return -r", False),
        ("if x:\n        return aux(x)\n    return 0", False),
        ("y = x\n    return aux(y)", True),
        ("r = aux(x)\n    s = r\n    return s", True),
        ("if True:\n        return aux(x)", True),
        ("r = aux(x)\n    r\n    return r", True),
        ("r = aux(x)\n    return x", False),
    ],
)
def test_wrappers(body: str, wrapper: bool) -> None:
    shape = shape_of(HELPER, f"def f(x):\n    {body}\n", "f")
    assert shape.calls and shape.wrapper == wrapper


@pytest.mark.parametrize(
    ("body", "ignored"),
    [
        ("aux(x)\n    return x", True),
        ("r = aux(x)\n    return x", True),
        ("r: int = aux(x)\n    return x", True),
        ("a, b = aux(x)\n    return x", True),
        ("aux(x)\n    return aux(x) + 1", False),
        ("a, b = aux(x)\n    return b", False),
        ("if aux(x):\n        return x\n    return 0", False),
        ("return [aux(y) for y in x]", False),
        ("g = lambda y: aux(y)\n    return g(x)", False),
        ("for y in aux(x):\n        pass\n    return x", False),
        ("r = aux(x)\n    r\n    return x", True),
        ("r = aux(x)\n    r = r\n    return x", True),
        ("r = aux(x)\n    s = [r, 1]\n    return x", True),
        ("r = aux(x)\n    del r\n    return x", True),
        ("[aux(x)]\n    return x", True),
        ("aux(x), 1\n    return x", True),
        ("n = len(aux(x))\n    return x", True),
        ("if aux(x):\n        pass\n    return x", True),
        ("t = 0\n    t += aux(x)\n    return x", True),
        ("t = 0\n    t += aux(x)\n    return t", False),
        ("out = []\n    out.append(aux(x))\n    return out", False),
        ("x[0] = aux(x)\n    return x", False),
        ("r = aux(x)\n    s = r + 1\n    return s", False),
        ("def g(y):\n        return aux(y)\n    return g(x)", False),
        ("try:\n        r = aux(x)\n    except ValueError:\n        r = 0\n    return r", False),
        ("while aux(x) > 1:\n        x -= 1\n    return x", False),
        ("with open(aux(x)) as f:\n        return f.read()", False),
        ("match aux(x):\n        case 1:\n            return 2\n    return 3", False),
        ("return sum(aux(y) for y in x)", False),
        ("r = aux(x)\n    for i in range(r):\n        x += i\n    return x", False),
        ("assert aux(x)\n    return x", False),
    ],
)
def test_ignored_results(body: str, ignored: bool) -> None:
    shape = shape_of(HELPER, f"def f(x):\n    {body}\n", "f")
    assert shape.calls and shape.ignored == ignored


def test_neither_writer_does_the_others_part() -> None:
    shape = shape_of("def f(x):\n    return 1\n" + HELPER, "def aux(x):\n    return 99\n" + MAIN, "f")
    assert shape.program.count("def aux") == shape.program.count("def f(") == 1 and "99" not in shape.program
    assert not shape_of(HELPER + MAIN, "", "f").main
    assert not shape_of("", HELPER + MAIN, "f").helper
    both = shape_of(HELPER + MAIN, HELPER + MAIN, "f")  # a single coder's reply
    assert both.helper and both.main and both.calls and both.program.count("def aux") == 1


@pytest.mark.parametrize(
    "reply",
    [
        MAIN,
        f"```python\n{MAIN}```",
        f"```\n{MAIN}\n```\nThis works because …",
        f"Here is the code:\n\n{MAIN}\nI hope this helps!",
        f"Sure!\n```python\n{MAIN}",  # the fence was cut off
        f"{MAIN}\ndef test_f(:\n    never ends",
        f"import math\n@staticmethod\n{MAIN}print(f(3))\nf(4)",
    ],
)
def test_code_is_found_among_prose(reply: str) -> None:
    shape = shape_of(HELPER, reply, "f")
    assert shape.main and shape.parses and shape.calls
    assert "print" not in shape.program


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "    return x\n",
        "def f(x:\n  return",
        "def f(x):\n",
        "the function f(x)",
        "x" * 9000,
        "def f(x):\n  if x:\n return 1",
    ],
)
def test_what_is_not_a_function_is_not_guessed(reply: str) -> None:
    assert not shape_of(HELPER, reply, "f").main


@pytest.mark.parametrize(
    "text",
    [
        "(" * 8000,
        "-" * 8000 + "1",
        "x = " + "[" * 4000 + "]" * 4000,
        "\0",
        "\ud800 = 1",
        "f(" * 2000,
        "a." * 4000 + "b",
    ],
)
def test_text_that_hurts_a_parser(text: str) -> None:
    shape = shape_of(text, f"def f(x):\n    return {text}\n", "f")
    assert not shape.helper and not shape.main and not shape.program.strip() and CodeLevels(shape, None).total == 0


@pytest.mark.parametrize(
    "main",
    [
        "def f(x, _=(aux := lambda v: 99)):\n    value = aux(x)\n    return value * 2\n",
        "def g():\n    global aux\n    aux = lambda v: 99\nh = g()\ndef f(x):\n    return aux(x) * 2\n",
        "globals()['aux'] = lambda v: 99\ndef f(x):\n    return aux(x) * 2\n",
        "class C:\n    global aux\n    aux = lambda v: 99\ndef f(x):\n    return aux(x) * 2\n",
        "class C((aux := lambda v: 99) and object):\n    pass\ndef f(x):\n    return aux(x) * 2\n",
        "import math\nmath.floor = aux = lambda v: 99\ndef f(x):\n    return aux(x) * 2\n",
        "aux, y = (lambda v: 99), 1\ndef f(x):\n    return aux(x) * 2\n",
        "[aux] = [lambda v: 99]\ndef f(x):\n    return aux(x) * 2\n",
    ],
)
def test_the_helper_is_its_writers_own(main: str) -> None:
    """No way of binding the name in the main writer's reply reaches the program."""
    program = shape_of(HELPER, main, "f").program
    assert "99" not in program and program.count("def aux") == 1


@given(st.text(max_size=200), st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_text_has_a_shape(helper: str, main: str) -> None:
    shape = shape_of(helper, main, "f")
    assert 0 <= CodeLevels(shape, None).total <= 1.5
    tree = code_of(helper)
    assert tree is None or tree.body
