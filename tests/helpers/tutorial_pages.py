"""Runs a tutorial as its reader would: the code blocks of the page are what is executed.

    ```python file=NAME    is written to NAME (any language)
    ```sh                  is run, line by line; every line must succeed
    ```sh fails            the same, but the last line must end with exit code 2
    ```text                is compared: each of its lines must be in what the block before printed

Left out: prose, and blocks of other kinds, which a page must not have.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"^```(?P<head>[^\n`]+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A code block: its language, the file it is, whether it must fail, and its text."""

    language: str
    file: str | None
    fails: bool
    body: str


def blocks_of(page: str) -> list[Block]:
    """All code blocks, in order."""
    found = []
    for match in BLOCK.finditer(page):
        language, *words = match["head"].split()
        file = next((word.removeprefix("file=") for word in words if word.startswith("file=")), None)
        found.append(Block(language, file, "fails" in words, match["body"]))
    return found


def run_page(page: Path, folder: Path, **variables: str) -> int:
    """Do what the page says in `folder`; returns how many lines were run. Raises AssertionError where it is wrong."""
    printed, lines = "", 0
    for block in blocks_of(page.read_text(encoding="utf-8")):
        if block.file is not None:
            (folder / block.file).write_text(block.body, encoding="utf-8")
        elif block.language == "sh":
            printed = ""
            commands = block.body.strip().splitlines()
            for place, line in enumerate(commands):
                done = run_line(line, folder, variables)
                expected = 2 if block.fails and place == len(commands) - 1 else 0
                assert done.returncode == expected, f"{page.name}: {line}\n{done.stdout}{done.stderr}"
                printed += done.stdout + done.stderr
                lines += 1
        elif block.language == "text":
            missing = [line for line in block.body.splitlines() if line.strip() not in printed]
            assert not missing, f"{page.name}: not printed: {missing}\n{printed}"
        else:
            raise AssertionError(f"{page.name}: a block of {block.language} that is neither a file nor run")
    return lines


def run_line(
    line: str, folder: Path, variables: Mapping[str, str], *, columns: int = 200
) -> "subprocess.CompletedProcess[str]":
    """Run a line of `league` or `python` in `folder`, on a terminal of so many columns."""
    words = [re.sub(r"\$(\w+)", lambda found: variables[found[1]], word) for word in shlex.split(line)]
    program = {"league": [sys.executable, "-m", "league"], "python": [sys.executable]}[words[0]]
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [*program, *words[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "COLUMNS": str(columns)},
    )
