"""A user's own task, domain, matchmaking rule and solver, from a file that lies beside the config."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from league.store.reader import RunReader

OWN = '''
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from league.matchmaking import Rule
from league.types import Match, Problem, Sampling, Score, Turn
from tasks.domains import Domain, DomainKind, Level, Rendered
from tasks.outcomes import contest_outcome
from tasks.task import Task, user_prompt


@dataclass(frozen=True)
class Longer(Task):
    """Whoever says the longer word wins."""

    samples: Annotated[int, Field(ge=1, le=9)] = 2
    relation = "contest"

    def seats(self):
        return ("row", "col")

    def problems(self, split, index, domain):
        return ()

    def open(self, match):
        prompts = dict.fromkeys(self.seats(), user_prompt("Say a word."))
        return [Turn("say", prompts, self.samples, dict.fromkeys(prompts, Sampling()))]

    def follow(self, match, path):
        return ()

    def score(self, episode):
        (root,) = episode.roots
        lengths = [{seat: len(text) for seat, text in root.texts(node).items()} for node in root.nodes]
        rewards = {node.id: length for node, length in zip(root.nodes, lengths)}
        margins = [length["row"] - length["col"] for length in lengths]
        outcomes = contest_outcome(episode.match, self.name, margins)
        return Score(rewards, {"length": float(max(map(abs, margins)))}, outcomes)


@dataclass(frozen=True)
class Without(Rule):
    """Pairs everybody but one."""

    random: ClassVar[bool] = False
    whom: str = ""

    def __call__(self, now, pairings, rng):
        return np.array([float(self.whom not in (pair.row.agent, pair.col.agent)) for pair in pairings])


def first_alone(margin_NN):
    """All of the mixture on the first player."""
    mixture = np.zeros(len(margin_NN))
    mixture[:1] = 1.0
    return mixture


@dataclass(frozen=True)
class Doubles(Domain):
    """Twice a number; level 2 is twice as far."""

    levels: ClassVar[int] = 2
    most: Annotated[int, Field(strict=True, ge=10, le=500)] = 100
    instruction = "Double the number. The answer is one whole number."
    form = "integer"
    max_tokens = 16

    def problem(self, split, index):
        number = 3 * index + ("train", "validation", "test").index(split)
        return Problem(self.name, split, index, f"Twice {number}?", str(2 * number))

    def size_hint(self, split, wanted):
        return min(wanted, self.most * self.level)


def render(entry, settings):
    return Rendered(entry["question"], entry["answer"], None)


SUMS = DomainKind(
    name="own_sums",
    field="arithmetic",
    dataset="chain_sum",
    form="integer",
    instruction="Add. The answer is one whole number.",
    levels=(Level({"min_terms": 2, "max_terms": 2}, 32),),
    knobs={"min_terms": (2, 9), "max_terms": (2, 9)},
    render=render,
)
'''


def own_config(**changes: object) -> dict[str, Any]:
    words = {"ann": "a", "bob": "bobs", "cat": "cats and dogs"}
    config: dict[str, Any] = {
        "name": "own",
        "runs": "runs",
        "agents": {name: {"role": "scripted", "says": {f"Answer: {word}": 1}} for name, word in words.items()},
        "domains": {
            "doubles": {"kind": "mine:Doubles", "level": 2, "settings": {"most": 300}},
            "sums": {"kind": "mine:SUMS", "settings": {"max_terms": 3}},
        },
        "tasks": {
            "rule": {
                "kind": "mine:Longer",
                "matches": 4,
                "settings": {"samples": 3},
                "matchmaking": {"mine:Without": 1.0},
                "rules": {"mine:Without": {"whom": "cat"}},
            },
            "solver": {
                "kind": "mine:Longer",
                "matches": 4,
                "matchmaking": {"solver": 1.0},
                "rules": {"solver": {"solver": "mine:first_alone", "floor": 0.0}},
            },
            "problems": {"kind": "contest", "matches": 2, "settings": {"items": 1, "answers": 2}},
        },
        "league": {"rounds": 1},
        "evaluation": {"problems": 4},
    }
    return config | changes


def train(
    folder: Path, words: Sequence[str], config: dict[str, object], code: str = OWN
) -> subprocess.CompletedProcess[str]:
    """`league train` in `folder` of a config under its subfolder `lab`, where mine.py lies too."""
    (folder / "lab").mkdir()
    (folder / "lab" / "mine.py").write_text(code)
    (folder / "lab" / "mine.yaml").write_text(yaml.safe_dump(config))
    env = os.environ | {"COLUMNS": "200"}
    program = [sys.executable, "-c", "from league.cli import main; main()"]  # as `league`: without the current folder
    where = folder / "lab" if words[0] == "mine.yaml" else folder
    return subprocess.run([*program, "train", *words], cwd=where, capture_output=True, text=True, env=env, timeout=300)


@pytest.mark.parametrize("config", ["mine.yaml", "lab/mine.yaml"], ids=["in its folder", "from another folder"])
def test_own_code_beside_the_config_is_found(tmp_path: Path, config: str) -> None:
    runs = tmp_path / "runs"
    done = train(tmp_path, [config, f"runs={runs}"], own_config())
    assert done.returncode == 0, done.stderr
    with RunReader.read(runs / "own") as reader:
        played = list(reader.matches(1))
        rule = [match for match in played if match.task == "rule"]
        assert len(rule) == 4 and not any(version.agent == "cat" for match in rule for version in match.seats.values())
        assert {match.task for match in played} >= {"rule", "solver", "problems"}
        outcomes = list(reader.outcomes())
    won = [found.outcome for found in outcomes if found.outcome.task == "rule"]
    assert {(str(each.row), str(each.col), each.losses) for each in won} == {("ann@0", "bob@0", 3)}, (
        "bob's word is longer"
    )
    domains = {found.outcome.domain for found in outcomes if found.outcome.task == "problems"}
    assert domains and domains <= {"doubles", "sums"}


def test_own_code_cannot_claim_the_relation_of_teaching(tmp_path: Path) -> None:
    config = own_config()
    config["tasks"]["rule"]["kind"] = "mine:Posing"
    done = train(tmp_path, ["lab/mine.yaml"], config, OWN + '\n\nclass Posing(Longer):\n    relation = "teaching"\n')
    assert done.returncode == 2, done.stderr
    said = " ".join(done.stderr.split())
    assert (
        "tasks.rule.kind: mine:Posing has the relation 'teaching', which needs the seats 'teacher' and 'student'"
        in said
    )


def test_wrong_settings_of_own_code_are_all_named(tmp_path: Path) -> None:
    config = own_config(
        domains={
            "doubles": {"kind": "mine:Doubles", "level": 3, "settings": {"most": 9, "mots": 1}},
            "sums": {"kind": "mine:SUMS", "settings": {"min_terms": 5}},
            "task": {"kind": "mine:Longer"},
        }
    )
    config["tasks"]["rule"] |= {"settings": {"samples": 10}, "rules": {"mine:Without": {"who": "cat"}}}
    config["tasks"]["solver"]["rules"] = {"solver": {"solver": "mine:no_such"}}
    done = train(tmp_path, ["lab/mine.yaml"], config)
    assert done.returncode == 2, done.stderr
    said = " ".join(done.stderr.split())
    for line in (
        "domains.doubles.level: expected level 1 to 2, found 3",
        "domains.doubles.settings.most: expected a whole number from 10 to 500, found 9",
        "domains.doubles.settings.mots: unknown setting of domain 'mine:Doubles'; did you mean 'most'?",
        "domains.sums.settings.min_terms: 'min_terms' is 5 but 'max_terms' is 2",
        "domains.task.kind: domain 'mine:Longer': expected a DomainKind, or a frozen dataclass under",
        "tasks.rule.settings.samples: expected a whole number from 1 to 9, found 10",
        "tasks.rule.rules.mine:Without.who: unknown setting",
        "no_such",
    ):
        assert line in said, (line, said)


@pytest.mark.parametrize("cached", [True, False], ids=["remembered", "not remembered"])
def test_a_resumed_run_finds_the_code_it_was_started_with(tmp_path: Path, cached: bool) -> None:
    """From another folder than the config's; without the note in the cache it says what is missing."""
    runs, cache = tmp_path / "runs", tmp_path / "cache"
    config = own_config(league={"rounds": 2})
    env = os.environ | {"LEAGUE_CACHE": str(cache), "COLUMNS": "200"}
    program = [sys.executable, "-c", "from league.cli import main; main()"]
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "mine.py").write_text(OWN)
    (tmp_path / "lab" / "mine.yaml").write_text(yaml.safe_dump(config))

    def league(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*program, *words], cwd=tmp_path, capture_output=True, text=True, env=env, timeout=300)

    assert league("train", "lab/mine.yaml", f"runs={runs}").returncode == 0
    stored = runs / "own" / "config.yaml"
    stored.write_text(stored.read_text().replace("rounds: 2", "rounds: 3"))
    if not cached:
        shutil.rmtree(cache / "code")
    done = league("resume", str(runs / "own"))
    if cached:
        assert done.returncode == 0, done.stderr
        with RunReader.read(runs / "own") as reader:
            assert reader.latest_round() == 3
    else:
        assert done.returncode == 2 and "mine:Longer" in done.stderr and "folder that holds it" in done.stderr
