"""Every command of a benchmark that the project names can be started.

Looked at are the README, docs, configs, docstrings and the Makefile.
"""

import importlib
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = re.compile(r"\bpython3? +-m\s+((?:benchmarks|tests)(?:\.\w+)+)|`(benchmarks(?:\.\w+)+)")
FILES = re.compile(r"\bpython3? +((?:benchmarks|tests)/[\w/]+\.py)|(?<![\w/])(benchmarks/[\w/]+\.(?:py|md|json))")
FORMER = {"benchmarks/writing.py"}
"""Named in CHANGELOG.md as what was replaced."""


def texts() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        found = [ROOT / line for line in listed.stdout.splitlines()]
    else:
        folders = ("benchmarks", "configs", "docs", "league", "tasks", "tests")
        found = [*ROOT.glob("*"), *(path for folder in folders for path in (ROOT / folder).rglob("*"))]
    return [path for path in found if path.suffix in (".md", ".py", ".yaml") or path.name == "Makefile"]


def named(pattern: re.Pattern[str]) -> dict[str, Path]:
    """What the pattern finds in all texts, and one text that names it."""
    return {
        next(group for group in match.groups() if group): path.relative_to(ROOT)
        for path in texts()
        if path.is_file() and path != Path(__file__)
        for match in pattern.finditer(path.read_text(encoding="utf-8").replace("`python -m\n", "`python -m "))
    }


def test_the_modules_that_texts_name_can_be_run() -> None:
    found = named(MODULES)
    assert {"benchmarks.engine", "benchmarks.magrpo.page", "benchmarks.durability.long_runs"} <= found.keys()
    for module, where in found.items():
        spec = find_spec(module)
        assert spec is not None, f"{where} names {module}"
        if spec.submodule_search_locations is not None:
            assert find_spec(f"{module}.__main__") is not None, f"{where} names {module}, a folder without __main__.py"


def test_the_files_that_texts_name_are_there() -> None:
    found = named(FILES)
    assert {"benchmarks/domains.py", "benchmarks/grader.py"} <= found.keys()
    for file, where in found.items():
        assert file in FORMER or (ROOT / file).is_file(), f"{where} names {file}"


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").rglob("*.py")), ids=lambda path: str(path.stem))
def test_every_module_of_the_benchmarks_can_be_imported(path: Path) -> None:
    """A name that has moved is found here, not after the first hour of a measurement."""
    importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
