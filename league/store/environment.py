"""What the bits of a run depend on besides its config: recorded at its start, and compared when it is resumed."""

import os
import platform
import sqlite3
import sys
from importlib import metadata
from pathlib import Path

from league import __version__

PACKAGES = ("torch", "transformers", "peft", "numpy", "scipy", "safetensors", "trueskill", "reasoning-gym")
EXACT = ("python", "machine", "threads", *PACKAGES)
"""A change in one of these may change the bits of what follows."""


def describe() -> dict[str, str]:
    """name → version, found without importing any of the packages."""
    found = {
        "league": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": f"{platform.machine()} {_processor()}".strip(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "sqlite": sqlite3.sqlite_version,
        "byteorder": sys.byteorder,
    }
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def changes(folder: Path) -> list[str]:
    """What differs now from when the run was created, one line each; the caller says it aloud."""
    recorded = dict(line.split(": ", 1) for line in (folder / "versions.txt").read_text().splitlines() if ": " in line)
    now = describe()
    return [f"{name} was {recorded[name]}, is {now[name]}" for name in EXACT if name in recorded and recorded[name] != now[name]]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
