"""What the bits of a run depend on besides its config.

It is recorded when the run starts, and compared when it is resumed.
"""

import os
import platform
import sqlite3
import sys
from importlib import metadata
from pathlib import Path

from league import __version__
from league.config.yaml_values import parse_yaml
from league.store import fs

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
    """What differs now from when the run was created, one line each; the caller prints it."""
    try:
        text = fs.read_file(folder / "versions.txt").decode()
    except (OSError, UnicodeDecodeError) as error:
        return [
            f"versions.txt cannot be read ({error}), so nobody knows whether the machine or a library changed "
            f"since this run began"
        ]
    recorded = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    now = describe()
    if recorded.get("threads") == now["threads"] == "default":  # then as many as there are cores
        recorded["threads"], now["threads"] = recorded.get("cores", now["cores"]), now["cores"]
    changed = [name for name in EXACT if name in recorded and recorded[name] != now[name]]
    return [f"{name} was {recorded[name]} when this run began, is {now[name]}" for name in changed]


def differences(before: str, now: str) -> list[str]:
    """What changed from one configuration (YAML) to another, one line each.

    A line reads "learning.kl was 0.0, is 0.1".
    """
    try:
        old, new = (flat(parse_yaml(text)) for text in (before, now))
    except ValueError as error:
        return [f"what changed cannot be told, one of the two is damaged: {error}"]
    keys = dict.fromkeys([*old, *new])
    return [
        f"{key} was {old.get(key, 'not there')}, is {new.get(key, 'not there')}"
        for key in keys
        if old.get(key) != new.get(key)
    ]


def flat(value: object, path: str = "") -> dict[str, object]:
    """Dotted path → value."""
    if not isinstance(value, dict):
        return {path: value}
    return {
        place: leaf for key, inner in value.items() for place, leaf in flat(inner, f"{path}.{key}".lstrip(".")).items()
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
