"""Two leagues with everything in play, whose every stored number is fixed.

One is scripted, one plays on a tiny random model. `python -m tests.helpers.fixed_leagues` prints their digests on
this checkout and this machine.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from league.store.digests import run_digest
from tests.chaos.tiny import CONFIG, EVOLVING
from tests.conftest import ROOT, write_tiny_model

SCRIPTED = """\
name: games
seed: 5
agents:
  rocky: {role: scripted, says: {"rock": 0.8, "paper": 0.1, "scissors": 0.1}}
  pat: {role: scripted, says: {"rock": 0.1, "paper": 0.7, "scissors": 0.1, "hm": 0.1}}
  kim: {role: scripted, says: {"check": 0.4, "bet": 0.3, "call": 0.2, "fold": 0.1, "rock": 0.2}}
tasks:
  rps:
    kind: matrix_game
    matches: 8
    matchmaking: {pfsp: 0.5, uniform: 0.5}
    settings: {game: rock-paper-scissors, samples: 4, rounds: 2, joint: cross, invalid: resample}
  kuhn: {kind: kuhn_poker, matches: 4, settings: {samples: 3, branch: 2}}
  stag:
    kind: matrix_game
    matches: 4
    matchmaking: {active: 1.0}
    situations: {own: {individual: 1.0}, shared: {team: 1.0, individual: 0.0}}
    settings: {game: stag-hunt, samples: 4}
league: {rounds: 4, transcripts_per_round: 2}
evaluation: {every: 2, versions: {matches: 4, final_matches: 4}}
"""


def torch_config() -> str:
    """A league in which everything happens within twelve rounds.

    Experts, students, an exploiter, snapshots, population-based training and retirement.
    """
    text = CONFIG.replace("{model}", "./model").replace("{{", "{").replace("}}", "}")
    for before, after in EVOLVING:
        assert before in text
        text = text.replace(before, after)
    return text


def digest_of(text: str, folder: Path) -> str:
    """Train this config in `folder`, through the command people use; the digest of its database."""
    (folder / "league.yaml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "league", "train", "league.yaml", "--quiet"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    (run,) = (folder / "runs").iterdir()
    return run_digest(run)


def torch_digest(folder: Path) -> str:
    """The digest of the league on the tiny model.

    A quarter of all tokens end a reply, so that it is quick.
    """
    write_tiny_model(folder / "model", eos_token_id=list(range(2, 67)))
    return digest_of(torch_config(), folder)


if __name__ == "__main__":
    for name, digest in (("scripted", lambda place: digest_of(SCRIPTED, place)), ("torch", torch_digest)):
        with tempfile.TemporaryDirectory() as place:
            print(name, digest(Path(place)), flush=True)
