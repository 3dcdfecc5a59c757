"""Every setting of the channels of learning changes what agents learn.

One round is played once; then it is learned from under other settings, with a stand-in for the step that notes what it
was asked to do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from league.config import ChannelsConfig, Config, parse_config
from league.config.sections import DistillationConfig, LessonsConfig, ReplayConfig, WorkedRepliesConfig
from league.learning.accounting import Spent
from league.learning.channels.kept import KeptReply
from league.learning.channels.replay import ReplayMemory
from league.learning.objective import Objective
from league.loop import train
from league.payoffs.competence import Competence
from league.preflight.checks import prepare
from league.rollouts import play
from league.round import learn as learning
from league.round.schedule import schedule_matches
from league.round.values import RoundDraft
from league.runtime import assembly
from league.runtime.league import League, LeagueState
from league.store.reader import RunReader
from league.types import Episode, Hyper, Sample, Score, Version
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, every_channel

BEFORE: dict[str, object] = {
    "own_samples": True,
    "worked_replies": {"weight": 1.0, "gate": True},
    "lessons": {"weight": 1.0, "control_below": 1.0, "off_policy": "shaped", "clip": 0.2, "shaping": 0.1},
    "distillation": {"weight": 1.0, "gate": True, "bridge": 0.2, "limit": 2.0, "share": 1.0},
    "learning_rate": 0.01,
    "batch": 2,
    "epochs": 1,
    "replay": {"share": 0.5, "capacity": 64},
    "confidence": 0.9,
    "half_life": 4.0,
    "pasts": False,
}
CHANGED: dict[str, object] = {
    "own_samples": False,
    "worked_replies": None,
    "worked_replies.weight": 2.0,
    "worked_replies.gate": False,
    "lessons": None,
    "lessons.weight": 2.0,
    "lessons.control_below": 0.01,
    "lessons.off_policy": "nll",
    "lessons.clip": 0.3,
    "lessons.shaping": 0.2,
    "distillation": None,
    "distillation.weight": 2.0,
    "distillation.gate": False,
    "distillation.bridge": 0.9,
    "distillation.limit": 1.0,
    "distillation.share": 0.5,
    "learning_rate": 0.02,
    "batch": 3,
    "epochs": 2,
    "replay": None,
    "replay.share": 0.2,
    "confidence": 0.999999999,
    "pasts": True,
}
BY_A_RUN = {"half_life", "replay.capacity"}
"""What acts when a round ends; the capacity in tests/learning/test_replay.py."""
ADDER, PAST = Version("adder", 0), Version("adder", 7)


@dataclass(frozen=True)
class Step:
    """What an update was asked to do."""

    samples: tuple[Sample, ...]
    hyper: Mapping[str, Hyper]
    objective: Objective


@dataclass(frozen=True)
class Round:
    league: League
    state: LeagueState
    episodes: Sequence[Episode]
    scores: Sequence[Score | None]


def config_of(model: Path, runs: Path, channels: Mapping[str, object], **changes: object) -> Config:
    data = every_channel(model, runs, **changes)
    data["learning"]["channels"] = dict(channels)
    data["league"]["shared_matches"] = 6
    return parse_config(yaml.safe_dump(data), "channels")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


@pytest.fixture(scope="module")
def played(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Round:
    """A round whose expert is known to be better than its students, and has a past that is better still."""
    league, state = assembly.create(prepare(config_of(model, tmp_path_factory.mktemp("runs"), BEFORE)))
    league.weights().clone(ADDER, PAST, trainable=False)
    known = [(ADDER, "sums", 40.0, 50.0), (PAST, "sums", 50.0, 50.0)]
    known += [(Version(name, 0), "sums", 20.0, 50.0) for name in ("ada", "max")]
    population = replace(state.population, pasts={"adder": (PAST,)})
    learned = [
        KeptReply(name, ADDER, "sums", f"sums/train/{900 + place}", (3, 4, place), weight=1.0, since=0)
        for name in ("ada", "max")
        for place in range(30)
    ]
    memory = ReplayMemory().remembered(learned, capacity=64)
    state = replace(state, population=population, competence=Competence().add(known), replay=memory)
    state, matches = schedule_matches(league, state, 1)
    episodes = play(matches, league.tasks, league.backend, state.players())
    scores = [league.tasks[each.match.task].score(each) for each in episodes]
    league.store.close()
    return Round(league, state, episodes, scores)


@pytest.fixture
def steps(played: Round, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, object]], list[Step]]:
    """Settings of the channels → the steps that the round then takes."""

    def found(channels: dict[str, object]) -> list[Step]:
        taken: list[Step] = []

        def step(base, bank, samples, hyper, objective, *, diverged) -> dict:
            taken.append(Step(tuple(samples), dict(hyper), objective))
            return {}

        monkeypatch.setattr(learning, "update", step)
        monkeypatch.setattr(learning, "trained", lambda *_: Spent())
        config = played.league.config
        changed = config.learning.model_copy(update={"channels": ChannelsConfig.model_validate(channels)})
        league = replace(played.league, config=config.model_copy(update={"learning": changed}))
        learning.learn(league, played.state, RoundDraft(1), played.episodes, played.scores)
        return taken

    return found


def with_change(path: str) -> dict[str, object]:
    section, _, name = path.partition(".")
    if not name:
        return {**BEFORE, section: CHANGED[path]}
    before = BEFORE[section]
    assert isinstance(before, dict)
    return {**BEFORE, section: {**before, name: CHANGED[path]}}


def test_the_list_of_settings_is_whole() -> None:
    parts = {"worked_replies": WorkedRepliesConfig, "lessons": LessonsConfig, "distillation": DistillationConfig}
    parts |= {"replay": ReplayConfig}
    fields = {*ChannelsConfig.model_fields}
    fields |= {f"{section}.{name}" for section, part in parts.items() for name in part.model_fields}
    assert fields == CHANGED.keys() | BY_A_RUN


def test_the_round_has_something_for_every_channel(steps: Callable[[dict[str, object]], list[Step]]) -> None:
    taken = steps(BEFORE)
    assert {sample.channel for step in taken for sample in step.samples} == {
        "own_samples",
        "worked_replies",
        "lessons",
        "distillation",
    }
    assert taken == steps(BEFORE), "the same settings teach the same"


@pytest.mark.parametrize("path", sorted(CHANGED))
def test_every_setting_changes_what_is_learned(path: str, steps: Callable[[dict[str, object]], list[Step]]) -> None:
    assert steps(with_change(path)) != steps(BEFORE)


def test_a_past_that_is_better_teaches_when_pasts_may(steps: Callable[[dict[str, object]], list[Step]]) -> None:
    for pasts, teacher in ((False, ADDER), (True, PAST)):
        distilled = [s for step in steps({**BEFORE, "pasts": pasts}) for s in step.samples if s.rule == "distillation"]
        assert {sample.teacher for sample in distilled} == {teacher}


def test_half_life_changes_what_old_answers_count(model: Path, tmp_path: Path) -> None:
    known = []
    for half_life in (1.0, 8.0):
        config = config_of(model, tmp_path / f"{half_life}", {**BEFORE, "half_life": half_life}, league__rounds=1)
        with RunReader.read(train(prepare(config), Nobody())) as reader:
            known.append(reader.state()["competence"])
    assert known[0] != known[1]
