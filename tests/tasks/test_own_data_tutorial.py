"""The commands of docs/tutorials/own_data.md run as they stand, in their order, on a tiny model."""

import json
import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from league import cli
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "tutorials" / "own_data.md"
LESS = (
    "warmup.expert.problems=16",
    "league.rounds=1",
    "tasks.practice.matches=1",
    "domains.change.settings.max_tokens=8",
)
"""What the test changes besides the model: how much is learned."""


def commands() -> list[list[str]]:
    found = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [shlex.split(line) for block in found for line in block.splitlines() if line]


def test_the_script_runs_the_commands_of_the_page() -> None:
    script = (ROOT / "examples" / "own_data" / "run.sh").read_text(encoding="utf-8")
    timed = [shlex.split(line.removeprefix("timed ")) for line in script.splitlines() if line.startswith("timed ")]
    assert timed == commands()[1:]


def test_from_a_bare_file_to_a_trained_graded_and_exported_expert(
    tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "own_data"
    shutil.copytree(ROOT / "examples" / "own_data", place, ignore=shutil.ignore_patterns("runs", "experts", "*.jsonl"))
    first, *others = commands()
    assert first == ["cd", "examples/own_data"]
    monkeypatch.chdir(place)
    monkeypatch.setenv("LEAGUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "300")
    for program, *words in others:
        more = [f"model.name={tiny_path}", "model.dtype=float32", *LESS] if words[0] == "train" else []
        monkeypatch.setattr(sys, "argv", [program, *words, *more])
        if program == "python":
            runpy.run_path(words[0], run_name="__main__")
            continue
        assert program == "league"
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0, words
    said = capsys.readouterr().out
    assert len((place / "questions.jsonl").read_text().splitlines()) == 500
    shown = re.search(r"domain 'change': \S+questions.jsonl: (\d+ train, \d+ validation, \d+ test of 500 rows)", said)
    assert shown is not None and shown[1] in PAGE.read_text(encoding="utf-8")
    assert re.search(r"cashier@\d+ +change", said) and re.search(r"base@0 +change", said)
    exported = place / "experts" / "cashier"
    assert json.loads((exported / "adapter_config.json").read_text())["peft_type"] == "LORA"
    assert (exported / "README.md").is_file()
