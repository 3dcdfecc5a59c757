"""What the documentation names exists.

Files behind links, paths in backticks, commands of the program.
"""

import re
from pathlib import Path

import pytest

from league.commands import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "configs/**/*.yaml", "runs/*.md")
    for path in ROOT.glob(pattern)
)
HISTORY = ("CHANGELOG.md", "docs/log.md")
"""Pages that also name what was there once."""
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
PATH = re.compile(r"(?<![\w/.…<-])((?:[\w-]+/)*[\w-]+\.py|configs/[\w/-]+\.yaml)(?!\w)")
COMMAND = re.compile(r"(?:`|bin/|#   |&& )league ([a-z][a-z-]+)")
SHORT = ("", "league", "tasks", "tests", "league/backends", *(f"tests/{p.name}" for p in (ROOT / "tests").iterdir()))
"""Where a path in backticks may start: pages about one package shorten its paths."""


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [page for page in PAGES if page.endswith(".md")])
def test_links_lead_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    links = [link for link in LINK.findall(_text(page)) if "://" not in link]
    missing = [link for link in links if not (folder / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", [page for page in PAGES if page not in HISTORY])
def test_files_that_are_named_exist(page: str) -> None:
    named = {path for path in PATH.findall(_text(page)) if not re.search("[A-Z]{2}", path)}  # NAME.py is no file
    named -= set(re.findall(r"^```\w+ file=(\S+)$", _text(page), re.MULTILINE))  # which the page itself makes
    missing = [path for path in named if not any((ROOT / start / path).exists() for start in SHORT)]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_are_named_exist(page: str) -> None:
    assert set(COMMAND.findall(_text(page))) <= set(COMMANDS)


def test_the_checks_read_something() -> None:
    readme = _text("README.md")
    assert {"train", "payoffs", "compare"} <= set(COMMAND.findall(readme))
    assert {"docs/results/quickstart.md", "CHANGELOG.md"} <= set(LINK.findall(readme))
    assert "model/peft_io.py" in PATH.findall(_text("docs/engine.md"))
