"""The shipped examples run as they are, on a tiny model."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def test_the_minimal_example_plays_scores_and_trains(tiny_path: Path) -> None:
    example = ROOT / "examples" / "minimal.py"
    assert len(example.read_text().splitlines()) <= 40
    done = subprocess.run([sys.executable, example, tiny_path], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("problem: ") and "ada explains: " in done.stdout and "'improvement': " in done.stdout
    learned = {line.split()[0]: line for line in lines if " learned " in line}
    assert set(learned) == {"ada", "bob"}
    # some of ada's random explanations end before the token limit and some do not, so her rewards differ
    assert learned["ada"].startswith("ada learned from 4 replies")
