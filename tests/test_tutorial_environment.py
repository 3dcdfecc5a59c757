"""The tutorial on environments is run as it stands: its files are written, its commands are called."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, write_tiny_model

PAGE = ROOT / "docs" / "tutorials" / "own_environment.md"
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)
GAMES, ENVIRONMENTS = "## A game of OpenSpiel", "## An environment of verifiers"


def run(part: str, folder: Path, *overrides: str) -> str:
    """Write the files of a part of the page and call its commands; returns what they print."""
    said = ""
    for language, file, text in BLOCK.findall(part):
        if file:
            (folder / file).write_text(text)
        elif language == "sh":
            for line in text.splitlines():
                program, *words = shlex.split(line)
                assert program == "league"
                more = overrides if words[0] == "train" else ()
                done = subprocess.run(
                    [sys.executable, "-m", "league", *words, *more],
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    env=os.environ | {"COLUMNS": "120"},
                    timeout=300,
                )
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
    (shown,) = [text for language, _, text in BLOCK.findall(before) if language == "text"]
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
