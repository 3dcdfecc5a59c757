"""`python -m tests.chaos [--real]`: every fault, the long form.

Exit code 1 when anything failed; one JSON line per fault.

Without arguments it takes some minutes on two cores. `--real` adds the kill loop over `league train` on a tiny
real-torch league in which everything is in play: AdamW, sampling, matchmaking, snapshots, an exploiter,
population-based training, retirement.
"""

import json
import sys
import tempfile
from pathlib import Path

from .damage import flip_blobs, flip_database
from .disk import fill_disk, limit_files
from .kills import real_kills, scripted_kills
from .points import explore
from .tiny import write


def bad(result: dict) -> list[str]:
    """Failures named in a result, wherever they are."""
    found = [*result.get("failures", []), *result.get("missed", []), *result.get("wrong", [])]
    return found + [
        kind for kind in result.get("repairs", {}) if kind.isupper() or "UNSOUND" in kind or "DOES NOT" in kind
    ]


def main() -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        faults = {
            "crash points": lambda: explore(scratch / "points"),
            "kill loop, scripted": lambda: scripted_kills(scratch / "kills", 200, 1),
            "full disk (tmpfs)": lambda: fill_disk(scratch / "disk", range(100, 2000, 25)),
            "file size limit": lambda: limit_files(scratch / "limit", range(4096, 1_000_000, 16_384)),
            "flipped bytes in blobs": lambda: flip_blobs(scratch / "blobs", 1, 6),
            "flipped bytes in the database": lambda: flip_database(scratch / "database", 2, 1500),
            "negative control": lambda: _control(scratch / "control"),
        }
        if "--real" in sys.argv:
            (scratch / "tiny").mkdir()
            tiny = write(scratch / "tiny", brief=True, evolving=True)
            faults["kill loop, real torch"] = lambda: real_kills(
                tiny, scratch / "real", rounds=8, kills=200, span=(0.3, 5.0), seed=1
            )
        for title, fault in faults.items():
            for folder in ("points", "kills", "disk", "limit", "blobs", "database", "control", "tiny", "real"):
                (scratch / folder).mkdir(exist_ok=True)
            result = fault()
            print(json.dumps({title: result}), flush=True)
            failed += bool(bad(result))
    return 1 if failed else 0


def _control(scratch: Path) -> dict[str, object]:
    """With the transaction broken on purpose, crash points must fail.

    A control that finds nothing is itself a failure.
    """
    result = explore(scratch, stride=3, broken=True)
    caught = len(result["failures"])  # type: ignore[arg-type]
    return {
        "tried": result["tried"],
        "caught": caught,
        "failures": [] if caught else ["a broken transaction was not noticed"],
    }


if __name__ == "__main__":
    sys.exit(main())
