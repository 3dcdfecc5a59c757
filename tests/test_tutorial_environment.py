"""The tutorial on environments is run as it stands: its files are written, its commands are called."""

import importlib.util
import os
import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import ROOT, write_tiny_model
from tests.helpers.tutorial_pages import blocks_of, run_line

PAGE = ROOT / "docs" / "tutorials" / "own_environment.md"
GAMES, ENVIRONMENTS = "## A game of OpenSpiel", "## An environment of verifiers"


def run(part: str, folder: Path, *overrides: str) -> str:
    """Write the files of a part of the page and call its commands; returns what they print."""
    said = ""
    for block in blocks_of(part):
        if block.file is not None:
            (folder / block.file).write_text(block.body)
        elif block.language == "sh":
            for line in block.body.splitlines():
                program, command = line.split()[:2]
                assert program == "league"
                more = shlex.join(overrides) if command == "train" else ""
                done = run_line(f"{line} {more}", folder, {}, columns=120)
                assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
                said += done.stdout
    return said


def parts() -> tuple[str, str]:
    page = PAGE.read_text(encoding="utf-8")
    games, environments = page.index(GAMES), page.index(ENVIRONMENTS)
    assert page.count("```") % 2 == 0 and 0 < games < environments
    return page[games:environments], page[environments:]


@pytest.mark.slow
def test_the_games_of_the_page_are_played(tmp_path: Path) -> None:
    pytest.importorskip("pyspiel", reason="open-spiel is not installed")
    model = write_tiny_model(tmp_path / "tiny")
    before, learners = parts()[0].split("A player of your own is")
    said = run(before, tmp_path)
    (shown,) = [block.body for block in blocks_of(before) if block.language == "text"]
    assert shown in said  # the page shows what the command prints
    small = (f"model.name={model}", "model.device=cpu", "model.dtype=float32", "warmup.student.demonstrations=8")
    said = run(learners, tmp_path, *small)
    assert re.search(r"careful@0 .* sampled", said) and re.search(r"ada@\d+ ", said)


@pytest.mark.slow
def test_the_environment_of_the_page_is_played(tmp_path: Path) -> None:
    python = os.environ.get("VERIFIERS_PYTHON", "")
    if importlib.util.find_spec("verifiers") is None and not python:
        pytest.skip("verifiers is not installed (an extra; or name an interpreter that has it in VERIFIERS_PYTHON)")
    elsewhere = () if importlib.util.find_spec("verifiers") else (f"tasks.spelling.settings.python={python}",)
    assert "right" in run(parts()[1], tmp_path, *elsewhere)
