"""Runs on a user's own data: found beside the config, checked before anything is made, held to what it was."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from league import cli
from league.errors import ConfigError, RunFolderError
from league.loop import resume, train
from league.preflight.checks import prepare_file
from league.preflight.trust import require_trust, uses_of
from league.runtime.assembly import read_config
from league.store.reader import RunReader
from league.store.trusted import distrust, trust
from tests.helpers.rows import GSM8K, gsm8k_like, mbpp_like, write_jsonl
from tests.leagues import Nobody

ROWS = gsm8k_like(60)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAGUE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def config_of(folder: Path, rows: list[dict[str, Any]] = ROWS, *, problems: int = 2, **settings: Any) -> Path:
    """A contest of two scripts on rows in `lab/data/q.jsonl`, which the config names from its own folder."""
    write_jsonl(folder / "lab" / "data" / "q.jsonl", rows)
    data = {
        "name": "own",
        "runs": str(folder / "runs"),
        "domains": {"sums": {"kind": "dataset", "settings": {"path": "data/q.jsonl", **GSM8K, **settings}}},
        "agents": {
            "ann": {"role": "scripted", "says": {"Answer: 50": 1}},
            "bob": {"role": "scripted", "says": {"Answer: 60": 1}},
        },
        "tasks": {"contest": {"kind": "contest", "matches": 30, "settings": {"items": 2, "answers": 2}}},
        "warmup": {"expert": {"problems": 4}, "student": {"problems": 4}},
        "league": {"rounds": 2},
        "evaluation": {"problems": problems, "final_problems": problems},
    }
    (folder / "lab" / "own.yaml").write_text(yaml.safe_dump(data))
    return folder / "lab" / "own.yaml"


def test_data_beside_the_config_is_trained_on_past_its_end_and_resumed(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    run = train(prepare_file(config, ["league.rounds=1"]), Nobody())
    place = tmp_path / "lab" / "data" / "q.jsonl"
    assert read_config(run).domains["sums"].settings["path"] == str(place)
    with RunReader.read(run) as reader:
        played = [match for match in reader.matches(1) if match.task == "contest"]
    # 30 matches of 2 problems each walk past the end of under 60 training problems and begin again
    assert len(played) == 30
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("rounds: 1", "rounds: 2"))
    before, stamp = place.read_bytes(), place.stat()
    place.write_bytes(before.replace(b"#### 1", b"#### 2", 1))
    os.utime(place, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # an edit that hides its time
    with pytest.raises(
        RunFolderError, match="data of domain 'sums' has changed since the run began .* put the file back"
    ):
        resume(run, Nobody())
    with RunReader.read(run) as reader:
        assert reader.latest_round() == 1
    place.write_bytes(before)
    resume(run, Nobody())
    with RunReader.read(run) as reader:
        assert reader.latest_round() == 2
    place.rename(moved := tmp_path / "moved.jsonl")
    text = (run / "config.yaml").read_text().replace("rounds: 2", "rounds: 3").replace(str(place), str(moved))
    (run / "config.yaml").write_text(text)
    with pytest.raises(RunFolderError, match="reads the data .*moved.jsonl"):
        resume(run, Nobody())
    trust(run, uses_of(read_config(run, trusted=False)))
    resume(run, Nobody())
    with RunReader.read(run) as reader:
        assert reader.latest_round() == 3


def test_a_run_on_data_is_a_strangers_until_it_is_trusted(tmp_path: Path) -> None:
    run = train(prepare_file(config_of(tmp_path), ["league.rounds=1"]), Nobody())
    config = read_config(run)
    (use,) = uses_of(config)
    assert use.words == f"reads the data {tmp_path / 'lab' / 'data' / 'q.jsonl'} and shows it to its agents"
    distrust(run)
    with pytest.raises(RunFolderError, match="reads the data"):
        require_trust(run, config)


@pytest.mark.parametrize(
    "rows, changes, problems, message",
    [
        ([*ROWS, {"question": "Why?"}], {}, 2, "q.jsonl, row 61: the column 'answer' is missing"),
        (ROWS, {"answer": "{{ anser }}"}, 2, "domains.sums.settings.answer: the data has no column 'anser'"),
        (ROWS, {"path": "nowhere.jsonl"}, 2, "domains.sums.settings.path: nowhere.jsonl: no such file or folder"),
        (ROWS, {}, 100, "domains.sums: 100 validation problems are asked for, the data has"),
        (ROWS, {"check": "json:loads"}, 2, "the check 'json:loads' fails on sums/train/0"),
        (ROWS, {"check": {"kind": "exact", "case": "perhaps"}}, 2, "domains.sums.settings.check.case: "),
        (ROWS, {"check": {"kind": "rubric", "rubric": "Good."}}, 2, "with 'judged' in it"),
    ],
)
def test_bad_data_ends_the_command_with_code_2_and_nothing_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rows: list[dict[str, Any]],
    changes: dict[str, Any],
    problems: int,
    message: str,
) -> None:
    config = config_of(tmp_path, rows, problems=problems, **changes)
    monkeypatch.setattr(sys, "argv", ["league", "train", str(config)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = " ".join(capsys.readouterr().err.split())
    assert ended.value.code == 2 and message in said
    assert not (tmp_path / "runs").exists()


def test_a_rubric_needs_a_model_to_judge(tmp_path: Path) -> None:
    config = config_of(tmp_path, check={"kind": "rubric", "rubric": "Good."})
    config.write_text(config.read_text().replace("sums:", "sums-judged:"))
    with pytest.raises(ConfigError, match="a rubric is judged by the base model, and no agent here needs one"):
        prepare_file(config)


def test_the_start_says_what_data_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(tmp_path, [*ROWS, ROWS[0]])
    monkeypatch.setattr(sys, "argv", ["league", "train", str(config), "league.rounds=1"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "domain 'sums': " in said and " of 61 rows; left out: 1 repeated" in said


def test_functions_from_a_file_are_held_to_what_they_were_too(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    place = write_jsonl(tmp_path / "lab" / "data" / "code.jsonl", mbpp_like(40))
    data = yaml.safe_load(config.read_text())
    data["domains"] = {"sums": {"kind": "programming", "settings": {"source": "data/code.jsonl"}}}
    data["tasks"]["contest"]["settings"] |= {"items": 2}
    config.write_text(yaml.safe_dump({**data, "league": {"rounds": 1}}))
    run = train(prepare_file(config), Nobody())
    found = read_config(run)
    assert found.domains["sums"].settings["source"] == str(place)
    assert str(place) in {each.value for each in uses_of(found)}
    with RunReader.read(run) as reader:
        assert len([match for match in reader.matches(1) if match.task == "contest"]) == 30
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("rounds: 1", "rounds: 2"))
    write_jsonl(place, mbpp_like(39))
    with pytest.raises(RunFolderError, match="data of domain 'sums' has changed since the run began"):
        resume(run, Nobody())
