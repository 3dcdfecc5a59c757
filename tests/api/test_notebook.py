"""The notebook runs as it is, learns what it says, and was stored with what running it gave."""

import json
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.helpers.notebook import run_cells

PAGE = ROOT / "docs" / "notebooks" / "first_look.ipynb"


def test_the_first_look_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llguidance", reason="its game holds replies to a grammar (the extra `grammars`)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    notebook = json.loads(PAGE.read_text(encoding="utf-8"))
    outputs = run_cells(notebook)
    stored = [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [[sorted(each.get("data", ())) for each in cell] for cell in outputs] == [
        [sorted(each.get("data", ())) for each in cell] for cell in stored
    ]
    pictures = [each for cell in outputs for each in cell if "image/png" in each.get("data", ())]
    assert len(pictures) == 2
    text = ["".join(each["data"]["text/plain"]) for cell in outputs for each in cell if "text/html" not in each["data"]
            and "text/plain" in each["data"]]  # fmt: skip
    assert text[0] == "('first-look', 12, 13)"


def test_ada_learned_in_the_stored_outputs() -> None:
    """Against rocky, who leans to rock, paper wins 80% and draws half of the rest."""
    notebook = json.loads(PAGE.read_text(encoding="utf-8"))
    (curve,) = [
        "".join(each["data"]["text/plain"])
        for cell in notebook["cells"] if cell["cell_type"] == "code" and "curve.iloc" in "".join(cell["source"])
        for each in cell["outputs"]
    ]  # fmt: skip
    first, last = (float(line.split()[1]) for line in curve.splitlines()[1:3])
    assert last > first + 0.15 and last > 0.7
