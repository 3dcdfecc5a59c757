"""The measures of docs/development.md: each finds what is planted.

The page tells where the code stands.
"""

import re
import sys
from pathlib import Path

import pytest

from benchmarks import structure
from benchmarks.structure import TARGETS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A small checkout with a long line, a name defined twice and a module without a layer."""
    files = {
        "league/__init__.py": "",
        "league/cli.py": "def main(): ...\n",
        "league/stray.py": f"class Twice: ...\n\n# {'x' * 119}\n# {'é' * 118}\n",
        "league/payoffs/__init__.py": "",
        "league/commands/__init__.py": "def cycles(): ...\n",
        "tasks/__init__.py": "class Twice: ...\n\n\ndef _hidden(): ...\n\n\ndef main(): ...\n\n\ndef cycles(): ...\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    contract = """[[tool.importlinter.contracts]]
type = "layers"
containers = ["league"]
layers = ["cli", "(commands)"]

[[tool.importlinter.contracts]]
type = "layers"
layers = ["league.payoffs | tasks"]
"""
    (tmp_path / "pyproject.toml").write_text(contract, encoding="utf-8")
    return tmp_path


def test_what_is_planted_is_found(planted: Path) -> None:
    assert structure.root_files(planted).found == ("__init__.py", "cli.py", "stray.py")
    assert structure.without_layer(planted).found == ("league.stray",)
    assert structure.long_lines(planted).found == ("league/stray.py:3",)
    assert structure.double_names(planted).found == ("Twice: league/stray.py, tasks/__init__.py",)


def test_a_circle_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"__init__": "", "one": "from ring import two\n", "two": "import ring.one\n"}.items():
        path = tmp_path / "ring" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(structure, "PACKAGES", ("ring",))
    assert structure.import_circles(tmp_path).found == ("ring.one ↔ ring.two",)


def test_a_round_of_this_code_is_traced() -> None:
    assert sys.getprofile() is None
    found = structure.files_of_a_round(ROOT).found
    assert sys.getprofile() is None
    assert {"league/loop.py", "league/learning/update.py", "tasks/teaching.py", "tasks/contest.py"} <= set(found)
    assert not {"league/cli.py", "league/evaluation/exams.py", "tasks/games/kuhn_solution.py"} & set(found)


@pytest.mark.parametrize("name", TARGETS)
def test_the_page_says_how_the_code_is_laid_out(name: str) -> None:
    """What meets its target keeps it; what does not is no worse than docs/development.md says."""
    page = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
    rows = [re.split(r" *\| *", line)[1:-1] for line in page.splitlines() if re.search(r"\| (≤ \d+|0) \|$", line)]
    now = {row[0].replace("`", ""): float(row[2].rstrip("%")) for row in rows}
    assert list(now) == list(TARGETS)
    found = structure.METHODS[name](ROOT)
    assert found.value <= now[name], "\n".join(found.found)
