"""A run folder that older code wrote still opens, shows the same figures, and goes on."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from league.commands.verify import _rate
from league.store.digests import run_digest
from league.store.reader import RunReader
from league.store.verify import verify

ROOT = Path(__file__).parents[2]
STORED = ROOT / "tests" / "fixtures" / "runs" / "games_dcb8853"
DIGEST = "3eb2eb23b16611700ed31aadb034db8477759a28460bb0ec79e14a09760b8f71"
"""As the code that wrote the run computed it."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    shutil.copytree(STORED, tmp_path / "games")
    (tmp_path / "games" / "blobs").mkdir()
    return tmp_path / "games"


def league(*arguments: str, cwd: Path) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "league", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_older_run_is_read(run: Path, tmp_path: Path) -> None:
    assert run_digest(run) == DIGEST and verify(run, _rate).sound
    status = json.loads(league("status", str(run), "--json", cwd=tmp_path))
    assert "games" in json.dumps(status) and "rocky" in json.dumps(status)
    payoffs = league("payoffs", str(run), cwd=tmp_path)
    assert "rocky" in payoffs and "0.50 ±0.06" in payoffs and "0.21 ±0.05" in payoffs
    league("report", str(run), cwd=tmp_path)
    assert "rocky" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert run_digest(run) == DIGEST, "reading changes nothing"


def test_an_older_run_goes_on(run: Path, tmp_path: Path) -> None:
    text = (run / "config.yaml").read_text(encoding="utf-8")
    assert text.count("\n  rounds: 4\n") == 1
    (run / "config.yaml").write_text(text.replace("\n  rounds: 4\n", "\n  rounds: 6\n"), encoding="utf-8")
    league("resume", str(run), "--quiet", cwd=tmp_path)
    with RunReader.read(run) as reader:
        assert reader.latest_round() == 6 and set(reader.live()) == {"kim", "pat", "rocky"}
        state = reader.state()
        assert state["tokens"].keys() == {"sampled", "trained"}, "what was not counted from the start stays unknown"
        assert "spent" not in state
    assert verify(run, _rate).sound
    assert "round 6 of 6" in league("status", str(run), cwd=tmp_path)
