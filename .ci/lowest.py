"""Constraints that hold every direct dependency at the lowest version that pyproject.toml allows.

    python .ci/lowest.py > FILE

torch, pip and what only comes with others are not in it: torch and pip keep the version of constraints.txt, the rest is
the newest that fits.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:>=|==)(?P<floor>[0-9][0-9.]*)")
AS_PINNED = ("torch", "pip")


def lowest(requirement: str) -> str | None:
    """`numpy>=2.0` → `numpy==2.0`; None for torch.

    Raises ValueError for a requirement of another form.
    """
    found = REQUIREMENT.fullmatch(requirement)
    if found is None:
        raise ValueError(f"pyproject.toml: expected NAME>=VERSION or NAME==VERSION, found '{requirement}'")
    return None if found["name"] in AS_PINNED else f"{found['name']}=={found['floor']}"


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = [
        project["build-system"]["requires"],
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
    ]
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in pinned if line.partition("==")[0] in AS_PINNED]
    print("\n".join(sorted({line for group in groups for item in group if (line := lowest(item))} | set(kept))))


if __name__ == "__main__":
    main()
